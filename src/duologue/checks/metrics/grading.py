"""A grading: the grades, the score computed from them, and whether the case passes.

The score is the mean of the grades that apply, each as a share of 5, weighted with the metrics' weights; it runs from 0
to 100. A metric that does not apply leaves its weight to the others and is reported. Whatever could not be found out
has no grade at all: it was an error before a grading was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import fsum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, computed_field, model_validator

from duologue.checks.metrics.metric import HIGHEST, LABELS, LOWEST, Score, ScoreType, Slug, Tier, Weight
from duologue.checks.subject import Call, arguments_wrong, calls_in, listed, named
from duologue.errors import ConfigurationError
from duologue.journal.events import MessageAdded
from duologue.vocabulary import Verdict

CASE_THRESHOLD = 75.0
"""The score, from 0 to 100, that a case has to reach where nothing else is said."""
Threshold = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)]


class MetricGrade(BaseModel):
    """What one metric says of a conversation.

    Attributes:
        metric, title, tier, weight, score_type: of the metric.
        score: 0 to 5, binary metrics 0 or 5; None where the metric does not apply.
        reason: why, in a sentence or two; of a metric that does not apply too.
        failure_code: one of the metric's own; None where nothing went wrong or the metric has none.
        message_ids, turns: what the grade rests on; both exist in the conversation.
    """

    model_config = ConfigDict(frozen=True)

    metric: Slug
    title: str
    tier: Tier
    weight: Weight
    score_type: ScoreType = ScoreType.SCORED
    score: Score | None
    reason: str
    failure_code: Slug | None = None
    message_ids: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _keeps_to_its_scale(self) -> Self:
        if self.score_type is ScoreType.BINARY and self.score not in (LOWEST, HIGHEST, None):
            raise ValueError(f"a binary metric has the score {LOWEST} or {HIGHEST}; found {self.score}")
        return self

    @property
    def applies(self) -> bool:
        """Whether there is a score."""
        return self.score is not None

    @property
    def passed(self) -> bool | None:
        """The answer of a binary metric; None of one that is scored or does not apply."""
        return None if self.score is None or self.score_type is ScoreType.SCORED else self.score == HIGHEST

    @computed_field
    @property
    def label(self) -> str:
        """The score in a word, from critical_fail to excellent, or not_applicable."""
        return "not_applicable" if self.score is None else LABELS[self.score]


class OutcomeGrade(BaseModel):
    """Whether an expected outcome was reached, why, and the messages that show it, with their turns."""

    model_config = ConfigDict(frozen=True)

    outcome: str
    met: bool
    reason: str
    message_ids: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()


class Grading(BaseModel):
    """Everything that was found out about one conversation. ``Grading.model_validate`` reads what it was saved as.

    Attributes:
        metrics, outcomes, tool_calls: the grades, in the order of the request.
        threshold: the score that is needed, 0 to 100.
        outcomes_decide: where outcomes are expected, they decide in place of the score.
        min_score: the score, 0 to 5, below which no metric with a weight may be, whatever the weights make of it; None
            for any.
        judge: full name of the model that graded; '' where none was asked.
    """

    model_config = ConfigDict(frozen=True)

    metrics: tuple[MetricGrade, ...] = ()
    outcomes: tuple[OutcomeGrade, ...] = ()
    tool_calls: tuple[ToolCallGrade, ...] = ()
    threshold: Threshold = CASE_THRESHOLD
    outcomes_decide: bool = False
    min_score: Score | None = None
    judge: str = ""

    @model_validator(mode="after")
    def _grades_each_metric_once(self) -> Self:
        names = [grade.metric for grade in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError(f"a metric is graded once; found {', '.join(names)}")
        return self

    @computed_field
    @property
    def score(self) -> float | None:
        """The weighted mean, 0 to 100; None where no metric with a weight applies."""
        return weighted_score(self.metrics)

    @computed_field
    @property
    def verdict(self) -> Verdict:
        """The verdict on the conversation.

        It passes if every expected outcome was reached, every expected tool call was made and the score reaches the
        threshold. It is undecided when there is no score and nothing was expected.
        """
        if self.missed or self.too_low:
            return Verdict.FAIL
        if self.score is None or (self.outcomes_decide and self.outcomes):
            return Verdict.PASS if self.outcomes or self.tool_calls else Verdict.UNDECIDED
        return Verdict.PASS if self.score >= self.threshold else Verdict.FAIL

    @computed_field
    @property
    def too_low(self) -> tuple[str, ...]:
        """Metrics with a weight whose score is below the lowest that is allowed."""
        return tuple(grade.metric for grade in self._weighed if (grade.score or 0) < (self.min_score or LOWEST))

    @computed_field
    @property
    def passed_over(self) -> tuple[str, ...]:
        """Metrics with a weight that have the lowest score, in a conversation that passes all the same."""
        if self.verdict is not Verdict.PASS:
            return ()
        return tuple(grade.metric for grade in self._weighed if grade.score == LOWEST)

    @property
    def _weighed(self) -> list[MetricGrade]:
        return [grade for grade in self.metrics if grade.applies and grade.weight > 0]

    @computed_field
    @property
    def tiers(self) -> dict[Tier, float | None]:
        """The weighted mean within each tier that was graded, 0 to 100; it counts for nothing more."""
        graded = dict.fromkeys(grade.tier for grade in self.metrics)
        return {tier: weighted_score(grade for grade in self.metrics if grade.tier is tier) for tier in graded}

    @computed_field
    @property
    def weights(self) -> dict[str, float]:
        """What each metric counts for in the score: they sum to 1. Metrics that do not apply are not in it."""
        return normalised_weights(self.metrics)

    @property
    def missed(self) -> tuple[str, ...]:
        """Expected outcomes that were not reached and tool calls that were not made, in words."""
        outcomes = [f"{grade.outcome}: {grade.reason}" for grade in self.outcomes if not grade.met]
        return (*outcomes, *(grade.reason for grade in self.tool_calls if not grade.made))


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is not between 0 and 100. Raises ConfigurationError."""
    if not 0 <= threshold <= 100:
        raise ConfigurationError(f"a threshold is a number from 0 to 100; found {threshold}")


