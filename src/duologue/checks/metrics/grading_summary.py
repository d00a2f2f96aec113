"""Many gradings together: an execution's score, how many cases pass, and whether that is enough.

Cases that could not be graded are counted and shown. They have no score, and an execution that has any does not pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import fsum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, computed_field

from duologue.checks.metrics.grading import Grading, MetricGrade, check_threshold, weighted_mean
from duologue.checks.metrics.metric import HIGHEST
from duologue.errors import ConfigurationError
from duologue.journal.events import CheckEvaluated
from duologue.vocabulary import RunStatus, Verdict

METRICS_THRESHOLD = 80.0
"""The weighted score over all cases, 0 to 100, that an execution has to reach where nothing else is said."""
CASES_THRESHOLD = 100.0
"""The share of cases in percent that have to pass where nothing else is said."""


class MetricSummary(BaseModel):
    """One metric over all cases.

    Attributes:
        mean: of the scores, 0 to 5; None where it applied nowhere.
        weight: mean of its weights in the cases where it applied.
        applied, not_applicable: numbers of cases.
        failure_codes: how often each was given, the most frequent first.
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    mean: float | None
    weight: float
    applied: int
    not_applicable: int
    failure_codes: dict[str, int]


class GradingSummary(BaseModel):
    """The gradings of an execution, summed up.

    Attributes:
        passed, failed, undecided: numbers of cases with that verdict.
        errors: number of cases that could not be graded.
        mean_score: mean of the cases' scores, 0 to 100.
        weighted_score: weighted mean of the metrics' means, 0 to 100; None where no metric applied.
        cases_passed_pct: passed cases in percent of all with a verdict, undecided included; None where there are none.
        metrics: each metric over all cases.
        metrics_threshold, cases_threshold: what is needed, 0 to 100.
    """

    model_config = ConfigDict(frozen=True)

    passed: int
    failed: int
    undecided: int
    errors: int
    mean_score: float | None
    weighted_score: float | None
    cases_passed_pct: float | None
    metrics: tuple[MetricSummary, ...]
    metrics_threshold: float
    cases_threshold: float

    @computed_field
    @property
    def metrics_passed(self) -> bool | None:
        """Whether the weighted score is high enough; None where there is none."""
        return None if self.weighted_score is None else self.weighted_score >= self.metrics_threshold

    @computed_field
    @property
    def cases_passed(self) -> bool | None:
        """Whether enough cases passed; None where none was graded."""
        return None if self.cases_passed_pct is None else self.cases_passed_pct >= self.cases_threshold

    @computed_field
    @property
    def verdict(self) -> Verdict:
        """The verdict on the execution.

        It fails when the weighted score is too low, or too few cases could pass even if those that are undecided or had
        an error did. It passes when both thresholds are reached and no case had an error. Else it is undecided.
        """
        open_cases = self.undecided + self.errors
        most = _percent(self.passed + open_cases, self.passed + self.failed + open_cases)
        if self.metrics_passed is False or (most is not None and most < self.cases_threshold):
            return Verdict.FAIL
        return Verdict.PASS if self.cases_passed and not self.errors else Verdict.UNDECIDED


class Graded(Protocol):
    """The result of a run: of a scenario, or of a test case of a suite."""

    @property
    def status(self) -> RunStatus:
        """How it ended."""
        ...

    @property
    def checks(self) -> Sequence[CheckEvaluated]:
        """The outcomes of its checks."""
        ...


def summarise_results(
    results: Iterable[Graded],
    *,
    metrics_threshold: float = METRICS_THRESHOLD,
    cases_threshold: float = CASES_THRESHOLD,
) -> GradingSummary:
    """Sum up the gradings that checks of the kind ``metrics`` have left in the results of an execution.

    A run that did not complete, or that holds no grading, is a case with an error. One whose agent said nothing has
    failed without a score.

    Raises:
        ConfigurationError: a threshold that is not between 0 and 100.
    """
    gradings: list[Grading] = []
    errors = silent = 0
    for result in results:
        graded = [check for check in result.checks if check.kind == "metrics"]
        if result.status is not RunStatus.COMPLETED or not graded:
            errors += 1
            continue
        gradings += [Grading.model_validate(check.details) for check in graded if check.details]
        silent += sum(not check.details for check in graded)
    return summarise(
        gradings, errors=errors, silent=silent, metrics_threshold=metrics_threshold, cases_threshold=cases_threshold
    )


def summarise(
    gradings: Sequence[Grading],
    *,
    errors: int = 0,
    silent: int = 0,
    metrics_threshold: float = METRICS_THRESHOLD,
    cases_threshold: float = CASES_THRESHOLD,
) -> GradingSummary:
    """Sum up an execution.

    Args:
        gradings: one for each case that was graded, each with its own threshold.
        errors: number of cases that could not be.
        silent: number of cases that failed without a grading, because the agent said nothing.
        metrics_threshold: the weighted score that is needed, 0 to 100.
        cases_threshold: percent of the cases with a verdict that have to pass.

    Raises:
        ConfigurationError: a threshold that is not between 0 and 100, or a negative number of cases.
    """
    for threshold in (metrics_threshold, cases_threshold):
        check_threshold(threshold)
    if min(errors, silent) < 0:
        raise ConfigurationError(f"errors and silent are numbers of cases; found {errors} and {silent}")
    verdicts = Counter(grading.verdict for grading in gradings)
    metrics = _metrics(gradings)
    return GradingSummary(
        passed=verdicts[Verdict.PASS],
        failed=verdicts[Verdict.FAIL] + silent,
        undecided=verdicts[Verdict.UNDECIDED],
        errors=errors,
        mean_score=_mean([grading.score for grading in gradings if grading.score is not None]),
        weighted_score=weighted_mean(
            (item.mean / HIGHEST * 100, item.weight) for item in metrics if item.mean is not None
        ),
        cases_passed_pct=_percent(verdicts[Verdict.PASS], len(gradings) + silent),
        metrics=metrics,
        metrics_threshold=metrics_threshold,
        cases_threshold=cases_threshold,
    )


def _metrics(gradings: Sequence[Grading]) -> tuple[MetricSummary, ...]:
    grades: dict[str, list[MetricGrade]] = {}
    for grading in gradings:
        for grade in grading.metrics:
            grades.setdefault(grade.metric, []).append(grade)
    return tuple(_metric(name, items) for name, items in grades.items())


def _metric(name: str, grades: Sequence[MetricGrade]) -> MetricSummary:
    applied = [grade for grade in grades if grade.applies]
    codes = Counter(grade.failure_code for grade in applied if grade.failure_code)
    return MetricSummary(
        metric=name,
        mean=_mean([float(grade.score) for grade in applied if grade.score is not None]),
        weight=_mean([grade.weight for grade in applied]) or 0.0,
        applied=len(applied),
        not_applicable=len(grades) - len(applied),
        failure_codes=dict(codes.most_common()),
    )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None
