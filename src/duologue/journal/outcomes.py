"""What a call came to in a recorded run that is being repeated, and where it is recorded if it has to be made.

Calls of participants, models, tools and checks are all answered from the record in this way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from duologue.errors import ResumeError
from duologue.journal.events import AgentCalled, CheckEvaluated, Event, ModelCalled, ToolCalled, Transition
from duologue.journal.journal import Journal

E = TypeVar("E", AgentCalled, ModelCalled, ToolCalled, CheckEvaluated)
"""The events that say what a call came to."""


async def outcome_of(journal: Journal, call: str, kind: type[E], difference: Callable[[E], str]) -> E | None:
    """The event that says what the call came to; None if it has to be made.

    Args:
        journal: of the run.
        call: id of the call that is being made.
        kind: of the event that records such a call.
        difference: in what the recorded call is not the one that is being made, in words; '' if it is.

    Raises:
        ResumeError: another call was recorded, or the resumed run diverged before.
    """
    if journal.recorded is None or (recorded := await journal.recorded_outcome(call)) is None:
        return None
    return same_call(journal, call, recorded, kind, difference)


def same_call(journal: Journal, call: str, recorded: Transition, kind: type[E], difference: Callable[[E], str]) -> E:
    """The first event of that outcome, once it is known to be of the call that is being made.

    Raises:
        ResumeError: another call was recorded.
    """
    event = recorded[0].event
    if not isinstance(event, kind):
        why = f"call {call} was recorded as '{event.type}', and now a call of another kind is made"
    elif not (why := difference(event)):
        return event
    raise journal.diverged(ResumeError(f"the run cannot be resumed: {why}"))


async def append_outcome(journal: Journal, *events: Event) -> None:
    """Record what a call came to that was not recorded before: after all that was.

    Raises:
        JournalError: the run has finished.
        ResumeError: what was recorded is not repeated.
    """
    if journal.recorded is not None:
        await journal.caught_up()
    journal.append(*events)
