"""When the trials of a test case have decided about it: read from its results, the same while it runs and afterwards.

Only trials without a gap before them count, in the order of their numbers, however they came in: a trial that takes
long because it fails would otherwise be decided about without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from duologue.frozen import frozen
from duologue.stats.sequential import Outcome, StopDecision, StopRule, decided, least_further, uncertainty
from duologue.suites.results.run import RunResult
from duologue.vocabulary import CheckStatus, RunStatus, Verdict

CONFIDENCE = 0.95
"""Of a decision by evidence."""


def outcome_without(run: RunResult, thresholds: Mapping[str, float]) -> str:
    """The outcome of a trial, if the checks with a share of their own are left out of it."""
    if run.verdict is not Verdict.FAIL:
        return run.outcome
    failed = [check.name for check in run.checks if check.status is CheckStatus.FAILED]
    judged = any(decision.verdict is Verdict.FAIL for decision in run.judgements if not decision.advisory)
    excused = failed and all(name in thresholds for name in failed) and not judged and not run.violations
    return Verdict.PASS.value if excused else Verdict.FAIL.value


@frozen
class Trials:
    """The trials of one test case that ends when it is decided.

    Attributes:
        runs: its results, in any order.
        most: how many there may be.
        threshold: the share of trials that must pass.
        thresholds: by check, the share that it needs, where it decides nothing about single trials.
    """

    runs: Sequence[RunResult]
    most: int
    threshold: float
    thresholds: Mapping[str, float]

    def decision(self) -> StopDecision | None:
        """What the trials have decided, and when; None if it is open.

        The case is missed as soon as its trials or one of its checks miss their share, and reached when all reach it.
        """
        found = [decided(outcomes, rule) for rule, outcomes in self._sequences()]
        missed = [item for item in found if item is not None and not item.reached]
        if missed:
            return min(missed, key=lambda item: item.trials)
        reached = [item for item in found if item is not None]
        return max(reached, key=lambda item: item.trials) if len(reached) == len(found) else None

    def least_further(self) -> int:
        """How many further trials it takes at least, after those without a gap before them."""
        return max(1, min(least_further(*_counts(outcomes), rule) for rule, outcomes in self._open()))

    def uncertainty(self) -> float:
        """How open the case is: 0.5 for not at all decided, 0 for certain."""
        counts = [(*_counts(outcomes), rule) for rule, outcomes in self._open()]
        return max(uncertainty(passed, failed, rule.threshold) for passed, failed, _, rule in counts)

    def finished(self) -> list[RunResult]:
        """The trials without a gap before them."""
        by_trial = {run.case.trial: run for run in self.runs if run.status is not RunStatus.CANCELLED}
        found: list[RunResult] = []
        while (run := by_trial.get(len(found) + 1)) is not None:
            found.append(run)
        return found

    def _open(self) -> list[tuple[StopRule, list[Outcome]]]:
        sequences = list(self._sequences())
        return [(rule, outcomes) for rule, outcomes in sequences if decided(outcomes, rule) is None] or sequences

    def _sequences(self) -> Iterator[tuple[StopRule, list[Outcome]]]:
        runs = self.finished()
        outcomes: list[Outcome] = [_OUTCOMES.get(outcome_without(run, self.thresholds), "open") for run in runs]
        yield StopRule(threshold=self.threshold, most=self.most, confidence=CONFIDENCE), outcomes
        for name, share in self.thresholds.items():
            if share > 0:
                rule = StopRule(threshold=share, most=self.most, confidence=CONFIDENCE)
                yield rule, [_of_check(run, name) for run in runs]


_OUTCOMES: dict[str, Outcome] = {"pass": "pass", "fail": "fail"}


def _of_check(run: RunResult, name: str) -> Outcome:
    found = {check.status for check in run.checks if check.name == name}
    if CheckStatus.FAILED in found:
        return "fail"
    return "pass" if CheckStatus.PASSED in found else "open"


def _counts(outcomes: Iterable[Outcome]) -> tuple[int, int, int]:
    items = list(outcomes)
    return items.count("pass"), items.count("fail"), items.count("open")
