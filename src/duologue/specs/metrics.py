"""A metric of one's own, as a project saves it. What it does is in ``duologue.checks.metrics``."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from duologue.config.spec import EMPTY, Resource, Text

_STEPS = {"scored": ("0", "1", "2", "3", "4", "5"), "binary": ("0", "5")}


def _steps(rubric: dict[str, str]) -> dict[str, str]:
    if unknown := [step for step in rubric if step not in _STEPS["scored"]]:
        raise ValueError(f"steps from 0 to 5; found {unknown[0]!r}")
    return rubric


class MetricSpec(Resource):
    """A metric that conversations are graded by."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
    """Unique name in lower case, such as ``empathy``."""
    display_name: str = ""
    """Its name in reports. Default: made from the name."""
    description: str = ""
    """What is looked at."""
    tier: Literal["execution", "knowledge", "process", "delivery"] = "process"
    """Which side of the agent's work it looks at."""
    default_weight: Annotated[float, Field(ge=0, le=1_000_000)] = 0.1
    """Its share of the score, relative to those of other metrics, where nothing else is said."""
    score_type: Literal["scored", "binary"] = "scored"
    """Graded with a whole number from 0 to 5, or with yes (counts as 5) or no (counts as 0)."""
    rubric: Annotated[dict[str, Text], AfterValidator(_steps)] | Text
    """What each score means: by score from 0 to 5, or 0 and 5 of a binary metric; or as one text for all of them."""
    failure_codes: dict[str, Text] = EMPTY
    """Names for what goes wrong, each with when it fits."""
    not_applicable: str = ""
    """When it does not apply, so that its weight goes to the others. Default: it always applies."""
    include_in_defaults: bool = False
    """Whether evals that name no metrics grade it as well."""
    draft: bool = False
    """Whether it is still being written; evals cannot use it then."""

    @model_validator(mode="after")
    def _describes_every_score(self) -> Self:
        if isinstance(self.rubric, dict):
            wanted = _STEPS[self.score_type]
            if set(self.rubric) != set(wanted):
                found = ", ".join(sorted(self.rubric)) or "none"
                raise ValueError(f"a rubric that says what {', '.join(wanted)} mean; it has {found}")
        return self
