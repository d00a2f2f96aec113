"""Builds a :class:`RunResult` from the journal of a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from duologue.conversation.result import result_of
from duologue.conversation.verdict import NOTHING_TO_GO_BY
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    Entry,
    MessageAdded,
    ModelCalled,
    Noted,
    RunStarted,
    TurnStarted,
)
from duologue.journal.notes import GuardrailApplied, PromptUsed, SimulatedUser, WorkflowEntered, WorkflowMoved
from duologue.journal.view import RunView
from duologue.messages import Message, tool_calls_of
from duologue.suites.plan.cases import TestCase
from duologue.suites.results.run import GuardrailResult, MediaResult, MessageResult, RunResult, Spent, WorkflowResult
from duologue.vocabulary import AgentRole, CheckStatus, Scope

UNJUDGED = (
    "Nothing decides about this conversation: the scenario has no criteria, and no check was decided. Give it some."
)
"""The reason of a run that is undecided because nothing was asked of it."""


def run_result(
    case: TestCase,
    entries: Sequence[Entry],
    view: RunView,
    *,
    journal: str | None = None,
    description: str = "",
    labels: dict[str, str] | None = None,
    definition: Mapping[str, str] | None = None,
    tolerated: frozenset[str] = frozenset(),
) -> RunResult:
    """What came of a run.

    Args:
        case: what was run.
        entries, view: the journal and its fold.
        journal: the file that holds it, as results name it.
        description, labels: of the scenario.
        definition: digests of what decides the result.
        tolerated: types of guardrails whose violations do not fail a run.
    """
    seen = _Ledger()
    for entry in entries:
        seen.take(entry.event)
    result = result_of(view)
    messages = tuple(_message(record, seen) for record in view.records)
    return RunResult(
        case=case,
        run_id=result.run_id or "",
        status=result.status,
        verdict=result.verdict,
        termination=result.termination,
        reasoning=UNJUDGED if result.reasoning == NOTHING_TO_GO_BY else result.reasoning,
        error=result.error,
        messages=messages,
        system_prompts=tuple(note.note.text for note in view.notes if isinstance(note.note, PromptUsed)),
        checks=tuple(view.checks),
        judgements=tuple(view.judgements),
        decisions=tuple(result.decisions),
        guardrails=guardrail_results(view.notes, view.checks, tolerated),
        tools=tuple(view.tools),
        media=_media(messages),
        workflow=_workflow(view.notes),
        agent=seen.spent(AgentRole.AGENT),
        user=seen.spent(AgentRole.USER),
        judge=seen.spent(AgentRole.JUDGE),
        started_at=datetime.fromtimestamp(view.started_at, UTC) if view.started_at else None,
        seconds=result.total_time or 0.0,
        agent_seconds=result.agent_time or 0.0,
        turns=view.turns,
        self_play=bool(seen.personas),
        persona=next((name for name in seen.personas if name), None),
        journal=journal,
        description=description,
        labels=labels or {},
        definition=definition or {},
    )


@dataclass
class _Ledger:
    """What the events say about messages and money.

    A model call is written down before the messages that come of it, so each message of an agent takes the first call
    that is still waiting and has just this answer. Where none has, because a guardrail put something else in its place,
    the message is what all that are still waiting came to.
    """

    names: list[str] = field(default_factory=list[str])
    roles: list[AgentRole] = field(default_factory=list[AgentRole])
    by_message: dict[str, tuple[Spent, str | None]] = field(default_factory=dict[str, tuple[Spent, "str | None"]])
    meta: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    personas: list[str | None] = field(default_factory=list["str | None"])
    _spent: dict[AgentRole, Spent] = field(default_factory=dict[AgentRole, Spent])
    _waiting: dict[str, deque[ModelCalled]] = field(default_factory=dict[str, "deque[ModelCalled]"])
    _called: dict[int, float] = field(default_factory=dict[int, float])
    _state: str | None = None
    _next_state: str | None = None
    """Where a transition leads; what is said in the turn that asks for it is still said in the state before."""

    def take(self, event: object) -> None:
        """Take one more event into account."""
        match event:
            case TurnStarted():
                self._move()
            case MessageAdded():
                self._message(event)
            case ModelCalled():
                self._model(event)
            case AgentCalled():
                self._called[event.participant] = event.seconds
            case Noted():
                self._note(event)
            case RunStarted():
                self.names = [item.name for item in event.participants]
                self.roles = [item.role for item in event.participants]
            case _:
                pass

    def spent(self, role: AgentRole) -> Spent:
        """By all participants of a role; checks count with the judges."""
        return self._spent.get(role, _NOTHING)

    def _move(self) -> None:
        if self._next_state is not None:
            self._state, self._next_state = self._next_state, None

    def _model(self, event: ModelCalled) -> None:
        self._move()
        role = self._role_of(event.asker)
        unpriced = int(event.cost is None and event.error is None)
        spent = Spent(calls=1, usage=event.usage, cost=event.cost or 0.0, unpriced=unpriced, seconds=event.seconds)
        before = self._spent.get(role)
        self._spent[role] = spent if before is None else before + spent
        if event.error is None and role is not AgentRole.JUDGE:
            self._waiting.setdefault(event.asker, deque()).append(event)

    def _role_of(self, asker: str) -> AgentRole:
        for name, role in zip(self.names, self.roles, strict=True):
            if name == asker:
                return role
        return AgentRole.JUDGE

    def _note(self, event: Noted) -> None:
        match event.note:
            case SimulatedUser() as note:
                self.personas.append(note.persona)
            case WorkflowEntered() as note:
                self._state = note.state
            case WorkflowMoved() as note:
                self._next_state = note.target
            case _:
                pass

    def _message(self, event: MessageAdded) -> None:
        if event.author is None:
            return
        if self._state is not None:
            self.meta[event.message_id] = {"workflow_state": self._state}
        name = self.names[event.author]
        made = _made_by(self._waiting.get(name), event.message)
        if made:
            self.by_message[event.message_id] = (_sum_of(made), made[-1].model)
        elif event.message["role"] == "assistant" and event.author in self._called:
            self.by_message[event.message_id] = (Spent(seconds=self._called.pop(event.author)), None)
        if self.roles[event.author] is AgentRole.USER and self.personas:
            self.meta.setdefault(event.message_id, {})["persona"] = self.personas[-1]


_NOTHING = Spent()


def _made_by(waiting: deque[ModelCalled] | None, message: Message) -> list[ModelCalled]:
    """The calls that gave this answer, mostly one. Calls before it gave nothing that was said."""
    if not waiting or message["role"] not in {"assistant", "user"}:
        return []
    if message["role"] == "user":  # what a simulator said may be cleaned; its last call made it
        last = waiting[-1]
        waiting.clear()
        return [last]
    for index, call in enumerate(waiting):
        if call.response is not None and _said(call.response) == _said(message):
            for _ in range(index + 1):
                waiting.popleft()
            return [call]
    every = list(waiting)
    waiting.clear()
    return every


def _sum_of(calls: Sequence[ModelCalled]) -> Spent:
    total, *others = [
        Spent(
            calls=1,
            usage=event.usage,
            cost=event.cost or 0.0,
            unpriced=int(event.cost is None),
            seconds=event.seconds,
        )
        for event in calls
    ]
    for spent in others:
        total += spent
    return total


def _said(message: Message) -> tuple[object, list[object]]:
    """What tells an answer from another; ids of calls do not, because they are made unique in a conversation."""
    return message.get("content"), [call["function"] for call in tool_calls_of(message)]


def _message(record: MessageAdded, seen: _Ledger) -> MessageResult:
    spent, model = seen.by_message.get(record.message_id, (None, None))
    return MessageResult(
        id=record.message_id,
        message=record.message,
        turn=record.turn,
        author=None if record.author is None else seen.names[record.author],
        spent=spent,
        model=model,
        meta=seen.meta.get(record.message_id, {}),
    )


def _workflow(notes: Iterable[Noted]) -> WorkflowResult | None:
    entered = [(note.turn, note.note) for note in notes if isinstance(note.note, (WorkflowEntered, WorkflowMoved))]
    if not entered:
        return None
    last = entered[-1][1]
    return WorkflowResult(
        state=last.target if isinstance(last, WorkflowMoved) else last.state,
        complete=last.terminal,
        transitions=tuple(
            {"from": note.origin, "to": note.target, "event": note.event, "turn": turn}
            for turn, note in entered
            if isinstance(note, WorkflowMoved)
        ),
    )


GUARDRAIL = "guardrail"
TRIGGERED = "guardrail_triggered"


def _media(messages: Sequence[MessageResult]) -> tuple[MediaResult, ...]:
    """Pictures and sounds; few runs have any, and measuring them needs more than reading a journal."""
    if not any(isinstance(item.message.get("content"), list) for item in messages):
        return ()
    from duologue.suites.results.media import media_of

    return media_of(messages)


def guardrail_results(
    notes: Iterable[Noted], checks: Iterable[CheckEvaluated], tolerated: frozenset[str] = frozenset()
) -> tuple[GuardrailResult, ...]:
    """What guardrails said. A violation is expected where a check ``guardrail_triggered`` passed because of it."""
    wanted: set[tuple[str, int]] = set()
    for check in checks:
        if check.kind == TRIGGERED and check.status is CheckStatus.PASSED:
            seen = check.details.get("results", ())
            wanted.update((str(item.get("type")), check.turn) for item in seen if not item.get("passed"))
            if check.scope is Scope.CONVERSATION:
                wanted.update((str(item.get("type")), -1) for item in seen if not item.get("passed"))
    return tuple(_result(note, wanted, tolerated) for note in notes if isinstance(note.note, GuardrailApplied))


def _result(note: Noted, wanted: set[tuple[str, int]], tolerated: frozenset[str]) -> GuardrailResult:
    found = note.note
    assert isinstance(found, GuardrailApplied)
    type_ = found.type
    expected = not found.passed and (type_ in tolerated or (type_, note.turn) in wanted or (type_, -1) in wanted)
    return GuardrailResult(
        type=type_,
        direction=found.direction,
        turn=note.turn,
        passed=found.passed,
        explanation=found.explanation,
        expected=expected,
    )
