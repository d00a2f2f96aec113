"""Peers that break, as one table for all adapters whose transport is a WebSocket, and the part of it that is TCP alone.

A test of an adapter says how its agent speaks (:class:`Wire`), and how the adapter is made for an address:

    @pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
    async def test_broken_peers(peer):
        await check(peer, wire=Wire(...), make=lambda url: MyAdapter(url, ...))

``check`` proves for each: an error that names adapter and cause, bounded memory, what came before is still there,
``disconnect`` in every order, and nothing left running.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from waiting import LONG, until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from duologue.voice.adapter import VoiceAgentAdapter, VoiceConnectionError
from duologue.voice.adapters.wire import INBOX_SECONDS, WireVoiceAdapter
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.incoming import Incoming

Message = str | bytes
Behaves = Callable[[Any, "Wire", "Peer"], Awaitable[None]]


async def _nothing(connection: ServerConnection) -> None:
    return


@dataclass(frozen=True)
class Wire:
    """How the agent of an adapter speaks.

    Attributes:
        sound: the messages that carry so many seconds of sound (any sound); each of about 20 ms to a second.
        greet: what the agent does when the connection is open, until sound can flow.
        path: of the address.
        strict: what does not keep to the protocol is an error. Otherwise it is passed over.
        takes_bytes: binary messages are sound, so that random ones are no error.
    """

    sound: Callable[[float], list[Message]]
    greet: Callable[[ServerConnection], Awaitable[None]] = _nothing
    path: str = "/"
    strict: bool = True
    takes_bytes: bool = False


@dataclass
class Peer:
    """What a peer is doing, while it runs."""

    port: int = 0
    sent: float = 0.0
    waits: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class BrokenPeer:
    """One way to break.

    Attributes:
        name: of the test.
        serves: runs the peer.
        refuses: what ``connect`` says, as a pattern; "" where it succeeds.
        says: what ``receive`` says in the end, as a pattern; "" for nothing.
        heard: seconds of sound that have come by then.
        only_strict: of what is passed over by protocols that are not strict.
        only_text: of binary messages, where they are no sound.
        never_ends: it goes on until it is left.
        behaves: what the peer does once the greeting is over: also of use where the peer is the one that connects.
    """

    name: str
    serves: Callable[[Wire, Peer], Any]
    refuses: str = ""
    says: str = ""
    heard: float = 0.0
    only_strict: bool = False
    only_text: bool = False
    never_ends: bool = False
    behaves: Behaves | None = None

    def __str__(self) -> str:
        return self.name


# --- peers that are no WebSocket ------------------------------------------------------------------------------------


@asynccontextmanager
async def _nobody(wire: Wire, peer: Peer) -> AsyncIterator[None]:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    yield


def _answers(answer: bytes | None, *, reset: bool = False) -> Callable[[Wire, Peer], Any]:
    """A server that answers whatever it is asked with these bytes and closes; None: it never answers."""

    @asynccontextmanager
    async def serves(wire: Wire, peer: Peer) -> AsyncIterator[None]:
        tasks: set[asyncio.Task[Any] | None] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())
            try:
                if answer is None:
                    await reader.read()
                else:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer)
                    await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                if reset:
                    writer.transport.abort()
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        peer.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in tasks - {None}:
                task.cancel()
            await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)

    return serves


def _http(status: str, body: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n{body}".encode()


# --- peers that are -------------------------------------------------------------------------------------------------


def _after_greeting(behave: Callable[[ServerConnection, Wire, Peer], Awaitable[None]]) -> Callable[[Wire, Peer], Any]:
    @asynccontextmanager
    async def serves(wire: Wire, peer: Peer) -> AsyncIterator[None]:
        async def handle(connection: ServerConnection) -> None:
            try:
                await wire.greet(connection)
                await behave(connection, wire, peer)
            except ConnectionClosed:
                return
            finally:
                peer.gone.set()

        async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_queue=None) as server:
            [socket] = server.sockets
            peer.port = socket.getsockname()[1]
            yield

    return serves


async def _speak(connection: ServerConnection, wire: Wire, peer: Peer, seconds: float) -> None:
    for message in wire.sound(seconds):
        peer.waits = True
        await connection.send(message)
        peer.waits = False
    peer.sent += seconds


async def _closes_in_mid_frame(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    await _speak(connection, wire, peer, 0.5)
    # The head of a message of 4,000 bytes, and the first few of them.
    connection.transport.write(struct.pack("!BBH", 0x82, 126, 4000) + b"\0" * 100)
    connection.transport.close()


async def _resets(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    await _speak(connection, wire, peer, 0.5)
    connection.transport.abort()


async def _fails(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    await _speak(connection, wire, peer, 0.5)
    await connection.close(1011, "out of memory")


async def _refuses_the_key(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    await connection.close(4001, "no such key")


def _sends(*messages: Message) -> Callable[[ServerConnection, Wire, Peer], Awaitable[None]]:
    async def behave(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
        for message in messages:
            await connection.send(message)
        await connection.wait_closed()

    return behave


async def _breaks_the_framing(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    connection.transport.write(b"\xff\xff\xff\xff" * 8)  # reserved bits and an opcode that does not exist
    await connection.wait_closed()


async def _sends_no_utf8(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    connection.transport.write(struct.pack("!BB", 0x81, 2) + b"\xc3\x28")
    await connection.wait_closed()


async def _sends_a_huge_message(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    masked = not isinstance(connection, ServerConnection)
    connection.transport.write(struct.pack("!BBQ", 0x82, 127 | masked << 7, 2**31) + bytes(1000))
    await connection.wait_closed()


async def _never_speaks(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    await connection.wait_closed()


async def _never_stops(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    while True:
        await _speak(connection, wire, peer, 1.0)


async def _speaks_ten_times_too_fast(connection: ServerConnection, wire: Wire, peer: Peer) -> None:
    for _ in range(10):
        await _speak(connection, wire, peer, 2.0)
        await asyncio.sleep(0)
    await connection.close(1011, "that was all")


NO_PROTOCOL = "does not keep to the protocol"

REFUSED = BrokenPeer("nobody listens", _nobody, refuses="cannot connect to .*(refused|Connect call failed)")
"""Also of use where the transport is no WebSocket."""
NEVER_ANSWERS = BrokenPeer("never answers", _answers(None), refuses="no connection to .* within")
CONNECTIONS = (
    REFUSED,
    NEVER_ANSWERS,
    BrokenPeer("closes at once", _answers(b""), refuses="cannot connect to "),
    BrokenPeer("resets at once", _answers(b"", reset=True), refuses="cannot connect to "),
)
"""Also of use where the transport is HTTP."""
HANDSHAKES = (
    *(
        BrokenPeer(
            f"answers {status}", _answers(_http(status, "no")), refuses=f"cannot connect to .*status {status[:3]}"
        )
        for status in ("401 Unauthorized", "403 Forbidden", "404 Not Found", "429 Too Many Requests", "503 Unavailable")
    ),
    BrokenPeer("answers a page", _answers(_http("200 OK", "<html>")), refuses="cannot connect to .*status 200"),
    BrokenPeer("answers nonsense", _answers(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), refuses="cannot connect to "),
    BrokenPeer(
        "answers a wrong key",
        _answers(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAA\r\n\r\n"
        ),
        refuses="cannot connect to ",
    ),
)


def _conversation(name: str, behaves: Behaves, **more: Any) -> BrokenPeer:
    return BrokenPeer(name, _after_greeting(behaves), behaves=behaves, **more)


CONVERSATIONS = (
    _conversation("closes in mid-frame", _closes_in_mid_frame, says="connection .* broken", heard=0.5),
    _conversation("resets", _resets, says="connection .* broken"),
    _conversation("fails", _fails, says="1011.*out of memory", heard=0.5),
    _conversation("refuses the key", _refuses_the_key, says="4001.*no such key"),
    _conversation("breaks the framing", _breaks_the_framing, says="connection .* broken"),
    _conversation("sends no UTF-8", _sends_no_utf8, says="connection .* broken"),
    _conversation("sends a huge message", _sends_a_huge_message, says="connection .* broken.*(big|1009)"),
    _conversation("never speaks", _never_speaks),
    _conversation("never stops", _never_stops, never_ends=True),
    _conversation("ten times too fast", _speaks_ten_times_too_fast, says="that was all", heard=20.0),
    *(
        _conversation(f"sends {text[:24] or 'no text'}", _sends(text), says=NO_PROTOCOL, only_strict=True)
        for text in ("", "hello", "{", "[]", "null", "17", '"text"', "[" * 5000, '{"a":' * 2000, "\0", "NaN")
    ),
    *(
        _conversation(
            f"sends bytes {data[:8]!r}",
            _sends(data),
            says=NO_PROTOCOL,
            only_strict=True,
            only_text=True,
        )
        for data in (b"\xff\xfe\x00", b"\0" * 1000)
    ),
)
BROKEN_PEERS = (*CONNECTIONS, *HANDSHAKES, *CONVERSATIONS)

ODD_VALUES: tuple[Any, ...] = (None, 17, -1, 1e308, True, "", "*", "é", [], [1], {}, {"a": 1}, "A" * 5001)
"""What stands where the protocol has something else: for tests of each adapter's own messages."""


