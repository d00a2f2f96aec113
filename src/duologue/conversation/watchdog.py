"""A timeout for many calls in a row at the price of one timer.

``asyncio.timeout`` sets and cancels a timer for each call. With ten thousand conversations of many short calls those
timers, most of them far in the future, cost more than the engine itself. A watchdog keeps one timer and looks, when it
rings, whether the call of the moment is really late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Watchdog:
    """Bounds the calls of one run, which mostly come one after the other."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._rang = False

    async def bound(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Wait for it, for at most that long.

        Raises:
            CallTimeout: it took longer, and was cancelled.
        """
        if self._task is not None:
            # A call in the background is being watched: this one gets a watchdog of its own.
            other = Watchdog()
            try:
                return await other.bound(awaitable, seconds)
            finally:
                other.close()
        task = self._watch(seconds)
        cancelling = task.cancelling()
        try:
            value = await awaitable
        except asyncio.CancelledError as error:
            if self._rang and task.uncancel() <= cancelling:
                raise CallTimeout from error
            raise
        except BaseException:
            self._take_back(task)
            raise
        finally:
            self._task = None
        if self._take_back(task):
            raise CallTimeout
        return value

    def close(self) -> None:
        """No more calls: drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_back(self, task: asyncio.Task[object]) -> bool:
        """Whether it rang: then what was called swallowed the cancellation, which must not reach anything else."""
        if self._rang:
            task.uncancel()
        return self._rang

    def _watch(self, seconds: float) -> asyncio.Task[object]:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._deadline, self._rang = task, loop.time() + seconds, False
        if self._timer is None or self._timer.when() > self._deadline:
            self.close()
            self._timer = loop.call_at(self._deadline, self._ring, loop)
        return task

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._task is None:
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._ring, loop)
            return
        self._rang = True
        self._task.cancel()


class CallTimeout(Exception):
    """The watchdog rang."""
