"""In which order tools were called, how often in a row, how economically."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from duologue.checks.base import CheckType, Finding, finding, skipped
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of, listed, subsequence_length
from duologue.checks.text import Json, Texts
from duologue.checks.tool_calls import call_wrong, session
from duologue.config.patterns import Pattern
from duologue.models.resources import Resources

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


@check("tool_call_sequence", aliases=[session("tool_call_sequence_session")], family="Tools")
class ToolCallSequence(CheckType):
    """The tools were called in this order, other calls in between allowed. The score is the share reached."""

    sequence: Texts
    """Tool names in order, such as ``["search", "book"]``."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        names = [call.name for call in subject.calls]
        matched = subsequence_length(self.sequence, names)
        told = f"called in this order: {listed(self.sequence)}"
        if matched < len(self.sequence):
            after = f" after {listed(self.sequence[:matched])}" if matched else ""
            told = f"'{self.sequence[matched]}' was not called{after}"
        return finding(matched / len(self.sequence), told, ids_of(subject.calls), called=names, matched=matched)


class ChainStep(BaseModel):
    """One step of a chain of tool calls."""

    model_config = _STRICT

    tool: str = Field(min_length=1)
    """Tool name."""
    expected_args: dict[str, Json] = Field(default={})
    """Argument names with expected values. null requires only that the argument is present."""
    args_match: dict[str, Pattern] = Field(default={})
    """Argument names with regular expressions that their values must match."""
    result_includes: list[str] = Field(default=[])
    """Texts that the result must contain. Case is ignored."""
    result_matches: Pattern | None = None
    """Regular expression that the result must match."""
    no_error: bool = False
    """Whether the call must succeed."""


@check("tool_call_chain", aliases=[session("tool_call_chain_session")], family="Tools")
class ToolCallChain(CheckType):
    """Calls that match these steps were made in order, others in between allowed. The score is the share reached."""

    renamed: ClassVar = {"chain": "steps"}

    steps: Annotated[list[ChainStep], Field(min_length=1)]
    """Steps in order. Each has a ``tool`` and optionally ``expected_args``, ``args_match``, ``result_includes``,
    ``result_matches`` and ``no_error``."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        place, wrong = 0, list[str]()
        for call in subject.calls:
            if place == len(self.steps):
                break
            if call.name != self.steps[place].tool:
                continue
            faults = call_wrong(call, self.steps[place])
            if not faults:
                place, wrong = place + 1, []
            wrong = wrong or faults
        told = f"all {len(self.steps)} steps"
        if place < len(self.steps):
            told = f"step {place + 1}: {'; '.join(wrong) or f'{self.steps[place].tool!r} was not called'}"
        return finding(place / len(self.steps), told, ids_of(subject.calls), matched=place)


class AntiPattern(BaseModel):
    """A sequence of calls that must not occur."""

    model_config = _STRICT

    sequence: Texts
    """Tool names in order, such as ``["search", "book"]``."""
    message: str = ""
    """Explanation for reports."""


@check("tool_anti_pattern", aliases=[session("tool_anti_pattern_session")], family="Tools")
class ToolAntiPattern(CheckType):
    """None of these sequences of calls occurred, not even with other calls in between."""

    forbids_calls: ClassVar[bool] = True

    patterns: Annotated[list[AntiPattern], Field(min_length=1)]
    """Forbidden sequences. Each has a ``sequence`` of tool names and optionally a ``message`` for reports."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        names = [call.name for call in subject.calls]
        hits = [item for item in self.patterns if subsequence_length(item.sequence, names) == len(item.sequence)]
        told = "; ".join(item.message or f"called in this order: {listed(item.sequence)}" for item in hits)
        return finding(
            not hits, told or "no such sequence", ids_of(subject.calls if hits else []), hits=[i.sequence for i in hits]
        )


@check("tool_no_repeat", aliases=[session("tool_no_repeat_session")], family="Tools")
class ToolNoRepeat(CheckType):
    """No tool was called too many times in a row."""

    tools: Texts | None = None
    """Tool names. Default: all tools."""
    max_repeats: int = Field(default=1, ge=1)
    """Maximum number of consecutive calls of the same tool."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        groups = [(name, len(list(group))) for name, group in groupby(call.name for call in subject.calls)]
        hits = [
            (name, count)
            for name, count in groups
            if count > self.max_repeats and (self.tools is None or name in self.tools)
        ]
        told = "; ".join(f"'{name}' was called {count} times in a row" for name, count in hits)
        ids = ids_of(call for call in subject.calls if call.name in dict(hits))
        return finding(not hits, told or "no repetition", ids, repeats=dict(hits))


@check("tool_efficiency", aliases=[session("tool_efficiency_session")], family="Tools")
class ToolEfficiency(CheckType):
    """The numbers of tool calls and of failed calls are within limits. The score is 1 or 0."""

    max_calls: int | None = Field(default=None, ge=0)
    """Maximum number of calls."""
    max_errors: int | None = Field(default=None, ge=0)
    """Maximum number of failed calls."""
    max_error_rate: float | None = Field(default=None, ge=0, le=1)
    """Maximum share of failed calls, 0 to 1."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.max_calls is None and self.max_errors is None and self.max_error_rate is None:
            raise ValueError("max_calls, max_errors or max_error_rate")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        count, errors = len(subject.calls), sum(call.error is not None for call in subject.calls)
        rate = errors / count if count else 0.0
        limits = [
            ("calls", count, self.max_calls),
            ("failed calls", errors, self.max_errors),
            ("of calls failed", round(rate, 3), self.max_error_rate),
        ]
        over = [f"{value} {name}, at most {limit} allowed" for name, value, limit in limits if _above(value, limit)]
        told = "; ".join(over) or f"{count} calls, {errors} failed"
        return finding(not over, told, ids_of(subject.calls), calls=count, errors=errors, error_rate=rate)


@check("no_tool_errors", aliases=[session("no_tool_errors_session")], family="Tools")
class NoToolErrors(CheckType):
    """No tool call failed. The score is the share of calls that succeeded. Skipped if no tool was called."""

    tools: Texts | None = None
    """Tool names. Default: all tools."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = [call for call in subject.calls if self.tools is None or call.name in self.tools]
        if not calls:
            return skipped(f"none of {listed(self.tools)} was called" if self.tools else "no tool was called")
        failed = [call for call in calls if call.error]
        told = "; ".join(f"{call.name} failed: {(call.error or '')[:200]}" for call in failed)
        score = 1 - len(failed) / len(calls)
        return finding(
            score, told or f"{len(calls)} calls, none failed", ids_of(failed), failed=[c.shown() for c in failed]
        )


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit
