"""Our own journals of runs, line by line.

A journal is taken over event by event, so that what is looked at again is exactly what happened: turns, roll-backs,
calls, notes of workflows and guardrails. What was decided then is left behind, and so are the calls of models that
judges and checks made; they are facts about the old verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

from duologue.errors import JournalError
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    Entry,
    Event,
    MessageAdded,
    MessagesRolledBack,
    ModelCalled,
    Noted,
    ParticipantSnapshot,
    RunFinished,
    RunStarted,
    ToolCalled,
    TurnStarted,
    UserFinished,
)
from duologue.journal.jsonl import read_journal
from duologue.messages import Message
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats.chat import refuse_depth
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording
from duologue.vocabulary import AgentRole, Scope

FORMAT = "journal"


def is_journal(document: Document) -> bool:
    """Lines that begin with ``run_started``, alone or as the first event of a transition."""
    if document.rows is None:
        return False
    first: object = document.first.value
    if not isinstance(first, dict):
        return False
    line = cast("dict[str, Any]", first)
    events: object = line.get("events")
    event: object = cast("list[object]", events)[0] if isinstance(events, list) and events else line
    return isinstance(event, dict) and cast("dict[str, Any]", event).get("type") == "run_started"


def read_own_journal(document: Document) -> list[Recording]:
    """The run that a journal holds."""
    place = Node(None, str(document.path))
    if document.repaired:
        raise place.problem("it holds halves of characters, which no journal does")
    try:
        file = read_journal(document.path)
    except JournalError as error:
        raise place.problem(str(error)) from error
    started = file.entries[0].event
    assert isinstance(started, RunStarted)  # read_journal sees to that
    taken = _Taken(started=started, place=place)
    for entry in file.entries[1:]:
        taken.take(entry)
    return [_recording(document, started, taken, file.torn)]


@dataclass(kw_only=True)
class _Taken:
    """What of a journal goes into the recording."""

    started: RunStarted
    place: Node
    events: list[Event] = field(default_factory=list[Event])
    looks: set[int] = field(default_factory=set[int])
    times: dict[str, float] = field(default_factory=dict[str, float])
    finished: RunFinished | None = None
    turn: int = 0
    messages: int = 0

    def __post_init__(self) -> None:
        everyone = enumerate(self.started.participants)
        kept = [index for index, item in everyone if item.role is not AgentRole.JUDGE]
        self._new = {old: new for new, old in enumerate(kept)}

    @property
    def participants(self) -> tuple[ParticipantSnapshot, ...]:
        """Everybody but the judges."""
        return tuple(self.started.participants[old] for old in self._new)

    def take(self, entry: Entry) -> None:
        """One more event."""
        self.place = replace(self.place, line=entry.seq + 1)
        match event := entry.event:
            case MessageAdded():
                self._add(event, entry.at)
            case AgentCalled() | UserFinished():
                self._take_call(event)
            case ModelCalled():
                if (speaker := self._index(event.participant)) is not None:  # others are judges and checks
                    self.events.append(replace(event, participant=speaker, replayed=True))
            case TurnStarted():
                self._open(event)
            case MessagesRolledBack():
                if not 0 <= event.index <= self.messages:
                    raise self.place.problem(f"found the index {event.index}; expected 0 to {self.messages}")
                self.events.append(event)
            case ToolCalled():
                self.events.append(replace(event, participant=self._index(event.participant)))
            case Noted():
                self.events.append(event)
            case CheckEvaluated():
                if event.scope is Scope.TURN and event.name in self.started.scenario.checks:
                    self.looks.add(len(self.events))
            case RunFinished():
                self.finished = event
            case _:
                pass

    def _add(self, event: MessageAdded, at: float) -> None:
        _check_message(event.message, self.place)
        self.messages += 1
        self.times[event.message_id] = at
        author, stands_in = self._index(event.author), self._index(event.stands_in_for)
        self.events.append(replace(event, author=author, stands_in_for=stands_in))

    def _take_call(self, event: AgentCalled | UserFinished) -> None:
        index = self._index(event.participant)
        if index is not None:
            self.events.append(replace(event, participant=index))
        elif isinstance(event, AgentCalled):
            self.looks.add(len(self.events))  # before a judge is asked, the engine evaluates the checks of the turn

    def _open(self, event: TurnStarted) -> None:
        if event.turn != self.turn + 1:
            raise self.place.problem(f"found the beginning of turn {event.turn}; expected turn {self.turn + 1}")
        self.turn = event.turn
        self.events.append(event)

    def _index(self, old: int | None) -> int | None:
        """The place of a participant in the recording; None for judges."""
        if old is None:
            return None
        if not 0 <= old < len(self.started.participants):
            raise self.place.problem(f"found participant {old}; the run has {len(self.started.participants)}")
        return self._new.get(old)


def _recording(document: Document, started: RunStarted, taken: _Taken, torn: str | None) -> Recording:
    agents = [item for item in taken.participants if item.role is AgentRole.AGENT]
    if not taken.messages:
        raise Node(None, str(document.path)).problem("no message was said in this run; there is nothing to judge")
    return Recording(
        path=document.path,
        format=FORMAT,
        name=started.scenario.name,
        description=started.scenario.description,
        session_id=started.run_id,
        agent=agents[0].name if agents else "agent",
        model=_model(agents),
        metadata=_facts(started, taken.finished, torn),
        participants=taken.participants,
        events=tuple(taken.events),
        looks=frozenset(taken.looks),
        times=taken.times,
    )


def _model(agents: list[ParticipantSnapshot]) -> str | None:
    model = agents[0].details.get("model") if agents else None
    return model if isinstance(model, str) else None


def _facts(started: RunStarted, finished: RunFinished | None, torn: str | None) -> dict[str, Any]:
    """What became of the run when it took place."""
    facts: dict[str, Any] = {"run_id": started.run_id, "seed": started.seed, "complete": finished is not None}
    if finished is not None:
        facts |= {"status": finished.status.value, "termination": finished.termination.value}
        facts |= {"verdict": finished.verdict.value} if finished.verdict else {}
    return {**facts, "torn": torn} if torn else facts


def _check_message(message: Message, place: Node) -> None:
    """A message as the engine would have taken it."""
    node = replace(place, value=message, field="message")
    node.at("role").text("user, assistant, tool or system")
    content = node.at("content")
    if content.value is not None and not isinstance(content.value, str):
        for part in content.each("a text or a list of parts"):
            part.at("type").text("the type of a part")
    for call in node.at("tool_calls").each_or_none("a list of tool calls"):
        function = call.at("function")
        function.at("name").text("the name of a tool")
        refuse_depth(function.at("arguments"), function.at("arguments").word() or "")


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="the journal of a run of Duologue (.jsonl)",
    matches=is_journal,
    read=read_own_journal,
    rank=10,
    aliases=("session", "recording", "session_recording"),
)
