"""Tool calls as checks see them: arguments parsed, results found, failures recognised, values compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_object
from duologue.config.patterns import found
from duologue.journal.events import MessageAdded, ToolCalled
from duologue.messages import JsonValue, ToolCall, arguments_of, text_of

_SPELLS_A_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Call:
    """One tool call. Arguments and result are parsed on first use.

    Attributes:
        name: name of the tool.
        message_id, turn: the message in which the agent made the call, and its turn.
        answer: the tool's message; None if the conversation has none.
    """

    def __init__(self, made: ToolCall, record: MessageAdded, answer: MessageAdded | None, failure: str | None) -> None:
        self.name = made["function"]["name"]
        self.message_id = record.message_id
        self.turn = record.turn
        self.answer = answer
        self._made = made
        self._failure = failure

    @cached_property
    def arguments(self) -> dict[str, JsonValue]:
        """The arguments; {} if they were not a JSON object."""
        return arguments_of(self._made)

    @cached_property
    def result(self) -> str | None:
        """The text of the tool's message; None if the conversation has none."""
        return text_of(self.answer.message) if self.answer else None

    @cached_property
    def error(self) -> str | None:
        """Why the call failed; None if it succeeded.

        A call failed if Duologue ran the tool and recorded a failure, or if the result says so: it begins with
        "Error:", or is a JSON object with a non-empty ``error`` or a true ``is_error``.
        """
        return self._failure or _error_in(self.result)

    @property
    def invalid(self) -> bool:
        """Whether it failed because the tool rejected the arguments."""
        text = (self.error or "").casefold()
        return any(word in text for word in ("args_invalid", "validation error", "invalid argument"))

    def shown(self) -> dict[str, JsonValue]:
        """For reports."""
        return {"tool": self.name, "arguments": self.arguments, "error": self.error}


def calls_in(records: Sequence[MessageAdded], run: Iterable[ToolCalled] = ()) -> list[Call]:
    """Every tool call in these messages, in order; ``run`` are the calls that Duologue made itself."""
    made = [(record, call) for record in records for call in record.message.get("tool_calls") or ()]
    if not made:
        return []
    answers = _answers(records)
    ran: dict[tuple[int, str], list[str | None]] = {}
    for event in run:
        ran.setdefault((event.turn, event.call_id), []).append(event.error)
    return [
        Call(call, record, answers.get(number), _next(ran.get((record.turn, call["id"]))))
        for number, (record, call) in enumerate(made)
    ]


def same(actual: JsonValue, expected: JsonValue) -> bool:
    """Whether two JSON values are equal. 5 equals 5.0, and a text equals the number or boolean that it spells."""
    if _is_number(actual) or _is_number(expected):
        return _number(actual) == _number(expected) is not None
    if _is_scalar(actual) and _is_scalar(expected):
        return _spelled(actual) == _spelled(expected)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        left, right = cast("Mapping[str, Any]", actual), cast("Mapping[str, Any]", expected)
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(actual, list) and isinstance(expected, list):
        ours, theirs = cast("list[Any]", actual), cast("list[Any]", expected)
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return actual == expected


def spelled(value: JsonValue) -> str:
    """A value as the text that patterns are searched in: a text as it is, anything else as JSON."""
    return _spelled(value)


def arguments_wrong(
    call: Call, expected: Mapping[str, JsonValue], patterns: Mapping[str, str] | None = None
) -> list[str]:
    """What is wrong with the arguments of a call; [] if all are right. An expected None only asks for presence."""
    wrong: list[str] = []
    for name, value in expected.items():
        if name not in call.arguments:
            wrong.append(f"{call.name} was called without '{name}'")
        elif value is not None and not same(call.arguments[name], value):
            wrong.append(f"{call.name} was called with {name}={_short(call.arguments[name])}, not {_short(value)}")
    for name, pattern in (patterns or {}).items():
        if name not in call.arguments:
            wrong.append(f"{call.name} was called without '{name}'")
        elif found(pattern, _spelled(call.arguments[name])) is None:
            wrong.append(f"{call.name}'s {name}={_short(call.arguments[name])} does not match {pattern!r}")
    return wrong


def named(calls: Iterable[Call], tool: str | None) -> list[Call]:
    """The calls of that tool; all of them for None or ''."""
    return [call for call in calls if not tool or call.name == tool]


def subsequence_length(wanted: Sequence[str], names: Iterable[str]) -> int:
    """How many of ``wanted``, from the first on, stand in ``names`` in this order, other names in between allowed."""
    place = 0
    for name in names:
        if place < len(wanted) and name == wanted[place]:
            place += 1
    return place


def listed(words: Iterable[str]) -> str:
    """Words for a sentence: 'a', 'b' and 'c'."""
    quoted = [f"'{word}'" for word in words]
    if not quoted:
        return "nothing"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _answers(records: Sequence[MessageAdded]) -> dict[int, MessageAdded]:
    """The tools' messages by the number of their call. Agents use an id again: the oldest open call is answered."""
    answers: dict[int, MessageAdded] = {}
    waiting: dict[str, list[int]] = {}
    number = 0
    for record in records:
        for call in record.message.get("tool_calls") or ():
            waiting.setdefault(call["id"], []).append(number)
            number += 1
        open_calls = waiting.get(record.message.get("tool_call_id", "")) if record.message["role"] == "tool" else None
        if open_calls:
            answers[open_calls.pop(0)] = record
    return answers


def _next(failures: list[str | None] | None) -> str | None:
    """Of calls with one id in one turn, in order; None for one that did not fail or that Duologue did not run."""
    return failures.pop(0) if failures else None


def _error_in(result: str | None) -> str | None:
    text = (result or "").strip()
    if text[:6].casefold() == "error:":
        return text
    if "error" not in text and "isError" not in text:
        return None
    answer = _object(text)
    if answer.get("error"):
        return _spelled(answer["error"])
    return text if answer.get("is_error") is True or answer.get("isError") is True else None


def _object(text: str) -> dict[str, JsonValue]:
    """The JSON object that a text is; {} if it is none."""
    if not text.startswith("{"):
        return {}
    try:
        return json_object(text)
    except NoJsonError:
        return {}


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: JsonValue) -> int | float | None:
    """The number that a value is or spells; None for anything else, such as '007' or true."""
    if not isinstance(value, str):
        return cast("int | float", value) if _is_number(value) else None
    try:
        found = json.loads(value) if _SPELLS_A_NUMBER.fullmatch(value) else None
    except ValueError:  # more digits than Python reads
        return None
    return cast("int | float | None", found)


def _is_scalar(value: JsonValue) -> bool:
    return isinstance(value, (str, int, float))


def _spelled(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