async def check(
    peer: BrokenPeer,
    *,
    wire: Wire,
    make: Callable[[str], WireVoiceAdapter],
    scheme: str = "ws",
) -> None:
    """Connect an adapter to a peer that breaks, and see that it does as it should.

    Args:
        peer: one of the table.
        wire: how the adapter's agent speaks.
        make: the adapter, for an address such as ``ws://127.0.0.1:PORT/path``.
        scheme: of that address.
    """
    if (peer.only_strict and not wire.strict) or (peer.only_text and wire.takes_bytes):
        pytest.skip("is allowed by this protocol")
    before = asyncio.all_tasks()
    playing = Peer()
    async with peer.serves(wire, playing):
        adapter = make(f"{scheme}://127.0.0.1:{playing.port}{wire.path}")
        await adapter.disconnect()
        if peer.refuses:
            await _check_refusal(peer, adapter)
        else:
            adapter.connect_timeout = LONG
            await adapter.connect()
            await check_conversation(peer, adapter, playing)
        await adapter.disconnect()
        await adapter.disconnect()
        for act in (adapter.send_audio(silent_chunk(0.02)), adapter.receive(0)):
            with pytest.raises(VoiceConnectionError, match=re.escape(adapter.name)):
                await act
    await until(lambda: asyncio.all_tasks() <= before)


