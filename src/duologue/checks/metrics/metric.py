"""A metric: one thing that conversations are graded for, with a rubric, a weight and names for what goes wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from duologue.specs.metrics import MetricSpec

LOWEST, HIGHEST = 0, 5
"""The ends of every scale."""
NEEDS_CODE = 2
"""A score up to this one has to be explained by a failure code, if the metric has any."""
LABELS = ("critical_fail", "fail", "poor", "acceptable", "good", "excellent")
"""What each score is called."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A name in lower case, such as ``tool_routing``."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Weight = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False, strict=True)]
Score = Annotated[int, Field(ge=LOWEST, le=HIGHEST, strict=True)]
Step = Annotated[int, Field(ge=LOWEST, le=HIGHEST)]
"""A key of a rubric; a text that spells the number will do, for JSON has no other keys."""


class Tier(StrEnum):
    """Which side of the agent's work a metric looks at. The score is reported for each of them as well."""

    EXECUTION = "execution"
    KNOWLEDGE = "knowledge"
    PROCESS = "process"
    DELIVERY = "delivery"


class ScoreType(StrEnum):
    """How a metric is graded: with a whole number from 0 to 5, or with yes (counts as 5) or no (counts as 0)."""

    SCORED = "scored"
    BINARY = "binary"


_STEPS = {ScoreType.SCORED: set(range(LOWEST, HIGHEST + 1)), ScoreType.BINARY: {LOWEST, HIGHEST}}


class Metric(BaseModel):
    """One thing that a conversation is graded for.

    Attributes:
        name: a slug; no two metrics of one grading share it.
        tier: which side of the work it looks at.
        weight: its share of the score, relative to the other metrics'; 0 is graded and reported, and counts for
            nothing.
        rubric: what each score means: 0 to 5, or 0 and 5 for a binary metric.
        failure_codes: names for what goes wrong, each with when it fits. A score up to 2 has to name one of them.
        score_type: scored or binary.
        title: its name in reports; by default made from the name.
        description: what is looked at.
        not_applicable: when it does not apply, so that its weight goes to the others; '' if it always applies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Slug
    tier: Tier
    weight: Weight
    rubric: dict[Step, Text]
    failure_codes: dict[Slug, Text] = Field(default={})
    score_type: ScoreType = ScoreType.SCORED
    title: str = ""
    description: str = ""
    not_applicable: str = ""

    @model_validator(mode="after")
    def _describes_every_score(self) -> Self:
        steps = _STEPS[self.score_type]
        if self.rubric.keys() != steps:
            wanted = ", ".join(map(str, sorted(steps)))
            found = ", ".join(map(str, sorted(self.rubric))) or "none"
            raise ValueError(f"the rubric of a {self.score_type} metric says what {wanted} mean; found {found}")
        return self

    @property
    def shown_as(self) -> str:
        """The title, or the name in words."""
        return self.title or self.name.replace("_", " ").capitalize()

    @property
    def binary(self) -> bool:
        """Whether it is graded with yes or no."""
        return self.score_type is ScoreType.BINARY

    def weighing(self, weight: float) -> Metric:
        """The same metric with another weight. Raises pydantic's ValidationError for one that is none."""
        return Metric.model_validate({**self.model_dump(), "weight": weight})


def metric_of(spec: MetricSpec) -> Metric:
    """A metric that somebody has saved. A rubric that is one text says for every score what it means."""
    steps = sorted(_STEPS[ScoreType(spec.score_type)])
    described = [spec.description]
    if isinstance(spec.rubric, str):
        described.append(spec.rubric)
        rubric = {step: f"{LABELS[step].replace('_', ' ')}, as the description says" for step in steps}
    else:
        rubric = {int(step): text for step, text in spec.rubric.items()}
    return Metric(
        name=spec.name,
        tier=Tier(spec.tier),
        weight=float(spec.default_weight),
        rubric=rubric,
        failure_codes=spec.failure_codes,
        score_type=ScoreType(spec.score_type),
        title=spec.display_name,
        description="\n".join(filter(None, described)),
        not_applicable=spec.not_applicable,
    )
