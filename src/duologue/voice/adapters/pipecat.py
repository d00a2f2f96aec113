"""Pipecat bots, over a WebSocket with the messages of Twilio Media Streams, or over WebRTC.

Over a WebSocket this side is Twilio: the bot is the one that is deployed for telephone calls, unchanged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol

from duologue.errors import ConfigurationError
from duologue.messages import JsonValue
from duologue.voice.adapter import AdapterCapabilities, VoiceConnectionError
from duologue.voice.adapters.framing import Codec, SoundFromWire, SoundToWire
from duologue.voice.adapters.ice import IceServer
from duologue.voice.adapters.media_stream import (
    MULAW_RATE,
    CallerSide,
    NoMediaStreamMessageError,
    event_in,
    part_of,
    sound_in,
    text_of,
)
from duologue.voice.adapters.rtvi import LABEL, RtviEvents
from duologue.voice.adapters.small_webrtc import SmallWebRTCLine
from duologue.voice.adapters.sockets import Socket, SocketTarget, shown_socket, socket_address
from duologue.voice.adapters.wire import WireVoiceAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import CallEnded, Incoming, UserHeard

Deliver = Callable[[Incoming], Awaitable[None]]
PipecatTransport = Literal["websocket", "webrtc"]

_WEBRTC_CAPABILITIES = AdapterCapabilities(
    streaming_transcripts=True, native_vad=True, input_formats=("opus/48000",), output_formats=("opus/48000",)
)
_MOST_MARKS = 1_000
"""Marks that wait until the sound before them has been heard."""


class PipecatLine(Protocol):
    """A transport to a bot.

    Attributes:
        sender_waits: the bot can be made to wait while nobody hears what it has sent.
    """

    sender_waits: bool

    @property
    def where(self) -> str:
        """What it is connected to, without credentials."""
        ...

    async def dial(self, waits_for: Callable[[str], None]) -> None:
        """Connect, until sound can be sent; tell what is waited for."""
        ...

    async def read(self, deliver: Deliver) -> None:
        """Hand on what comes, to the end of the connection."""
        ...

    async def hang_up(self) -> None:
        """Close what there is; harmless if there is nothing."""
        ...

    async def say(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        ...

    async def end_turn(self) -> None:
        """The user has finished."""
        ...

    async def interrupt(self) -> None:
        """The user has cut in."""
        ...


class PipecatAgentAdapter(WireVoiceAdapter):
    """A Pipecat bot.

    With ``transport="websocket"`` it is called as Twilio calls it: a bot with ``TwilioFrameSerializer`` needs no
    change, and neither does any other agent for Twilio Media Streams. Where the bot passes on the messages of RTVI
    (``TwilioFrameSerializer.InputParams(ignore_rtvi_messages=False)``), its words, tool calls and the end of its turns
    are known while it speaks.

    Args:
        url: of the bot's WebSocket, such as ``ws://localhost:8765/ws``.
        signaling_url: of the bot's offer endpoint, for ``webrtc``, such as ``http://localhost:7860/api/offer``.
        transport: ``websocket`` or ``webrtc``.
        audio_format: ``mulaw``, ``alaw`` or ``pcm16``: of the sound over the WebSocket.
        sample_rate: of the sound over the WebSocket.
        stream_sid, call_sid: identifiers of the stream and the call that the bot is told; None for new ones.
        token: for ``webrtc``: sent with the offer as ``Authorization: Bearer …``.
        request_data: for ``webrtc``: what the bot is given with the offer.
        ice_servers: for ``webrtc``: STUN and TURN servers; none are asked by default.

    Raises:
        ConfigurationError: an argument is missing or cannot be used.
    """

    capabilities = AdapterCapabilities(
        streaming_transcripts=True,
        native_vad=True,
        interruption=True,
        input_formats=("pcm16/24000", "mulaw/8000", "opus"),
        output_formats=("pcm16/24000", "mulaw/8000", "opus"),
    )
    wants_silence = True

    def __init__(
        self,
        url: str | None = None,
        *,
        signaling_url: str | None = None,
        transport: PipecatTransport = "websocket",
        audio_format: Codec = "mulaw",
        sample_rate: int = MULAW_RATE,
        stream_sid: str | None = None,
        call_sid: str | None = None,
        token: str = "",
        request_data: Mapping[str, JsonValue] | None = None,
        ice_servers: Sequence[IceServer | str] = (),
    ) -> None:
        super().__init__()
        who = type(self).__name__
        self._line: PipecatLine
        if transport == "websocket":
            if not url:
                raise ConfigurationError(f"{who}: transport='websocket' needs url, such as ws://localhost:8765/ws")
            if audio_format not in {"mulaw", "alaw", "pcm16"}:
                raise ConfigurationError(f"{who}: audio_format is {audio_format!r}; expected mulaw, alaw or pcm16")
            if not 8_000 <= sample_rate <= 48_000:
                raise ConfigurationError(f"{who}: sample_rate is {sample_rate!r}; expected 8000 to 48000")
            socket_address(url, f"{who}: url")
            sides = CallerSide(audio_format, sample_rate, stream_sid or "", call_sid or "")
            self._line = MediaStreamLine(url.strip(), sides, who, audio_format, sample_rate)
        elif transport == "webrtc":
            if not signaling_url:
                raise ConfigurationError(
                    f"{who}: transport='webrtc' needs signaling_url, such as http://localhost:7860/api/offer"
                )
            self._line = SmallWebRTCLine(
                signaling_url, token=token, request_data=request_data, ice_servers=ice_servers, ready=self._bot_is_ready
            )
            self.capabilities = _WEBRTC_CAPABILITIES
        else:
            raise ConfigurationError(f"{who}: transport is {transport!r}; expected 'websocket' or 'webrtc'")
        self.transport: PipecatTransport = transport

    @property
    def where(self) -> str:
        """The address of the bot."""
        return self._line.where

    def describe(self) -> dict[str, Any]:
        """The transport and the address."""
        return {"transport": self.transport, "url": self.where}

    async def dial(self) -> None:
        """Call the bot."""
        self.ends_turns = False
        await self._line.dial(self._waits_for)

    async def read(self) -> None:
        """Hand on what comes."""
        await self._line.read(self._take)

    async def hang_up(self) -> None:
        """End the call."""
        await self._line.hang_up()

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        if not self.is_connected:
            raise self.not_connected()
        await self._line.say(chunk)

    async def end_user_turn(self) -> None:
        """Send the rest of the last frame, and a mark."""
        await self._line.end_turn()

    async def interrupt(self) -> None:
        """Forget what was not heard, and tell bots that know the message. Others stop by what the user says."""
        if not self.capabilities.interruption:
            return await super().interrupt()
        self.forget_sound()
        await self._line.interrupt()
        return None

    async def _take(self, item: Incoming) -> None:
        await (self.deliver(item) if self._line.sender_waits else self.deliver_unasked(item))

    def _bot_is_ready(self) -> None:
        """It speaks RTVI, which tells the end of its turns."""
        self.ends_turns = True

    def _waits_for(self, what: str) -> None:
        self.waiting_for = what


class MediaStreamLine:
    """Plays Twilio to an agent for Twilio Media Streams.

    Marks are answered when the sound before them has been played out, as Twilio does.

    Args:
        url: of the agent's WebSocket.
        caller: writes the messages.
        name: of the adapter, for errors.
        codec, rate: of the sound.
    """

    sender_waits = True

    def __init__(self, url: str, caller: CallerSide, name: str, codec: Codec, rate: int) -> None:
        self._target, self._caller, self._name = SocketTarget(url=url), caller, name
        self._codec: Codec = codec
        self._rate = rate
        self._socket: Socket | None = None
        self._turns = 0
        self._begin()

    def _begin(self) -> None:
        self._there, self._back = SoundToWire(self._codec, self._rate), SoundFromWire(self._codec, self._rate)
        self._rtvi = RtviEvents()
        self._marks: deque[tuple[float, str]] = deque()
        self._marked = asyncio.Event()
        self._heard_until = 0.0

    @property
    def where(self) -> str:
        """The address."""
        return shown_socket(self._target.url)

    async def dial(self, waits_for: Callable[[str], None]) -> None:
        """Connect, and begin the stream."""
        del waits_for
        self._begin()
        self._socket = await Socket.open(self._target, self._name, self.where)
        for message in self._caller.opening():
            await self._socket.send(message)

    async def read(self, deliver: Deliver) -> None:
        """Hand on what comes."""
        socket = self._open()
        answers = asyncio.create_task(self._answer_marks(socket))
        try:
            async for message in socket.messages():
                try:
                    await self._take(message, deliver)
                except NoMediaStreamMessageError as error:
                    raise socket.broken(str(error), message) from error
        finally:
            answers.cancel()
            await asyncio.wait({answers})
        if socket.ended_in_order:
            await deliver(CallEnded(reason=socket.close_reason))

    async def hang_up(self) -> None:
        """Say that the call is over, and close the connection."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        try:
            if not socket.is_closed:
                await socket.send(self._caller.stop())
        finally:
            await socket.close()

    async def say(self, chunk: AudioChunk) -> None:
        """Send the frames that are complete."""
        await self._send_frames(self._there.frames(chunk.data))

    async def end_turn(self) -> None:
        """Send the rest, and a mark."""
        await self._send_frames(self._there.flush())
        await self._open().send(self._caller.mark("utterance_end"))

    async def interrupt(self) -> None:
        """Send ``clear``."""
        self._heard_until = 0.0
        await self._open().send(self._caller.clear())

    async def _send_frames(self, frames: list[bytes]) -> None:
        socket = self._open()
        for frame in frames:
            await socket.send(self._caller.media(frame))

    async def _take(self, message: str | bytes, deliver: Deliver) -> None:
        event = event_in(message)
        match event.get("event"):
            case "media":
                sound = AudioChunk(self._back.pcm(sound_in(event)))
                now = asyncio.get_running_loop().time()
                self._heard_until = max(self._heard_until, now) + sound.duration_seconds
                if sound.data:
                    await deliver(sound)
            case "mark":
                if len(self._marks) >= _MOST_MARKS:
                    raise NoMediaStreamMessageError(f"more than {_MOST_MARKS:,} marks wait for their sound to be heard")
                self._marks.append((self._heard_until, text_of(part_of(event, "mark"), "name", "mark")))
                self._marked.set()
            case "clear":
                self._heard_until = 0.0
                self._marks = deque((0.0, name) for _, name in self._marks)
                self._marked.set()
                await deliver(UserHeard())
            case _ if event.get("label") == LABEL:
                for item in self._rtvi.read(event):
                    await deliver(item)
            case _:
                return  # of the agent's own, or newer than this

    async def _answer_marks(self, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(VoiceConnectionError):
            while True:
                self._marked.clear()
                while self._marks and self._marks[0][0] <= loop.time():
                    await socket.send(self._caller.mark(self._marks.popleft()[1]))
                wait = self._marks[0][0] - loop.time() if self._marks else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._marked.wait()

    def _open(self) -> Socket:
        if self._socket is None:
            raise VoiceConnectionError(self._name, f"there is no connection to {self.where}: connect first")
        return self._socket