def weighted_score(grades: Iterable[MetricGrade]) -> float | None:
    """The weighted mean of the grades that apply, 0 to 100; None where none with a weight does."""
    counted = [(grade.score, grade.weight) for grade in grades if grade.score is not None]
    return weighted_mean((score / HIGHEST * 100, weight) for score, weight in counted)


def weighted_mean(pairs: Iterable[tuple[float, float]]) -> float | None:
    """The mean of (value, weight), never outside the values; None where no weight is above 0."""
    counted = [(value, weight) for value, weight in pairs if weight > 0]
    if not counted:
        return None
    # Relative to the largest weight first, so that weights too small to be multiplied keep their share.
    largest = max(weight for _, weight in counted)
    shares = [(value, weight / largest) for value, weight in counted]
    mean = fsum(value * share for value, share in shares) / fsum(share for _, share in shares)
    values = [value for value, _ in counted]
    return round(min(max(mean, min(values)), max(values)), 9)  # so that 3 of 5 reaches a threshold of 60


def normalised_weights(grades: Iterable[MetricGrade]) -> dict[str, float]:
    """The share of each metric that applies, by name; they sum to 1. {} where none has a weight."""
    weights = {grade.metric: grade.weight for grade in grades if grade.applies}
    largest = max(weights.values(), default=0.0)
    if not largest:
        return {}
    total = fsum(weight / largest for weight in weights.values())
    return {name: weight / largest / total for name, weight in weights.items()}


class ArgumentMatch(StrEnum):
    """How the arguments of a call have to match the expected ones."""

    SUBSET = "subset"
    """Every expected argument is there with its value; there may be more."""
    EXACT = "exact"
    """As subset, and there are no other arguments."""
    KEYS = "keys"
    """Every expected argument is there, with any value."""
    ANY = "any"
    """The name of the tool is enough."""


