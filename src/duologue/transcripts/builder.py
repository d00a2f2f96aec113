"""Builds a recording out of what other systems wrote: who said what becomes turns, ids, calls and times.

A turn begins with what the user says after somebody else has said something: as in the engine, an agent that speaks
first has a turn of its own. Times that a source does not give are taken from when messages were said, if it tells that.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duologue.errors import SuiteError
from duologue.frozen import frozen
from duologue.journal.events import (
    AgentCalled,
    Event,
    MessageAdded,
    ModelCalled,
    Noted,
    ParticipantSnapshot,
    ToolCalled,
    TurnStarted,
    Usage,
    UserFinished,
)
from duologue.journal.notes import Note, PromptUsed
from duologue.message_shapes import WrittenCall
from duologue.messages import ContentPart, Message, tool_call
from duologue.transcripts.documents import Document, Node, Remarks, with_remarks
from duologue.transcripts.recording import EmptyConversationError, Recording
from duologue.vocabulary import AgentRole

MAX_MESSAGES = 10_000
"""In one recording."""

USER, AGENT = 0, 1
"""Places of the participants."""

Content = str | list[ContentPart] | None


@frozen
class MessageFacts:
    """What a source says about a message.

    Attributes:
        at: when it was said, in seconds since 1970 UTC, or since the beginning where only that is known.
        until: when it had been said, for spoken words.
        seconds: how long its author took; None to take it from the times.
        usage, cost, model: of the model call behind it.
    """

    at: float | None = None
    until: float | None = None
    seconds: float | None = None
    usage: Usage | None = None
    cost: float | None = None
    model: str | None = None


@dataclass(kw_only=True)
class _Pending:
    """A tool call without an answer."""

    id: str
    written_id: str | None
    name: str
    arguments: Mapping[str, Any] | str
    at: float | None
    call: str


@dataclass(kw_only=True)
class RecordingBuilder:
    """A recording in the making.

    Attributes:
        place: the file or the part of it that is read, for errors.
        agent, user: names.
        model: the agent's, where messages do not say.
        explicit_turns: whether the source marks where turns begin; see :meth:`turn_to`.
        reports_tool_calls: whether the source shows every tool call of the agent; None if that is not known.
    """

    place: Node
    agent: str = "agent"
    user: str = "user"
    model: str | None = None
    explicit_turns: bool = False
    reports_tool_calls: bool | None = None
    events: list[Event] = field(default_factory=list[Event])
    times: dict[str, float] = field(default_factory=dict[str, float])
    _turn: int = 0
    _count: int = 0
    _someone_spoke: bool = False
    _prompts: list[str] = field(default_factory=list[str])
    _pending: list[_Pending] = field(default_factory=list[_Pending])
    _ids: set[str] = field(default_factory=set[str])
    _times_used: Counter[str] = field(default_factory=Counter[str])
    _before: float | None = None
    _undelivered: list[str] = field(default_factory=list[str])
    _calls: int = 0
    _remarks: dict[int, Remarks] = field(default_factory=dict[int, Remarks])
    _user_call: str | None = None
    _agent_call: str | None = None

    @property
    def has_messages(self) -> bool:
        """Whether anything was said so far."""
        return self._count > 0

    def watch(self, node: Node) -> None:
        """Take over what was left out of another entry of the file, which goes into this recording too."""
        if node.remarks is not None:
            self._remarks[id(node.remarks)] = node.remarks

    def prompt(self, text: str) -> None:
        """What the agent was told; once, however often it was sent."""
        if text and text not in self._prompts:
            self._prompts.append(text)
            self.note(PromptUsed(text=text))

    def note(self, note: Note) -> None:
        """Something else that is worth keeping."""
        self.events.append(Noted(turn=self._turn, note=note))

    def turn_to(self, turn: int) -> None:
        """Begin turns until this one is open."""
        while self._turn < turn:
            self._turn += 1
            self.events.append(TurnStarted(turn=self._turn))
        self._someone_spoke = False

    def say_as_user(self, content: Content, spoken: MessageFacts) -> None:
        """A message of the user."""
        if self._someone_spoke and not self.explicit_turns:
            self.turn_to(self._turn + 1)
        message: Message = {"role": "user", "content": content}
        self._user_call = self._next_call()
        model = self._model_called(USER, self._user_call, spoken, message)
        self._add(message, USER, spoken, model or self._user_call)
        self._before = spoken.until if spoken.until is not None else spoken.at

    def say_as_agent(self, content: Content, spoken: MessageFacts, calls: Sequence[WrittenCall] = ()) -> None:
        """A message of the agent, with the tools that it calls."""
        message: Message = {"role": "assistant", "content": content}
        self._agent_call = self._next_call()
        made = [
            self._call(call, spoken.at, f"{self._agent_call}.{number}")  # 1 is the model call behind the message
            for number, call in enumerate(calls, start=2)
        ]
        if made:
            message["tool_calls"] = [tool_call(item.name, _plain(item.arguments), item.id) for item in made]
        model = self._model_called(AGENT, self._agent_call, spoken, message)
        self._agent_called(spoken)
        self._add(message, AGENT, spoken, model or self._agent_call)
        self._someone_spoke = True
        self._before = spoken.until if spoken.until is not None else spoken.at

    def answer_call(
        self,
        written_id: str | None,
        content: str | list[ContentPart],
        spoken: MessageFacts,
        *,
        name: str | None = None,
        error: str | None = None,
    ) -> None:
        """What a tool answered; without an id, to the oldest open call, of that name if there is one."""
        call = self._claim(written_id, name)
        if call is None and name:
            self.say_as_agent(None, MessageFacts(), [WrittenCall(name=name, arguments={}, id=written_id)])
            call = self._claim(written_id, name)
        if call is not None:
            self.events.append(
                ToolCalled(
                    name=call.name,
                    turn=self._turn,
                    call_id=call.id,
                    arguments=_read(call.arguments),
                    result=None if error else content,
                    error=error,
                    seconds=spoken.seconds if spoken.seconds is not None else _between(call.at, spoken.at) or 0.0,
                    call=call.call,
                    participant=AGENT,
                )
            )
        call_id = call.id if call else written_id or ""
        message: Message = {"role": "tool", "tool_call_id": call_id, "content": content}
        if name:
            message["name"] = name
        self._add(message, AGENT, spoken, self._agent_call)
        self._someone_spoke = True

    def charge(self, cost: float | None, model: str, *, user: bool = False) -> None:
        """What the whole conversation took in US dollars, where the source only knows that."""
        if cost is not None:
            self._model_called(USER if user else AGENT, self._next_call(), MessageFacts(cost=cost, model=model))

    def end_of_user(self, reason: str) -> None:
        """The simulated user said that it has nothing more to say."""
        self.events.append(UserFinished(participant=USER, turn=self._turn, reason=reason, call=self._user_call))

    def finish(self, path: Path, format: str, **facts: Any) -> Recording:
        """The recording.

        Args:
            path, format: as in the recording.
            facts: other attributes of it; a name is found if none is given.

        Raises:
            EmptyConversationError: nobody said anything.
        """
        if not self._count:
            raise empty(self.place, "no message was found here; expected a conversation")
        self.watch(self.place)
        absolute = {message_id: at for message_id, at in self.times.items() if at > 1e9}
        stem, number = path.name.split(".")[0], facts.get("index", 0)
        facts.setdefault("name", facts.get("session_id") or (f"{stem} #{number}" if number else stem))
        return Recording(
            path=path,
            format=format,
            agent=self.agent,
            model=self.model,
            participants=(
                ParticipantSnapshot(name=self.user, role=AgentRole.USER),
                ParticipantSnapshot(name=self.agent, role=AgentRole.AGENT, reports_tool_calls=self.reports_tool_calls),
            ),
            events=tuple(self.events),
            times=absolute,
            warnings=self._warnings(),
            **facts,
        )

    def _warnings(self) -> tuple[str, ...]:
        """What was left out, of all entries of the file that went into the recording."""
        found = Remarks()
        for remarks in self._remarks.values():
            for text in remarks.texts:
                found.add(text)
            found.more += remarks.more
        return tuple(found)

    def _next_call(self) -> str:
        self._calls += 1
        return f"c{self._calls}"

    def _add(self, message: Message, author: int, spoken: MessageFacts, call: str | None) -> None:
        self._count += 1
        if self._count > MAX_MESSAGES:
            raise self.place.problem(f"found more than {MAX_MESSAGES:,} messages in one conversation; split it")
        message_id = f"m{self._count}"
        if spoken.at is not None:
            self.times[message_id] = spoken.at
        if author != AGENT:
            self._undelivered.append(message_id)
        added = MessageAdded(message_id=message_id, message=message, turn=self._turn, author=author, call=call)
        self.events.append(added)

    def _model_called(
        self, participant: int, call: str, spoken: MessageFacts, response: Message | None = None
    ) -> str | None:
        """The id of the model call that is known to stand behind a participant's call; None if none is."""
        if spoken.usage is None and spoken.cost is None:
            return None
        model_call = f"{call}.1"
        self.events.append(
            ModelCalled(
                asker=self.user if participant == USER else self.agent,
                turn=self._turn,
                model=spoken.model or self.model or "unknown",
                request_digest="",
                response=response,
                usage=spoken.usage or Usage(),
                cost=spoken.cost,
                seconds=spoken.seconds or 0.0,
                replayed=True,
                call=model_call,
                participant=participant,
            )
        )
        return model_call

    def _agent_called(self, spoken: MessageFacts) -> None:
        seconds = spoken.seconds if spoken.seconds is not None else _between(self._before, spoken.at)
        if seconds is None:
            return
        delivered = tuple(self._undelivered)
        self._undelivered.clear()
        self.events.append(
            AgentCalled(
                participant=AGENT,
                turn=self._turn,
                delivered=delivered,
                seconds=seconds,
                call=self._agent_call or "",
            )
        )

    def _call(self, written: WrittenCall, at: float | None, call: str) -> _Pending:
        """Ids must be unique for answers to be found, and not every system sees to that."""
        if len(self._ids) >= MAX_MESSAGES:
            raise self.place.problem(f"found more than {MAX_MESSAGES:,} tool calls in one conversation; split it")
        wanted = call_id = written.id or f"call_{len(self._ids) + 1}"
        while call_id in self._ids:
            self._times_used[wanted] += 1
            call_id = f"{wanted}#{self._times_used[wanted] + 1}"
        self._ids.add(call_id)
        made = _Pending(
            id=call_id, written_id=written.id, name=written.name, arguments=written.arguments, at=at, call=call
        )
        self._pending.append(made)
        return made

    def _claim(self, written_id: str | None, name: str | None) -> _Pending | None:
        """The open call that this is the answer to."""
        for call in self._pending:
            fits = call.written_id == written_id if written_id else name in {None, call.name}
            if fits:
                self._pending.remove(call)
                return call
        return None


