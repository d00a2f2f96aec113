"""The trials of one test case together: what share passed, how much they disagree, and what that comes to.

A check may ask for less than all trials (``pass_threshold``). Such a check does not decide about single trials: it
passes if its share of the group is reached. Everything else must hold in every trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from duologue.suites.plan.cases import TestCase
from duologue.suites.results.run import RunResult
from duologue.vocabulary import CheckStatus, RunStatus, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Group:
    """A test case and its trials.

    Attributes:
        case: the first trial's.
        runs: the trials that were run.
        checks: each check over the trials; empty where there is one trial.
        outcome: ``pass``, ``fail``, ``undecided``, ``error`` or ``cancelled``.
    """

    case: TestCase
    runs: tuple[RunResult, ...]
    checks: tuple[CheckRate, ...]
    outcome: str

    @cached_property
    def passed(self) -> int:
        """How many trials passed."""
        return sum(run.verdict is Verdict.PASS for run in self.runs)

    @cached_property
    def pass_rate(self) -> float | None:
        """Share of the decided trials that passed; None if none was decided."""
        decided = sum(run.verdict in {Verdict.PASS, Verdict.FAIL} for run in self.runs)
        return self.passed / decided if decided else None

    @property
    def pass_at_k(self) -> bool:
        """Whether any trial passed."""
        return self.passed > 0

    @property
    def pass_hat_k(self) -> bool:
        """Whether all trials passed."""
        return self.passed == len(self.runs)


def groups_of(runs: Iterable[RunResult], thresholds: Mapping[str, Mapping[str, float]]) -> tuple[Group, ...]:
    """The groups of some runs, in the order in which they first appear.

    Args:
        runs: of one execution.
        thresholds: by :attr:`TestCase.group`, the share of trials that a check needs, by the name of the check.
    """
    by_group: dict[str, list[RunResult]] = {}
    for run in runs:
        by_group.setdefault(run.case.group, []).append(run)
    return tuple(_group(key, found, thresholds.get(key, {})) for key, found in by_group.items())


def _group(key: str, runs: list[RunResult], thresholds: Mapping[str, float]) -> Group:
    several = len(runs) > 1 or bool(thresholds)
    rates = _rates(runs, thresholds) if several else ()
    return Group(case=runs[0].case, runs=tuple(runs), checks=rates, outcome=_outcome(runs, rates, thresholds))


def _rates(runs: list[RunResult], thresholds: Mapping[str, float]) -> tuple[CheckRate, ...]:
    counted: dict[str, list[int]] = {}
    for run in runs:
        statuses: dict[str, set[CheckStatus]] = {}
        for check in run.checks:
            statuses.setdefault(check.name, set()).add(check.status)
        for name, found in statuses.items():
            passed, decided = counted.setdefault(name, [0, 0])
            if found & {CheckStatus.PASSED, CheckStatus.FAILED}:
                counted[name] = [passed + (CheckStatus.FAILED not in found), decided + 1]
    return tuple(
        CheckRate(name=name, passed=passed, decided=decided, threshold=thresholds.get(name, 1.0))
        for name, (passed, decided) in counted.items()
    )


def _outcome(runs: list[RunResult], rates: tuple[CheckRate, ...], thresholds: Mapping[str, float]) -> str:
    outcomes = {_without(run, thresholds) if thresholds else run.outcome for run in runs}
    if any(not rate.ok for rate in rates if rate.name in thresholds):
        outcomes.add("fail")
    return next((word for word in _WORST_FIRST if word in outcomes), RunStatus.ERROR.value)


def _without(run: RunResult, thresholds: Mapping[str, float]) -> str:
    """The outcome of a trial, if the checks with a share of their own are left out of it."""
    if run.verdict is not Verdict.FAIL:
        return run.outcome
    failed = [check.name for check in run.checks if check.status is CheckStatus.FAILED]
    judged = any(decision.verdict is Verdict.FAIL for decision in run.judgements if not decision.advisory)
    excused = failed and all(name in thresholds for name in failed) and not judged and not run.violations
    return Verdict.PASS.value if excused else Verdict.FAIL.value


_WORST_FIRST = ("fail", "error", "cancelled", "undecided", "pass")
