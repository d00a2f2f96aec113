"""One run from its first event to its last: ids, journal, limits, and the result of each sort of failure.

A failure of infrastructure is an error and never a verdict; a failed assertion is a fail; a cancelled run says so. In
each case the journal is complete and durable before anyone is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from duologue.conversation.conversation import Conversation
from duologue.conversation.observers import CURRENT_RUN, notify_observers, watch_for
from duologue.conversation.result import Conclusion, ScenarioResult, result_of
from duologue.conversation.resume import Resumption, resume
from duologue.conversation.setup import RunSetup, journal_path
from duologue.conversation.state import RunControl, ScenarioState
from duologue.errors import (
    AgentTimeoutError,
    BudgetExceededError,
    DuologueError,
    JournalError,
    RunError,
    RunTimeoutError,
)
from duologue.journal.artifacts import MEDIA, FolderArtifacts
from duologue.journal.events import ErrorInfo, RunFinished
from duologue.journal.journal import Journal, JournalSink, Listener
from duologue.journal.jsonl import JsonlSink
from duologue.terminal_text import one_line
from duologue.vocabulary import RunStatus, Termination, Verdict


@dataclass(frozen=True)
class _TimeLimit:
    """The time limit that a run reaches first, in seconds, and the error of reaching it."""

    seconds: float
    error: DuologueError


class RunLifecycle:
    """A run: its beginning, its limits, its end.

    Attributes:
        conversation: what is said in it.
        path: the file of its journal, if it is recorded in one.
        failure: the exception that the run ended with, if it did.
    """

    def __init__(self, setup: RunSetup, control: RunControl, listeners: Sequence[Listener]) -> None:
        """Give the run its ids, or those that it had before it was interrupted, and write the first event.

        Raises:
            JournalError: the run is to be resumed, and its journal cannot be read.
            ResumeError: the run is to be resumed, and is not the one that was recorded.
        """
        run_id = setup.context.ids.new("run")
        self.path = journal_path(setup.config.record, run_id)
        resumption = resume(setup, self.path) if setup.resume else Resumption()
        if resumption.seed is not None:  # every random choice comes out as before
            setup = replace(setup, context=setup.context.with_seed(resumption.seed))
        clock = setup.context.clock
        run_id = resumption.run_id or run_id
        thread_id = resumption.thread_id or setup.context.ids.new("thread")
        self.failure: BaseException | None = None
        self._began = clock.monotonic() - resumption.seconds
        self._earlier = resumption.seconds
        self._complete = resumption.complete
        self._announced = False
        watch = watch_for(setup.config, clock)
        sinks: list[JournalSink] = [*setup.sinks]
        artifacts = setup.artifacts or (FolderArtifacts(self.path.parent / MEDIA) if self.path else None)
        if self.path and not resumption.complete:
            sinks.append(JsonlSink(self.path, after=resumption.size, artifacts=artifacts))
        journal = Journal(
            run_id,
            clock=clock,
            sinks=sinks,
            listeners=[*([watch] if watch else []), *listeners, *_transcript(setup)],
            recorded=None if resumption.complete else resumption.recorded,
            artifacts=artifacts,
        )
        state = ScenarioState(
            description=setup.description,
            thread_id=thread_id,
            config=setup.config,
            view=journal.view,
            control=control,
        )
        if resumption.complete and resumption.recorded:
            resumption.recorded.compare_beginning(setup.started(run_id, thread_id, resumption.attempt))
            journal.restore(resumption.recorded.transitions)
        else:
            journal.append(setup.started(run_id, thread_id, resumption.attempt))
        self.conversation = Conversation(setup, journal, state, watch, resumption.spent)

    async def run(
        self, play: Callable[[], Awaitable[Conclusion]], abandon: Callable[[], Awaitable[None]]
    ) -> ScenarioResult:
        """Play the whole script; failures are kept in ``failure``. Only cancellation is raised.

        Args:
            play: plays the script and says what it comes to.
            abandon: ends what is still in flight.
        """
        if self._complete:
            return self.result
        token = CURRENT_RUN.set(self.conversation.state)
        try:
            self._finish(await self._within_limit(play))
        except Exception as error:  # noqa: BLE001 - kept and raised again by the caller; the journal is completed first
            self.failure = error
            self._finish(self._failed(error))
        except BaseException:
            self._finish(self._cancelled())
            raise
        finally:
            CURRENT_RUN.reset(token)
            try:
                await abandon()
                await self.conversation.close()
            finally:
                await self._close()
                self._announce()
        result = self.result
        _attach(self.failure, result)
        return result

    async def give_up(self) -> None:
        """Close the journal of a run whose thread does not answer: it was cancelled. Safe from any thread."""
        self._finish(self._cancelled())
        await self._close()
        self._announce()

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, the time before it was interrupted included."""
        return self.conversation.setup.context.clock.monotonic() - self._began

    @property
    def result(self) -> ScenarioResult:
        """The result as the journal has it now."""
        result = result_of(self.conversation.view, self.path)
        if isinstance(self.failure, JournalError) and result.status is RunStatus.COMPLETED:
            # The last events could not be kept: a run that is not recorded has no verdict.
            info = ErrorInfo.of(self.failure)
            unkept = {"success": False, "verdict": None, "status": RunStatus.ERROR, "error": info}
            return result.model_copy(update={**unkept, "termination": Termination.ERROR})
        return result

    async def _within_limit(self, play: Callable[[], Awaitable[Conclusion]]) -> RunFinished:
        limit = self._time_limit()
        timer = asyncio.timeout(limit.seconds if limit else None)
        try:
            async with timer:
                await self.conversation.open()
                concluded = await play()
                await self.conversation.journal.flush()
                return self._concluded(concluded)
        except TimeoutError as error:
            if limit and timer.expired():
                raise limit.error from error
            raise

    def _time_limit(self) -> _TimeLimit | None:
        setup = self.conversation.setup
        limit, allowed = setup.config.run_timeout, setup.budget.seconds if setup.budget else None
        if allowed is not None and (limit is None or allowed <= limit):
            error = BudgetExceededError(f"the run exceeded its time budget of {allowed:g} s")
            return _TimeLimit(max(0.0, allowed - self._earlier), error)
        if limit is None:
            return None
        error = RunTimeoutError(f"the run took longer than run_timeout={limit:g} s")
        return _TimeLimit(max(0.0, limit - self._earlier), error)

    def _finish(self, finished: RunFinished) -> None:
        """Write the last event, unless it is there already."""
        journal = self.conversation.journal
        if not journal.finished:
            journal.stop_repeating()
            journal.append(finished)

    async def _close(self) -> None:
        try:
            await self.conversation.journal.close()
        except JournalError as error:
            self.failure = self.failure or error

    def _announce(self) -> None:
        """Tell the observers, once, that the run is over."""
        if not self._announced:
            self._announced = True
            notify_observers(self.result, self.conversation.journal)

    def _concluded(self, conclusion: Conclusion) -> RunFinished:
        return RunFinished(
            status=RunStatus.COMPLETED,
            verdict=conclusion.verdict,
            termination=conclusion.termination,
            reasoning=conclusion.reasoning,
            passed_criteria=conclusion.passed_criteria,
            failed_criteria=conclusion.failed_criteria,
            total_time=self.seconds,
            agent_time=self.conversation.view.agent_time,
        )

    def _failed(self, error: Exception) -> RunFinished:
        """The end of a run that raised: a fail for an assertion, an error for everything else."""
        view = self.conversation.view
        asserted = isinstance(error, AssertionError)
        text = str(error) or type(error).__name__
        return RunFinished(
            status=RunStatus.COMPLETED if asserted else RunStatus.ERROR,
            verdict=Verdict.FAIL if asserted else None,
            termination=Termination.SCRIPT_END if asserted else _termination(error),
            reasoning=f"Scenario failed with error: {text}",
            passed_criteria=view.passed_criteria,
            failed_criteria=[*view.failed_criteria, text] if asserted else view.failed_criteria,
            error=None if asserted else ErrorInfo.of(error, view.turn),
            total_time=self.seconds,
            agent_time=view.agent_time,
        )

    def _cancelled(self) -> RunFinished:
        """The end of a run that was cancelled."""
        return RunFinished(
            status=RunStatus.CANCELLED,
            termination=Termination.CANCELLED,
            reasoning="The run was cancelled.",
            total_time=self.seconds,
            agent_time=self.conversation.view.agent_time,
        )


def _termination(error: Exception) -> Termination:
    if isinstance(error, (RunTimeoutError, AgentTimeoutError)):
        return Termination.TIMEOUT
    return Termination.BUDGET if isinstance(error, BudgetExceededError) else Termination.ERROR


def _attach(error: BaseException | None, result: ScenarioResult) -> None:
    """Give an exception that leaves the run everything that is known about where it happened."""
    if isinstance(error, RunError):
        error.run_id, error.scenario, error.result = result.run_id, result.scenario, result
        error.turn = result.error.turn if result.error else None
    elif error is not None:
        error.result = result  # pyright: ignore[reportAttributeAccessIssue] - any exception can carry one more fact
        error.add_note(f"in scenario '{one_line(result.scenario)}', run {result.run_id}")
    if error is not None and result.journal is not None:
        error.add_note(f"journal: {one_line(result.journal)}")


def _transcript(setup: RunSetup) -> list[Listener]:
    """The live transcript, if one is wanted."""
    if setup.config.verbose is not None and not setup.config.verbose:
        return []
    from duologue.journal.console import transcript_for

    listener = transcript_for(setup.config)
    return [listener] if listener else []
