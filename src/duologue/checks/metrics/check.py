"""A grading as a check of a run: it passes if everything expected happened and the score reaches the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from duologue.checks.base import CheckType, Finding, nearest, refused, shown
from duologue.checks.metrics.grade import Background, agent_has_spoken, can_be_asked, grade
from duologue.checks.metrics.grading import CASE_THRESHOLD, ExpectedToolCall, Grading, Threshold, check_threshold
from duologue.checks.metrics.metric import NEEDS_CODE, Metric, Score, Text, Weight
from duologue.checks.metrics.predefined import DEFAULT_METRICS, PREDEFINED, Metrics, metrics_of
from duologue.checks.registry import check
from duologue.checks.subject import Subject, calls_unknown
from duologue.config.problems import listed
from duologue.conversation.setup import CheckInput, CheckOutcome
from duologue.errors import ConfigurationError, JudgeError
from duologue.frozen import frozen
from duologue.models.base import Model, ToolSpec
from duologue.models.choice import choose, require_model
from duologue.models.resources import Resources
from duologue.settings import ModelConfig
from duologue.vocabulary import CheckStatus, Scope, Verdict

_STATUS = {
    Verdict.PASS: CheckStatus.PASSED,
    Verdict.FAIL: CheckStatus.FAILED,
    Verdict.UNDECIDED: CheckStatus.SKIPPED,
}


@frozen
class GradingCheck:
    """Grades the conversation when it is over. The details of its outcome are the whole :class:`Grading` as JSON.

    Attributes:
        metrics, expected_outcomes, expected_tool_calls, model, background, threshold, outcomes_decide, min_score: as
            for :func:`grade`.
        name: what the report calls it.
    """

    metrics: Metrics = DEFAULT_METRICS
    expected_outcomes: Sequence[str] = ()
    expected_tool_calls: Sequence[ExpectedToolCall] = ()
    model: str | ModelConfig | Model | None = None
    background: Background | None = None
    threshold: float = CASE_THRESHOLD
    outcomes_decide: bool = False
    min_score: int | None = None
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
        if self.expected_tool_calls and (reason := calls_unknown(input.state)):
            return CheckOutcome(status=CheckStatus.SKIPPED, explanation=reason)
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
            min_score=self.min_score,
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
    if grading.too_low:
        parts.append(f"below {grading.min_score}, the lowest score that is allowed: {', '.join(grading.too_low)}")
    if over := grading.passed_over:
        parts.append(f"passes although {listed(over)} {'has' if len(over) == 1 else 'have'} the lowest score")
    return "; ".join([*parts, *(f"missed: {text}" for text in grading.missed)])


def _cited(grading: Grading) -> list[str]:
    grades = (*grading.metrics, *grading.outcomes, *grading.tool_calls)
    return list(dict.fromkeys(id for grade in grades for id in grade.message_ids))


_BY_NAME = {metric.name: metric for metric in PREDEFINED}


class _Weighted(BaseModel):
    """A predefined metric with another weight."""

    name: Text
    weight: Weight


def _as_list(value: object) -> object:
    """Names with weights as a list of both."""
    if not isinstance(value, Mapping):
        return value
    return [{"name": name, "weight": weight} for name, weight in cast("Mapping[str, Any]", value).items()]


def _as_metric(value: object) -> object:
    """A predefined metric for its name, alone or with a weight; anything else as it is."""
    written = {"name": value} if isinstance(value, str) else value
    if not isinstance(written, Mapping):
        return value
    given = cast("Mapping[str, Any]", written)
    name = given.get("name")
    if not isinstance(name, str) or not given.keys() <= {"name", "weight"}:
        return value
    if name not in _BY_NAME:
        raise ValueError(
            f"the name of a predefined metric ({', '.join(_BY_NAME)}), or a metric of your own with name, tier, weight "
            f"and rubric{nearest(name, _BY_NAME)}"
        )
    return {**_BY_NAME[name].model_dump(), **given}


_Given = Annotated[Metric, BeforeValidator(_as_metric, json_schema_input_type=str | Metric | _Weighted)]
_ListGiven = list[_Given] | dict[str, Weight]


class ToolGiven(BaseModel):
    """A tool that the agent could use."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text
    description: str = ""
    parameters: dict[str, Any] = Field(default={})
    """JSON Schema of its arguments."""