def empty(place: Node, message: str) -> EmptyConversationError:
    """The error for an entry without a conversation."""
    told = place.problem(message)
    return EmptyConversationError(str(told), told.problems)


def nothing_said(place: Node, what: str, *reasons: str | None) -> EmptyConversationError:
    """The error for a call or a run that ended before anything was said, with the reasons that the source gives."""
    given = ", ".join(reason for reason in reasons if reason)
    return empty(place, f"nothing was said in this {what}{f' ({given})' if given else ''}")


def entries_within(document: Document, inner: Callable[[Node], Sequence[Node]]) -> list[Node]:
    """The entries of a file, with those that hold entries of their own replaced by them."""
    return [
        with_remarks(item) if item is not entry else entry
        for entry in document.entries
        for item in inner(entry) or [entry]
    ]


def recordings_of(
    document: Document, format: str, read: Callable[[Node, int], Recording], entries: Iterable[Node] | None = None
) -> list[Recording]:
    """A recording for each entry of a file. One that cannot be read has the error, and keeps none of the others back.

    Args:
        document: the file.
        format: as in the recordings.
        read: reads an entry with its number, from 0.
        entries: None for those of the document.
    """
    found: list[Recording] = []
    for node in document.entries if entries is None else entries:
        index = len(found)
        try:
            if wrong := document.wrong_with(node):
                raise wrong
            found.append(read(node, index))
        except SuiteError as error:
            found.append(unread(document, format, node, index, error))
    return found


