"""What a check looks at: the agent's answers and tool calls, extracted once and on demand.

A turn check sees only its turn. A conversation check sees everything, and so does a turn check of a type that looks at
the conversation so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

from duologue.checks.calls import Call, calls_in
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import CheckInput
from duologue.journal.events import MessageAdded, Noted, ToolCalled
from duologue.journal.notes import ToolCallsReported
from duologue.messages import Message, text_of
from duologue.specs.prompts import missing_feature
from duologue.vocabulary import AgentRole, Scope


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
    """

    def __init__(self, input: CheckInput, scope: Scope, *, whole: bool = False) -> None:
        self.input = input
        self.scope = scope
        self.whole = whole or scope is Scope.CONVERSATION
        self.records: list[MessageAdded] = _so_far(input) if whole and scope is Scope.TURN else input.records
        self._read: _Reading | None = None

    @property
    def messages(self) -> list[Message]:
        """The messages to look at."""
        return [record.message for record in self.records]

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

    def is_of(self, records: list[MessageAdded], tools: list[ToolCalled]) -> bool:
        """Whether these are the messages that were read."""
        if self._counts != (len(records), len(tools)):
            return False
        return self._ends is None or (records[0] is self._ends[0] and records[-1] is self._ends[1])

    @cached_property
    def said(self) -> list[AgentText]:
        found: list[AgentText] = []
        for record in self._source[0]:
            message = record.message
            if message["role"] != "assistant":
                continue
            content = message.get("content")
            text = content if isinstance(content, str) else text_of(message) if content else ""
            if text:
                found.append(AgentText(text, record.message_id, record.turn))
        return found

    @cached_property
    def answers(self) -> list[AgentText]:
        return list({item.turn: item for item in self.said}.values())

    @cached_property
    def calls(self) -> list[Call]:
        return calls_in(*self._source)


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
        told = {note.note.participant for note in view.notes if isinstance(note.note, ToolCallsReported)}
        silent = {index: name for index, name in silent.items() if name not in told}
    if not silent:
        return None
    for record in view.records:
        if record.message["role"] == "tool" or record.message.get("tool_calls"):
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
    """The ids of the messages that these stand in, each once, in order."""
    return list(dict.fromkeys(item.message_id for item in items if item.message_id))


def _so_far(input: CheckInput) -> list[MessageAdded]:
    records = [record for record in input.state.view.records if record.turn <= input.turn]
    return records or input.records
