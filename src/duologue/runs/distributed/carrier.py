"""Does units where a worker is: several at once on one event loop, each with a result whatever happens."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace

from duologue.context import Clock, SystemClock
from duologue.errors import RunError
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed.ports import WorkResult, WorkUnit
from duologue.runs.distributed.worker_scope import WorkerScope


class Carrier:
    """Does units on the running event loop.

    Args:
        scope: what the units may use.
        clock: measures them.
        capacity: units at once; others wait for their turn. None for as many as there are.
    """

    def __init__(self, scope: WorkerScope, clock: Clock | None = None, *, capacity: int | None = None) -> None:
        self.scope = scope
        self._room = nullcontext() if capacity is None else asyncio.Semaphore(capacity)
        self._clock = clock or SystemClock()
        self._tasks: dict[str, asyncio.Task[WorkResult]] = {}

    async def run(self, unit: WorkUnit) -> WorkResult:
        """Do a unit. An error of it is its result, and so is its cancellation by :meth:`cancel`."""
        task = asyncio.create_task(self._perform(unit))
        self._tasks[unit.id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():  # whoever asked is gone, and the unit with it
                task.cancel()
                raise
            return cancelled(unit.id, self.scope.worker_id)
        finally:
            self._tasks.pop(unit.id, None)

    def cancel(self, unit_id: str) -> None:
        """Cancel a unit that is being done; its result says so. Harmless for any other."""
        task = self._tasks.get(unit_id)
        if task is not None:
            task.cancel()

    def cancel_all(self) -> None:
        """Cancel all units that are being done."""
        for task in self._tasks.values():
            task.cancel()

    async def _perform(self, unit: WorkUnit) -> WorkResult:
        async with self._room:
            return await self._done(unit)

    async def _done(self, unit: WorkUnit) -> WorkResult:
        began = self._clock.monotonic()
        try:
            result = _required(unit, await unit.execute(self.scope))
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a unit raises is its own failure
            result = WorkResult(work_unit_id=unit.id, success=False, error=ErrorInfo.of(error))
        seconds = self._clock.monotonic() - began
        known = {"worker": self.scope.worker_id, "seconds": seconds, **result.metadata}
        return replace(result, work_unit_id=unit.id, metadata=known)


def cancelled(unit_id: str, worker_id: str = "") -> WorkResult:
    """The result of a unit that was cancelled."""
    error = ErrorInfo(type="CancelledError", message="the unit of work was cancelled")
    metadata: dict[str, object] = {"cancelled": True, **({"worker": worker_id} if worker_id else {})}
    return WorkResult(work_unit_id=unit_id, success=False, error=error, metadata=metadata)


def _required(unit: WorkUnit, given: object) -> WorkResult:
    if not isinstance(given, WorkResult):
        kind = type(given).__name__
        raise RunError(f"the unit of work '{unit.id}' gave back a {kind}; expected a WorkResult")
    return given