_IDS = ("id", "custom_id", "call_id", "task_id", "run_id", "session_id", "conversation_id", "name")
_REASONS = ("call_status", "disconnection_reason", "endedReason", "status", "error", "reward", "task_id", "trial")


def unread(document: Document, format: str, node: Node, index: int, error: SuiteError) -> Recording:
    """The recording of an entry of a file that cannot be read."""
    name = next(
        (word for key in _IDS if isinstance(node.at(key).value, (str, int)) and (word := node.at(key).word())), ""
    )
    if node.has("task_id", "trial"):
        name = f"task {node.at('task_id').word()}, trial {node.at('trial').word()}"
    stem = document.path.name.split(".")[0]
    return Recording(
        path=document.path,
        format=format,
        index=index,
        name=name or f"{stem} #{index}",
        metadata=node.scalars(*_REASONS),
        error=error,
    )


def _plain(arguments: Mapping[str, Any] | str) -> dict[str, Any] | str:
    return arguments if isinstance(arguments, str) else dict(arguments)


def _read(arguments: Mapping[str, Any] | str) -> Any:
    """Arguments as data; those that are no JSON stay as they are."""
    if not isinstance(arguments, str):
        return dict(arguments)
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _between(start: float | None, end: float | None) -> float | None:
    return end - start if start is not None and end is not None and end >= start else None
