"""Keeps the lease of a worker, on the store's own thread.

A program that blocks its event loop for a while, because a check computes or an agent waits, does not lose its runs:
the heartbeats go on. They do so only as long as the loop shows a sign of life now and then. A loop that has shown none
for ``patience`` seconds may never come back, so its lease is left to end. Others continue its runs, and whatever it
still writes for them is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

from duologue.context import SystemClock
from duologue.errors import StoreUnavailableError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.records import Beat, ClaimedRun

logger = logging.getLogger("duologue.runs")

PATIENCE = 120.0
"""Seconds that the event loop of a worker may be blocked before its runs are left to others."""


class Heartbeat:
    """Renews the lease of a worker at regular intervals, and whenever it is asked to.

    Args:
        database: on whose thread it lives.
        send: renews the lease; called there, with the runs that are under way.
        held: the runs that are under way. Called there.
        take: gets what was found out, and about which runs, on the event loop of the worker.
        interval: seconds.
        patience: seconds without a sign of life from the worker's event loop after which nothing is renewed.
    """

    def __init__(
        self,
        database: Database,
        *,
        send: Callable[[Sequence[ClaimedRun]], Awaitable[Beat]],
        held: Callable[[], Sequence[ClaimedRun]],
        take: Callable[[Beat, Sequence[ClaimedRun]], None],
        interval: float,
        patience: float = PATIENCE,
    ) -> None:
        self._database = database
        self._send, self._held, self._take = send, held, take
        self._interval, self._patience = interval, patience
        self._clock = SystemClock()
        self._loop = asyncio.get_running_loop()
        self._seen = self._clock.monotonic()
        self._wanted = asyncio.Event()
        self._failing = False
        self._future: Future[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._future = self._database.loop.submit(self._beat_on())

    def now(self) -> None:
        """Send one at once."""
        self._database.loop.loop.call_soon_threadsafe(self._wanted.set)

    async def end(self) -> None:
        """Send no more, once the one that is under way is over."""
        if self._future is not None:
            self._future.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wrap_future(self._future)

    async def _beat_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                self._loop.call_soon_threadsafe(self._alive)
            except RuntimeError:  # the worker's event loop is closed, and its program is gone
                return
            await self._beat()

    async def _beat(self) -> None:
        blocked = self._clock.monotonic() - self._seen
        if blocked > self._patience + self._interval:
            self._say(f"the event loop has been blocked for {blocked:.0f} s: its runs are left to other workers")
            return
        held = self._held()
        try:
            beat = await self._send(held)
        except StoreUnavailableError as error:
            logger.info("the lease of a worker could not be renewed, and is tried again: %s", error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the next one may succeed
            self._say(f"the lease of a worker could not be renewed, and is tried again: {error}")
            return
        self._failing = False
        if beat.lost or beat.cancelling:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._take, beat, held)

    def _say(self, text: str) -> None:
        """Log a failure, once for each row of them."""
        if not self._failing:
            logger.warning("%s", text)
        self._failing = True

    def _alive(self) -> None:
        self._seen = self._clock.monotonic()
