"""In which order tools were called, how often in a row, how economically."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from duologue.checks.base import CheckType, Finding, finding, skipped
from duologue.checks.calls import listed, subsequence_length
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of
from duologue.checks.text import Json, Texts
from duologue.checks.tool_calls import call_wrong, session
from duologue.config.patterns import Pattern
from duologue.models.resources import Resources

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


@check("tool_call_sequence", aliases=[session("tool_call_sequence_session")], family="Tools")
class ToolCallSequence(CheckType):
    """These tools were called in this order; others in between are allowed. The score is the share that matched."""

    sequence: Texts
    """Names of tools."""

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
    """The tool."""
    expected_args: dict[str, Json] = Field(default={})
    """Arguments and their values."""
    args_match: dict[str, Pattern] = Field(default={})
    """A regular expression for each argument."""
    result_includes: list[str] = Field(default=[])
    """Texts that the answer contains."""
    result_matches: Pattern | None = None
    """A regular expression that matches the answer."""
    no_error: bool = False
    """The call did not fail."""


@check("tool_call_chain", aliases=[session("tool_call_chain_session")], family="Tools")
class ToolCallChain(CheckType):
    """Calls as described were made in this order; others in between are allowed. The score is the share of steps."""

    renamed: ClassVar = {"chain": "steps"}

    steps: Annotated[list[ChainStep], Field(min_length=1)]
    """The steps; each has a ``tool``, and what its arguments and its answer must be."""

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
    """Tools that must not be called in this order."""

    model_config = _STRICT

    sequence: Texts
    """Names of tools."""
    message: str = ""
    """Why not."""


@check("tool_anti_pattern", aliases=[session("tool_anti_pattern_session")], family="Tools")
class ToolAntiPattern(CheckType):
    """None of these sequences of calls occurred, not even with others in between."""

    patterns: Annotated[list[AntiPattern], Field(min_length=1)]
    """Each has a ``sequence`` of tools, and a ``message`` that says why it is wrong."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        names = [call.name for call in subject.calls]
        hits = [item for item in self.patterns if subsequence_length(item.sequence, names) == len(item.sequence)]
        told = "; ".join(item.message or f"called in this order: {listed(item.sequence)}" for item in hits)
        return finding(
            not hits, told or "no such sequence", ids_of(subject.calls if hits else []), hits=[i.sequence for i in hits]
        )


@check("tool_no_repeat", aliases=[session("tool_no_repeat_session")], family="Tools")
class ToolNoRepeat(CheckType):
    """No tool is called more often in a row than allowed."""

    tools: Texts | None = None
    """Only these tools; all if it is left out."""
    max_repeats: int = Field(default=1, ge=1)
    """Calls in a row."""

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
    """The agent keeps to these limits of calls and failures. The score of one that does is 1."""

    max_calls: int | None = Field(default=None, ge=0)
    """Calls at most."""
    max_errors: int | None = Field(default=None, ge=0)
    """Failed calls at most."""
    max_error_rate: float | None = Field(default=None, ge=0, le=1)
    """Share of failed calls, at most."""

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
    """No tool call failed. The score is the share that did not. Skipped where none was made."""

    tools: Texts | None = None
    """Only these tools; all if it is left out."""

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
