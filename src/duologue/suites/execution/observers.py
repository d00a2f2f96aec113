"""Who is told while an execution goes on: progress lines, live pages, writers of results.

An observer that looks only may fail without consequences for the runs: that is logged once and it is left out. One that
*keeps* results (``keeps = True``) may not: if it fails, so does the execution.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from duologue.journal.events import Entry
from duologue.suites.plan.cases import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult

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
