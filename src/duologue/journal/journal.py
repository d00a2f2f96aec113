"""The journal of one run: append what happened, and the view, the listeners and the sinks all learn of it.

A *transition* is what happened at once: one or more events that are recorded whole or not at all. Appending one is
synchronous and in memory. :meth:`Journal.flush` makes everything that was appended durable; the engine awaits it
before each call that leaves the process and at the end of the run, so a process that is killed loses at most the
answer to the call that was in flight.

A *view* is the fold: what a run looks like after its events so far. The running engine and a reader of a finished
journal use this same fold, so they cannot disagree: the engine never changes a view, it appends an event and the
journal applies it.

A *sink* keeps transitions (a file, later a database): if it fails, the run fails, because a run that cannot be
recorded did not happen. A *listener* only looks (a live transcript, a progress bar, spans): if it fails, that is
logged once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, cast

from duologue.context import Clock, SystemClock
from duologue.errors import JournalError, ResumeError
from duologue.journal.artifacts import ArtifactStore, MemoryArtifacts
from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    CriterionDecision,
    Entry,
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
    Transition,
    TurnStarted,
    Usage,
    UserFinished,
)
from duologue.journal.recorded import RecordedRun
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
    mailboxes: list[list[MessageAdded]] = field(default_factory=list[list[MessageAdded]])
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
        # Comparing types takes a fifth of the time of ``match``, once for every event of every run.
        if type(event) is MessageAdded:
            self._add(event)
        elif type(event) is AgentCalled:
            self._empty(event)
            self.agent_seconds[event.participant] += event.seconds
        elif type(event) is TurnStarted:
            self.turn = event.turn
        elif type(event) is ModelCalled:
            self._count(event)
        elif type(event) is StepStarted:
            self.step = event.index
        elif type(event) is JudgeDecided:
            self.judgements.append(event)
            if event.kind == "checkpoint" and not event.advisory:
                self.checkpoints.append(event)
        elif type(event) is CheckEvaluated:
            self.checks.append(event)
        elif type(event) is ToolCalled:
            self.tools.append(event)
        elif type(event) is Noted:
            self.notes.append(event)
        elif type(event) is MessagesRolledBack:
            self._roll_back(event)
        elif type(event) is UserFinished:
            self.user_finished = event
        elif type(event) is RunStarted:
            self.started, self.started_at = event, at
            self.mailboxes = [[] for _ in event.participants]
            self.agent_seconds = [0.0] * len(event.participants)
        elif type(event) is RunFinished:
            self.finished = event
        elif type(event) is RunResumed:
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
        box, taken = self.mailboxes[event.participant], 0
        for message_id in event.delivered:
            if taken < len(box) and box[taken].message_id == message_id:
                taken += 1
        del box[:taken]

    def _roll_back(self, event: MessagesRolledBack) -> None:
        del self.records[event.index :]
        del self.messages[event.index :]
        gone = set(event.message_ids)
        for index, box in enumerate(self.mailboxes):
            self.mailboxes[index] = [item for item in box if item.message_id not in gone]

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


logger = logging.getLogger("duologue.journal")


class JournalSink(Protocol):
    """Keeps transitions."""

    async def write(self, transitions: Sequence[Transition]) -> None:
        """Keep all of these, each whole or not at all, in their order, before returning.

        Raises:
            JournalError: they cannot be kept.
        """
        ...

    async def close(self) -> None:
        """The journal is complete, or is given up."""
        ...


class MemorySink:
    """Keeps transitions in memory."""

    def __init__(self) -> None:
        self.transitions: list[Transition] = []
        self.closed = False

    async def write(self, transitions: Sequence[Transition]) -> None:
        """Keep them."""
        self.transitions.extend(transitions)

    async def close(self) -> None:
        """Nothing more will come."""
        self.closed = True


Listener = Callable[[Entry], None]

_new = cast("Callable[[type[Entry], tuple[str, int, float, Event]], Entry]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]
"""Makes an entry in half the time that ``Entry(…)`` takes."""

CLOSE_GRACE = 5.0
"""Seconds that the end of a journal waits for a write that is under way."""


async def _let_others_begin() -> None:
    """Give way once: calls that were made together get their ids before the first of them is answered."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


