"""Something that many runs wait for at once, such as the start of a server: attempted once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from duologue.agents.tools.call import ToolFault
from duologue.errors import DuologueError

T = TypeVar("T")


class SingleFlight:
    """One attempt at a time. A caller that waited for a failed attempt gets its error, and makes none of its own.

    Without that, a server that does not answer would cost every run its whole timeout, one after the other.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._finished = 0
        self._failure: DuologueError | ToolFault | None = None

    async def get(self, found: Callable[[], T | None], make: Callable[[], Awaitable[T]]) -> T:
        """What exists already, or what an attempt makes.

        Args:
            found: gives what exists; None for nothing.
            make: an attempt. It is not called if one failed while this call waited for it.

        Raises:
            DuologueError, ToolFault: what the attempt raised.
        """
        finished = self._finished
        async with self.lock:
            there = found()
            if there is not None:
                return there
            if self._failure is not None and self._finished > finished:
                raise self._failure
            try:
                made = await make()
            except (DuologueError, ToolFault) as error:
                self._failure = error
                self._finished += 1
                raise
            self._failure = None
            return made
