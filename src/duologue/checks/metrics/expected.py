"""Expected tool calls, decided by code: which were made, with which arguments. No model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from duologue.checks.calls import Call, arguments_wrong, calls_in, listed, named
from duologue.journal.events import MessageAdded


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
