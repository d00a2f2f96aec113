"""The result of an execution: its runs in plan order, the groups of their trials, and one outcome.

Terminal, JSON, JUnit, Markdown, HTML and the exit code all read this outcome; none of them decides anything itself.

A check may require less than all trials (``pass_threshold``). Such a check does not decide about single trials: it
passes if its share of the group is reached. Everything else must hold in every trial.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from duologue.frozen import frozen
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.run import SPENDERS, RunResult, Spent, reason_of, statuses_of, total_spent
from duologue.suites.results.stopping import Trials, outcome_without
from duologue.vocabulary import CheckStatus, RunStatus, Verdict

if TYPE_CHECKING:
    from duologue.checks.metrics.grading_summary import GradingSummary
    from duologue.stats.pass_k import PassK
    from duologue.stats.sequential import StopDecision
    from duologue.suites.calibration.calibrate import Calibration
    from duologue.suites.results.rates import Rate, Rates

_EMBEDDED_USER = (
    "A model this small sometimes strays from its part: read a conversation before you blame the agent, and use an "
    "agenda or a larger model where the result decides something."
)


@frozen(slots=True)
class CheckRate:
    """One check over all trials of a test case.

    Attributes:
        name: of the check.
        passed, decided: trials in which it passed, and in which it passed or failed.
        threshold: the share that must pass.
    """

    name: str
    passed: int
    decided: int
    threshold: float = 1.0

    @property
    def rate(self) -> float | None:
        """Share of the decided trials that passed; None if none was decided."""
        return self.passed / self.decided if self.decided else None

    @property
    def flakiness(self) -> float | None:
        """0 if all trials agree, 1 if half of them pass."""
        return None if self.rate is None else 1 - abs(2 * self.rate - 1)

    @property
    def ok(self) -> bool:
        """Whether the share is reached."""
        return self.rate is None or self.rate >= self.threshold


@frozen
class Group:
    """A test case and its trials.

    Attributes:
        case: the first trial's.
        runs: the trials that were run.
        checks: each check over the trials; empty where there is one trial.
        outcome: ``pass``, ``fail``, ``undecided``, ``error`` or ``cancelled``.
        stopped: what its trials have decided, and when, if they end then; None if that is open, or was not asked for.
    """

    case: TestCase
    runs: tuple[RunResult, ...]
    checks: tuple[CheckRate, ...]
    outcome: str
    stopped: StopDecision | None = None

    @cached_property
    def passed(self) -> int:
        """How many trials passed."""
        return sum(run.verdict is Verdict.PASS for run in self.runs)

    @cached_property
    def pass_rate(self) -> float | None:
        """Share of the decided trials that passed; None if none was decided."""
        decided = sum(run.verdict in {Verdict.PASS, Verdict.FAIL} for run in self.runs)
        return self.passed / decided if decided else None

    @cached_property
    def rate(self) -> Rate:
        """The pass rate of the trials with its denominator and interval."""
        from duologue.suites.results.rates import rate_from

        return rate_from(_counted(run.outcome for run in self.runs), sequential=self.case.until_decided)

    @property
    def spared(self) -> int:
        """How many trials were not needed, because the case was decided before."""
        return max(0, self.case.trials - len(self.runs)) if self.stopped else 0

    @property
    def pass_at_k(self) -> bool:
        """Whether any trial passed."""
        return self.passed > 0

    @property
    def pass_hat_k(self) -> bool:
        """Whether all trials passed."""
        return self.passed == len(self.runs)


def groups_of(
    runs: Iterable[RunResult],
    thresholds: Mapping[str, Mapping[str, float]],
    planned: Mapping[str, int] | None = None,
    *,
    pass_threshold: float = 1.0,
) -> tuple[Group, ...]:
    """The groups of some runs, in the order in which they first appear.

    Args:
        runs: of one execution.
        thresholds: by :attr:`TestCase.group`, the share of trials that a check needs, by the name of the check.
        planned: by group, how many trials there are to be; a group that lacks some has not passed. None for all.
        pass_threshold: the share of trials that must pass in groups whose trials end when they decide.
    """
    by_group: dict[str, list[RunResult]] = {}
    for run in runs:
        by_group.setdefault(run.case.group, []).append(run)
    all_ = planned or {}
    return tuple(
        _group(found, thresholds.get(key, {}), pass_threshold, lacking=all_.get(key, 0) > len(found))
        for key, found in by_group.items()
    )


def _group(runs: list[RunResult], thresholds: Mapping[str, float], pass_threshold: float, *, lacking: bool) -> Group:
    several = len(runs) > 1 or bool(thresholds)
    rates = _rates(runs, thresholds) if several else ()
    if runs[0].case.until_decided:
        return _until_decided(runs, rates, _trials(runs, thresholds, pass_threshold), lacking=lacking)
    outcome = worst_of(_outcomes(runs, rates, thresholds), lacking=lacking)
    return Group(case=runs[0].case, runs=tuple(runs), checks=rates, outcome=outcome)


def worst_of(outcomes: Collection[str], *, lacking: bool = False) -> str:
    """The outcome of a test case by those of its trials; one that lacks some has not passed."""
    worst = next((word for word in _WORST_FIRST if word in outcomes), RunStatus.ERROR.value)
    if lacking and worst in {Verdict.PASS.value, Verdict.UNDECIDED.value}:
        return RunStatus.CANCELLED.value
    return worst


def _trials(runs: list[RunResult], thresholds: Mapping[str, float], pass_threshold: float) -> Trials:
    return Trials(runs=runs, most=runs[0].case.trials, threshold=pass_threshold, thresholds=thresholds)


def _until_decided(runs: list[RunResult], rates: tuple[CheckRate, ...], trials: Trials, *, lacking: bool) -> Group:
    """A test case whose trials end when they decide. What is undecided or broken counts where it could matter."""
    decision = trials.decision()
    open_ = {run.outcome for run in runs} & {RunStatus.ERROR.value, Verdict.UNDECIDED.value}
    unclear = next((word for word in _WORST_FIRST if word in open_), Verdict.UNDECIDED.value)
    if decision is None:
        outcome = RunStatus.CANCELLED.value if lacking and unclear == Verdict.UNDECIDED.value else unclear
    elif not decision.reached:
        outcome = Verdict.FAIL.value
    else:
        outcome = unclear if open_ and decision.by == "evidence" else Verdict.PASS.value
    return Group(case=runs[0].case, runs=tuple(runs), checks=rates, outcome=outcome, stopped=decision)


def _rates(runs: list[RunResult], thresholds: Mapping[str, float]) -> tuple[CheckRate, ...]:
    counted: dict[str, list[int]] = {}
    for run in runs:
        for name, found in statuses_of(run).items():
            count = counted.setdefault(name, [0, 0])
            failed = CheckStatus.FAILED in found
            if failed or CheckStatus.PASSED in found:
                count[0] += not failed
                count[1] += 1
    return tuple(
        CheckRate(name=name, passed=passed, decided=decided, threshold=thresholds.get(name, 1.0))
        for name, (passed, decided) in counted.items()
    )


def _outcomes(runs: list[RunResult], rates: tuple[CheckRate, ...], thresholds: Mapping[str, float]) -> set[str]:
    outcomes = {outcome_without(run, thresholds) if thresholds else run.outcome for run in runs}
    if any(not rate.ok for rate in rates if rate.name in thresholds):
        outcomes.add("fail")
    return outcomes


_WORST_FIRST = ("fail", "error", "cancelled", "undecided", "pass")


_ROUNDED = 1e-9
"""Test cases by which a share may be missed: 0.7 of 10 is a little more than 7."""


@frozen
class Allowance:
    """How much may stay open before an execution that has no failure is more than uncertain.

    Attributes:
        undecided: test cases without a verdict either way; None for any number.
        errors: test cases that broke.
        pass_rate: share of the test cases that must pass, 0 to 1; the others may fail then. None: none may.
        pass_threshold: share of its trials that a test case must pass whose trials end when they decide; None: all.
    """

    undecided: int | None = 0
    errors: int | None = 0
    pass_rate: float | None = None
    pass_threshold: float | None = None


@frozen
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


@frozen
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
        running: it is still going on; these are the runs that are over so far.
        allowance: how many undecided and broken test cases are tolerated.
        environment: versions and settings that matter for repeating it.
        thresholds: for each group, the share of trials that each check needs; see :mod:`groups`.
        metrics_threshold: the score, 0 to 100, that metrics have to reach over all graded runs; None for any.
        earlier: what was spent on attempts that no result tells of, because another has taken their place.
        calibration: what labels say of the judge; None where nobody has looked for labels, or there are none.
    """

    id: str
    suite: str
    path: str
    plan: Plan = field(repr=False)
    runs: tuple[RunResult, ...] = field(repr=False)  # asyncio.run makes a text of what its main task returns, twice
    started_at: datetime
    seconds: float
    interrupted: bool = False
    allowance: Allowance = field(default_factory=Allowance)
    environment: dict[str, Any] = field(default_factory=dict[str, Any])
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    metrics_threshold: float | None = None
    earlier: Spent = field(default_factory=Spent)
    running: bool = False
    calibration: Calibration | None = field(default=None, compare=False)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The test cases, each with its trials, in plan order."""
        planned: dict[str, int] = {}
        for case in self.plan.cases if len(self.runs) < len(self.plan) else ():
            planned[case.group] = planned.get(case.group, 0) + 1
        threshold = self.allowance.pass_threshold
        return groups_of(self.runs, self.thresholds, planned, pass_threshold=1.0 if threshold is None else threshold)

    @cached_property
    def rates(self) -> Rates:
        """How sure the numbers are: pass rates of runs and checks, with denominators and intervals."""
        from duologue.suites.results.rates import rates_of

        return rates_of(self.runs)

    @cached_property
    def pass_k(self) -> tuple[PassK, ...]:
        """pass^k and pass@k; none where no test case has several trials, or trials ended when they had decided."""
        if any(case.until_decided for case in self.plan.cases):
            return ()
        from duologue.suites.results.rates import pass_ks

        return tuple(pass_ks(self.runs))

    @cached_property
    def spared(self) -> int:
        """How many runs of the plan were not needed, because their test cases were decided before."""
        return sum(group.spared for group in self.groups) if len(self.runs) < len(self.plan) else 0

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
            not_run=len(self.plan) - len(self.runs) - self.spared,
        )

    @cached_property
    def spent(self) -> Spent:
        """All model calls of all runs, those of earlier attempts included."""
        return total_spent((*self.spent_by.values(), self.earlier))

    @cached_property
    def spent_by(self) -> dict[str, Spent]:
        """The model calls of agents, simulated users and judges (``agent``, ``user``, ``judge``) in all runs."""
        return {who: total_spent(getattr(run, who) for run in self.runs) for who in SPENDERS}

    @cached_property
    def recorded(self) -> Spent:
        """What recorded model calls took, as the sources say. None of it was spent by this execution."""
        return total_spent(part for run in self.runs if (held := run.recording) for part in (held.agent, held.user))

    @cached_property
    def grading(self) -> GradingSummary | None:
        """What metrics come to over all runs that were graded; None where none was."""
        graded = [run for run in self.runs if any(check.kind == "metrics" for check in run.checks)]
        if not graded:
            return None
        from duologue.checks.metrics.grading_summary import summarise_results

        asked = self.allowance.pass_rate
        needed = {} if asked is None else {"cases_threshold": round(asked * 100, 6)}
        return summarise_results(graded, metrics_threshold=self.metrics_threshold or 0.0, **needed)

    @property
    def graded_too_low(self) -> bool:
        """Whether the metrics of all runs together do not reach the score that is asked for."""
        return self.metrics_threshold is not None and bool(self.grading) and self.grading.metrics_passed is False

    @property
    def failures_allowed(self) -> bool:
        """Whether so many test cases have passed that the others may fail."""
        asked, totals = self.allowance.pass_rate, self.totals
        return asked is not None and totals.cases > 0 and totals.passed >= asked * totals.cases - _ROUNDED

    @property
    def unrecorded(self) -> tuple[RunResult, ...]:
        """Runs that have no result because their journals could not be written; a resumed execution plays them."""
        return tuple(run for run in self.runs if run.unrecorded)

    @property
    def exit_code(self) -> int:
        """What the process exits with.

        0 all passed, or as many as asked for; 1 a case failed, or metrics are too low over all; 3 more errors or
        undecided cases than allowed; 130 interrupted.
        """
        if self.interrupted:
            return 130
        totals, allowed = self.totals, self.allowance
        if (totals.failed and not self.failures_allowed) or self.graded_too_low:
            return 1
        beyond = _beyond(totals.undecided, allowed.undecided) or _beyond(totals.errors, allowed.errors)
        open_ = totals.cancelled or totals.not_run or not totals.cases or self.unrecorded
        short = allowed.pass_rate is not None and not self.failures_allowed
        return 3 if beyond or open_ or short else 0

    @property
    def ok(self) -> bool:
        """Whether nothing failed and no more than allowed is open."""
        return self.exit_code == 0

    def _repr_html_(self) -> str:
        """As a notebook shows it: a row for each test case."""
        from duologue.notebook import html_table

        totals = self.totals
        title = f"{self.suite}: {totals.passed} of {totals.cases} test cases passed, {self.seconds:.1f} s"
        columns = ("test case", "outcome", "passed", "seconds", "cost in $", "why not")
        return html_table(title, columns, map(_table_row, self.groups))


def _table_row(group: Group) -> tuple[object, ...]:
    spent = total_spent(run.spent for run in group.runs)
    reason = next((reason_of(run) for run in group.runs if run.verdict is not Verdict.PASS), "")
    seconds = sum(run.seconds for run in group.runs)
    title = group.case.title.rsplit(" #", 1)[0] if group.case.trials > 1 else group.case.title
    cost = f"{spent.cost:.4f}" if spent.cost else ""
    return title, group.outcome, f"{group.passed} of {len(group.runs)}", f"{seconds:.1f}", cost, reason


def _counted(outcomes: Iterable[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for outcome in outcomes:
        counted[outcome] = counted.get(outcome, 0) + 1
    return counted


def _beyond(found: int, allowed: int | None) -> bool:
    return allowed is not None and found > allowed


def embedded_models(runs: Iterable[RunResult]) -> list[str]:
    """For each embedded model that played users or judged in these runs, what it did and how far to trust it."""
    users, judges = set[str](), set[str]()
    for run in runs:
        if run.recording is None:
            said_by = (item.model for item in run.messages if item.message["role"] == "user")
            users.update(model for model in said_by if model and _is_embedded(model))
        for judged in run.judgements:
            found = re.match(r"Decided by (local/[^\s,]+)", judged.reasoning or "")
            judges.update([found[1]] if found else ())
    told = [f"The simulated user was {name}, an embedded model. {_EMBEDDED_USER}" for name in sorted(users)]
    if judges:
        from duologue.agents.judge.local import described

        told += [described(name) for name in sorted(judges)]
    return told


def _is_embedded(model: str) -> bool:
    return model == "local" or model.startswith("local/")