@check("metrics", family="Judged by a model", scopes=(Scope.CONVERSATION,))
class GradingSpec(CheckType):
    """A model grades the conversation by weighted metrics, and everything that was expected happened."""

    metrics: Annotated[list[_Given], BeforeValidator(_as_list, json_schema_input_type=_ListGiven)] = Field(
        default=cast("list[Metric]", [metric.name for metric in DEFAULT_METRICS]), validate_default=True
    )
    """Names of predefined metrics, or metrics of your own; or an object that gives each name a weight, such as
    ``{task_completion: 1.0}``."""
    expected_outcomes: list[Text] = Field(default=[])
    """Outcomes that must be reached, one sentence each, such as ``The table is booked for four.``"""
    expected_tool_calls: list[ExpectedToolCall] = Field(default=[])
    """Tool calls that must be made, each with a ``tool`` and optionally ``expected_params`` and ``match``. Decided by
    code, not by the model."""
    threshold: Threshold = CASE_THRESHOLD
    """Minimum score, 0 to 100."""
    outcomes_decide: bool = False
    """Whether expected outcomes, where there are any, decide instead of the score."""
    min_score: Score | None = None
    """Lowest score, 0 to 5, of each metric with a weight. A lower one fails, whatever the weights make of it."""
    model: str | None = None
    """Model that grades, such as ``openai/gpt-5-mini``. Default: the suite's default judge, or else the default
    model."""
    instructions: str = ""
    """The agent's instructions, for the model that grades."""
    tools: list[ToolGiven] = Field(default=[])
    """The tools that the agent has, each with a ``name`` and optionally ``description`` and ``parameters``."""
    emphasis: str = ""
    """What the model that grades should pay special attention to."""

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        outcome = await self.made(resources).evaluate(subject.input)
        decided = outcome.status in (CheckStatus.PASSED, CheckStatus.FAILED)
        return Finding(
            status=None if decided else outcome.status,
            passed=outcome.status is CheckStatus.PASSED if decided else None,
            score=outcome.score,
            explanation=outcome.explanation,
            message_ids=outcome.message_ids,
            details=outcome.details,
        )

    def problems(self, resources: Resources) -> list[str]:
        try:
            self.made(resources)
        except ConfigurationError as error:
            return [str(error)]
        return []

    def require(self, resources: Resources) -> None:
        """Look for the model that grades, if there is anything to grade."""
        if self.metrics or self.expected_outcomes:
            require_model(choose(self.model or resources.judge, purpose="Grading"))

    def made(self, resources: Resources) -> GradingCheck:
        """The same as a check. Raises ConfigurationError where fields do not go together."""
        tools = [
            ToolSpec(name=item.name, description=item.description, parameters=item.parameters) for item in self.tools
        ]
        return GradingCheck(
            metrics=self.metrics,
            expected_outcomes=self.expected_outcomes,
            expected_tool_calls=self.expected_tool_calls,
            threshold=self.threshold,
            outcomes_decide=self.outcomes_decide,
            min_score=self.min_score,
            model=self.model or resources.judge,
            background=Background(instructions=self.instructions, tools=tools, emphasis=self.emphasis),
        )


def from_spec(written: Mapping[str, Any], *, resources: Resources | None = None) -> GradingCheck:
    """The check that plain data describes, such as a mapping read from YAML or JSON.

    Args:
        written: the fields of :class:`GradingSpec`.
        resources: of the suite: its ``judge`` grades where no ``model`` is written.

    Raises:
        ConfigurationError: a field that is unknown, missing or of another kind; it says which, what was found and what
            is expected.
    """
    if not isinstance(written, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"metrics: found {shown(written)}; expected a mapping of fields")
    try:
        spec = GradingSpec.model_validate(dict(written))
    except ValidationError as error:
        raise refused("metrics", GradingSpec, written, error) from error
    return spec.made(resources or Resources())
