"""A room of LiveKit for one who speaks with an agent in it: one microphone, one agent, and what is sent beside.

The SDK (package ``livekit``) does the signaling and the media. What it tells becomes items of one stream, in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from duologue.context import SystemClock
from duologue.errors import MissingExtraError
from duologue.frozen import frozen
from duologue.secret_values import hide_in_logs
from duologue.voice.adapters.live_line import AfterSound, SilenceGate
from duologue.voice.audio import SAMPLE_RATE
from duologue.voice.resample import Resampler
from duologue.voice.tones import KEY_PAUSES, KEYS

logger = logging.getLogger("duologue.voice")

WIRE_RATE = 48_000
"""Samples a second at the SDK."""
TRANSCRIPTION = "lk.transcription"
"""Topic of text streams with what was said. Source: LiveKit, *Text and transcriptions*."""
AGENT_STATE = "lk.agent.state"
"""Attribute of agents made with LiveKit's framework: ``initializing``, ``listening``, ``thinking``, ``speaking``."""
CHAT = "lk.chat"
"""Topic of what users write."""
_QUEUE_MS = 200
"""Of the user's sound that may wait in the SDK; then whoever speaks has to wait."""
_LATE_SECONDS = 0.06
"""Of sound that waits in the SDK, where silence is left out, so that what follows it is on time again."""
_MOST_ARRIVED = 20_000
_LEAVE_SECONDS = 2.0
"""That joining may take to end, once it is not wanted any more: it cannot be cancelled in the SDK."""
_ATTEMPT_SECONDS = 5.0
"""For each attempt of the SDK to connect."""
_DTMF_CODES = {"*": 10, "#": 11, "A": 12, "B": 13, "C": 14, "D": 15}
_KEYS_APART = 0.1
_CLOCK = SystemClock()


@frozen(slots=True)
class RoomSound:
    """Sound of the agent: PCM16, mono, 24 kHz. While it is silent nothing comes."""

    pcm: bytes


@frozen(slots=True)
class RoomText:
    """A piece of a text stream.

    Attributes:
        identity: of whom it is.
        stream: tells streams apart.
        text: what is new in it.
        ended: it is complete.
        final: where it has ended: what it says will not be said again in other words.
    """

    identity: str
    stream: str
    text: str = ""
    ended: bool = False
    final: bool = True


@frozen(slots=True)
class RoomData:
    """A data packet; ``identity`` is "" where it is the server's."""

    identity: str
    topic: str
    data: bytes


@frozen(slots=True)
class RoomKey:
    """A key that somebody has pressed."""

    key: str


@frozen(slots=True)
class AgentState:
    """What the agent says that it is doing."""

    state: str


@frozen(slots=True)
class AgentLeft:
    """The agent is not in the room any more."""


@frozen(slots=True)
class SoundCame:
    """The sound that was under way when it was asked for has come."""


RoomItem = RoomSound | RoomText | RoomData | RoomKey | AgentState | AgentLeft | SoundCame


