"""What a state and a result show of a run: its messages, turns, the text as a whole, and decisions on criteria."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NoReturn

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import CriterionDecision, MessageAdded
from duologue.messages import Message, ToolCall, copy_of, iter_tool_calls, text_of, tool_calls_of
from duologue.vocabulary import Decision

CriterionStatus = Literal["passed", "failed", "inconclusive"]

_STATUS: dict[Decision, CriterionStatus] = {
    Decision.MET: "passed",
    Decision.UNMET: "failed",
    Decision.INCONCLUSIVE: "inconclusive",
}


@frozen
class CriterionResult:
    """A judge's decision on one criterion, in words of results: see :class:`CriterionDecision` for all of it."""

    criterion: str
    status: CriterionStatus
    reasoning: str = ""


def criteria_of(decisions: Iterable[CriterionDecision]) -> list[CriterionResult]:
    """Each decision as a result."""
    return [
        CriterionResult(criterion=item.criterion, status=_STATUS[item.decision], reasoning=item.reason)
        for item in decisions
    ]


@frozen
class TurnView:
    """One turn of a conversation: its number from 0, and the messages that were added in it."""

    index: int
    messages: list[Message]

    def tool_calls(self, name: str | None = None) -> list[ToolCall]:
        """The tool calls of the turn; only those of that name, if one is given."""
        calls = [call for _, call in iter_tool_calls(self.messages)]
        return [call for call in calls if name is None or call["function"]["name"] == name]


def turns_of(records: Iterable[MessageAdded]) -> list[TurnView]:
    """The turns that have messages, in order."""
    by_turn: dict[int, list[Message]] = {}
    for record in records:
        by_turn.setdefault(record.turn, []).append(copy_of(record.message))
    return [TurnView(index=turn, messages=messages) for turn, messages in by_turn.items()]


def transcript_of(messages: Sequence[Message]) -> str:
    """One ``role: text`` line for each message, with the tool calls that it makes."""
    return "\n".join(f"{message['role']}: {said(message)}".rstrip() for message in messages)


def said(message: Message) -> str:
    """The text of a message, and the calls that it makes."""
    calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in tool_calls_of(message)]
    return " ".join([text_of(message), *calls]).strip()


_CHANGES = (
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "clear",
    "sort",
    "reverse",
    "__setitem__",
    "__delitem__",
    "__iadd__",
    "__imul__",
)


class ShownMessages(list[Message]):
    """A copy of the conversation. What would change the list is an error, because it would not change the run."""

    def copy(self) -> list[Message]:
        """A list of one's own, to change as one likes."""
        return list(self)

    __copy__ = copy

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[list[Message]]]:
        return list, (list(self),)


def _refusing(name: str) -> Callable[..., NoReturn]:
    written = {"__setitem__": "[…] = …", "__delitem__": "del […]", "__iadd__": "+= …", "__imul__": "*= …"}
    what = written.get(name, f".{name}(…)")

    def refuse(self: ShownMessages, *args: object, **kwargs: object) -> NoReturn:
        raise ConfigurationError(
            f"state.messages is a copy, so '{what}' on it would not change the conversation. Use "
            "state.add_message(message), or the step duologue.message(message) in a script; "
            "state.rollback_messages_to(index) takes messages out. For a list of your own: list(state.messages)"
        )

    refuse.__name__ = name
    return refuse


for _name in _CHANGES:
    setattr(ShownMessages, _name, _refusing(_name))
