"""What a check looks at: the agent's answers and tool calls, extracted once and on demand.

A turn check sees only its turn. A conversation check sees everything, and so does a turn check of a type that looks
at the conversation so far. Of tool calls, arguments are parsed, results found, and failures recognised.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import WeakKeyDictionary

from duologue.config.json_text import NoJsonError, json_object
from duologue.config.patterns import found, late
from duologue.journal.events import MessageAdded, Noted, ToolCalled
from duologue.journal.notes import ToolCallsReported
from duologue.messages import JsonValue, Message, ToolCall, arguments_of, shown, text_of, tool_calls_of
from duologue.specs.prompts import missing_feature
from duologue.vocabulary import AgentRole, Scope

if TYPE_CHECKING:
    from duologue.conversation.result import ScenarioState
    from duologue.conversation.setup import CheckInput

_SPELLS_A_NUMBER = late(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


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
        """The arguments; anything but a JSON object becomes the value of ``input``."""
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


def same(actual: JsonValue, expected: JsonValue, *, spelled_alike: bool = True) -> bool:
    """Whether two JSON values are equal. 5 equals 5.0.

    Args:
        actual, expected: the values.
        spelled_alike: whether a text equals the number or boolean that it spells.
    """
    if not spelled_alike and isinstance(actual, str) != isinstance(expected, str):
        return False
    if _is_number(actual) or _is_number(expected):
        return _number(actual) == _number(expected) is not None
    if _is_scalar(actual) and _is_scalar(expected):
        return _spelled(actual) == _spelled(expected)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        left, right = cast("Mapping[str, Any]", actual), cast("Mapping[str, Any]", expected)
        return left.keys() == right.keys() and all(
            same(left[key], right[key], spelled_alike=spelled_alike) for key in left
        )
    if isinstance(actual, list) and isinstance(expected, list):
        ours, theirs = cast("list[Any]", actual), cast("list[Any]", expected)
        return len(ours) == len(theirs) and all(
            same(left, right, spelled_alike=spelled_alike) for left, right in zip(ours, theirs, strict=True)
        )
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
    """How many of ``wanted``, from the first on, are in ``names`` in this order, other names in between allowed."""
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


class CallsUnknownError(Exception):
    """A check asked for tool calls, and those of the agent would not be seen. The text says why, and what to do."""


class AgentText(NamedTuple):
    """Something that the agent said."""

    text: str
    message_id: str
    turn: int


class Subject:
    """What one check looks at.

    Attributes:
        input: the input from the engine.
        records: the messages to look at.
        scope: whether the check is about a turn or the conversation.
        least: the score that is enough; None if the check does not say.
        most: the score that may not be exceeded, if that is all the check asks for; else None.
    """

    def __init__(
        self,
        input: CheckInput,
        scope: Scope,
        *,
        whole: bool = False,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        self.input = input
        self.least = least
        self.most = most
        self.scope = scope
        self.whole = whole or scope is Scope.CONVERSATION
        self.records: list[MessageAdded] = _so_far(input) if whole and scope is Scope.TURN else input.records
        self._read: _Reading | None = None

    @property
    def messages(self) -> list[Message]:
        """The messages to look at."""
        return [shown(record.message) for record in self.records]

    @property
    def said(self) -> list[AgentText]:
        """Every text of the agent, in order; messages that only call tools are left out."""
        return self._reading.said

    @property
    def answers(self) -> list[AgentText]:
        """The agent's answer in each turn: its last text. One empty answer if it never said anything."""
        return self._reading.answers or [AgentText("", self._last_id(), self.input.turn)]

    @property
    def answer(self) -> AgentText:
        """The agent's last answer."""
        return self.answers[-1]

    @property
    def positive(self) -> list[AgentText]:
        """Where to look for a required text: the answer of a turn, or everything said in the conversation."""
        if self.whole:
            return self.said
        return self.answers

    @property
    def calls(self) -> list[Call]:
        """The tool calls to look at, with their results.

        Raises:
            CallsUnknownError: an agent may have called tools that nobody saw, so nothing can be decided.
        """
        if reason := calls_unknown(self.input.state):
            raise CallsUnknownError(reason)
        return self._reading.calls

    @property
    def shown_calls(self) -> list[Call]:
        """The tool calls that the conversation shows, even if there may be others."""
        return self._reading.calls

    @property
    def _reading(self) -> _Reading:
        """What the messages say, read once for all checks that look at them one after the other."""
        if self._read is None:
            state = self.input.state
            known = _readings.get(state)
            if known is None or not known.is_of(self.records, state.view.tools):
                known = _readings[state] = _Reading(self.records, state.view.tools)
            self._read = known
        return self._read

    @property
    def turns(self) -> set[int]:
        """The turns to look at."""
        return {record.turn for record in self.records} or {self.input.turn}

    def notes(self, *kinds: str) -> list[Noted]:
        """The notes of these kinds from the turns to look at."""
        return [note for note in self.input.state.view.notes if note.kind in kinds and self.covers(note.turn)]

    def notes_so_far(self, *kinds: str) -> list[Noted]:
        """The notes of these kinds up to and including the current turn."""
        notes = self.input.state.view.notes
        return [note for note in notes if note.kind in kinds and note.turn <= self.input.turn]

    def covers(self, turn: int) -> bool:
        """Whether that turn is among those to look at."""
        return turn <= self.input.turn if self.whole else turn == self.input.turn

    def last_user_text(self) -> str:
        """The user's last text up to here, '' if there is none."""
        texts = (text_of(record.message) for record in reversed(self.records) if record.message["role"] == "user")
        return next(texts, "")

    def _last_id(self) -> str:
        ids = [record.message_id for record in self.records if record.message["role"] == "assistant"]
        return ids[-1] if ids else ""


