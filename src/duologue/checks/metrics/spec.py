"""Gradings from plain data, as suites write them. Fields are strict: what is wrong is refused, and named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from duologue.checks.base import CheckType, Finding
from duologue.checks.metrics.check import GradingCheck
from duologue.checks.metrics.expected import ExpectedToolCall
from duologue.checks.metrics.grading import CASE_THRESHOLD, Threshold
from duologue.checks.metrics.metric import Metric, Text, Weight
from duologue.checks.metrics.predefined import DEFAULT_METRICS, PREDEFINED
from duologue.checks.metrics.question import Background
from duologue.checks.problems import nearest, refused, shown
from duologue.checks.registry import check
from duologue.checks.subject import Subject
from duologue.errors import ConfigurationError
from duologue.models.base import ToolSpec
from duologue.models.resources import Resources
from duologue.vocabulary import CheckStatus, Scope

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
    """The conversation is graded well enough by metrics with rubrics; what was expected came about."""

    metrics: Annotated[list[_Given], BeforeValidator(_as_list, json_schema_input_type=_ListGiven)] = Field(
        default=cast("list[Metric]", [metric.name for metric in DEFAULT_METRICS]), validate_default=True
    )
    """Names of predefined metrics, or whole metrics; or an object with a weight for each name."""
    expected_outcomes: list[Text] = Field(default=[])
    """What must have come about, one sentence each."""
    expected_tool_calls: list[ExpectedToolCall] = Field(default=[])
    """Calls that must have been made; decided by code."""
    threshold: Threshold = CASE_THRESHOLD
    """The score that is needed, 0 to 100."""
    outcomes_decide: bool = False
    """Where outcomes are expected, they decide in place of the score."""
    model: str | None = None
    """The model that grades, such as ``openai/gpt-5-mini``; the judge of the suite or the default model otherwise."""
    instructions: str = ""
    """What the agent was told to do."""
    tools: list[ToolGiven] = Field(default=[])
    """What the agent could use."""
    emphasis: str = ""
    """What to look at with special care."""

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
