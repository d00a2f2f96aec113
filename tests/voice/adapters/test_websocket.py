"""Voice agents behind a WebSocket with a protocol of one's own."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check, everything_from
from heard_sound import hear, likeness, sound_of, talk, voice_like
from waiting import until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import duologue
from duologue.config.access import Access, using
from duologue.errors import AgentError, ConfigurationError
from duologue.voice.adapters.events import EventsProtocol
from duologue.voice.adapters.websocket import Decoded, Encoded, SocketMessage, WebSocketAgentAdapter, WebSocketProtocol
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.g711 import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from duologue.voice.incoming import AgentTurnEnded, AgentWords, CallEnded, UserHeard
from duologue.voice.port import AdapterCapabilities, UnsupportedCapabilityError, VoiceConnectionError
from duologue.voice.resample import Resampler


class _Raw(WebSocketProtocol):
    """Sound is binary as it is; text is none of its messages."""

    def encode_audio(self, chunk: AudioChunk) -> bytes:
        return chunk.data

    def decode_response(self, message: SocketMessage) -> AudioChunk:
        if isinstance(message, str):
            raise ValueError("text")
        return AudioChunk(message)


_WIRE = Wire(
    sound=lambda seconds: [silent_chunk(0.1).data] * round(seconds * 10), takes_bytes=True, path="/talk?key=abc"
)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(peer, wire=_WIRE, make=lambda url: WebSocketAgentAdapter(url, _Raw()))


class _Server:
    """Sends back what it gets; ``said`` is sent first."""

    def __init__(self, said: list[SocketMessage], echoes: bool) -> None:
        self.said, self.echoes = said, echoes
        self.url = ""
        self.got: list[SocketMessage] = []
        self.headers: dict[str, str] = {}
        self.subprotocol: str | None = None

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers, self.subprotocol = dict(connection.request.headers.raw_items()), connection.subprotocol
        with suppress(ConnectionClosed):
            for message in self.said:
                await connection.send(message)
            if self.said:
                await connection.close(1000, "goodbye")
            async for message in connection:
                self.got.append(message)
                if self.echoes:
                    await connection.send(message)


@asynccontextmanager
async def _serving(*said: SocketMessage, echoes: bool = True, **options: Any) -> AsyncGenerator[_Server]:
    server = _Server(list(said), echoes)
    async with serve(server.handle, "127.0.0.1", 0, compression=None, **options) as listening:
        [socket] = listening.sockets
        server.url = f"ws://127.0.0.1:{socket.getsockname()[1]}/talk"
        yield server


class _Telephone(WebSocketProtocol):
    """Base64 in JSON, of another rate and codec."""

    def __init__(self, encode: Any, decode: Any) -> None:
        self.there, self.back = Resampler(24_000, 8_000), Resampler(8_000, 24_000)
        self.encode, self.decode = encode, decode

    def encode_audio(self, chunk: AudioChunk) -> str:
        return json.dumps({"sound": b64encode(self.encode(self.there.process(chunk.data))).decode()})

    def decode_response(self, message: SocketMessage) -> bytes:
        return self.back.process(self.decode(b64decode(json.loads(message)["sound"])))


@pytest.mark.parametrize(
    ("protocol", "least"),
    [(_Raw(), 200), (_Telephone(mulaw_encode, mulaw_decode), 33), (_Telephone(alaw_encode, alaw_decode), 33)],
    ids=["as it is", "µ-law", "A-law"],
)
async def test_sound_goes_there_and_back_without_clicks(protocol: WebSocketProtocol, least: float) -> None:
    said = voice_like(2.0)
    async with _serving() as server, WebSocketAgentAdapter(server.url, protocol) as adapter:
        await talk(adapter, said)
        heard = await hear(adapter, 1.99)
    assert likeness(said, sound_of(heard)) > least


class _Everything(_Raw):
    """A protocol that can do all that there is."""

    capabilities = AdapterCapabilities(dtmf=True, interruption=True, streaming_transcripts=True)
    wants_silence = True
    ends_turns = True

    def opening(self) -> list[str]:
        return ["hello", "there"]

    def user_turn_begins(self) -> str:
        return "begins"

    def user_turn_ends(self) -> Iterator[str]:
        yield "ends"
        yield "answer!"

    def encode_interrupt(self) -> str:
        return "stop"

    def encode_dtmf(self, keys: str) -> Iterator[str]:
        return (f"key {key}" for key in keys)

    def closing(self) -> str:
        return "goodbye"


async def test_what_a_protocol_can_do_is_sent_in_order() -> None:
    async with _serving(echoes=False) as server:
        adapter = WebSocketAgentAdapter(server.url, _Everything())
        assert (adapter.wants_silence, adapter.ends_turns) == (True, True)
        assert adapter.capabilities.dtmf
        async with adapter:
            await talk(adapter, bytes(960))
            await adapter.interrupt()
            await adapter.send_dtmf("1#")
            with pytest.raises(ValueError, match="keys are 'x'"):
                await adapter.send_dtmf("x")
        await until(lambda: "goodbye" in server.got)
    expected = ["hello", "there", "begins", bytes(960), "ends", "answer!", "stop", "key 1", "key #", "goodbye"]
    assert server.got == expected


async def test_what_a_protocol_cannot_do() -> None:
    async with _serving() as server, WebSocketAgentAdapter(server.url, _Raw()) as adapter:
        assert adapter.capabilities == AdapterCapabilities(
            input_formats=("pcm16/24000",), output_formats=("pcm16/24000",)
        )
        for act in (adapter.interrupt(), adapter.send_dtmf("1")):
            with pytest.raises(UnsupportedCapabilityError, match="WebSocketAgentAdapter has no"):
                await act


@pytest.mark.parametrize(
    ("decoded", "items"),
    [
        (None, []),
        (b"", []),
        (bytes(4), [AudioChunk(bytes(4))]),
        (AudioChunk(bytes(4)), [AudioChunk(bytes(4))]),
        (AudioChunk(b""), [AgentTurnEnded()]),
        (AgentWords(text="hi"), [AgentWords(text="hi")]),
        (
            [AgentWords(text="hi"), AudioChunk(bytes(2)), AgentTurnEnded()],
            [AgentWords(text="hi"), AudioChunk(bytes(2)), AgentTurnEnded()],
        ),
        (iter([AgentWords(text="hi")]), [AgentWords(text="hi")]),
        ([], []),
        (UserHeard(), [UserHeard()]),
        (bytearray(4), [AudioChunk(bytes(4))]),
        (memoryview(bytes(4)), [AudioChunk(bytes(4))]),
        ([bytes(4), AgentWords("hi", replaces=True)], [AudioChunk(bytes(4)), AgentWords(text="hi", replaces=True)]),
        ([b"", AudioChunk(b"")], [AgentTurnEnded()]),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_a_message_may_hold(decoded: Decoded, items: list[object]) -> None:
    class Given(_Raw):
        def decode_response(self, message: SocketMessage) -> Decoded:  # type: ignore[override]
            return decoded

    class GivenLater(_Raw):
        async def decode_response(self, message: SocketMessage) -> Any:  # type: ignore[override]
            return decoded

    for protocol in (Given(), GivenLater()):
        if isinstance(decoded, Iterator):
            decoded = list(decoded)
        async with _serving("anything") as server, WebSocketAgentAdapter(server.url, protocol) as adapter:
            came, error = await everything_from(adapter)
        assert came == [*items, CallEnded(reason="goodbye")]
        assert "has closed the connection" in str(error)


async def test_sound_that_is_written_later_or_not_as_bytes() -> None:
    class Later(_Raw):
        async def encode_audio(self, chunk: AudioChunk) -> Any:  # type: ignore[override]
            return bytearray(chunk.data)

        def user_turn_ends(self) -> Any:
            return memoryview(b"end")

    async with _serving(echoes=True) as server, WebSocketAgentAdapter(server.url, Later()) as adapter:
        await adapter.send_audio(AudioChunk(b"abcd"))
        await adapter.end_user_turn()
        await until(lambda: len(server.got) == 2)
    assert server.got == [b"abcd", b"end"]


async def test_without_a_protocol_sound_is_binary_and_events_are_json() -> None:
    said = json.dumps({"type": "words", "text": "hi"})
    async with _serving(said, silent_chunk(0.02).data) as server, WebSocketAgentAdapter(server.url) as adapter:
        came, _ = await everything_from(adapter)
    assert came == [AgentWords("hi"), silent_chunk(0.02), CallEnded("goodbye")]


@pytest.mark.parametrize(
    ("protocol", "told"),
    [(_Raw, r"found the class _Raw; make an object of it: _Raw\(\)$"), ("raw", "found str$"), (int, "the class int$")],
    ids=["a class", "text", "another class"],
)
def test_what_is_no_protocol(protocol: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"WebSocketAgentAdapter: protocol: expected an object .*{told}"):
        WebSocketAgentAdapter("ws://localhost/talk", protocol)


@pytest.mark.parametrize("decoded", [7, "text", [7], {"a": 1}, object(), bytes(3), [bytes(3)], bytearray(3)])
async def test_what_a_message_may_not_hold(decoded: Any) -> None:
    class Given(_Raw):
        def decode_response(self, message: SocketMessage) -> Any:
            return decoded

    async with _serving("anything") as server, WebSocketAgentAdapter(server.url, Given()) as adapter:
        came, error = await everything_from(adapter)
    assert came == []
    assert "WebSocketAgentAdapter: ws://127.0.0.1:" in str(error)
    assert "Given.decode_response" in str(error)
    assert "'anything'" in str(error)


@pytest.mark.parametrize(
    "encoded", [7, [7], object(), {"type": "int"}], ids=["a number", "numbers", "an object", "an object of JSON"]
)
async def test_what_cannot_be_sent(encoded: Any) -> None:
    class Given(_Raw):
        def encode_audio(self, chunk: AudioChunk) -> Any:
            return encoded

    async with _serving() as server, WebSocketAgentAdapter(server.url, Given()) as adapter:
        with pytest.raises(AgentError, match=r"Adapter: Given could not write a message: .*(int|object|dict: write)"):
            await adapter.send_audio(silent_chunk(0.02))


async def test_a_protocol_that_fails_to_write() -> None:
    class Failing(_Raw):
        def encode_audio(self, chunk: AudioChunk) -> Encoded:  # type: ignore[override]
            raise KeyError("session")

    async with _serving() as server, WebSocketAgentAdapter(server.url, Failing()) as adapter:
        with pytest.raises(AgentError, match=r"WebSocketAgentAdapter: Failing could not write a message: 'session'"):
            await adapter.send_audio(silent_chunk(0.02))


async def test_headers_and_subprotocols(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with _serving(subprotocols=["voice.v1"]) as server:
        headers = {"Authorization": "Bearer sk-very-secret-123"}
        url = f"{server.url}?token=url-secret-4567"
        async with WebSocketAgentAdapter(url, _Raw(), headers=headers, subprotocols=["voice.v1", "v0"]) as adapter:
            shown = f"{adapter!r} {adapter.describe()} {adapter.where} {adapter._target!r}"
        assert (server.headers["Authorization"], server.subprotocol) == (headers["Authorization"], "voice.v1")
    logged = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("duologue"))
    assert "very-secret" not in shown + logged
    assert "url-secret" not in shown
    assert adapter.describe() == {"url": f"{server.url}?…", "protocol": "_Raw"}


@pytest.mark.parametrize(
    "url", ["", "http://a.test", "a.test:80", "ws://", "ws://a:b", "ws://a:0", "wss:/a.test", "ws://[::1"]
)
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigurationError, match="WebSocketAgentAdapter: url must look like ws://host:port/path"):
        duologue.WebSocketAgentAdapter(url, _Raw())


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"X": "two\nlines"}, {"X": "é"}])
async def test_headers_that_cannot_be_sent(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="header"):
        await WebSocketAgentAdapter("ws://127.0.0.1:9/", _Raw(), headers=headers).connect()


async def test_where_only_public_addresses_may_be_used() -> None:
    async with _serving() as server:
        for host in ("127.0.0.1", "localhost"):
            adapter = WebSocketAgentAdapter(server.url.replace("127.0.0.1", host), _Raw())
            with (
                using(Access(private_addresses=False)),
                pytest.raises(ConfigurationError, match="not a public address"),
            ):
                await adapter.connect()
        assert server.headers == {}


async def test_a_peer_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from duologue.voice.adapters import sockets

    monkeypatch.setattr(sockets, "SEND_TIMEOUT", 0.1)

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with serve(deaf, "127.0.0.1", 0, close_timeout=0.1, ping_interval=None) as listening:
        [socket] = listening.sockets
        adapter = WebSocketAgentAdapter(f"ws://127.0.0.1:{socket.getsockname()[1]}/", _Raw())
        await adapter.connect()

        async def send() -> None:
            while True:
                await adapter.send_audio(AudioChunk(bytes(1_000_000)))

        with pytest.raises(VoiceConnectionError, match=r"has read nothing of what was sent for 0\.1 s"):
            await send()
        await adapter.disconnect()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize(
    "location", ["ws://127.0.0.1:{port}/", "ws://localhost:{port}/", "http://127.0.0.1:{port}/", "/"]
)
async def test_a_redirect_is_not_followed_so_that_no_other_server_is_given_the_headers(
    status: str, location: str
) -> None:
    asked: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {status}\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(elsewhere, "127.0.0.1", 0) as other,
        await asyncio.start_server(redirects, "127.0.0.1", 0) as server,
    ):
        place = location.format(port=other.sockets[0].getsockname()[1])
        port = server.sockets[0].getsockname()[1]
        adapter = WebSocketAgentAdapter(f"ws://127.0.0.1:{port}/", EventsProtocol(), headers={"X-Api-Key": "k-1234567"})
        with pytest.raises(VoiceConnectionError, match=f"status {status[:3]}.*redirects are not followed"):
            await adapter.connect()
    assert len(asked) == 1
