"""Gives units to workers and takes their results: what all executors have in common.

An executor says where there is room, does a unit there, and tells if the worker is lost; see :class:`Coordinator`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Generic, Self, TypeVar

from duologue.context import Clock, SystemClock
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed.carrier import cancelled
from duologue.runs.distributed.ports import ExecutionStatus, ResultSink, WorkerInfo, WorkResult, WorkUnit
from duologue.runs.distributed.queue import ATTEMPTS, WorkQueue, stuck_message
from duologue.runs.distributed.worker_scope import OpenSession

Slot = TypeVar("Slot")
"""Where a unit is done."""

_AHEAD = 1000
"""Units of a stream that are taken in although none of them can begin yet."""
_SECONDS_TO_CANCEL = 30.0
"""That units have to end in once they are cancelled; then nobody waits for them any longer."""


class WorkerLost(Exception):
    """A worker has ended, or cannot be reached, while it was doing a unit. The message says how."""


@frozen
class ExecutorOptions:
    """What is the same for all executors.

    Attributes:
        sink: keeps the results.
        session: opened once in each worker; what it gives is ``scope.session`` for all units there.
        limit: units at once, on all workers together; None for as many as there is room for.
        attempts: workers that a unit may end before it is given up.
        on_started: called when a unit begins for the first time.
        on_message: called with what a unit tells while it is done.
        clock: time, for tests.
    """

    sink: ResultSink | None = None
    session: OpenSession | None = None
    limit: int | None = None
    attempts: int = ATTEMPTS
    on_started: Callable[[WorkUnit], None] | None = None
    on_message: Callable[[str, object], None] | None = None
    clock: Clock = field(default_factory=SystemClock)


class Coordinator(ABC, Generic[Slot]):
    """An executor of which only the workers are missing."""

    def __init__(self, options: ExecutorOptions | None = None) -> None:
        self.options = options or ExecutorOptions()
        self._clock = self.options.clock
        self._queue = WorkQueue(self.options.attempts)
        self._results: dict[str, WorkResult] = {}
        self._begun: dict[asyncio.Task[None], tuple[Slot, str]] = {}
        self._changed = asyncio.Event()
        self._failure: BaseException | None = None
        self._started: tuple[datetime, float] | None = None
        self._seconds: float | None = None
        self._executing = self._stopping = False

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Begin to have workers."""

    @abstractmethod
    async def __aexit__(self, *_: object) -> None:
        """End all workers."""

    @abstractmethod
    def workers(self) -> Sequence[WorkerInfo]:
        """All workers."""

    @abstractmethod
    async def scale(self, workers: int) -> None:
        """Have this many workers from now on."""

    @abstractmethod
    def _slot(self) -> Slot | None:
        """Where there is room for one more unit now; None for nowhere."""

    @abstractmethod
    def _occupy(self, slot: Slot, unit_id: str) -> None:
        """A unit takes its place there."""

    @abstractmethod
    def _vacate(self, slot: Slot, unit_id: str) -> None:
        """A unit leaves its place."""

    @abstractmethod
    async def _run_on(self, slot: Slot, unit: WorkUnit) -> WorkResult:
        """Do a unit there.

        Raises:
            WorkerLost: it did not come to its end because of the worker.
        """

    @abstractmethod
    async def _cancel_on(self, slot: Slot, unit_ids: Sequence[str]) -> None:
        """Cancel units that are being done there; each has a result soon."""

    async def execute(self, units: Iterable[WorkUnit] | AsyncIterable[WorkUnit]) -> list[WorkResult]:
        """Do all units; see :meth:`DistributedExecutor.execute`."""
        if self._executing:
            raise ConfigurationError("this executor is executing already; wait until it is done, or make another one")
        self._queue, self._results = WorkQueue(self.options.attempts), {}
        self._started = datetime.fromtimestamp(self._clock.now(), UTC), self._clock.monotonic()
        self._seconds, self._executing, self._stopping = None, True, False
        queue = self._queue
        feeding = asyncio.create_task(self._feed(units, queue))
        try:
            await self._drive(queue, feeding)
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError, Exception):  # an error of it was raised where it was met
                await feeding
            await self._cancel_all()
            self._executing, self._seconds = False, self._clock.monotonic() - self._started[1]
        return [self._results[unit_id] for unit_id in queue.order if unit_id in self._results]

    def stop(self) -> None:
        """Begin no further unit."""
        self._stopping = True
        self._changed.set()

    def status(self) -> ExecutionStatus:
        """How far the execution is, or the last one came."""
        began = self._started
        seconds = self._clock.monotonic() - began[1] if began else 0.0
        done = sum(result.success for result in self._results.values())
        return ExecutionStatus(
            total=len(self._queue.order),
            completed=done,
            running=len(self._queue.running),
            failed=len(self._results) - done,
            start_time=began[0] if began else None,
            duration=seconds if self._seconds is None else self._seconds,
            workers=tuple(self.workers()),
        )

    def _fail(self, error: BaseException) -> None:
        """Something has happened that ends the execution."""
        self._failure = self._failure or error
        self._changed.set()

    def _changes(self) -> None:
        """There may be room now where there was none."""
        self._changed.set()

    def _tell(self, unit_id: str, message: object) -> None:
        """A unit has told something."""
        if self.options.on_message is not None:
            self.options.on_message(unit_id, message)

    async def _feed(self, units: Iterable[WorkUnit] | AsyncIterable[WorkUnit], queue: WorkQueue) -> None:
        """Take units in: all of a collection at once, those of a stream as they are needed."""
        try:
            if not isinstance(units, AsyncIterable):
                for unit in units:
                    queue.add(unit)
                return
            async for unit in units:
                queue.add(unit)
                self._changed.set()
                while queue.ready > _AHEAD:
                    await self._clock.sleep(0.05)
        finally:
            self._changed.set()

    async def _drive(self, queue: WorkQueue, feeding: asyncio.Task[None]) -> None:
        while True:
            self._changed.clear()
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if feeding.done():
                feeding.result()
            self._begin_units(queue)
            if not self._begun:
                if self._stopping or (feeding.done() and not queue.ready and not queue.stuck):
                    return
                if feeding.done() and queue.stuck:
                    raise ConfigurationError(stuck_message(queue.stuck, queue.order))
            await self._changed.wait()

    def _begin_units(self, queue: WorkQueue) -> None:
        limit = self.options.limit
        while not self._stopping and queue.ready and (limit is None or len(self._begun) < limit):
            slot = self._slot()
            unit = queue.take() if slot is not None else None
            if slot is None or unit is None:
                return
            if self.options.on_started is not None and not queue.deaths(unit.id):
                self.options.on_started(unit)
            self._occupy(slot, unit.id)
            task = asyncio.create_task(self._one(slot, unit, queue))
            self._begun[task] = slot, unit.id
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._vacate(*self._begun.pop(task))
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        self._changed.set()

    async def _one(self, slot: Slot, unit: WorkUnit, queue: WorkQueue) -> None:
        try:
            result = await self._run_on(slot, unit)
        except WorkerLost as lost:
            if not queue.lose(unit.id):
                return
            result = _poison(unit, queue.deaths(unit.id), lost)
        await self._record(result, queue)

    async def _record(self, result: WorkResult, queue: WorkQueue) -> None:
        """Keep the result of a unit, once."""
        if result.work_unit_id in self._results:
            return
        sink = self.options.sink
        self._results[result.work_unit_id] = result if sink is None else replace(result, data=None)
        queue.finish(result.work_unit_id)
        if sink is not None:
            await sink.store(result)

    async def _cancel_all(self) -> None:
        """Cancel what is under way and wait for the results of it."""
        if not self._begun:
            return
        by_slot: dict[int, tuple[Slot, list[str]]] = {}
        for slot, unit_id in self._begun.values():
            by_slot.setdefault(id(slot), (slot, []))[1].append(unit_id)
        tasks = list(self._begun)
        try:
            await asyncio.gather(*(self._cancel_on(*found) for found in by_slot.values()), return_exceptions=True)
            await asyncio.wait(tasks, timeout=_SECONDS_TO_CANCEL)
        finally:
            open_ = {self._begun[task][1] for task in tasks if not task.done()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for unit_id in open_:
                await self._record(cancelled(unit_id), self._queue)


def _poison(unit: WorkUnit, deaths: int, lost: WorkerLost) -> WorkResult:
    """The result of a unit that ends its workers."""
    message = f"poison: {deaths} workers ended while they did this unit of work, the last one alone with it ({lost})"
    metadata: dict[str, object] = {"poison": True, "attempts": deaths}
    error = ErrorInfo(type="WorkerLost", message=message)
    return WorkResult(work_unit_id=unit.id, success=False, error=error, metadata=metadata)
