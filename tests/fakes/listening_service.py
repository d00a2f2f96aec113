"""The service on a port of its own, in the event loop of a test, and listeners that keep what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from httpx_sse import EventSource, ServerSentEvent


class _Server(uvicorn.Server):
    async def serve(self, sockets: Any = None) -> None:
        """As the base class, and signals stay the test's own."""
        await self._serve(sockets)


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """The address of an application that is open already."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        server.should_exit = True
        await task


@dataclass
class Heard:
    """What a listener has heard.

    Attributes:
        status: of the answer.
        events: in their order.
        lines: as they came.
        over: the stream has ended by itself.
    """

    status: int = 0
    events: list[ServerSentEvent] = field(default_factory=list)
    over: bool = False

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]

    @property
    def types(self) -> list[str]:
        return [event.event for event in self.events]

    @property
    def last(self) -> str:
        """The id to come back with."""
        return next((event.id for event in reversed(self.events) if event.id), "")


async def listen(
    client: httpx.AsyncClient, path: str, heard: Heard, *, upto: int | None = None, **headers: str
) -> Heard:
    """Listen until the stream ends or, with ``upto``, until so many events were heard."""
    async with client.stream(
        "GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()}
    ) as answer:
        heard.status = answer.status_code
        if answer.status_code != 200:
            await answer.aread()
            return heard
        async for event in EventSource(answer).aiter_sse():
            if not event.data and not event.id:
                continue  # how long to wait before coming back
            heard.events.append(event)
            if upto is not None and len(heard.events) >= upto:
                return heard
    heard.over = True
    return heard
