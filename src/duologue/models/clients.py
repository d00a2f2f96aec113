"""One provider client per event loop.

A connection belongs to the event loop that opened it, and conversations run on several loops. So each loop gets a
pydantic-ai model of its own, which is closed when the loop shuts down.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_ai.models import Model as ProviderClient


@dataclass(frozen=True, kw_only=True)
class _Entry:
    client: ProviderClient
    lifetime: AsyncGenerator[None, None]


class LoopClients:
    """Hands out the client of the running loop.

    Args:
        build: makes a client; called once per loop, on that loop.
    """

    def __init__(self, build: Callable[[], ProviderClient]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._entries: dict[asyncio.AbstractEventLoop, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self) -> ProviderClient:
        """The client of the running loop, made on first use."""
        loop = asyncio.get_running_loop()
        entry = self._entries.get(loop)
        return entry.client if entry else await self._open(loop)

    async def _open(self, loop: asyncio.AbstractEventLoop) -> ProviderClient:
        client = self._build()
        entry = _Entry(client=client, lifetime=self._live(loop, client))
        with self._lock:
            # A loop that ended without shutting down its generators cannot be asked to close its client any more.
            for dead in [other for other in self._entries if other.is_closed()]:
                del self._entries[dead]
            self._entries[loop] = entry
        await anext(entry.lifetime)
        return client

    async def _live(self, loop: asyncio.AbstractEventLoop, client: ProviderClient) -> AsyncGenerator[None, None]:
        # An event loop closes its async generators before it ends (asyncio.run and duologue.run see to that): the one
        # moment when a client can still be closed on the loop that it belongs to.
        async with client:
            try:
                yield
            finally:
                with self._lock:
                    self._entries.pop(loop, None)


class SharedClient:
    """Hands out one client that somebody else made, on every loop."""

    def __init__(self, client: ProviderClient) -> None:
        self._client = client

    async def get(self) -> ProviderClient:
        """That client."""
        return self._client
