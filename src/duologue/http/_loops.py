"""One client per event loop.

A connection belongs to the event loop that opened it, and conversations run on several loops. So each loop gets a
client of its own, which is closed when the loop shuts down, or earlier when its owner is dropped.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

Client = TypeVar("Client", bound=AbstractAsyncContextManager[Any])


class _Entry(Generic[Client]):
    def __init__(self, client: Client) -> None:
        self.client = client
        self.lifetime = _live(self)
        self.release: weakref.finalize[..., Any] | None = None


_open: set[_Entry[Any]] = set()
"""Every client that is open, so that none is collected before its loop has closed it."""
_closing: set[asyncio.Task[None]] = set()


class PerLoop(Generic[Client]):
    """Hands out the client of the running loop.

    Args:
        build: makes a client that is used as an asynchronous context manager; called once per loop, on that loop.
    """

    def __init__(self, build: Callable[[], Client]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._entries: WeakKeyDictionary[asyncio.AbstractEventLoop, _Entry[Client]] = WeakKeyDictionary()

    def __len__(self) -> int:
        with self._lock:
            return sum(entry in _open for entry in self._entries.values())

    async def get(self) -> Client:
        """The client of the running loop, made on first use."""
        loop = asyncio.get_running_loop()
        entry = self._entries.get(loop)
        return entry.client if entry and entry in _open else await self._add(loop)

    async def aclose(self) -> None:
        """Close the client of the running loop, if there is one. The next :meth:`get` makes another."""
        with self._lock:
            entry = self._entries.pop(asyncio.get_running_loop(), None)
        if entry:
            await entry.lifetime.aclose()

    async def _add(self, loop: asyncio.AbstractEventLoop) -> Client:
        entry = _Entry(self._build())
        with self._lock:
            # A loop that was closed without shutting down its generators can no longer close its client.
            for dead in [other for other in self._entries if other.is_closed()]:
                _open.discard(self._entries.pop(dead))
            self._entries[loop] = entry
        _open.add(entry)
        entry.release = weakref.finalize(self, _close_soon, weakref.ref(loop), entry)
        await anext(entry.lifetime)
        return entry.client


async def _live(entry: _Entry[Any]) -> AsyncGenerator[None]:
    # An event loop closes its asynchronous generators before it ends (asyncio.run and duologue.run see to that): the
    # one moment when a client can still be closed on the loop that it belongs to.
    async with entry.client:
        try:
            yield
        finally:
            _open.discard(entry)
            if entry.release:
                entry.release.detach()


def _close_soon(loop: weakref.ref[asyncio.AbstractEventLoop], entry: _Entry[Any]) -> None:
    """The owner is gone: close its client on the client's own loop, unless that has shut down and done so."""
    running = loop()
    if running is None or running.is_closed() or entry not in _open:
        _open.discard(entry)
        return
    with suppress(RuntimeError):  # the loop was closed just now
        running.call_soon_threadsafe(lambda: _closing.add(running.create_task(_close(entry))))


async def _close(entry: _Entry[Any]) -> None:
    try:
        await entry.lifetime.aclose()
    finally:
        _closing.discard(cast("asyncio.Task[None]", asyncio.current_task()))