async def _check_refusal(peer: BrokenPeer, adapter: WireVoiceAdapter) -> None:
    adapter.connect_timeout = 0.2 if peer is NEVER_ANSWERS else LONG
    for _ in range(2):  # what could not be connected can be tried again
        with pytest.raises(VoiceConnectionError, match=f"(?s){re.escape(adapter.name)}: .*{peer.refuses}"):
            await adapter.connect()


async def check_conversation(peer: BrokenPeer, adapter: WireVoiceAdapter, playing: Peer) -> None:
    heard = 0.0
    if peer.never_ends:
        # Nobody listens, until the peer has to wait. What is held by then is what the limit says.
        inbox, before = adapter._inbox, -1.0  # pyright: ignore[reportPrivateUsage]
        while not (inbox.is_full and playing.waits and playing.sent == before):
            before = playing.sent
            for _ in range(20):
                await asyncio.sleep(0.005)
            assert inbox._bytes / 48_000 <= INBOX_SECONDS + 2  # pyright: ignore[reportPrivateUsage]
        while heard < INBOX_SECONDS + 5:
            heard += (await adapter.recv_audio(LONG)).duration_seconds
        return
    if not peer.says:
        with pytest.raises(TimeoutError):
            await adapter.receive(0.01)
        waiting = asyncio.create_task(adapter.receive(LONG))
        await adapter.send_audio(silent_chunk(0.02))
        await asyncio.sleep(0)
        await adapter.disconnect()
        with pytest.raises(VoiceConnectionError, match=re.escape(adapter.name)):
            await waiting
        return
    items, error = await everything_from(adapter)
    assert re.search(f"(?s){re.escape(adapter.name)}: .*{peer.says}", str(error))
    if peer.heard:
        assert seconds_in(items) == pytest.approx(peer.heard, abs=0.021)


async def everything_from(adapter: VoiceAgentAdapter) -> tuple[list[Incoming], VoiceConnectionError]:
    """What comes from an adapter until its connection has ended, and how that is told."""
    items: list[Incoming] = []
    try:
        while True:
            items.append(await adapter.receive(LONG))
    except VoiceConnectionError as error:
        return items, error


def seconds_in(items: Iterable[Incoming]) -> float:
    """How long all sound among them is."""
    return sum(item.duration_seconds for item in items if isinstance(item, AudioChunk))


def odd_messages(message: dict[str, Any]) -> list[str]:
    """A message with each of its values, at any depth, in turn replaced by one of another shape or left out."""
    made = list[dict[str, Any]]()

    def vary(value: Any, put: Callable[[Any], dict[str, Any]]) -> None:
        for odd in ODD_VALUES:
            made.append(put(odd))
        if isinstance(value, dict):
            for key in value:
                vary(value[key], lambda new, key=key: put({**value, key: new}))
                made.append(put({name: each for name, each in value.items() if name != key}))

    for key, value in message.items():
        vary(value, lambda new, key=key: {**message, key: new})
        made.append({name: each for name, each in message.items() if name != key})
    return [json.dumps(each) for each in made]
