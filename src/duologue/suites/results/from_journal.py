"""Builds a :class:`RunResult` from the journal of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from duologue.config.problems import listed
from duologue.conversation.result import NOTHING_TO_GO_BY, ScenarioResult, result_of
from duologue.frozen import changed, maker
from duologue.journal.causes import Causes, workflow_states
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    CriterionDecision,
    Entry,
    MessageAdded,
    ModelCalled,
    Noted,
    RunStarted,
)
from duologue.journal.journal import RunView
from duologue.journal.notes import (
    AgentRetried,
    ConversationHeld,
    GuardrailApplied,
    PromptUsed,
    SimulatedUser,
    WorkflowEntered,
    WorkflowMoved,
)
from duologue.journal.spoken import SpokenNote
from duologue.messages import shown
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import (
    GuardrailResult,
    MediaResult,
    MessageResult,
    RecordingResult,
    RunResult,
    Spent,
    WorkflowResult,
    total_spent,
)
from duologue.suites.results.voice import VoiceResult
from duologue.suites.results.voice_figures import voice_result
from duologue.vocabulary import AgentRole, CheckStatus, Decision, Scope, Verdict

UNJUDGED = (
    "Nothing decides about this conversation: the scenario has no criteria, and no check was decided. Give it some."
)
"""The reason of a run that is undecided because nothing was asked of it."""
_NOTHING = Spent()


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
    result: ScenarioResult | None = None,
) -> RunResult:
    """The result of a run.

    Args:
        case: what was run.
        entries, view: the journal and its fold.
        journal: the file that holds it, as results name it.
        description, labels: of the scenario.
        definition: digests of what decides the result.
        tolerated: types of guardrails whose violations do not fail a run.
        result: what the run returned; None to read it from the journal.
    """
    seen = _Reading(entries)
    spent = seen.spent()
    recording = _recording(seen, spent) if case.kind == "replay" else None
    if recording is not None:
        spent = {AgentRole.JUDGE: spent.get(AgentRole.JUDGE, _NOTHING)}
    result = result or result_of(view)
    for message, state in workflow_states(view.records, view.notes).items():
        seen.meta.setdefault(message, {})["workflow_state"] = state
    messages = tuple([_message(record, seen) for record in view.records])
    voice, sound = _heard(view) if view.notes else (None, None)
    return maker(RunResult)(
        case=case,
        run_id=result.run_id or "",
        status=result.status,
        verdict=result.verdict,
        termination=result.termination,
        reasoning=UNJUDGED if result.reasoning == NOTHING_TO_GO_BY else _qualified(result, view.checks),
        error=result.error,
        messages=messages,
        system_prompts=tuple(note.note.text for note in view.notes if isinstance(note.note, PromptUsed)),
        checks=tuple(view.checks),
        judgements=tuple(view.judgements),
        decisions=(*result.decisions, *outcome_decisions(view.checks)),
        guardrails=guardrail_results(view.notes, view.checks, tolerated),
        tools=tuple(view.tools),
        media=_media(messages) if sound is None else (*_media(messages), sound),
        workflow=_workflow(view.notes),
        recording=recording,
        agent=spent.get(AgentRole.AGENT, _NOTHING),
        user=spent.get(AgentRole.USER, _NOTHING),
        judge=spent.get(AgentRole.JUDGE, _NOTHING),
        started_at=datetime.fromtimestamp(view.started_at, UTC) if view.started_at else None,
        seconds=result.total_time or 0.0,
        agent_seconds=seen.agent_seconds(result.agent_time or 0.0),
        turns=view.turns,
        self_play=bool(seen.personas),
        persona=next((name for name in seen.personas if name), None),
        journal=journal,
        description=description,
        labels=labels or {},
        definition=definition or {},
        voice=voice,
    )


class _Reading:
    """What the events say about messages and spending, put down to the calls that they name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.names: list[str] = []
        self.personas: list[str | None] = []
        self.meta: dict[str, dict[str, Any]] = {}
        self.recording: Mapping[str, Any] | None = None
        self._roles: list[AgentRole] = []
        self._causes = Causes()
        self._models: list[ModelCalled] = []
        self._retries: list[AgentRetried] = []
        self._held: dict[str, Mapping[str, float]] = {}
        for entry in entries:
            if (take := self._TAKE.get(type(entry.event))) is not None:
                take(self, entry.event)

    def spent(self) -> dict[AgentRole, Spent]:
        """By all participants of each role; checks count with the judges."""
        by_role: dict[AgentRole, list[Spent]] = {}
        for event in self._models:
            role = AgentRole.JUDGE if event.participant is None else self._roles[event.participant]
            by_role.setdefault(role, []).append(spent_on(event))
        return {role: total_spent(parts) for role, parts in by_role.items()}

    def agent_seconds(self, measured: float) -> float:
        """How long the agent took: of a conversation that it has held by itself as it says, else as it was measured."""
        told = [seconds for held in self._held.values() for seconds in held.values()]
        return sum(told) if told else measured

    def behind(self, record: MessageAdded) -> tuple[Spent | None, str | None]:
        """What the model calls behind a message took, and which model it was."""
        if (held := self._held.get(record.call or "")) is not None:
            seconds = held.get(record.message_id)
            return (None if seconds is None else Spent(seconds=seconds)), None
        models = self._causes.models_of(record)
        if models:
            spent = spent_on(models[0]) if len(models) == 1 else total_spent(map(spent_on, models))
            # An adapter that reports what its own calls took need not know how long they took.
            return (spent if spent.seconds else changed(spent, seconds=self._seconds(record) or 0.0)), models[-1].model
        seconds = self._seconds(record)
        return (None if seconds is None else Spent(seconds=seconds)), None

    def _seconds(self, record: MessageAdded) -> float | None:
        """How long the participant took that said this."""
        return self._causes.seconds_of(record) if record.message["role"] == "assistant" else None

    def _started(self, event: RunStarted) -> None:
        self.names = [item.name for item in event.participants]
        self._roles = [item.role for item in event.participants]
        found: object = event.scenario.metadata.get("recording")
        self.recording = cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else None

    def _model(self, event: ModelCalled) -> None:
        self._models.append(event)
        self._causes.take(event)

    def _called(self, event: AgentCalled) -> None:
        self._causes.take(event)

    def _note(self, event: Noted) -> None:
        if isinstance(event.note, SimulatedUser):
            self.personas.append(event.note.persona)
        elif isinstance(event.note, AgentRetried):
            self._retries.append(event.note)
        elif isinstance(event.note, ConversationHeld):
            self._held[event.call or ""] = event.note.seconds

    def _message(self, event: MessageAdded) -> None:
        if event.author is None:
            return
        self._causes.take(event)
        if self._retries and self._roles[event.author] is AgentRole.AGENT:
            waits = [f"status {retry.status}, {retry.seconds:g} s" for retry in self._retries]
            self.meta.setdefault(event.message_id, {})["sent_again_after"] = "; ".join(waits)
            self._retries = []
        if self.personas and self._roles[event.author] is AgentRole.USER:
            self.meta.setdefault(event.message_id, {})["persona"] = self.personas[-1]

    _TAKE: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        RunStarted: _started,
        ModelCalled: _model,
        AgentCalled: _called,
        Noted: _note,
        MessageAdded: _message,
    }


