"""What stands behind each message of a run: the calls that it came from, and the state of the workflow it was said in.

A message names the model call that wrote it, or the participant's call that it came from. In the second case the model
calls which no message of that call names, because their text was changed or only used, belong to the first message that
names none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duologue.journal.events import AgentCalled, Event, MessageAdded, ModelCalled, Noted
from duologue.journal.notes import WorkflowEntered, WorkflowMoved


class Causes:
    """A fold over the events of a run.

    Args:
        events: those so far; further ones are passed to :meth:`take`.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._calls: dict[str, AgentCalled] = {}
        self._models: dict[str, ModelCalled] = {}
        self._models_of: dict[str, list[ModelCalled]] = {}
        self._messages_of: dict[str, list[MessageAdded]] = {}
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Take one more event into account."""
        match event:
            case MessageAdded() if event.call:
                self._messages_of.setdefault(outer_call(event.call), []).append(event)
            case ModelCalled() if event.call:
                self._models[event.call] = event
                self._models_of.setdefault(outer_call(event.call), []).append(event)
            case AgentCalled() if event.call:
                self._calls[event.call] = event
            case _:
                pass

    def call_of(self, message: MessageAdded) -> AgentCalled | None:
        """The participant's call that a message came from; None for lines of the script."""
        return self._calls.get(outer_call(message.call)) if message.call else None

    def models_of(self, message: MessageAdded) -> list[ModelCalled]:
        """The model calls that a message came from, in order; failed ones are not among them."""
        if not message.call:
            return []
        if message.call in self._models:
            return [self._models[message.call]]
        if message.message["role"] not in _WRITTEN:
            return []
        outer = outer_call(message.call)
        written = [item for item in self._messages_of.get(outer, ()) if item.message["role"] in _WRITTEN]
        unnamed = [item.message_id for item in written if item.call not in self._models]
        if not unnamed or unnamed[0] != message.message_id:
            return []
        named = {item.call for item in written}
        return [item for item in self._models_of.get(outer, ()) if item.error is None and item.call not in named]

    def seconds_of(self, message: MessageAdded) -> float | None:
        """How long the call took that a message came from; None for all but the first message of a call."""
        call = self.call_of(message)
        if call is None or message.message["role"] not in _WRITTEN:
            return None
        first = next(item for item in self._messages_of[call.call] if item.message["role"] in _WRITTEN)
        return call.seconds if first.message_id == message.message_id else None


_WRITTEN = {"user", "assistant"}
"""Roles of messages that somebody wrote; those of tools come from no model."""


def outer_call(call: str) -> str:
    """The call of a participant or a check that a call was made in: ``c3`` for ``c3.1``, and for itself."""
    return call.partition(".")[0]


def workflow_states(records: Sequence[MessageAdded], notes: Iterable[Noted]) -> dict[str, str]:
    """The state of the workflow by the id of each message; empty where the run has no workflow.

    An agent's messages join the conversation when its turn is over, after all changes of state in it. Which message a
    change stands behind is said by the id of the tool call that asked for it.
    A change holds from the message on that follows the result of its tool call. One that names no call, as in journals
    of earlier versions, holds from the next turn on.

    Args:
        records: the messages of the conversation, in order.
        notes: of the run; those of other things are passed over.
    """
    entered = next(((note.turn, note.note.state) for note in notes if isinstance(note.note, WorkflowEntered)), None)
    moves = [(note.turn, note.note) for note in notes if isinstance(note.note, WorkflowMoved)]
    if entered is None and not moves:
        return {}
    first, state = entered or (0, moves[0][1].origin)
    by_call: dict[tuple[int, str], list[str]] = {}
    later: list[tuple[int, str]] = []
    for turn, move in moves:
        if move.call_id:
            by_call.setdefault((turn, move.call_id), []).append(move.target)
        else:
            later.append((turn, move.target))
    found: dict[str, str] = {}
    for record in records:
        while later and later[0][0] < record.turn:
            state = later.pop(0)[1]
        if record.turn >= first:
            found[record.message_id] = state
        answered = by_call.get((record.turn, record.message.get("tool_call_id", "")))
        if answered and record.message["role"] == "tool":
            state = answered.pop(0)
    return found
