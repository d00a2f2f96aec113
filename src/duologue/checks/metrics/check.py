"""A grading as a check of a run: it passes when everything expected came about and the score is high enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from duologue.checks.metrics.expected import ExpectedToolCall
from duologue.checks.metrics.grade import agent_has_spoken, can_be_asked, grade
from duologue.checks.metrics.grading import CASE_THRESHOLD, Grading, check_threshold
from duologue.checks.metrics.metric import NEEDS_CODE
from duologue.checks.metrics.predefined import DEFAULT_METRICS, Metrics, metrics_of
from duologue.checks.metrics.question import Background
from duologue.conversation.checking import CheckInput, CheckOutcome
from duologue.errors import ConfigurationError, JudgeError
from duologue.models.base import Model
from duologue.settings import ModelConfig
from duologue.vocabulary import CheckStatus, Scope, Verdict

_STATUS = {
    Verdict.PASS: CheckStatus.PASSED,
    Verdict.FAIL: CheckStatus.FAILED,
    Verdict.UNDECIDED: CheckStatus.SKIPPED,
}


@dataclass(frozen=True, kw_only=True)
class GradingCheck:
    """Grades the conversation when it is over. The details of its outcome are the whole :class:`Grading` as JSON.

    Attributes:
        metrics, expected_outcomes, expected_tool_calls, model, background, threshold, outcomes_decide: as for
            :func:`grade`.
        name: what the report calls it.
    """

    metrics: Metrics = DEFAULT_METRICS
    expected_outcomes: Sequence[str] = ()
    expected_tool_calls: Sequence[ExpectedToolCall] = ()
    model: str | ModelConfig | Model | None = None
    background: Background | None = None
    threshold: float = CASE_THRESHOLD
    outcomes_decide: bool = False
    name: str = "the conversation is graded well enough"
    kind: str = "metrics"
    scope: Scope = Scope.CONVERSATION

    def __post_init__(self) -> None:
        # Whatever is wrong with the arguments is found before any conversation is held.
        metrics = metrics_of(self.metrics)
        check_threshold(self.threshold)
        can_be_asked(metrics, self.expected_outcomes, self.expected_tool_calls)
        object.__setattr__(self, "metrics", metrics)

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """Grade what was said. A model that fails or gives no grades gives status ``error`` and no score.

        Raises:
            BudgetExceededError: there is not enough left to ask.
        """
        if not agent_has_spoken(input.records):
            return CheckOutcome(status=CheckStatus.FAILED, explanation="the agent said and did nothing")
        try:
            grading = await self._graded(input)
        except (JudgeError, ConfigurationError) as error:
            details = {"error": type(error).__name__}
            return CheckOutcome(status=CheckStatus.ERROR, explanation=str(error), details=details)
        return CheckOutcome(
            status=_STATUS[grading.verdict],
            score=None if grading.score is None else grading.score / 100,
            explanation=_explained(grading),
            message_ids=_cited(grading),
            details=grading.model_dump(mode="json"),
        )

    async def _graded(self, input: CheckInput) -> Grading:
        return await grade(
            input.records,
            self.metrics,
            expected_outcomes=self.expected_outcomes,
            expected_tool_calls=self.expected_tool_calls,
            model=self.model,
            scope=replace(input.scope, who=f"check {self.kind}"),
            background=self.background,
            threshold=self.threshold,
            outcomes_decide=self.outcomes_decide,
        )


def _explained(grading: Grading) -> str:
    parts = [
        f"score {grading.score:.1f} of {grading.threshold:g} needed"
        if grading.score is not None
        else "no metric applies"
        if grading.metrics
        else "no score was asked for"
    ]
    weak = [
        f"{grade.metric} {grade.score}" + (f" ({grade.failure_code})" if grade.failure_code else "")
        for grade in grading.metrics
        if grade.score is not None and grade.score <= NEEDS_CODE
    ]
    parts += [f"weak: {', '.join(weak)}"] if weak else []
    return "; ".join([*parts, *(f"missed: {text}" for text in grading.missed)])


def _cited(grading: Grading) -> list[str]:
    grades = (*grading.metrics, *grading.outcomes, *grading.tool_calls)
    return list(dict.fromkeys(id for grade in grades for id in grade.message_ids))
