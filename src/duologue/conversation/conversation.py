"""A conversation in progress: participants, messages and the journal, without any opinion on what comes next.

Every change is appended to the journal as one transition; the journal's view is the only state. Whose turn it is, is
for a driver to decide.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from inspect import iscoroutinefunction
from typing import Literal

from duologue.conversation.adapter import (
    AgentAdapter,
    AgentInput,
    AgentSession,
    CallSession,
    HeldConversation,
    JudgmentRequest,
    LazyInput,
)
from duologue.conversation.answers import Answer, Ended, Said
from duologue.conversation.calls import (
    FAILURES,
    CallTimeout,
    OnDelta,
    Utterance,
    Watchdog,
    answer_of,
    bounded,
    failure,
    messages_of,
    timed_out,
    timeout_of,
)
from duologue.conversation.deadlines import RunTask
from duologue.conversation.held import agent_finished, held_events
from duologue.conversation.observers import RunWatch
from duologue.conversation.result import ScenarioResult, ScenarioState, decisions_from
from duologue.conversation.resume import recorded_answer, repeated_content
from duologue.conversation.setup import CallIds, CheckRunner, RunSetup, cassette_for
from duologue.errors import ArtifactError, ConfigurationError, JournalError, ResumeError, RunError
from duologue.frozen import maker
from duologue.journal.events import (
    AgentCalled,
    CutReason,
    ErrorInfo,
    Event,
    JudgeDecided,
    MessageAdded,
    MessagesRolledBack,
    Noted,
    Transition,
    TurnStarted,
    UserFinished,
)
from duologue.journal.journal import Journal
from duologue.journal.notes import NotInterrupted
from duologue.messages import Message, text_of
from duologue.models.scope import Amount, RunScope, ledger_for
from duologue.settings import DEFAULT_MODEL_TIMEOUT
from duologue.vocabulary import Verdict

logger = logging.getLogger("duologue.conversation")

CLOSE_GRACE = 5.0
"""Seconds that a session may take to be interrupted or closed."""

CURRENT_CALL: ContextVar[str | None] = ContextVar("duologue_call", default=None)
"""Id of the call in progress: what a participant does to the conversation itself is put down to it."""

DecisionKind = Literal["checkpoint", "final"]


@dataclass(slots=True, eq=False)
class Call:
    """A call of a participant that is being made.

    Attributes:
        id: unique in the run, such as ``c3``.
        index: of the participant.
        delivered: the ids of the messages that it is given and that are new to it.
        input: what it is given.
        utterance: what it has said so far; None if it answers all at once.
        kind: what a decision that it comes to decides.
        interrupted: the script has ended it.
        started: when it began, by the clock of the run.
    """

    id: str
    index: int
    delivered: tuple[str, ...]
    input: AgentInput
    utterance: Utterance | None
    kind: DecisionKind = "final"
    interrupted: bool = False
    started: float = 0.0


_is_async = lru_cache(iscoroutinefunction)


class Conversation:
    """One conversation in progress.

    Attributes:
        agents: the participants; their place is their index in events.
        run: the run, seen from outside.
        checks: evaluates the checks of the run.
    """

    def __init__(
        self,
        setup: RunSetup,
        journal: Journal,
        state: ScenarioState,
        run: RunTask,
        watch: RunWatch | None,
        spent: Amount,
    ) -> None:
        self.setup = setup
        self.agents = setup.agents
        self.run = run
        self.journal = journal
        self.view = journal.view
        self.state = state
        self._next_call = CallIds(journal).next
        self._watchdog = Watchdog(run, timed_out)
        self._in_flight: dict[str, Call] = {}
        self._watch = watch
        self._sessions: dict[int, AgentSession] = {}  # of those that answer bit by bit
        for index, agent in enumerate(setup.agents):
            if type(agent).stream is not AgentAdapter.stream:
                self._sessions[index] = CallSession(agent)
        self._is_async = [_is_async(getattr(agent.call, "__func__", agent.call)) for agent in setup.agents]
        self._to_restore = set(range(len(setup.agents))) if journal.recorded is not None else None
        self._scope = RunScope(
            context=setup.context,
            journal=journal,
            who="check",
            model_timeout=setup.config.model_timeout or DEFAULT_MODEL_TIMEOUT,
            ledger=ledger_for(setup.budget, setup.context.clock, parent=setup.ledger),
            cassette=cassette_for(setup),
        )
        self.checks = CheckRunner(
            setup.checks, journal=journal, state=state, run=run, scope=self._scope, next_call=self._next_call
        )
        if setup.budget is not None and self._scope.ledger is not None:
            self._scope.ledger.count_earlier(spent, above=False)  # an execution counts all of its runs itself

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the sessions of those participants that hold a connection.

        Raises:
            RunError: one of them could not be opened.
        """
        for index, agent in enumerate(self.agents):
            if type(agent).open is AgentAdapter.open:
                continue
            seconds = timeout_of(agent, self.setup.config)
            try:
                session = await self._watchdog.bound(agent.open(self._scope.of(agent.name, index)), seconds, agent)
            except CallTimeout as error:
                text = f"{agent.name} could not be opened within {seconds:g} s"
                raise FAILURES[agent.role](text, who=agent.name) from error
            except (RunError, ArtifactError):
                raise
            except BaseException as error:
                if self.run.from_outside(error):
                    raise
                raise failure(agent, error) from error
            self.run.check_going_on()
            if session is not None:
                self._sessions[index] = session

    def session_of(self, index: int) -> AgentSession | None:
        """The session of this participant; None if it answers all at once."""
        return self._sessions.get(index)

    @property
    def connected(self) -> bool:
        """Whether a participant holds a connection."""
        return bool(self._sessions) and any(not isinstance(item, CallSession) for item in self._sessions.values())

    async def conclude(self) -> None:
        """The run is about to end: what sessions still have to note comes before its last event."""
        for session in self._sessions.values():
            await session.conclude()

    async def close(self) -> None:
        """The run is over: close all sessions, whatever happens."""
        self._watchdog.close()
        sessions, self._sessions = self._sessions, {}
        for _, session in sorted(sessions.items(), reverse=True):
            if not isinstance(session, CallSession):
                await bounded(session.close(), CLOSE_GRACE)

    # --- messages ----------------------------------------------------------------------------------------------------

    def open_turn(self) -> None:
        """Begin the next turn."""
        self.journal.append(maker(TurnStarted)(turn=self.view.turn + 1))

    def add(
        self,
        message: Message,
        *,
        author: int | None = None,
        stands_in_for: int | None = None,
        call: str | None = None,
        cut: CutReason | None = None,
    ) -> None:
        """Put a message into the conversation and into every mailbox but its author's."""
        self.journal.append(
            maker(MessageAdded)(
                message_id=f"m{self.view.messages_added + 1}",
                message=message,
                turn=self.view.turn,
                author=author,
                stands_in_for=stands_in_for,
                call=call or CURRENT_CALL.get(),
                cut=cut,
            )
        )

    def roll_back(self, index: int) -> list[Message]:
        """Take out all messages from ``index`` on, also of mailboxes; returns them, [] if there are none."""
        if index < 0:
            raise ConfigurationError(f"rollback_messages_to({index}): the index must be 0 or more")
        gone = self.view.records[index:]
        if gone:
            ids = [record.message_id for record in gone]
            self.journal.append(MessagesRolledBack(index=index, message_ids=ids, call=CURRENT_CALL.get()))
        return [record.message for record in gone]

    # --- calls of participants ---------------------------------------------------------------------------------------

    def begin(
        self,
        index: int,
        request: JudgmentRequest | None = None,
        *,
        kind: DecisionKind = "final",
        on_delta: OnDelta | None = None,
    ) -> Call:
        """Begin a call of this participant: what it is given is what there is now."""
        agent, box, call_id = self.agents[index], self.view.mailboxes[index], self._next_call()
        input = LazyInput(
            thread_id=self.state.thread_id,
            messages=self.view.messages.copy(),
            new_messages=[record.message for record in box],
            judgment_request=request,
            scenario_state=self.state,
            made_for=(self._scope, agent, index, call_id),
            streamed=on_delta is not None,
        )
        utterance = None
        if index in self._sessions:
            utterance = Utterance(who=agent.name, role=agent.role, on_delta=on_delta)
        return Call(call_id, index, tuple([record.message_id for record in box]), input, utterance, kind)

    async def ask(self, index: int, request: JudgmentRequest | None = None, *, kind: DecisionKind = "final") -> Answer:
        """Call one participant with what is new to it, and put what it answers into the conversation."""
        return await self.complete(self.begin(index, request, kind=kind))

    async def complete(self, call: Call) -> Answer:
        """Make the call, and put what it comes to into the conversation: its messages, or its decision."""
        journal, agent = self.journal, self.agents[call.index]
        if journal.recorded is not None and (not agent.repeats or journal.recorded.broke_off(call.id)):
            outcome = await journal.recorded_outcome(call.id)
            if outcome is not None:
                return self._recorded_answer(call, outcome)
        if self._to_restore:
            self._restore(call.index)
        clock = self.setup.context.clock
        call.started = started = clock.monotonic()
        outer = CURRENT_CALL.get()
        CURRENT_CALL.set(call.id)
        self._in_flight[call.id] = call
        try:
            if journal.pending:
                await journal.flush()
            answering = answer_of(
                agent,
                self._sessions.get(call.index),
                call.input,
                self.setup.config,
                self._watchdog,
                call.utterance,
                is_async=self._is_async[call.index],
            )
            answer = await (answering if self._watch is None else self._watch.around(call.index, answering))
        except BaseException as error:  # noqa: BLE001 - raised again, once what was said until then is kept
            CURRENT_CALL.set(outer)
            del self._in_flight[call.id]
            return await self._break_off(call, clock.monotonic() - started, error)
        CURRENT_CALL.set(outer)
        del self._in_flight[call.id]
        if self.run.stopping or self.run.limit_reached:
            self.run.check_going_on()
        if journal.recorded is not None:
            if (outcome := await journal.recorded_outcome(call.id)) is not None:
                return self._same_again(call, outcome, answer)
            await journal.caught_up()
        self._called_event(call, clock.monotonic() - started, self._outcome(call, answer))
        return answer

    async def interrupt(self, call: Call, task: asyncio.Task[object]) -> None:
        """End a call in flight: what was said until now stays, marked as cut off."""
        if task.done():
            return
        call.interrupted = True
        if (session := self._sessions.get(call.index)) is not None:
            await bounded(session.interrupt(), session.interrupt_timeout)
        task.cancel()

    def note_if_complete(self, call: Call, after_words: int) -> None:
        """Note it if a call was to be interrupted and had come to its end before."""
        called = next((e.event for e in reversed(self.journal.entries) if _is_call(e.event, call.id)), None)
        if not isinstance(called, AgentCalled) or called.interrupted or called.failed:
            return
        said = [record.message for record in self.view.records if (record.call or "").partition(".")[0] == call.id]
        words = sum(len(text_of(message).split()) for message in said)
        self.journal.append(Noted(turn=self.view.turn, note=NotInterrupted(after_words=after_words, words=words)))
        logger.warning(
            "interrupt(after_words=%d): %s had finished after %d words, so that nothing was interrupted",
            after_words,
            self.agents[call.index].name,
            words,
        )

    async def _break_off(self, call: Call, seconds: float, error: BaseException) -> Answer:
        """The call did not come to its end. What was said until then is kept, marked as cut off."""
        journal = self.journal
        if journal.finished or isinstance(error, JournalError):
            raise error
        cancelled = isinstance(error, asyncio.CancelledError)
        if not isinstance(error, Exception) and not (cancelled and call.interrupted):
            error = await self._attributed(call, error)
        if journal.recorded is not None:
            if await journal.recorded_outcome(call.id) is not None:
                raise error
            await journal.caught_up()
        interrupted = call.interrupted and isinstance(error, (Exception, asyncio.CancelledError))
        said = self._record_break(call, seconds, error, interrupted)
        if not interrupted:
            raise error
        task = asyncio.current_task()
        if task is not None and cancelled:
            task.uncancel()
        return said

    async def _attributed(self, call: Call, error: BaseException) -> BaseException:
        """What a participant raises to end more than its own call is its failure; what comes from outside is not."""
        if self.run.from_outside(error):
            return error
        await self.run.settle()
        broken = failure(self.agents[call.index], error)
        broken.__cause__ = error
        return broken

    def give_up(self, error: Exception) -> None:
        """The run is left behind: what is in flight is recorded as broken off. Safe from any thread."""
        if self.journal.recorded is not None:
            return
        now = self.setup.context.clock.monotonic()
        for call in tuple(self._in_flight.values()):
            at_fault = self.agents[call.index].name == getattr(error, "who", None)
            self._record_break(call, now - call.started, error if at_fault else asyncio.CancelledError(), False)

    def _record_break(self, call: Call, seconds: float, error: BaseException, interrupted: bool) -> list[Said]:
        reason = _cut_reason(error, interrupted)
        unfinished = call.utterance is not None and call.utterance.cut_off()
        said = call.utterance.said if call.utterance is not None else []
        messages = self._added(call, said, cut=reason if unfinished else None)
        self._called_event(call, seconds, messages, None if interrupted else ErrorInfo.of(error, self.view.turn))
        return said

    def _outcome(self, call: Call, answer: Answer) -> list[Event]:
        """What an answer adds to the conversation."""
        if isinstance(answer, list):
            return self._added(call, answer, cut="interrupted" if call.interrupted else None)
        if isinstance(answer, ScenarioResult):
            return [self._decided(call, answer)]
        if isinstance(answer, HeldConversation):
            return held_events(answer, self.view, self.agents, call.index, call.id)
        if isinstance(answer, Ended):
            ended = agent_finished(call.index, self.view.turn, answer.explanation, call.id)
            return [*self._added(call, answer.said), ended]
        words = [Said(message) for message in messages_of(answer.message, self.agents[call.index].name)]
        finished = UserFinished(
            participant=call.index,
            turn=self.view.turn,
            reason=answer.reason,
            explanation=answer.explanation,
            call=call.id,
        )
        return [*self._added(call, words), finished]

    def _added(self, call: Call, answer: Sequence[Said], cut: CutReason | None = None) -> list[Event]:
        first, turn = self.view.messages_added + 1, self.view.turn
        last, made = len(answer) - 1, maker(MessageAdded)
        return [
            made(
                message_id=f"m{first + place}",
                message=said.message,
                turn=turn,
                author=call.index,
                call=said.call or call.id,
                cut=cut if place == last else None,
            )
            for place, said in enumerate(answer)
        ]

    def _decided(self, call: Call, answer: ScenarioResult) -> JudgeDecided:
        return JudgeDecided(
            judge=self.agents[call.index].name,
            turn=self.view.turn,
            kind=call.kind,
            verdict=answer.verdict or Verdict.UNDECIDED,
            decisions=decisions_from(answer),
            reasoning=answer.reasoning,
            advisory=answer.advisory,
            termination=answer.termination,
            details=answer.details,
            call=call.id,
            participant=call.index,
        )

    def _called_event(
        self, call: Call, seconds: float, outcome: Sequence[Event], error: ErrorInfo | None = None
    ) -> None:
        """One transition: the call and all that came of it."""
        if self.journal.finished:
            return
        failed = error is not None
        called = maker(AgentCalled)(
            participant=call.index,
            turn=self.view.turn,
            delivered=() if failed else call.delivered,
            seconds=seconds,
            call=call.id,
            failed=failed,
            error=error,
            interrupted=call.interrupted and not failed,
        )
        self.journal.append(called, *outcome)

    # --- what was recorded before the run was interrupted ------------------------------------------------------------

    def _restore(self, index: int) -> None:
        if self._to_restore and index in self._to_restore:
            self._to_restore.remove(index)
            try:
                self.agents[index].restore(self.state)
            except Exception as error:
                raise failure(self.agents[index], error) from error

    def _recorded_answer(self, call: Call, outcome: Transition) -> Answer:
        return recorded_answer(self.journal, outcome, call.id, call.index, self.agents[call.index])

    def _same_again(self, call: Call, outcome: Transition, answer: Answer) -> Answer:
        """The recorded outcome of a call that was repeated to bring the participant up to date."""
        recorded = [entry.event for entry in outcome[1:]]
        repeated = self._outcome(call, answer)
        if [repeated_content(event) for event in recorded] != [repeated_content(event) for event in repeated]:
            raise ResumeError(
                f"the run cannot be resumed: {self.agents[call.index].name} does not answer in call {call.id} what it "
                "answered when the call was recorded"
            )
        return self._recorded_answer(call, outcome)


def _is_call(event: Event, call: str) -> bool:
    return isinstance(event, AgentCalled) and event.call == call


def _cut_reason(error: BaseException, interrupted: bool) -> CutReason:
    if interrupted:
        return "interrupted"
    if isinstance(error, RunError) and error.timed_out:
        return "timeout"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
