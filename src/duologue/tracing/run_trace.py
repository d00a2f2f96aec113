"""The trace of one run: a span for the run, its turns, its calls; made by listening to its journal.

Spans follow the OpenTelemetry conventions for generative AI. Times are the run's own, so that a trace agrees with the
journal it comes from. What was said is in the journal and not in the spans; the judge's reasons are in both.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from duologue.context import Clock
from duologue.journal.events import (
    CheckEvaluated,
    Entry,
    JudgeDecided,
    ModelCalled,
    Noted,
    ParticipantSnapshot,
    RunFinished,
    RunStarted,
    ToolCalled,
    TurnStarted,
)
from duologue.journal.notes import AttackNote
from duologue.models.names import parse_name
from duologue.tracing import attributes as names
from duologue.tracing.attributes import Attacks, evaluations_of
from duologue.tracing.collector import SpanCollector
from duologue.vocabulary import AgentRole, RunStatus, Scope, Verdict

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.util.types import AttributeValue

T = TypeVar("T")
Attributes = dict[str, "AttributeValue"]


class RunTrace:
    """Turns the events of one run into spans, and has each participant's span current while it is called."""

    def __init__(self, tracer: Tracer, collector: SpanCollector, clock: Clock) -> None:
        self._tracer = tracer
        self._collector = collector
        self._clock = clock
        self._participants: tuple[ParticipantSnapshot, ...] = ()
        self._attacks = Attacks()
        self._thread_id = ""
        self._run: Span = trace.INVALID_SPAN
        self._turn: Span = trace.INVALID_SPAN
        self._turn_number = 0
        self._calls: dict[int, Span] = {}
        """The calls in progress, by participant: each has at most one."""

    def __call__(self, entry: Entry) -> None:
        """One more event of the journal."""
        match entry.event:
            case RunStarted() as event:
                self._begin(event, entry.at)
            case TurnStarted() as event:
                self._turn.end(nanoseconds(entry.at))
                self._open_turn(event.turn, entry.at)
            case ModelCalled() as event:
                self._model_called(event, entry.at)
            case ToolCalled() as event:
                self._tool_called(event, entry.at)
            case CheckEvaluated() | JudgeDecided() as event:
                self._evaluated(event, entry.at)
            case Noted() as event:
                self._noted(event)
            case RunFinished() as event:
                self._finish(event, entry.at)
            case _:
                pass

    async def around(self, participant: int, call: Awaitable[T]) -> T:
        """Wait for the call under a span of its own, which is the parent of whatever the participant traces."""
        if not self._participants:
            return await call  # the beginning could not be traced, which was logged
        with self._calling(participant):
            return await call

    @contextmanager
    def _calling(self, participant: int) -> Generator[None]:
        span = self._calls[participant] = self._call_span(participant)
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            span.set_attribute(names.ERROR_TYPE, type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
        finally:
            del self._calls[participant]
            otel_context.detach(token)
            span.end(nanoseconds(self._clock.now()))

    def _call_span(self, participant: int) -> Span:
        who = self._participants[participant]
        span = self._start(
            f"invoke_agent {who.name}",
            self._turn,
            self._clock.now(),
            {
                names.OPERATION: "invoke_agent",
                names.AGENT_NAME: who.name,
                names.CONVERSATION_ID: self._thread_id,
                names.ROLE: who.role.value,
                names.INDEX: participant,
                names.TURN: self._turn_number,
            },
        )
        found = span.get_span_context()
        self._collector.call(found.trace_id, trace.format_span_id(found.span_id), of_agent=who.role is AgentRole.AGENT)
        return span

    def _begin(self, event: RunStarted, at: float) -> None:
        """A trace of its own for each run, linked to whatever was being traced where it was started."""
        started_in = trace.get_current_span().get_span_context()
        self._thread_id = event.thread_id
        self._run = self._tracer.start_span(
            f"run {event.scenario.name}",
            context=otel_context.Context(),
            links=[Link(started_in)] if started_in.is_valid else [],
            attributes=_run_attributes(event),
            start_time=nanoseconds(at),
        )
        trace_id = self._run.get_span_context().trace_id
        self._collector.begin(trace_id, event.run_id, event.thread_id)
        # A run that is begun and then given up has no last event.
        weakref.finalize(self, self._collector.end, trace_id).atexit = False
        self._open_turn(0, at)
        self._participants = event.participants
        self._attacks = Attacks(event.participants)

    def _open_turn(self, turn: int, at: float) -> None:
        self._turn_number = turn
        self._turn = self._start(f"turn {turn}", self._run, at, {names.TURN: turn})

    def _model_called(self, event: ModelCalled, at: float) -> None:
        name = parse_name(event.model)
        attributes: Attributes = {
            names.OPERATION: "chat",
            names.PROVIDER: name.provider or "unknown",
            names.REQUEST_MODEL: name.reference or event.model,
            names.CONVERSATION_ID: self._thread_id,
            names.INPUT_TOKENS: event.usage.input_tokens,
            names.OUTPUT_TOKENS: event.usage.output_tokens,
            names.ASKER: event.asker,
            names.ATTEMPTS: event.attempts,
            names.REPLAYED: event.replayed,
            **self._who(event.participant),
        }
        if event.cost is not None:
            attributes[names.COST] = event.cost
        span = self._start(
            f"chat {name.reference or event.model}",
            self._within(event.participant),
            at - event.seconds,
            attributes,
            SpanKind.CLIENT,
        )
        _end(span, at, event.error)

    def _tool_called(self, event: ToolCalled, at: float) -> None:
        attributes: Attributes = {
            names.OPERATION: "execute_tool",
            names.TOOL_NAME: event.name,
            names.TOOL_CALL_ID: event.call_id,
            names.TOOL_TYPE: "function",
            **self._who(event.participant),
        }
        parent = self._within(event.participant)
        span = self._start(f"execute_tool {event.name}", parent, at - event.seconds, attributes)
        _end(span, at, event.error)

    def _evaluated(self, event: CheckEvaluated | JudgeDecided, at: float) -> None:
        """On the turn that was evaluated, or on the run."""
        of_turn = event.scope is Scope.TURN if isinstance(event, CheckEvaluated) else event.kind == "checkpoint"
        span = self._turn if of_turn else self._run
        for attributes in evaluations_of(event):
            span.add_event(names.EVALUATION_EVENT, attributes, timestamp=nanoseconds(at))

    def _noted(self, event: Noted) -> None:
        if attributes := self._attacks.attributes(event):
            participant = event.note.participant if isinstance(event.note, AttackNote) else None
            self._within(participant).set_attributes(attributes)

    def _finish(self, event: RunFinished, at: float) -> None:
        self._turn.end(nanoseconds(at))
        run = self._run
        run.set_attribute(names.RUN_STATUS, event.status.value)
        run.set_attribute(names.TERMINATION, event.termination.value)
        if event.verdict is not None:
            run.set_attribute(names.VERDICT, event.verdict.value)
        if event.verdict is Verdict.PASS or event.verdict is Verdict.FAIL:
            run.set_attribute(names.TEST_CASE_STATUS, event.verdict.value)
        if event.status is not RunStatus.COMPLETED:
            run.set_attribute(names.ERROR_TYPE, event.error.type if event.error else event.status.value)
            run.set_status(Status(StatusCode.ERROR, event.error.message if event.error else event.reasoning))
        run.end(nanoseconds(at))
        self._collector.end(run.get_span_context().trace_id)

    def _who(self, participant: int | None) -> Attributes:
        """Whose call it is; nothing for calls of checks."""
        if participant is None or participant >= len(self._participants):
            return {}
        return {names.ROLE: self._participants[participant].role.value, names.INDEX: participant}

    def _within(self, participant: int | None) -> Span:
        """The call of that participant, or the span that it has begun in it; the open turn for what checks ask."""
        call = None if participant is None else self._calls.get(participant)
        if call is None:
            return self._turn
        current, outer = trace.get_current_span(), call.get_span_context()
        inner = current.get_span_context()
        if inner.trace_id == outer.trace_id and self._collector.is_within(
            outer.trace_id, trace.format_span_id(inner.span_id), trace.format_span_id(outer.span_id)
        ):
            return current
        return call

    def _start(
        self, name: str, parent: Span, at: float, attributes: Attributes, kind: SpanKind = SpanKind.INTERNAL
    ) -> Span:
        context = trace.set_span_in_context(parent, otel_context.Context())
        return self._tracer.start_span(
            name, context=context, kind=kind, attributes=attributes, start_time=nanoseconds(at)
        )


def nanoseconds(at: float) -> int:
    """Seconds since 1970 as OpenTelemetry counts them."""
    return int(at * 1_000_000_000)


def _end(span: Span, at: float, error: str | None) -> None:
    if error is not None:
        span.set_attribute(names.ERROR_TYPE, error.partition(":")[0])
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(nanoseconds(at))


def _run_attributes(event: RunStarted) -> Attributes:
    attributes: Attributes = {
        names.RUN_ID: event.run_id,
        names.CONVERSATION_ID: event.thread_id,
        names.SCENARIO: event.scenario.name,
        names.SET: event.scenario.set_id,
        names.SEED: event.seed,
        names.TEST_CASE_NAME: event.scenario.name,
        names.TEST_SUITE_NAME: event.scenario.set_id,
    }
    if event.batch_run_id is not None:
        attributes[names.BATCH] = event.batch_run_id
    return attributes