def _broken(error: BaseException) -> JournalError:
    if isinstance(error, JournalError):
        return error
    broken = JournalError(f"a sink of the journal broke: {type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


class Journal:
    """Append-only; knows its own view. Appending after the run has finished is an error.

    Args:
        run_id: of the run.
        clock: dates the entries.
        sinks: keep what is appended.
        listeners: told of every entry.
        recorded: what an interrupted run has recorded already. Until all of it has been repeated, what is appended is
            compared with it and not written again.
        artifacts: keeps bytes that belong to the run; None for memory.
    """

    def __init__(
        self,
        run_id: str,
        *,
        clock: Clock | None = None,
        sinks: Sequence[JournalSink] = (),
        listeners: Iterable[Listener] = (),
        recorded: RecordedRun | None = None,
        artifacts: ArtifactStore | None = None,
    ) -> None:
        self.run_id = run_id
        self._artifacts = artifacts
        self.entries: list[Entry] = []
        self.view = RunView()
        self.recorded = recorded
        """The recorded run that is being repeated; None in a run from the beginning, and once all of it is repeated."""
        self._clock = clock or SystemClock()
        self._sinks = tuple(sinks)
        self._listeners = list(listeners)
        self._pending: list[Transition] = []
        self._lock = threading.Lock()
        self._writing: list[Future[None]] | None = None
        """Whoever waits for the write that is under way; None where there is none."""
        self._broken: list[JournalSink] = []
        self._failure: JournalError | None = None
        self.divergence: ResumeError | None = None
        """Why the resumed run is not the recorded one; whoever swallows the error meets it again."""
        self._silent = False

    def append(self, *events: Event) -> Entry:
        """Record what happened at once; returns the entry of the last event.

        Raises:
            JournalError: the run has finished.
            ResumeError: the resumed run diverged from its recording.
        """
        if self.recorded is not None:
            if self.divergence is not None:
                raise self.divergence
            if self._repeated(self.recorded, events):
                return self.entries[-1]
            self.recorded = None
            self.append(RunResumed())
        with self._lock:
            if self.view.finished is not None:
                raise JournalError(f"run {self.run_id} has finished; '{events[0].type}' cannot be added to its journal")
            at, first, entries = self._clock.now(), len(self.entries), self.entries
            for event in events:
                entries.append(_new(Entry, (self.run_id, len(entries), at, event)))
                self.view.apply(event, at)
            last = entries[-1]
            transition = tuple(entries[first:]) if self._sinks or self._listeners else ()
            if self._sinks and not self._silent:
                self._pending.append(transition)
        if self._listeners:
            self._tell(transition)
        return last

    def restore(self, transitions: Iterable[Transition]) -> None:
        """Take in what was recorded before."""
        for transition in transitions:
            self.entries.extend(transition)
            for entry in transition:
                self.view.apply(entry.event, entry.at)
            if self._listeners:
                self._tell(transition)

    def stop_repeating(self) -> None:
        """The run ends. If that is before all was repeated that was recorded, the record stays as it is."""
        if self.recorded is not None:
            self._silent = not self.recorded.repeated
            self.recorded = None

    @property
    def pending(self) -> bool:
        """Whether something was appended that is not durable yet."""
        return bool(self._pending) or self._writing is not None

    async def flush(self) -> None:
        """Make everything durable that was appended so far: one write for each sink.

        Raises:
            JournalError: a sink could not keep it.
        """
        while self.pending:
            await self._write()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Flush, and close the sinks. Also for a run whose own event loop does not answer any more."""
        await self._written(CLOSE_GRACE)
        self._writing = None  # a write on a loop that is blocked is not waited for
        try:
            await self.flush()
        finally:
            sinks, self._sinks = self._sinks, ()
            for sink in sinks:
                try:
                    await sink.close()
                except Exception as error:  # noqa: BLE001 - raised below, once the other sinks are closed
                    self._failure = self._failure or _broken(error)
        if self._failure is not None:
            raise self._failure

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps bytes that belong to the run: pictures, sound, recordings."""
        if self._artifacts is None:
            self._artifacts = MemoryArtifacts()
        return self._artifacts

    @property
    def finished(self) -> bool:
        """Whether the last event is in."""
        return self.view.finished is not None

    def view_after(self, events: int) -> RunView:
        """What the run looked like after its first so many events."""
        if events == len(self.entries):
            return self.view
        view = RunView()
        for entry in self.entries[:events]:
            view.apply(entry.event, entry.at)
        return view

    def listen(self, listener: Listener) -> None:
        """Tell this listener of every event from now on."""
        self._listeners.append(listener)

    async def recorded_outcome(self, call: str) -> Transition | None:
        """What the call came to in the recorded run that is being repeated; None if it has to be made.

        Raises:
            ResumeError: the resumed run diverged from its recording.
        """
        recorded = self.recorded
        if recorded is None:
            return None
        if self.divergence is not None:
            raise self.divergence
        recorded.begin(call)
        if not recorded.has(call):
            return None
        await _let_others_begin()
        while recorded.has(call):
            transitions, outcome = recorded.advance(call)
            self.restore(transitions)
            if outcome is not None:
                return outcome
            await self._wait(recorded, call)
        return None

    async def caught_up(self) -> None:
        """Wait until all that was recorded is repeated: what is new comes after it.

        Raises:
            ResumeError: it is not repeated.
        """
        if self.recorded is not None:
            await self._wait(self.recorded, None)

    def diverged(self, error: ResumeError) -> ResumeError:
        """Remember why this is not the recorded run; returns the error, to be raised."""
        self.divergence = self.divergence or error
        return error

    async def _wait(self, recorded: RecordedRun, call: str | None) -> None:
        try:
            await recorded.wait(call)
        except ResumeError as error:
            raise self.diverged(error) from None

    async def _write(self) -> None:
        """Write what is pending, or wait for the write that is under way."""
        waiting: list[Future[None]] = []
        with self._lock:
            begins, transitions = self._writing is None, self._pending
            if begins:
                self._writing, self._pending = waiting, []
        if not begins:
            return await self._written()
        try:
            for sink in self._sinks:
                if sink in self._broken:  # what comes after a gap would make the journal unreadable
                    continue
                try:
                    await sink.write(transitions)
                except BaseException as error:  # raised by flush, once the other sinks have theirs
                    self._broken.append(sink)
                    self._failure = self._failure or _broken(error)
                    if isinstance(error, asyncio.CancelledError):
                        raise
        finally:
            with self._lock:
                if self._writing is waiting:
                    self._writing = None
            for waiter in waiting:
                waiter.set_result(None)

    async def _written(self, seconds: float | None = None) -> None:
        """Wait for the end of the write that is under way, if there is one."""
        with self._lock:
            if self._writing is None:
                return
            self._writing.append(waiter := Future[None]())
        await asyncio.wait({asyncio.wrap_future(waiter)}, timeout=seconds)

    def _repeated(self, recorded: RecordedRun, events: Sequence[Event]) -> bool:
        """Whether these events are what was recorded; False once all that was recorded is repeated."""
        try:
            transitions, repeated = recorded.repeat(events)
        except ResumeError as error:
            raise self.diverged(error) from None
        self.restore(transitions)
        return repeated

    def _tell(self, transition: Transition) -> None:
        for listener in tuple(self._listeners):
            try:
                for entry in transition:
                    listener(entry)
            except Exception:
                logger.exception("a listener of run %s failed and is left out from here on", self.run_id)
                self._listeners.remove(listener)