class ExpectedToolCall(BaseModel):
    """A tool call that has to be made.

    Attributes:
        tool: the tool's name.
        expected_params: arguments and their values. A value of None asks only for the argument to be there. 5 equals
            5.0, and a text equals the number that it spells.
        match: how they are compared.
        must_succeed: a call that failed does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str = Field(min_length=1)
    expected_params: dict[str, JsonValue] = Field(default={})
    match: ArgumentMatch = ArgumentMatch.SUBSET
    must_succeed: bool = Field(default=True, strict=True)

    def wrong(self, call: Call) -> list[str]:
        """What keeps a call of this tool from being the expected one; [] if nothing does."""
        failed = [f"{call.name} failed: {call.error}"] if self.must_succeed and call.error else []
        return failed + self._arguments_wrong(call)

    def _arguments_wrong(self, call: Call) -> list[str]:
        if self.match is ArgumentMatch.ANY:
            return []
        asked = dict.fromkeys(self.expected_params) if self.match is ArgumentMatch.KEYS else self.expected_params
        wrong = arguments_wrong(call, asked)
        others = [name for name in call.arguments if name not in asked]
        if self.match is ArgumentMatch.EXACT and others:
            wrong.append(f"{call.name} was called with {listed(others)} as well")
        return wrong


class ToolCallGrade(BaseModel):
    """Whether an expected call was made.

    Attributes:
        reason: where it was made, or what was found in its place.
        message_ids, turns: the message that makes the call, and its turn; empty if it was not made.
    """

    model_config = ConfigDict(frozen=True)

    expected: ExpectedToolCall
    made: bool
    reason: str
    message_ids: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()


def grade_tool_calls(
    expected: Sequence[ExpectedToolCall], records: Sequence[MessageAdded]
) -> tuple[ToolCallGrade, ...]:
    """A grade for each expected call. One call stands for one expectation only, so that as many as can be are met."""
    calls = calls_in(records)
    fitting = [
        [number for number, call in enumerate(calls) if call.name == wanted.tool and not wanted.wrong(call)]
        for wanted in expected
    ]
    taken = _matching(fitting)
    return tuple(_grade(wanted, taken.get(index), calls) for index, wanted in enumerate(expected))


def _matching(fitting: Sequence[Sequence[int]]) -> dict[int, int]:
    """Which call each expectation gets: a largest matching, found by augmenting paths (Kuhn's algorithm)."""
    owner: dict[int, int] = {}

    def place(wanted: int, tried: set[int]) -> bool:
        for call in fitting[wanted]:
            if call in tried:
                continue
            tried.add(call)
            if call not in owner or place(owner[call], tried):
                owner[call] = wanted
                return True
        return False

    for wanted in range(len(fitting)):
        place(wanted, set())
    return {wanted: call for call, wanted in owner.items()}


def _grade(wanted: ExpectedToolCall, number: int | None, calls: Sequence[Call]) -> ToolCallGrade:
    if number is not None:
        call = calls[number]
        where = f"{wanted.tool} was called in {call.message_id}"
        return ToolCallGrade(
            expected=wanted, made=True, reason=where, message_ids=(call.message_id,), turns=(call.turn,)
        )
    return ToolCallGrade(expected=wanted, made=False, reason=_why_not(wanted, calls))


def _why_not(wanted: ExpectedToolCall, calls: Sequence[Call]) -> str:
    same_tool = named(calls, wanted.tool)
    if not same_tool:
        called = listed(dict.fromkeys(call.name for call in calls))
        return f"{wanted.tool} was not called; called: {called}"
    wrong = min((wanted.wrong(call) for call in same_tool), key=len)
    return "; ".join(wrong) or f"{wanted.tool} was called {len(same_tool)} times, and more such calls are expected"
