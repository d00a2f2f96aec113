"""The HTTP client against a server on loopback that sends what it is told to, byte by byte."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from duologue.errors import ConfigurationError
from duologue.http import (
    BrokenResponseError,
    ForbiddenAddressError,
    HttpClients,
    HttpRequest,
    HttpTimeoutError,
    NoResponseError,
    PerLoop,
    ResponseTooLargeError,
    ServerSentEvent,
)

Serve = Callable[..., AbstractAsyncContextManager[str]]


@asynccontextmanager
async def serving(*pieces: bytes, hang: bool = False, pause: float = 0.0) -> AsyncIterator[str]:
    """A server that answers every request with these bytes; ``hang``: and never ends."""

    connections: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if hang:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*connections)


def head(kind: str = "text/plain", *more: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", "Connection: close", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


EVENTS = head("text/event-stream; charset=utf-8")


async def read(url: str, **options: Any) -> bytes:
    clients = HttpClients()
    try:
        async with clients.send(HttpRequest(url=url, method="GET", **options)) as response:
            return await response.read()
    finally:
        await clients.aclose()


async def events(url: str, **options: Any) -> list[str]:
    clients = HttpClients()
    try:
        async with clients.send(HttpRequest(url=url, method="GET", **options)) as response:
            return [event async for event in response.events()]
    finally:
        await clients.aclose()


async def test_a_body_within_its_limits_is_read() -> None:
    async with serving(head(), b"a" * 600, b"b" * 400) as url:
        assert await read(url, max_bytes=1000) == b"a" * 600 + b"b" * 400


async def test_a_body_is_given_up_as_soon_as_it_is_too_large() -> None:
    async with serving(head(), b"a" * 1001, hang=True) as url:
        with pytest.raises(ResponseTooLargeError, match="longer than 1000 bytes"):
            await read(url, max_bytes=1000)


async def test_the_limit_counts_what_a_body_is_after_it_was_unpacked() -> None:
    import gzip

    packed = gzip.compress(b"a" * 1_000_000)
    async with serving(head("text/plain", "Content-Encoding: gzip"), packed) as url:
        with pytest.raises(ResponseTooLargeError):
            await read(url, max_bytes=100_000)


async def test_the_deadline_is_for_all_of_the_exchange() -> None:
    # Every byte comes in time, and all of them together do not.
    async with serving(head(), *[b"a"] * 1000, pause=0.01) as url:
        with pytest.raises(HttpTimeoutError, match=r"within 0\.1 s"):
            await read(url, timeout=0.1)


async def test_a_server_that_says_nothing_is_a_timeout() -> None:
    async with serving(hang=True) as url:
        with pytest.raises(HttpTimeoutError):
            await read(url, timeout=0.05)


async def test_a_stream_may_last_as_long_as_something_comes() -> None:
    async with serving(head(), *[b"a"] * 20, pause=0.01) as url:
        assert await read(url, idle=30.0) == b"a" * 20
    async with serving(head(), b"a", hang=True) as url:
        with pytest.raises(HttpTimeoutError, match=r"nothing came for 0\.05 s"):
            await read(url, idle=0.05)
    async with serving(hang=True) as url:
        with pytest.raises(HttpTimeoutError):
            await read(url, idle=0.05)


async def test_an_event_has_its_id_and_says_how_long_to_wait() -> None:
    data = b"id: 1\nevent: said\ndata: a\n\n: nothing\n\nretry: 1500\n\ndata: b\n\n"
    clients = HttpClients()
    async with (
        serving(EVENTS, data) as url,
        clients.send(HttpRequest(url=url, method="GET")) as response,
    ):
        found = [event async for event in response.whole_events()]
    await clients.aclose()
    assert found == [
        ServerSentEvent(id="1", type="said", data="a"),
        ServerSentEvent(id="1", type="message", data="", retry=1.5),
        ServerSentEvent(id="1", type="message", data="b"),
    ]


async def test_a_body_that_breaks_off_says_so() -> None:
    async with serving(head("text/plain", "Content-Length: 100"), b"half") as url:
        with pytest.raises(BrokenResponseError, match="broke off"):
            await read(url)


async def test_nobody_there(unused_tcp_port: int) -> None:
    with pytest.raises(NoResponseError, match="ConnectError"):
        await read(f"http://127.0.0.1:{unused_tcp_port}/")


async def test_events_are_read_whatever_stands_between_them() -> None:
    comments = [b": waiting\n\n", b":\n", b"retry: 5\n\n", b"event: ping\n\n"]
    async with serving(EVENTS, *comments, b"data: one\r\n\r\n", b": more\n\nda", b"ta: t\xc3", b"\xa4\n\n") as url:
        assert await events(url) == ["one", "tä"]


async def test_lines_of_one_event_belong_together_and_the_last_needs_no_empty_line() -> None:
    async with serving(EVENTS, b"data: a\ndata: b\n\n", b"data: [DONE]") as url:
        assert await events(url) == ["a\nb", "[DONE]"]


async def test_a_line_separator_in_an_event_is_no_new_line() -> None:
    async with serving(EVENTS, 'data: "a\u2028b\x85c"\n\n'.encode()) as url:
        assert await events(url) == ['"a\u2028b\x85c"']


async def test_events_keep_to_the_limits_too() -> None:
    async with serving(EVENTS, *[b"data: x\n\n"] * 50, hang=True) as url:
        with pytest.raises(ResponseTooLargeError):
            await events(url, max_bytes=100)
        with pytest.raises(HttpTimeoutError):
            await events(url, timeout=0.05)


async def test_private_addresses_are_refused_where_they_are_not_trusted() -> None:
    async with serving(head()) as url:
        with pytest.raises(ForbiddenAddressError, match="not a public address"):
            async with HttpClients(trust_private=False).send(HttpRequest(url=url)):
                pass


async def test_a_url_that_cannot_be_used_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="must look like"):
        await read("ftp://host/")


class _Client:
    opened = 0

    async def __aenter__(self) -> _Client:
        self.opened += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.opened -= 1


async def test_a_client_is_made_once_and_again_after_it_was_closed() -> None:
    clients = PerLoop(_Client)
    first = await clients.get()
    assert await clients.get() is first
    assert (first.opened, len(clients)) == (1, 1)
    await clients.aclose()
    assert (first.opened, len(clients)) == (0, 0)
    assert await clients.get() is not first
    await clients.aclose()


def test_every_loop_has_a_client_that_is_closed_with_it() -> None:
    clients = PerLoop(_Client)

    async def once() -> _Client:
        client = await clients.get()
        assert client.opened == 1
        return client

    first, second = asyncio.run(once()), asyncio.run(once())
    assert first is not second
    assert (first.opened, second.opened, len(clients)) == (0, 0, 0)


def test_a_loop_that_was_closed_without_its_generators_leaves_nothing_behind() -> None:
    from duologue.http import _loops

    clients = PerLoop(_Client)
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(clients.get())
    loop.close()
    asyncio.run(clients.get())  # type: ignore[arg-type]
    assert not any(entry.client is client for entry in _loops._open)
    gc.collect()


def test_importing_the_package_loads_no_http_library() -> None:
    code = "import sys, duologue.http; sys.exit(', '.join(sorted({'httpx', 'httpx_sse'} & set(sys.modules))) or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
