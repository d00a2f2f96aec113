"""The events of a conversation that an agent has held or ended by itself."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.conversation.adapter import AgentAdapter, HeldConversation
from duologue.journal.events import Event, MessageAdded, Noted, TurnStarted, UserFinished
from duologue.journal.journal import RunView
from duologue.journal.notes import ConversationHeld
from duologue.vocabulary import AgentRole

AGENT_ENDED = "agent_ended"
"""Why there is nothing more to say after an agent has ended the conversation."""


def held_events(
    held: HeldConversation, view: RunView, agents: Sequence[AgentAdapter], agent: int, call: str
) -> list[Event]:
    """What a whole conversation adds to a run: its turns and messages, how long the agent took, and its end.

    Args:
        held: everything that was said.
        view: the run so far.
        agents: the participants.
        agent: the index of the one that has held it.
        call: in which it did.
    """
    user = next((index for index, item in enumerate(agents) if item.role is AgentRole.USER), None)
    events: list[Event] = []
    first, turn, number = view.turn, view.turn, view.messages_added
    seconds: dict[str, float] = {}
    for item in held.messages:
        while turn < first + item.turn:
            turn += 1
            events.append(TurnStarted(turn=turn))
        number += 1
        own = item.message["role"] in {"assistant", "tool"}
        added = MessageAdded(
            message_id=f"m{number}", message=item.message, turn=turn, author=agent if own else user, call=call
        )
        events.append(added)
        if own and item.seconds is not None:
            seconds[added.message_id] = item.seconds
    events.append(Noted(turn=turn, note=ConversationHeld(seconds=seconds), call=call))
    events.append(agent_finished(agent, turn, held.explanation, call))
    return events


def agent_finished(agent: int, turn: int, explanation: str, call: str) -> UserFinished:
    """The agent has ended the conversation."""
    return UserFinished(participant=agent, turn=turn, reason=AGENT_ENDED, explanation=explanation, call=call)
