"""How many requests of this process are with the engine at once, whichever event loop they come from."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Turnstile:
    """A semaphore for tasks of several event loops: ``run()`` gives each conversation a thread with a loop of its own.

    First come, first served. Waiting can be cancelled.

    Args:
        places: how many may be inside.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = threading.Lock()
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def passing(self) -> AsyncGenerator[None]:
        """Wait for a place, and hold it while inside."""
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            self._waiting.append((loop, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not self._give_up(loop, turn):
                # The place was handed over just before the cancellation.
                self._leave()
            raise

    def _give_up(self, loop: asyncio.AbstractEventLoop, turn: asyncio.Future[None]) -> bool:
        with self._lock:
            if (loop, turn) not in self._waiting:
                return False
            self._waiting.remove((loop, turn))
            return True

    def _leave(self) -> None:
        with self._lock:
            while self._waiting:
                loop, turn = self._waiting.popleft()
                try:
                    loop.call_soon_threadsafe(_wake, turn)
                except RuntimeError:
                    # That loop is closed, and its task with it.
                    continue
                return
            self._free += 1


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