class _Reading:
    """Texts and calls of some messages of a run.

    A journal only appends and takes back: the same number of messages between the same two are the same messages.
    """

    def __init__(self, records: list[MessageAdded], tools: list[ToolCalled]) -> None:
        self._ends = (records[0], records[-1]) if records else None
        self._counts = (len(records), len(tools))
        self._source = (list(records), list(tools))
        self.said = list(_texts(records))
        self.answers = list({item.turn: item for item in self.said}.values())

    def is_of(self, records: list[MessageAdded], tools: list[ToolCalled]) -> bool:
        """Whether these are the messages that were read."""
        if self._counts != (len(records), len(tools)):
            return False
        return self._ends is None or (records[0] is self._ends[0] and records[-1] is self._ends[1])

    @cached_property
    def calls(self) -> list[Call]:
        return calls_in(*self._source)


def _texts(records: list[MessageAdded]) -> Iterator[AgentText]:
    for record in records:
        message = record.message
        if message["role"] == "assistant":
            content = message.get("content")
            text = content if isinstance(content, str) else text_of(message) if content else ""
            if text:
                yield AgentText(text, record.message_id, record.turn)


_readings: WeakKeyDictionary[ScenarioState, _Reading] = WeakKeyDictionary()
"""The last reading of each run that is there. Only saves time."""


def calls_unknown(state: ScenarioState) -> str | None:
    """Why tool calls of the run's agents may have happened unseen; None if they are known.

    They are known of an agent that says that it reports them (``reports_tool_calls``), that answered with whole turns,
    whose tools Duologue runs, or that has shown a call in this conversation.
    """
    view = state.view
    participants = view.started.participants if view.started else ()
    silent = {
        index: snapshot.name
        for index, snapshot in enumerate(participants)
        if snapshot.role is AgentRole.AGENT and not snapshot.reports_tool_calls
    }
    if silent and view.notes:
        told = [note.note for note in view.notes if isinstance(note.note, ToolCallsReported)]
        places = {note.index for note in told if note.index is not None}
        names = [snapshot.name for snapshot in participants]
        alone = {note.participant for note in told if note.index is None and names.count(note.participant) == 1}
        silent = {index: name for index, name in silent.items() if index not in places and name not in alone}
    if not silent:
        return None
    ids = set[str]()
    for record in view.records:
        calls = tool_calls_of(record.message)
        ids.update(call["id"] for call in calls)
        # What a tool answered to a call that nobody saw, such as one in the agent's text, shows that calls are unseen.
        if calls or record.message.get("tool_call_id") in ids:
            shown = list(silent) if record.author is None else [record.author]
            for index in shown:
                silent.pop(index, None)
            if not silent:
                return None
    return _unknown(next(iter(silent.values())))


def unsupported_tool(names: Iterable[str], calls: Iterable[Call], state: ScenarioState) -> str | None:
    """Why nothing can be decided about tools of features that Duologue does not have; None if something can.

    An agent whose list of tools is known and has none of them could not have called them. Others may have, as may
    those whose conversation shows such a call.
    """
    called = {call.name for call in calls}
    started = state.view.started
    agents = [item for item in started.participants if item.role is AgentRole.AGENT] if started else []
    for name in names:
        feature = missing_feature(name)
        if feature is None or name in called:
            continue
        for agent in agents:
            offered = agent.details.get("tools")
            if isinstance(offered, list) and name not in offered:
                return (
                    f"this version of Duologue does not support {feature}: '{agent.name}' is not offered '{name}'. "
                    "Declare a tool of that name in the suite to mock it"
                )
    return None


def _unknown(name: str) -> str:
    return (
        f"the tool calls of '{name}' are not known: it has shown none in this conversation, and does not say that it "
        "would (reports_tool_calls: true, or return its tool calls and their results with the answer)"
    )


def ids_of(items: Iterable[AgentText | Call]) -> list[str]:
    """The ids of the messages that hold these, each once, in order."""
    return list(dict.fromkeys(item.message_id for item in items if item.message_id))


def _so_far(input: CheckInput) -> list[MessageAdded]:
    records = [record for record in input.state.view.records if record.turn <= input.turn]
    return records or input.records
