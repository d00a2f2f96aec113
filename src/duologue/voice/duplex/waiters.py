"""Those who wait for a state of a call, which is looked at after each frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(eq=False)
class _Waiter:
    done: Callable[[], bool]
    future: asyncio.Future[None]
    demands: Callable[[], bool]


class Waiters:
    """All who wait in one call."""

    def __init__(self) -> None:
        self._waiters: list[_Waiter] = []

    def add(self, done: Callable[[], bool], demands: Callable[[], bool]) -> Awaitable[None]:
        """Wait from now on.

        Args:
            done: whether the state is there.
            demands: whether frames go on for it, on a simulated pace.
        """
        waiter = _Waiter(done, asyncio.get_running_loop().create_future(), demands)
        self._waiters.append(waiter)
        return self._wait(waiter)

    async def _wait(self, waiter: _Waiter) -> None:
        try:
            await waiter.future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    @property
    def demand_frames(self) -> bool:
        """Whether frames go on for any of them."""
        return any(waiter.demands() for waiter in self._waiters)

    def look(self) -> None:
        """Wake those whose state has come."""
        for waiter in tuple(self._waiters):
            if waiter.done():
                self._waiters.remove(waiter)
                if not waiter.future.done():
                    waiter.future.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Nothing more comes: wake all, those whose state has not come with this error."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.future.done():
                continue
            if waiter.done():
                waiter.future.set_result(None)
            else:
                waiter.future.set_exception(error)
