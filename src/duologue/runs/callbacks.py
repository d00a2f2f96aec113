"""What a program wants to hear of its runs. What a callback raises is logged, and hurts no run."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from duologue.frozen import frozen
from duologue.runs.store.records import ClaimedRun, FinishedRun, QueueStatus, StoredRun
from duologue.suites.results.run import RunResult

logger = logging.getLogger("duologue.runs")

OnStatusChange = Callable[[str, QueueStatus, StoredRun], Awaitable[object] | object]
OnRunStart = Callable[[StoredRun], Awaitable[object] | object]
OnRunComplete = Callable[[StoredRun, RunResult], Awaitable[object] | object]
OnRunError = Callable[[StoredRun, Exception], Awaitable[object] | object]
OnRunEnd = Callable[[ClaimedRun, FinishedRun], Awaitable[object] | object]


@frozen
class Callbacks:
    """Who is told of what; None for nobody. Each may be a coroutine function.

    Attributes:
        on_status_change: with the id of a run, its new status and the run.
        on_run_start: with a run that begins.
        on_run_complete: with a run and its result, once there is a verdict.
        on_run_error: with a run that ended without a verdict, and why.
        on_run_end: with a run as it was claimed, and its end, whatever that is. For it alone nothing is read.
    """

    on_status_change: OnStatusChange | None = None
    on_run_start: OnRunStart | None = None
    on_run_complete: OnRunComplete | None = None
    on_run_error: OnRunError | None = None
    on_run_end: OnRunEnd | None = None

    @property
    def any(self) -> bool:
        """Whether anybody is told of stored runs; reading one for nobody would cost time."""
        return any((self.on_status_change, self.on_run_start, self.on_run_complete, self.on_run_error))

    async def started(self, run: StoredRun) -> None:
        """A run begins."""
        await self._status(run)
        if self.on_run_start is not None:
            await _told(self.on_run_start, run)

    async def released(self, run: StoredRun) -> None:
        """A run was given back to the queue."""
        await self._status(run)

    async def ended(self, run: ClaimedRun, end: FinishedRun) -> None:
        """The end of a run is recorded."""
        if self.on_run_end is not None:
            await _told(self.on_run_end, run, end)

    async def finished(self, run: StoredRun, result: RunResult | None, error: Exception | None) -> None:
        """A run is over.

        Args:
            run: as it is stored now.
            result: None for one that never began.
            error: why there is no verdict; None if there is one, or if it was cancelled.
        """
        await self._status(run)
        if error is not None:
            if self.on_run_error is not None:
                await _told(self.on_run_error, run, error)
        elif result is not None and run.status is QueueStatus.COMPLETED and self.on_run_complete is not None:
            await _told(self.on_run_complete, run, result)

    async def _status(self, run: StoredRun) -> None:
        if self.on_status_change is not None:
            await _told(self.on_status_change, run.id, run.status, run)


async def _told(callback: Callable[..., Awaitable[object] | object], *args: object) -> None:
    """Call it in a task of its own, so that one that cancels its task does not cancel the run."""
    told = asyncio.create_task(_called(callback, *args))
    try:
        await told
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        logger.error("a callback of the run processor cancelled itself: %s", _name(callback))


async def _called(callback: Callable[..., Awaitable[object] | object], *args: object) -> None:
    try:
        answer = callback(*args)
        if inspect.isawaitable(answer):
            await answer
    except (Exception, SystemExit):
        logger.exception("a callback of the run processor failed: %s", _name(callback))


def _name(callback: Callable[..., object]) -> object:
    return getattr(callback, "__name__", callback)
