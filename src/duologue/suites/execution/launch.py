"""Runs a plan, so many cases at once, in plan order, until all are done, one has failed or somebody stops it.

Observers are told while it goes on: progress lines, live pages, writers of results. One that looks only may fail
without consequences for the runs: that is logged once and it is left out. One that *keeps* results (``keeps = True``)
may not: if it fails, so does the execution.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from duologue.journal.events import Entry
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.case_run import CaseCancelled, CaseRunner

if TYPE_CHECKING:
    from duologue.suites.execution.until_decided import TrialOrder

logger = logging.getLogger("duologue.suites")


class Observer:
    """Does nothing; override what is of interest."""

    keeps: bool = False
    """Whether it keeps results, so that its failure is one of the execution."""

    def prepared(self, execution: ExecutionResult) -> None:
        """Everything is planned and nothing has begun: the plan, its limits, and results of earlier sessions."""

    def started(self, plan: Plan, execution_id: str) -> None:
        """The execution begins."""

    def run_started(self, case: TestCase) -> None:
        """The run of a case begins."""

    def event(self, case: TestCase, entry: Entry) -> None:
        """Something happened in a run."""

    def run_finished(self, result: RunResult) -> None:
        """A run is over."""

    def stopping(self) -> None:
        """Somebody asked for an end: no further run begins, those under way finish. A second time cancels them."""

    def finished(self, execution: ExecutionResult) -> None:
        """The execution is over."""

    def close(self) -> None:
        """Nothing more comes, whether the execution came to its end or broke; what was taken is given back."""


class Observers:
    """Tells all observers."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    @property
    def wants_events(self) -> bool:
        """Whether any of them looks at single events; telling nobody would cost time."""
        return any(type(item).event is not Observer.event for item in self._observers)

    def prepared(self, execution: ExecutionResult) -> None:
        """Everything is planned and nothing has begun."""
        self._tell(lambda item: item.prepared(execution))

    def started(self, plan: Plan, execution_id: str) -> None:
        """The execution begins."""
        self._tell(lambda item: item.started(plan, execution_id))

    def run_started(self, case: TestCase) -> None:
        """The run of a case begins."""
        self._tell(lambda item: item.run_started(case))

    def event(self, case: TestCase, entry: Entry) -> None:
        """Something happened in a run."""
        self._tell(lambda item: item.event(case, entry))

    def run_finished(self, result: RunResult) -> None:
        """A run is over."""
        self._tell(lambda item: item.run_finished(result))

    def finished(self, execution: ExecutionResult) -> None:
        """The execution is over."""
        self._tell(lambda item: item.finished(execution))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in tuple(self._observers):
            try:
                call(observer)
            except Exception:
                if observer.keeps:
                    raise
                logger.exception("an observer of the execution failed and is left out from here on")
                self._observers.remove(observer)


_BAD = {"fail", "error"}


@dataclass(kw_only=True)
class Launch:
    """One launch of a plan.

    Attributes:
        runner: runs a case.
        observers: are told.
        concurrency: cases at once.
        fail_fast: begin no further case after one that failed or broke.
        known: results of cases that need not be run again, by their identity.
        last: identities of cases that are run after all others, in this order and one at a time.
        pass_threshold: the share of its trials that a case must pass whose trials end when they decide.
        thresholds: by group, the share of trials that single checks need.
    """

    runner: CaseRunner
    observers: Observers
    concurrency: int = 1
    fail_fast: bool = False
    known: Mapping[str, RunResult] = field(default_factory=dict[str, RunResult])
    last: Sequence[str] = ()
    pass_threshold: float = 1.0
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, "Mapping[str, float]"])
    interrupted: bool = False
    results: dict[int, RunResult] = field(default_factory=dict[int, RunResult])
    _stopping: bool = False
    _order: TrialOrder | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list["asyncio.Task[None]"])

    async def run(self, cases: Iterable[TestCase]) -> list[RunResult]:
        """The results in plan order; cases that were not begun have none.

        Cancelling it cancels the runs that are under way and gives what there is: ``interrupted`` is set then.
        """
        cases = list(cases)
        self.results = {case.index: known for case in cases if (known := self.known.get(case.identity))}
        places = {identity: place for place, identity in enumerate(self.last)}
        open_ = [case for case in cases if case.index not in self.results]
        last = sorted((case for case in open_ if case.identity in places), key=lambda case: places[case.identity])
        try:
            await self._first_all([case for case in open_ if case.identity not in places])
            if last and not self._stopping:
                await self._all_done([case for case in last if self._order is None or self._order.wants(case)], 1)
                if self._order is not None and not self._stopping:
                    await self._in_order(self._order)
        except asyncio.CancelledError:
            self.interrupted = True
            await self._cancel()
        except BaseException:
            await self._cancel()
            raise
        return [self.results[index] for index in sorted(self.results)]

    def stop(self) -> None:
        """Begin no further case; those under way go on. A second call cancels them."""
        if self._stopping:
            for task in self._tasks:
                task.cancel()
        self._stopping = self.interrupted = True

    async def _first_all(self, cases: Sequence[TestCase]) -> None:
        if not any(case.until_decided for case in cases):
            await self._all_done(cases, self.concurrency)
            return
        from duologue.suites.execution.until_decided import TrialOrder

        self._order = TrialOrder(cases, self.results.values(), self.pass_threshold, self.thresholds)
        await self._in_order(self._order)

    async def _in_order(self, order: TrialOrder) -> None:
        """Run what an order says, until it wants no more."""
        await self._ended([asyncio.create_task(self._work_on(order)) for _ in range(self.concurrency)])

    async def _work_on(self, order: TrialOrder) -> None:
        while not self._stopping:
            over, case = self._over, order.take()
            if case is not None:
                await self._one(case)
                await asyncio.sleep(0)  # noqa: TID251 - see _work
            elif order.under_way:
                await over.wait()
            else:
                return

    async def _all_done(self, cases: Iterable[TestCase], concurrency: int) -> None:
        await self._ended(self._start(cases, concurrency))

    async def _ended(self, tasks: list[asyncio.Task[None]]) -> None:
        self._tasks = tasks
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled() and (error := task.exception()):
                raise error

    def _start(self, cases: Iterable[TestCase], concurrency: int) -> list[asyncio.Task[None]]:
        """Begin to run cases: the tasks are done when all of them are, and cancelling them cancels the runs."""
        waiting = iter(cases)
        return [asyncio.create_task(self._work(waiting)) for _ in range(concurrency)]

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, waiting: Iterator[TestCase]) -> None:
        for case in waiting:
            if self._stopping:
                return
            await self._one(case)
            # Where nobody is waited for, as with mocks, this is when signals and timers are heard.
            await asyncio.sleep(0)  # noqa: TID251 - no time passes

    async def _one(self, case: TestCase) -> None:
        self.observers.run_started(case)
        try:
            result = await self.runner.run(case)
        except CaseCancelled as cancelled:
            self._keep(cancelled.result)
            raise
        self._keep(result)
        if self._ends(result):
            self._stopping = True

    def _ends(self, result: RunResult) -> bool:
        """Whether no further case begins after this result."""
        # The disk that has no room for one journal has none for the next.
        return result.unrecorded or (self.fail_fast and result.outcome in _BAD)

    def _keep(self, result: RunResult) -> None:
        self.results[result.case.index] = result
        if self._order is not None:
            self._order.add(result)
            over, self._over = self._over, asyncio.Event()
            over.set()
        self.observers.run_finished(result)
