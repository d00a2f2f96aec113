"""An agent server that misbehaves on demand: raw sockets, because a real server library would put things right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

OK = "HTTP/1.1 200 OK\r\n"


@dataclass
class AgentServer:
    """Answers every request with ``raw``, then closes. ``hang``: sends ``raw`` and then nothing more."""

    raw: bytes = b""
    hang: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def answers(self, body: object, status: str = "200 OK", **headers: str) -> None:
        """From now on this body, with a correct length."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.raw = ("\r\n".join(lines) + "\r\n\r\n").encode() + data

    def streams(self, *events: object, done: bool = True) -> None:
        """From now on these server-sent events."""
        lines = [f"data: {json.dumps(event)}\n\n" for event in events] + (["data: [DONE]\n\n"] if done else [])
        head = OK + "Content-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"
        self.raw = (head + ": a comment\n\n" + "".join(lines)).encode()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.headers.append({**headers, "": head[0]})
        self.requests.append(json.loads(body))
        self.asked.set()
        writer.write(self.raw)
        await writer.drain()
        if self.hang:
            await reader.read()  # until the client gives up


@asynccontextmanager
async def agent_server() -> AsyncIterator[AgentServer]:
    """A server on loopback; ``url`` says where."""
    fake = AgentServer()
    server = await asyncio.start_server(fake.handle, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await server.wait_closed()
