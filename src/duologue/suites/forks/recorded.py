"""The first turns of a recorded run, as another run begins with them.

An agent that is given the whole conversation with each call gets what was recorded. One that keeps a memory of its own
knows nothing of a conversation that it had no part in: the user's lines are said to it again, and it answers anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.conversation import Conversation
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import ScriptStep
from duologue.frozen import changed, frozen
from duologue.journal.events import (
    CheckEvaluated,
    Entry,
    Event,
    MessageAdded,
    MessagesRolledBack,
    Noted,
    RawMessage,
    RunStarted,
    StepStarted,
    ToolCalled,
    TurnStarted,
    UserFinished,
)
from duologue.journal.notes import PromptUsed, TurnUnfinished
from duologue.suites.replay import put_recorded, recorded_call
from duologue.vocabulary import AgentRole, Scope


@frozen
class RecordedLine:
    """A line of the user.

    Attributes:
        message: as it was said.
        turn: from 0.
        step: the step of the script that it was said in.
        simulated: a participant made it up; otherwise the script held it.
    """

    message: RawMessage
    turn: int
    step: int
    simulated: bool


@frozen
class RecordedTurns:
    """The first turns of a recorded run.

    Attributes:
        run_id: of the run.
        turns: how many turns these are.
        total: how many the run had.
        events: what happened in them, and has to be in the journal of a run that begins with them.
        lines: what the user said in them.
        step: the step of the script that was under way at their end; None if nothing had happened.
        roles: of the participants, by their index.
    """

    run_id: str
    turns: int
    total: int
    events: tuple[Event, ...]
    lines: tuple[RecordedLine, ...]
    step: int | None
    roles: tuple[AgentRole, ...]

    @property
    def exchanges(self) -> int:
        """How often the user spoke in the last step."""
        return sum(line.step == self.step for line in self.lines)


def total_turns(entries: Iterable[Entry]) -> int:
    """How many turns of a run have messages in them."""
    return max((entry.event.turn + 1 for entry in entries if isinstance(entry.event, MessageAdded)), default=0)


def first_turns(entries: Sequence[Entry], turns: int) -> RecordedTurns:
    """The first turns of a run.

    Args:
        entries: of its journal.
        turns: how many; more than there are stands for all.
    """
    total = total_turns(entries)
    turns = max(0, min(turns, total))
    reader = _Reader(turns, total)
    for entry in entries:
        if not reader.take(entry.event):
            break
    return RecordedTurns(
        run_id=entries[0].run_id if entries else "",
        turns=turns,
        total=total,
        events=tuple(reader.events),
        lines=tuple(reader.lines.values()),
        step=reader.last_step,
        roles=reader.roles,
    )


class _Reader:
    """Collects what belongs to the first turns."""

    def __init__(self, turns: int, total: int) -> None:
        self._turns = turns
        self._total = total
        self.events: list[Event] = []
        self.lines: dict[str, RecordedLine] = {}
        self.roles: tuple[AgentRole, ...] = ()
        self.last_step: int | None = None
        self._step = 0

    def take(self, event: Event) -> bool:
        """Take one more event; False after the last turn that is wanted."""
        match event:
            case RunStarted():
                self.roles = tuple(item.role for item in event.participants)
                return self._turns > 0
            case StepStarted():
                self._step = event.index
            case TurnStarted():
                if event.turn >= self._turns:
                    return False
                self.events.append(event)
            case MessageAdded():
                self.events.append(event)
                self.last_step = self._step
                if event.message["role"] == "user":
                    self.lines[event.message_id] = RecordedLine(
                        message=event.message, turn=event.turn, step=self._step, simulated=event.author is not None
                    )
            case MessagesRolledBack():
                self.events.append(event)
                for name in event.message_ids:
                    self.lines.pop(name, None)
            case CheckEvaluated():
                self.events += [event] if event.scope is Scope.TURN else []
            case Noted():
                self.events += [] if isinstance(event.note, (PromptUsed, TurnUnfinished)) else [event]
            case UserFinished():
                self.events += [event] if self._turns == self._total else []
            case ToolCalled():
                self.events.append(event)
            case _:
                pass
        return True


def follows_history(agent: AgentAdapter) -> bool:
    """Whether an agent knows of a conversation what it is given with each call, and nothing else."""
    declared = agent.repeats if agent.resumable is None else agent.resumable
    if not declared:
        return False
    details = agent.describe()
    return details.get("send") != "new" and not details.get("workflow")


def recorded_step(recorded: RecordedTurns, agents: Sequence[AgentAdapter], checked: frozenset[str]) -> ScriptStep:
    """A step of a script that puts the recorded turns into the conversation.

    Args:
        recorded: the turns.
        agents: who takes part now; those of the same role take the place of those who were recorded.
        checked: names of the checks of each turn that the run evaluates itself.
    """
    places = {role: index for index, role in reversed(list(enumerate(agent.role for agent in agents)))}
    now = [places.get(role) for role in recorded.roles]

    async def recorded_turns(state: ScenarioState) -> None:
        conversation = cast("ScenarioExecutor", state.executor).conversation
        for event in recorded.events:
            await _put(event, conversation, now, checked)

    return recorded_turns


async def _put(event: Event, conversation: Conversation, now: Sequence[int | None], checked: frozenset[str]) -> None:
    match event:
        case MessageAdded():
            event = changed(event, author=_index(event.author, now), stands_in_for=_index(event.stands_in_for, now))
        case CheckEvaluated():
            if event.name in checked:
                return
            event = changed(event, call=recorded_call(event.call))
        case ToolCalled():
            event = changed(event, participant=_index(event.participant, now))
        case UserFinished():
            if (place := _index(event.participant, now)) is None:
                return
            event = changed(event, participant=place)
        case _:
            pass
    await put_recorded(event, conversation)


def _index(participant: int | None, now: Sequence[int | None]) -> int | None:
    return now[participant] if participant is not None and participant < len(now) else None


async def open_next_turn(state: ScenarioState) -> None:
    """A step of a script: the recorded turns are over, and the next one begins."""
    conversation = cast("ScenarioExecutor", state.executor).conversation
    await conversation.checks.check_turn()
    conversation.open_turn()
