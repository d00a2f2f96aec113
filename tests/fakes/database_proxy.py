"""What stands between a database and who uses it, so that connections can be cut at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Stands between a database and who uses it.

    Attributes:
        cut_at: the next message to the server that has these bytes is passed on, and its answer is not: the connection
            ends instead.
        cuts: how often that happened.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.cut_at: bytes | None = None
        self.cuts = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers.add(to_server)
        back = asyncio.create_task(self.pass_back(from_server, writer))
        cut = False
        with suppress(OSError):
            while not cut and (data := await reader.read(65536)):
                cut = self.cut_at is not None and self.cut_at in data
                if cut:
                    back.cancel()
                    await asyncio.wait([back])
                to_server.write(data)
        if cut:
            self.cut_at, self.cuts = None, self.cuts + 1
            await from_server.read(1)  # the server has done what it was told
        else:
            back.cancel()
        writer.transport.abort()
        to_server.transport.abort()

    async def pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.transport.abort()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, Proxy]]:
    parts = urlsplit(url)
    assert parts.port is not None
    proxy = Proxy(parts.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield urlunsplit(parts._replace(netloc=f"tester@127.0.0.1:{port}")), proxy
    finally:
        server.close()
        for writer in proxy.writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)