class LiveKitRoom:
    """A room that this side joins: ``join``, then ``items``; ``leave`` at any time.

    Args:
        agent_identity: of the participant that is spoken with. Default: the first that is an agent, else the first that
            sends sound.
    """

    def __init__(self, agent_identity: str | None = None) -> None:
        self._wanted = agent_identity
        self._arrived: asyncio.Queue[RoomItem | None] = asyncio.Queue()
        self._failure: Exception | None = None
        self._closed = False
        self._rtc: Any = None
        self._room: Any = None
        self._source: Any = None
        self._joining: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._after = AfterSound(lambda: self._arrive(SoundCame()))
        self._agent = ""
        self._track: Any = None
        self._heard = asyncio.Event()
        self._to_wire = Resampler(SAMPLE_RATE, WIRE_RATE)

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def join(self, url: str, token: str, waits_for: Callable[[str], None]) -> None:
        """Join, publish a microphone, and wait until an agent sends sound.

        Raises:
            ConnectionError: the server refuses, or cannot be reached.
            MissingExtraError: the SDK is not installed.
        """
        self._rtc = rtc = sdk()
        self._room = room = rtc.Room()
        for event, handler in (
            ("track_subscribed", self._on_track),
            ("track_unsubscribed", self._on_track_gone),
            ("participant_disconnected", self._on_gone),
            ("participant_attributes_changed", self._on_attributes),
            ("data_received", self._on_data),
            ("sip_dtmf_received", self._on_key),
            ("disconnected", self._on_disconnected),
        ):
            room.on(event, handler)
        room.register_text_stream_handler(TRANSCRIPTION, self._on_text)
        waits_for("the server to let it join")
        options = rtc.RoomOptions(auto_subscribe=True, connect_timeout=_ATTEMPT_SECONDS)
        self._joining = asyncio.create_task(room.connect(url, token, options), name="LiveKit room is joined")
        try:
            await asyncio.shield(self._joining)
        except rtc.ConnectError as error:
            raise ConnectionError(f"the server does not let it join: {error}") from error
        self._source = rtc.AudioSource(WIRE_RATE, 1, queue_size_ms=_QUEUE_MS)
        microphone = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        waits_for("its microphone to be published")
        await room.local_participant.publish_track(
            microphone, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        waits_for("the agent to join and send sound")
        await self._heard.wait()
        if self._failure is not None:
            raise self._failure
        if not self._agent:
            raise ConnectionError("the room was closed before an agent had sent sound")
        waits_for("")

    async def leave(self) -> None:
        """Leave the room, however far joining came."""
        self._closed = True
        self._after.drop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._joining is not None:
            # The SDK cannot be told to give up: what it has joined by then is left again.
            await asyncio.wait({self._joining}, timeout=_LEAVE_SECONDS)
            self._joining.cancel()
            await asyncio.wait({self._joining})
            if not self._joining.cancelled():
                self._joining.exception()  # was told to whoever joined
        if self._room is not None:
            await self._room.disconnect()
        if self._source is not None:
            await self._source.aclose()
        self._end()

    # --- what is sent ------------------------------------------------------------------------------------------------

    async def say(self, pcm: bytes) -> None:
        """Send sound of the user: PCM16, mono, 24 kHz.

        Raises:
            ConnectionError: it cannot be sent.
        """
        if self._source is None or self._closed:
            raise ConnectionError("there is no connection")
        wide = self._to_wire.process(pcm)
        if not wide or (self._source.queued_duration > _LATE_SECONDS and not wide.strip(b"\0")):
            return
        frame = self._rtc.AudioFrame(wide, WIRE_RATE, 1, len(wide) // 2)
        try:
            await self._source.capture_frame(frame)
        except Exception as error:  # the SDK raises Exception
            raise ConnectionError(f"the SDK does not take sound: {error}") from error

    async def press(self, keys: str) -> None:
        """Press keys, one after the other.

        Raises:
            ConnectionError: they cannot be sent.
        """
        for key in keys:
            if key in KEY_PAUSES:
                await _CLOCK.sleep(KEY_PAUSES[key])
                continue
            code = _DTMF_CODES.get(key.upper(), int(key) if key.isdigit() else 0)
            await self._sent(self._room.local_participant.publish_dtmf(code=code, digit=key.upper()))
            await _CLOCK.sleep(_KEYS_APART)

    async def write(self, text: str) -> None:
        """Say something in writing.

        Raises:
            ConnectionError: it cannot be sent.
        """
        await self._sent(self._room.local_participant.send_text(text, topic=CHAT))

    async def _sent(self, sending: Coroutine[Any, Any, object]) -> None:
        try:
            await sending
        except Exception as error:  # each kind of message has an exception of its own in the SDK
            raise ConnectionError(f"the SDK could not send it: {error}") from error

    # --- what comes --------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """Of this side."""
        return str(self._room.local_participant.identity)

    async def items(self) -> AsyncIterator[RoomItem]:
        """What comes, until the connection ends.

        Raises:
            ConnectionError: it has broken.
        """
        while (item := await self._arrived.get()) is not None:
            yield item
        if self._failure is not None:
            raise self._failure

    def after_sound(self, seconds: float) -> None:
        """Ask for :class:`SoundCame`, after so many seconds at least."""
        self._after.hold(seconds)

    def go_on(self) -> None:
        """It is not asked for any more."""
        self._after.drop()

    def _arrive(self, item: RoomItem) -> None:
        if self._failure is not None or self._closed:
            return
        if self._arrived.qsize() >= _MOST_ARRIVED:
            self._end(ConnectionError("more comes than can be read"))
        else:
            self._arrived.put_nowait(item)

    def _end(self, failure: Exception | None = None) -> None:
        self._failure = self._failure or failure
        self._heard.set()
        self._arrived.put_nowait(None)

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_agent(self, participant: Any) -> bool:
        if self._agent:
            return bool(participant.identity == self._agent)
        if self._wanted is not None:
            return bool(participant.identity == self._wanted)
        agents = self._rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        others = self._room.remote_participants.values()
        return participant.kind == agents or not any(other.kind == agents for other in others)

    def _on_track(self, track: Any, publication: Any, participant: Any) -> None:
        del publication
        if track.kind != self._rtc.TrackKind.KIND_AUDIO or self._track is not None or not self._is_agent(participant):
            return
        self._agent, self._track = participant.identity, track
        if state := participant.attributes.get(AGENT_STATE):
            self._arrive(AgentState(state=state))
        stream = self._rtc.AudioStream(track, sample_rate=WIRE_RATE, num_channels=1, frame_size_ms=20)
        self._task(self._listen(stream), "LiveKit room listens")
        self._heard.set()

    def _on_track_gone(self, track: Any, publication: Any, participant: Any) -> None:
        del publication, participant
        if track is self._track:
            self._track = None

    async def _listen(self, stream: Any) -> None:
        narrow, gate = Resampler(WIRE_RATE, SAMPLE_RATE), SilenceGate()
        try:
            async for event in stream:
                if pcm := gate.passed(narrow.process(bytes(event.frame.data))):
                    self._arrive(RoomSound(pcm=pcm))
                self._after.heard(silent=gate.is_shut)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await stream.aclose()

    def _on_text(self, reader: Any, identity: str) -> None:
        self._task(self._read(reader, identity), "LiveKit room reads")

    async def _read(self, reader: Any, identity: str) -> None:
        stream = reader.info.stream_id
        try:
            async for text in reader:
                self._arrive(RoomText(identity=identity, stream=stream, text=text))
            attributes: dict[str, str] = reader.info.attributes or {}
            final = attributes.get("lk.transcription_final", "true") not in {"false", "0"}
            self._arrive(RoomText(identity=identity, stream=stream, ended=True, final=final))
        except self._rtc.StreamError as error:
            logger.debug("a text stream was broken off: %s", error)
        finally:
            reader.close()

    def _on_attributes(self, changed: dict[str, str], participant: Any) -> None:
        if AGENT_STATE in changed and participant.identity == self._agent:
            self._arrive(AgentState(state=changed[AGENT_STATE]))

    def _on_data(self, packet: Any) -> None:
        identity = packet.participant.identity if packet.participant is not None else ""
        self._arrive(RoomData(identity=identity, topic=packet.topic or "", data=bytes(packet.data)))

    def _on_key(self, dtmf: Any) -> None:
        if dtmf.digit in KEYS:
            self._arrive(RoomKey(key=dtmf.digit))

    def _on_gone(self, participant: Any) -> None:
        if participant.identity == self._agent:
            self._arrive(AgentLeft())

    def _on_disconnected(self, reason: Any) -> None:
        if self._closed:
            return
        name = str(self._rtc.DisconnectReason.Name(reason))
        orderly = {"ROOM_DELETED", "ROOM_CLOSED", "PARTICIPANT_REMOVED"}
        if name in orderly:
            self._arrive(AgentLeft())
        self._end(None if name in orderly else ConnectionError(f"the server has ended the connection ({name})"))


def sdk() -> Any:
    """LiveKit's package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from livekit import rtc
    except ImportError as error:
        raise MissingExtraError("LiveKit", "livekit", "livekit") from error
    hide_in_logs("livekit")  # it logs what the server answers
    return rtc
