"""The fold: what a run looks like after its events so far.

The running engine and a reader of a finished journal use this same fold, so they cannot disagree: the engine never
changes a view, it appends an event and the journal applies it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    CriterionDecision,
    Event,
    JudgeDecided,
    MessageAdded,
    MessagesRolledBack,
    ModelCalled,
    Noted,
    RunFinished,
    RunResumed,
    RunStarted,
    StepStarted,
    ToolCalled,
    TurnStarted,
    Usage,
    UserFinished,
)
from duologue.messages import Message
from duologue.vocabulary import CheckStatus, Decision

_NOTHING = Usage()


@dataclass
class RunView:
    """Everything that follows from the events of one run, in order of what readers ask for most.

    Attributes:
        records: the messages in the conversation now, with id, author and turn.
        messages: the same, as plain chat messages.
        mailboxes: per participant, the messages that it has not been given yet.
        turn: number of the open turn, from 0.
        turns: how many turns there were in which something was said.
        checkpoint_decisions: what checkpoints have decided, compiled into the final result.
        messages_added: how many messages there ever were, those that were taken back included.
        resumes: how often the run was continued after its process had ended.
    """

    started: RunStarted | None = None
    finished: RunFinished | None = None
    started_at: float = 0.0
    step: int | None = None
    turn: int = 0
    turns: int = 0
    records: list[MessageAdded] = field(default_factory=list[MessageAdded])
    messages: list[Message] = field(default_factory=list[Message])
    mailboxes: list[deque[MessageAdded]] = field(default_factory=list[deque[MessageAdded]])
    agent_seconds: list[float] = field(default_factory=list[float])
    user_finished: UserFinished | None = None
    checkpoints: list[JudgeDecided] = field(default_factory=list[JudgeDecided])
    judgements: list[JudgeDecided] = field(default_factory=list[JudgeDecided])
    checks: list[CheckEvaluated] = field(default_factory=list[CheckEvaluated])
    tools: list[ToolCalled] = field(default_factory=list[ToolCalled])
    notes: list[Noted] = field(default_factory=list[Noted])
    model_calls: int = 0
    usage: Usage = _NOTHING
    cost: float = 0.0
    unpriced_calls: int = 0
    messages_added: int = 0
    resumes: int = 0

    def apply(self, event: Event, at: float = 0.0) -> None:
        """Take one more event into account."""
        match event:
            case MessageAdded():
                self._add(event)
            case AgentCalled():
                self._empty(event)
                self.agent_seconds[event.participant] += event.seconds
            case TurnStarted():
                self.turn = event.turn
            case ModelCalled():
                self._count(event)
            case StepStarted():
                self.step = event.index
            case JudgeDecided():
                self.judgements.append(event)
                if event.kind == "checkpoint" and not event.advisory:
                    self.checkpoints.append(event)
            case CheckEvaluated():
                self.checks.append(event)
            case ToolCalled():
                self.tools.append(event)
            case Noted():
                self.notes.append(event)
            case MessagesRolledBack():
                self._roll_back(event)
            case UserFinished():
                self.user_finished = event
            case RunStarted():
                self.started, self.started_at = event, at
                self.mailboxes = [deque() for _ in event.participants]
                self.agent_seconds = [0.0] * len(event.participants)
            case RunFinished():
                self.finished = event
            case RunResumed():
                self.resumes += 1

    @property
    def checkpoint_decisions(self) -> list[CriterionDecision]:
        """The decisions of all checkpoints so far, in order."""
        return [decision for checkpoint in self.checkpoints for decision in checkpoint.decisions]

    @property
    def passed_criteria(self) -> list[str]:
        """Criteria that checkpoints found met."""
        return [item.criterion for item in self.checkpoint_decisions if item.decision is Decision.MET]

    @property
    def failed_criteria(self) -> list[str]:
        """Criteria that checkpoints did not find met, undecided ones included."""
        return [item.criterion for item in self.checkpoint_decisions if item.decision is not Decision.MET]

    def checks_with(self, status: CheckStatus) -> list[CheckEvaluated]:
        """The checks that ended with that status."""
        return [check for check in self.checks if check.status is status]

    @property
    def agent_time(self) -> float:
        """Seconds spent inside adapters of the agent role."""
        roles = self.started.participants if self.started else ()
        return sum(
            seconds
            for participant, seconds in zip(roles, self.agent_seconds, strict=False)
            if participant.role.value == "Agent"
        )

    def _add(self, event: MessageAdded) -> None:
        self.turns = event.turn + 1
        self.messages_added += 1
        self.records.append(event)
        self.messages.append(event.message)
        for index, box in enumerate(self.mailboxes):
            if index != event.author:
                box.append(event)

    def _empty(self, event: AgentCalled) -> None:
        """Take what was delivered out of the mailbox; what was rolled back meanwhile is gone from it already."""
        box = self.mailboxes[event.participant]
        for message_id in event.delivered:
            if box and box[0].message_id == message_id:
                box.popleft()

    def _roll_back(self, event: MessagesRolledBack) -> None:
        del self.records[event.index :]
        del self.messages[event.index :]
        gone = set(event.message_ids)
        for index, box in enumerate(self.mailboxes):
            self.mailboxes[index] = deque(item for item in box if item.message_id not in gone)

    def _count(self, event: ModelCalled) -> None:
        self.model_calls += 1
        self.usage += event.usage
        if event.cost is not None:
            self.cost += event.cost
        elif event.error is None:
            self.unpriced_calls += 1


def fold(events: Iterable[Event]) -> RunView:
    """The view after these events."""
    view = RunView()
    for event in events:
        view.apply(event)
    return view
