"""LiveKit's SDK as far as the adapters use it, without a server: what the test says happens in the room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class ConnectError(Exception):
    pass


class StreamError(Exception):
    pass


class _Reasons:
    NAMES = (
        "UNKNOWN_REASON",
        "CLIENT_INITIATED",
        "DUPLICATE_IDENTITY",
        "SERVER_SHUTDOWN",
        "PARTICIPANT_REMOVED",
        "ROOM_DELETED",
    )

    @classmethod
    def Name(cls, number: int) -> str:  # noqa: N802
        return cls.NAMES[number]


class FakeSdk:
    """Takes the place of ``livekit.rtc``. One room at a time.

    Attributes:
        refuses: why the server lets nobody join; None if it does.
        joins: seconds until it does; the test may set an event instead.
        rooms: that were made.
    """

    ConnectError = ConnectError
    StreamError = StreamError
    DisconnectReason = _Reasons
    TrackKind = SimpleNamespace(KIND_AUDIO=1, KIND_VIDEO=2)
    TrackSource = SimpleNamespace(SOURCE_MICROPHONE=2)
    ParticipantKind = SimpleNamespace(PARTICIPANT_KIND_STANDARD=0, PARTICIPANT_KIND_AGENT=4)

    def __init__(self) -> None:
        self.refuses: str | None = None
        self.may_join = asyncio.Event()
        self.may_join.set()
        self.rooms: list[FakeRoom] = []
        self.sources: list[FakeSource] = []
        self.streams: list[FakeStream] = []
        self.on_join: Callable[[FakeRoom], None] = lambda room: None

    def Room(self) -> FakeRoom:  # noqa: N802
        self.rooms.append(FakeRoom(self))
        return self.rooms[-1]

    def RoomOptions(self, **options: Any) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(**options)

    def TrackPublishOptions(self, **options: Any) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(**options)

    def AudioSource(self, rate: int, channels: int, queue_size_ms: int) -> FakeSource:  # noqa: N802
        self.sources.append(FakeSource(rate, channels, queue_size_ms))
        return self.sources[-1]

    def AudioFrame(self, data: bytes, sample_rate: int, num_channels: int, samples: int) -> SimpleNamespace:  # noqa: N802
        assert len(data) == 2 * num_channels * samples
        return SimpleNamespace(data=memoryview(data).cast("h"), sample_rate=sample_rate)

    def AudioStream(self, track: Any, *, sample_rate: int, num_channels: int, frame_size_ms: int) -> FakeStream:  # noqa: N802
        assert (sample_rate, num_channels, frame_size_ms) == (48_000, 1, 20)
        self.streams.append(FakeStream(track))
        return self.streams[-1]

    @property
    def LocalAudioTrack(self) -> Any:  # noqa: N802
        return SimpleNamespace(create_audio_track=lambda name, source: SimpleNamespace(name=name, source=source))


class FakeSource:
    """Takes the user's sound."""

    def __init__(self, rate: int, channels: int, queue_size_ms: int) -> None:
        self.rate, self.channels, self.queue_size_ms = rate, channels, queue_size_ms
        self.heard = bytearray()
        self.queued_duration = 0.0
        self.closed = False
        self.error: Exception | None = None

    async def capture_frame(self, frame: Any) -> None:
        if self.error is not None:
            raise self.error
        assert frame.sample_rate == self.rate
        self.heard += bytes(frame.data)

    async def aclose(self) -> None:
        self.closed = True


class FakeStream:
    """Gives the agent's sound."""

    def __init__(self, track: Any) -> None:
        self.track = track
        self.closed = False

    def __aiter__(self) -> FakeStream:
        return self

    async def __anext__(self) -> Any:
        data = await self.track.sound.get()
        if data is None:
            raise StopAsyncIteration
        return SimpleNamespace(frame=SimpleNamespace(data=memoryview(data).cast("h"), sample_rate=48_000))

    async def aclose(self) -> None:
        self.closed = True


