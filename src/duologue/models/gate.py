"""A counted door that tasks of any event loop and any thread pass in the order in which they came.

The locks of asyncio belong to one event loop; conversations run on several (see ``duologue.run``). Who has to wait
costs one future on its own loop, no thread. A waiter that is cancelled gives its place back, whenever that happens.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    arrived: asyncio.Future[None]
    admitted: bool = False
    gone: bool = False


class Gate:
    """Lets at most ``width`` tasks in at a time; None lets everybody in."""

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._inside = 0
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    @property
    def inside(self) -> int:
        """How many are in now."""
        with self._lock:
            return self._inside

    def resize(self, width: int | None) -> None:
        """Another width from now on; nobody who is in is thrown out."""
        with self._lock:
            self._width = width
            self._admit()

    async def enter(self) -> None:
        """Wait for a place. Whoever returns from here must call :meth:`leave` once."""
        with self._lock:
            if self._has_room() and not self._waiting:
                self._inside += 1
                return
            loop = asyncio.get_running_loop()
            waiter = _Waiter(loop, loop.create_future())
            self._waiting.append(waiter)
        try:
            await waiter.arrived
        except BaseException:
            self._withdraw(waiter)
            raise

    def leave(self) -> None:
        """Give the place to the next in line."""
        with self._lock:
            self._inside -= 1
            self._admit()

    def _has_room(self) -> bool:
        return self._width is None or self._inside < self._width

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            waiter = self._waiting.popleft()
            if waiter.gone:
                continue
            try:
                waiter.loop.call_soon_threadsafe(_arrive, waiter.arrived)
            except RuntimeError:  # its loop is closed: nobody will ever come
                continue
            waiter.admitted = True
            self._inside += 1

    def _withdraw(self, waiter: _Waiter) -> None:
        with self._lock:
            waiter.gone = True
            if waiter.admitted:
                self._inside -= 1
            self._admit()


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
