"""In which state of a workflow each message of a run was said.

An agent's messages join the conversation when its turn is over, after all changes of state in it. Which message a
change stands behind is said by the id of the tool call that asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duologue.journal.events import MessageAdded, Noted
from duologue.journal.notes import WorkflowEntered, WorkflowMoved


def workflow_states(records: Sequence[MessageAdded], notes: Iterable[Noted]) -> dict[str, str]:
    """The state of the workflow by the id of each message; empty where the run has no workflow.

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