def _recording(seen: _Reading, spent: Mapping[AgentRole, Spent]) -> RecordingResult | None:
    if seen.recording is None:
        return None
    return RecordingResult(
        name=str(seen.recording.get("name", "")),
        facts={name: value for name, value in seen.recording.items() if name != "name" and value not in (None, [])},
        agent=spent.get(AgentRole.AGENT, _NOTHING),
        user=spent.get(AgentRole.USER, _NOTHING),
    )


def outcome_decisions(checks: Iterable[CheckEvaluated]) -> list[CriterionDecision]:
    """What checks that grade by metrics have decided about expected outcomes, each by itself."""
    graded = [check.details.get("outcomes") or () for check in checks if check.kind == METRICS]
    return [
        CriterionDecision(
            criterion=str(item["outcome"]),
            decision=Decision.MET if item.get("met") is True else Decision.UNMET,
            reason=str(item.get("reason", "")),
            message_ids=list(item.get("message_ids") or ()),
        )
        for outcomes in graded
        for item in outcomes
    ]


def _qualified(result: ScenarioResult, checks: Iterable[CheckEvaluated]) -> str | None:
    """The reasoning of a run, which says so where it passes although a metric has the lowest score."""
    over = [str(name) for check in checks if check.kind == METRICS for name in check.details.get("passed_over") or ()]
    if not over or result.verdict is not Verdict.PASS:
        return result.reasoning
    have = "has" if len(over) == 1 else "have"
    return f"{result.reasoning or 'It passes'}, although {listed(over)} {have} the lowest score"


def spent_on(event: ModelCalled) -> Spent:
    """What one model call took."""
    unpriced = int(event.cost is None and event.error is None)
    return maker(Spent)(calls=1, usage=event.usage, cost=event.cost or 0.0, unpriced=unpriced, seconds=event.seconds)


def _message(record: MessageAdded, seen: _Reading) -> MessageResult:
    spent, model = seen.behind(record)
    return maker(MessageResult)(
        id=record.message_id,
        message=shown(record.message),
        turn=record.turn,
        author=None if record.author is None else seen.names[record.author],
        spent=spent,
        model=model,
        meta=seen.meta.get(record.message_id, {}),
        cut=record.cut,
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


METRICS = "metrics"
"""The kind of checks that grade by metrics."""
GUARDRAIL = "guardrail"
TRIGGERED = "guardrail_triggered"


def _heard(view: RunView) -> tuple[VoiceResult | None, MediaResult | None]:
    """What was heard in a conversation in voice, and its recording."""
    if not any(isinstance(noted.note, SpokenNote) for noted in view.notes):
        return None, None
    return voice_result(view) or (None, None)


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
