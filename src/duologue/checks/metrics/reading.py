"""What an answer has to be, to count as grades: every rule, in one place.

Each metric and each outcome once, by name, and no other. A score is a whole number within the scale, never a boolean or
a fraction; a code is one of the metric's own; whatever is cited exists. A good grade rests on a message at least, so
that nothing passes on nothing. An answer that breaks a rule is sent back once; then it is an error, and never a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from duologue.checks.metrics.grading import MetricGrade, OutcomeGrade
from duologue.checks.metrics.metric import HIGHEST, LOWEST, NEEDS_CODE, Metric
from duologue.checks.metrics.question import (
    BINARY_FORM,
    METRICS,
    OUTCOME_FORM,
    OUTCOMES,
    SCORED_FORM,
    GradeQuestion,
)
from duologue.messages import JsonValue
from duologue.models.structured import RuleBrokenError, excerpt, the_object_in


@dataclass(frozen=True, kw_only=True)
class Grades:
    """An answer that counts."""

    metrics: tuple[MetricGrade, ...] = ()
    outcomes: tuple[OutcomeGrade, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One object of the answer, and what it is about."""

    label: str
    values: Mapping[str, JsonValue]
    turns: Mapping[str, int] = field(repr=False)

    def truth(self, name: str) -> bool:
        value = self.values[name]
        if not isinstance(value, bool):
            raise RuleBrokenError(f'{self.label}: "{name}" is {excerpt(value)}; it has to be true or false')
        return value

    def absent(self, *names: str) -> None:
        for name in names:
            if self.values[name] is not None:
                raise RuleBrokenError(f'{self.label}: "{name}" is {excerpt(self.values[name])}; here it has to be null')

    def reason(self) -> str:
        value = self.values["reason"]
        if not isinstance(value, str) or not value.strip():
            raise RuleBrokenError(f'{self.label}: "reason" is {excerpt(value)}; it has to be a sentence')
        return value.strip()

    def message_ids(self, *, needed: bool) -> tuple[str, ...]:
        value = self.values["evidence"]
        items = cast("list[JsonValue]", value) if isinstance(value, list) else [None]
        if not all(isinstance(item, str) for item in items):
            raise RuleBrokenError(f'{self.label}: "evidence" is {excerpt(value)}; it has to be a list of message ids')
        cited = tuple(dict.fromkeys(item.strip("[] ") for item in cast("list[str]", items)))
        unknown = [item for item in cited if item not in self.turns]
        if unknown:
            raise RuleBrokenError(f'{self.label}: "evidence" names messages that do not exist: {excerpt(unknown)}')
        if needed and not cited:
            raise RuleBrokenError(f'{self.label}: "evidence" is empty; it has to name a message that shows this')
        return cited

    def rest(self, *, needed: bool = False) -> dict[str, Any]:
        """What metrics and outcomes have in common, ready for their models."""
        ids = self.message_ids(needed=needed)
        turns = tuple(sorted({self.turns[item] for item in ids}))
        return {"reason": self.reason(), "message_ids": ids, "turns": turns}


def read_grades(text: str, question: GradeQuestion) -> Grades:
    """The grades in what the model wrote.

    Raises:
        UnreadableError: there is no JSON object of that form.
        RuleBrokenError: there is, and it breaks a rule.
    """
    answer = the_object_in(text, (METRICS, OUTCOMES), given=question.said)
    _same_names("the answer", answer, question.parts)
    parts = {part: _named(f'"{part}"', answer[part], names) for part, names in question.parts.items()}
    metrics, outcomes = parts.get(METRICS, {}), parts.get(OUTCOMES, {})
    turns = question.turns
    return Grades(
        metrics=tuple(_metric_grade(metric, metrics[metric.name], turns) for metric in question.metrics),
        outcomes=tuple(
            _outcome_grade(id, outcome, outcomes[id], turns)
            for id, outcome in zip(question.outcome_ids, question.outcomes, strict=True)
        ),
    )


def _metric_grade(metric: Metric, value: JsonValue, turns: Mapping[str, int]) -> MetricGrade:
    entry = _entry(f"metric {metric.name}", value, BINARY_FORM if metric.binary else SCORED_FORM, turns)
    score = _score(metric, entry) if entry.truth("applies") else _not_applicable(metric, entry)
    return MetricGrade(
        metric=metric.name,
        title=metric.shown_as,
        tier=metric.tier,
        weight=metric.weight,
        score_type=metric.score_type,
        score=score,
        failure_code=None if score is None else _code(metric, entry, score),
        **entry.rest(needed=score is not None and score > NEEDS_CODE),
    )


def _outcome_grade(id: str, outcome: str, value: JsonValue, turns: Mapping[str, int]) -> OutcomeGrade:
    entry = _entry(f"outcome {id}", value, OUTCOME_FORM, turns)
    met = entry.truth("met")
    return OutcomeGrade(outcome=outcome, met=met, **entry.rest(needed=met))


def _score(metric: Metric, entry: _Entry) -> int:
    if metric.binary:
        return HIGHEST if entry.truth("passed") else LOWEST
    value = entry.values["score"]
    if type(value) is not int or not LOWEST <= value <= HIGHEST:  # a boolean is an int to isinstance
        raise RuleBrokenError(
            f'{entry.label}: "score" is {excerpt(value)}; it has to be a whole number from {LOWEST} to {HIGHEST}'
        )
    return value


def _not_applicable(metric: Metric, entry: _Entry) -> None:
    if not metric.not_applicable:
        raise RuleBrokenError(f'{entry.label}: "applies" is false, and this metric always applies; give it a score')
    entry.absent("passed" if metric.binary else "score", "failure_code")


def _code(metric: Metric, entry: _Entry, score: int) -> str | None:
    code = entry.values["failure_code"]
    if score == HIGHEST or not metric.failure_codes:
        entry.absent("failure_code")
        return None
    if code is None and score > NEEDS_CODE:
        return None
    if not isinstance(code, str) or code not in metric.failure_codes:
        known = ", ".join(metric.failure_codes)
        raise RuleBrokenError(f'{entry.label}: "failure_code" is {excerpt(code)}; it has to be one of: {known}')
    return code


def _entry(label: str, value: JsonValue, form: Iterable[str], turns: Mapping[str, int]) -> _Entry:
    return _Entry(label=label, values=_named(label, value, form), turns=turns)


def _named(label: str, value: JsonValue, names: Iterable[str]) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise RuleBrokenError(f"{label} is {excerpt(value)}; it has to be a JSON object")
    values = cast("dict[str, JsonValue]", value)
    _same_names(label, values, names)
    return values


def _same_names(label: str, values: Mapping[str, JsonValue], names: Iterable[str]) -> None:
    missing = [name for name in names if name not in values]
    unknown = [name for name in values if name not in names]
    problems = [f"lacks {', '.join(missing)}"] if missing else []
    problems += [f"has {excerpt(', '.join(unknown))}, which was not asked for"] if unknown else []
    if problems:
        raise RuleBrokenError(f"{label} {' and '.join(problems)}")