class FakeReader:
    """A text stream."""

    def __init__(self, stream_id: str, chunks: list[str], attributes: dict[str, str], error: bool) -> None:
        self.info = SimpleNamespace(stream_id=stream_id, attributes=attributes)
        self._chunks, self._error = chunks, error
        self.closed = False

    def __aiter__(self) -> FakeReader:
        return self

    async def __anext__(self) -> str:
        await asyncio.sleep(0)
        if self._chunks:
            return self._chunks.pop(0)
        if self._error:
            raise StreamError("the room is gone")
        raise StopAsyncIteration

    def close(self) -> None:
        self.closed = True


class Someone:
    """A participant, who sends one audio track."""

    def __init__(self, identity: str, kind: int = 0, attributes: dict[str, str] | None = None) -> None:
        self.identity, self.kind = identity, kind
        self.attributes = attributes or {}
        self.sound: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.track = SimpleNamespace(kind=1, sound=self.sound)


class FakeRoom:
    """A room; what happens in it is said by the test."""

    def __init__(self, sdk: FakeSdk) -> None:
        self._sdk = sdk
        self._handlers: dict[str, Callable[..., None]] = {}
        self._text: dict[str, Callable[..., None]] = {}
        self.remote_participants: dict[str, Someone] = {}
        self.local_participant = FakeLocal()
        self.url = self.token = ""
        self.connected = False
        self.left = 0
        self.on_left: Callable[[], object] = lambda: None
        self._streams = 0

    def on(self, event: str, handler: Callable[..., None]) -> None:
        self._handlers[event] = handler

    def register_text_stream_handler(self, topic: str, handler: Callable[..., None]) -> None:
        self._text[topic] = handler

    async def connect(self, url: str, token: str, options: Any) -> None:
        self.url, self.token = url, token
        await self._sdk.may_join.wait()
        if self._sdk.refuses is not None:
            raise ConnectError(self._sdk.refuses)
        self.connected = True
        self._sdk.on_join(self)

    async def disconnect(self) -> None:
        self.left += 1
        self.connected = False
        self.on_left()

    # what happens

    def emit(self, event: str, *args: Any) -> None:
        if event in self._handlers:
            self._handlers[event](*args)

    def enters(self, someone: Someone, *, speaks: bool = True) -> None:
        self.remote_participants[someone.identity] = someone
        if speaks:
            self.emit("track_subscribed", someone.track, SimpleNamespace(name="agent_audio"), someone)

    def leaves(self, someone: Someone) -> None:
        del self.remote_participants[someone.identity]
        self.emit("participant_disconnected", someone)

    def state(self, someone: Someone, state: str) -> None:
        someone.attributes["lk.agent.state"] = state
        self.emit("participant_attributes_changed", {"lk.agent.state": state}, someone)

    def text(self, identity: str, *chunks: str, final: bool = True, error: bool = False) -> FakeReader:
        self._streams += 1
        attributes = {"lk.transcription_final": "true" if final else "false"}
        reader = FakeReader(f"s{self._streams}", list(chunks), attributes, error)
        self._text["lk.transcription"](reader, identity)
        return reader

    def data(self, identity: str | None, data: bytes) -> None:
        someone = SimpleNamespace(identity=identity) if identity is not None else None
        self.emit("data_received", SimpleNamespace(data=data, topic=None, participant=someone))


class FakeLocal:
    """This side."""

    identity = "user-1"

    def __init__(self) -> None:
        self.tracks: list[Any] = []
        self.keys: list[tuple[int, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.error: Exception | None = None

    async def publish_track(self, track: Any, options: Any) -> None:
        self.tracks.append((track, options))

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        if self.error is not None:
            raise self.error
        self.keys.append((code, digit))

    async def send_text(self, text: str, *, topic: str) -> None:
        self.texts.append((text, topic))
