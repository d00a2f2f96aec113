"""What came of a whole execution: its runs in plan order, the groups of their trials, and one verdict.

Terminal, JSON, JUnit, Markdown, HTML and the exit code all read this verdict; none of them decides anything itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from duologue.suites.plan.cases import Plan
from duologue.suites.results.groups import Group, groups_of
from duologue.suites.results.run import SPENDERS, RunResult, Spent, total_spent

if TYPE_CHECKING:
    from duologue.checks.metrics.summary import GradingSummary


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How much may stay open before an execution that has no failure is more than uncertain.

    Attributes:
        undecided: test cases without a verdict either way; None for any number.
        errors: test cases that broke.
    """

    undecided: int | None = 0
    errors: int | None = 0


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Test cases by outcome. A test case with several trials counts once; ``runs`` counts all of them."""

    cases: int
    runs: int
    passed: int
    failed: int
    undecided: int
    errors: int
    cancelled: int
    not_run: int


@dataclass(frozen=True, kw_only=True)
class ExecutionResult:
    """An execution that is over, or as much of it as there is.

    Attributes:
        id: unique; the ids of its runs derive from it.
        suite, path: the name of the suite and its main file.
        plan: all that was to be run.
        runs: what was run, in plan order.
        started_at: when it began, with a time zone.
        seconds: how long it took.
        interrupted: it was cancelled before the plan was done.
        allowance: how many undecided and broken test cases are put up with.
        environment: versions and settings that matter for repeating it.
        thresholds: for each group, the share of trials that each check needs; see :mod:`groups`.
        metrics_threshold: the score, 0 to 100, that metrics have to reach over all graded runs; None for any.
    """

    id: str
    suite: str
    path: str
    plan: Plan
    runs: tuple[RunResult, ...]
    started_at: datetime
    seconds: float
    interrupted: bool = False
    allowance: Allowance = field(default_factory=Allowance)
    environment: dict[str, Any] = field(default_factory=dict[str, Any])
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    metrics_threshold: float | None = None

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The test cases, each with its trials, in plan order."""
        return groups_of(self.runs, self.thresholds)

    @cached_property
    def totals(self) -> Totals:
        """Test cases by outcome."""
        counted = _counted(group.outcome for group in self.groups)
        return Totals(
            cases=len({case.group for case in self.plan.cases}),
            runs=len(self.runs),
            passed=counted.get("pass", 0),
            failed=counted.get("fail", 0),
            undecided=counted.get("undecided", 0),
            errors=counted.get("error", 0),
            cancelled=counted.get("cancelled", 0),
            not_run=len(self.plan) - len(self.runs),
        )

    @cached_property
    def spent(self) -> Spent:
        """All model calls of all runs."""
        return total_spent(self.spent_by.values())

    @cached_property
    def spent_by(self) -> dict[str, Spent]:
        """The model calls of agents, simulated users and judges (``agent``, ``user``, ``judge``) in all runs."""
        return {who: total_spent(getattr(run, who) for run in self.runs) for who in SPENDERS}

    @cached_property
    def grading(self) -> GradingSummary | None:
        """What metrics come to over all runs that were graded; None where none was."""
        graded = [run for run in self.runs if any(check.kind == "metrics" for check in run.checks)]
        if not graded:
            return None
        from duologue.checks.metrics.summary import summarise_results

        return summarise_results(graded, metrics_threshold=self.metrics_threshold or 0.0)

    @property
    def graded_too_low(self) -> bool:
        """Whether the metrics of all runs together do not reach the score that is asked for."""
        return self.metrics_threshold is not None and bool(self.grading) and self.grading.metrics_passed is False

    @property
    def exit_code(self) -> int:
        """What the process exits with.

        0 all passed; 1 a case failed, or metrics are too low over all; 3 more errors or undecided cases than allowed;
        130 interrupted.
        """
        if self.interrupted:
            return 130
        totals, allowed = self.totals, self.allowance
        if totals.failed or self.graded_too_low:
            return 1
        beyond = _beyond(totals.undecided, allowed.undecided) or _beyond(totals.errors, allowed.errors)
        return 3 if beyond or totals.cancelled or totals.not_run or not totals.cases else 0

    @property
    def ok(self) -> bool:
        """Whether nothing failed and no more than allowed is open."""
        return self.exit_code == 0


def _counted(outcomes: Iterable[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for outcome in outcomes:
        counted[outcome] = counted.get(outcome, 0) + 1
    return counted


def _beyond(found: int, allowed: int | None) -> bool:
    return allowed is not None and found > allowed
