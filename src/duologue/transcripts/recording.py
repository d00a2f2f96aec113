"""A conversation that took place, as it was written down: a journal without the decisions.

Whatever format a recording had, its content is kept as events of a journal (messages, turns, tool calls, model calls,
notes), because those are what checks and judges look at. The messages and tool calls in reports are a fold over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from duologue.errors import SuiteError
from duologue.frozen import frozen
from duologue.journal.causes import Causes
from duologue.journal.events import (
    CutReason,
    Event,
    MessageAdded,
    MessagesRolledBack,
    ModelCalled,
    ParticipantSnapshot,
    ToolCalled,
    Usage,
)
from duologue.messages import Message, arguments_of, iter_tool_calls, tool_results
from duologue.vocabulary import AgentRole

_WHOLE = ("journal", "result")
"""Formats of our own, in which a run without a word of the agent is one in which it did not speak."""


class EmptyConversationError(SuiteError):
    """An entry of a file holds no conversation: nobody answered the call, or the request failed."""


@frozen(slots=True)
class RecordedMessage:
    """One message of a recording, and what the source says about it.

    Attributes:
        id: what checks and judges cite, such as ``m3``.
        message: the chat message.
        turn: from 0.
        author: name of the participant; None for a line of a script.
        at: when it was said, in seconds since 1970 UTC.
        seconds: how long its author took.
        usage, cost, model: tokens, US dollars and model of the calls behind it.
        cut: why it ends before its author had finished; None for a whole message.
    """

    id: str
    message: Message
    turn: int
    author: str | None = None
    at: float | None = None
    seconds: float | None = None
    usage: Usage | None = None
    cost: float | None = None
    model: str | None = None
    cut: CutReason | None = None


@frozen(slots=True)
class RecordedCall:
    """One tool call of a recording.

    Attributes:
        id: the id of the call.
        turn: in which it was made, from 0.
        result: what the tool answered; None if no answer was recorded.
        error: why it failed; None if the source does not say that it did.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    turn: int
    result: str | None = None
    error: str | None = None


@frozen
class Recording:
    """A conversation that took place. Made by :func:`duologue.transcripts.read_recordings`.

    Attributes:
        path: the file that it was read from.
        format: how it was written there, such as ``retell``.
        index: its place among the recordings of the file, from 0.
        name: what it is called: its id in the source, or the name of the file.
        description: the situation, where the source tells it.
        session_id: its id in the source.
        agent: name of the agent that was recorded.
        model: the agent's model.
        tags: for choosing recordings.
        metadata: what else the source says, such as a reward or how it ended. JSON data.
        participants: who took part; judges are not among them.
        events: what happened, in order: messages, turns, calls and notes.
        looks: places in ``events`` before which the checks of a turn are due although the turn goes on.
        times: when messages were said, by their id: seconds since 1970 UTC.
        warnings: what could not be read and was left out, each with its place.
        error: why there is no conversation here: the entry is broken or empty; None for every other recording.
    """

    path: Path
    format: str
    index: int = 0
    name: str
    description: str = ""
    session_id: str | None = None
    agent: str = "agent"
    model: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    participants: tuple[ParticipantSnapshot, ...] = ()
    events: tuple[Event, ...] = ()
    looks: frozenset[int] = frozenset()
    times: Mapping[str, float] = field(default_factory=dict[str, float])
    warnings: tuple[str, ...] = ()
    error: SuiteError | None = field(default=None, compare=False)

    @cached_property
    def messages(self) -> tuple[RecordedMessage, ...]:
        """The messages of the conversation at its end; what was rolled back is not among them."""
        return tuple(_conversation(self))

    @property
    def not_judged(self) -> SuiteError | None:
        """Why nothing here can be judged: the entry is broken or empty, or only the user speaks. None otherwise."""
        speaks = self.format in _WHOLE or any(item.message["role"] == "assistant" for item in self.messages)
        if self.error is not None or speaks:
            return self.error
        return EmptyConversationError(f"{self.place}: the agent says nothing here, so that there is nothing to judge")

    @cached_property
    def tool_calls(self) -> tuple[RecordedCall, ...]:
        """The tool calls in those messages, with their results."""
        messages = [item.message for item in self.messages]
        turns = {id(item.message): item.turn for item in self.messages}
        results = tool_results(messages)
        errors = {event.call_id: event.error for event in self.events if isinstance(event, ToolCalled)}
        return tuple(
            RecordedCall(
                id=call.get("id", ""),
                name=call["function"]["name"],
                arguments=arguments_of(call),
                turn=turns[id(message)],
                result=results.get(call.get("id", "")),
                error=errors.get(call.get("id", "")),
            )
            for message, call in iter_tool_calls(messages)
        )

    @property
    def turns(self) -> int:
        """How many turns there were in which something was said."""
        return max(1, self.messages[-1].turn + 1) if self.messages else 0  # a damaged file may count from below 0

    @property
    def cost(self) -> float:
        """US dollars that the recorded model calls took, as far as they are known."""
        return sum((event.cost or 0.0 for event in self.events if isinstance(event, ModelCalled)), 0.0)

    @property
    def place(self) -> str:
        """For people: the file, and the number of the recording in it, from 1, unless it is the first."""
        return f"{self.path}#{self.index + 1}" if self.index else str(self.path)


def with_known_calls(recording: Recording, known: bool | None, *, keep: bool = False) -> Recording:
    """The recording, with what is said about its agents: whether it shows every tool call that they made.

    Args:
        recording: the conversation.
        known: whether it does; None to leave what the recording says.
        keep: whether what it says about an agent already stays.
    """
    if known is None:
        return recording
    told = tuple(
        replace(item, reports_tool_calls=known)
        if item.role is AgentRole.AGENT and not (keep and item.reports_tool_calls is not None)
        else item
        for item in recording.participants
    )
    return replace(recording, participants=told)


def _conversation(recording: Recording) -> list[RecordedMessage]:
    """The messages at the end, each with what the calls behind it took."""
    causes, messages = Causes(recording.events), list[RecordedMessage]()
    for event in recording.events:
        if isinstance(event, MessageAdded):
            messages.append(_message(event, causes, recording))
        elif isinstance(event, MessagesRolledBack):
            del messages[event.index :]
    return messages


def _message(event: MessageAdded, causes: Causes, recording: Recording) -> RecordedMessage:
    models = causes.models_of(event)
    priced = [call.cost for call in models if call.cost is not None]
    return RecordedMessage(
        id=event.message_id,
        message=event.message,
        turn=event.turn,
        author=None if event.author is None else recording.participants[event.author].name,
        at=recording.times.get(event.message_id),
        seconds=causes.seconds_of(event),
        usage=sum((call.usage for call in models), Usage()) if models else None,
        cost=sum(priced) if priced else None,
        model=models[-1].model if models else None,
        cut=event.cut,
    )
