"""One run from its first event to its last: ids, journal, limits, and the one place of the verdict.

The rules of the verdict, in order: a failed check or criterion fails the run; otherwise the judge's verdict stands;
otherwise checkpoints and checks that all passed pass it; with nothing to decide on, the run is undecided. A check can
veto a judge's pass and never rescue a fail.

A failure of infrastructure is an error and never a verdict; a failed assertion is a fail; a cancelled run says so (see
``failures``). In each case the journal is complete and durable before anyone is told.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from duologue.config.files import REPLACED
from duologue.config.tracebacks import describe
from duologue.conversation.conversation import CLOSE_GRACE, Conversation
from duologue.conversation.deadlines import RunTask
from duologue.conversation.failures import attach, cancelled, failed
from duologue.conversation.observers import CURRENT_RUN, notify_observers, observed, watch_for
from duologue.conversation.result import NOTHING_TO_GO_BY, RunControl, ScenarioResult, ScenarioState, result_of
from duologue.conversation.resume import Resumption, resume
from duologue.conversation.setup import RunSetup, earlier_journal, journal_for
from duologue.conversation.voice_state import VoiceState
from duologue.errors import (
    BudgetExceededError,
    DuologueError,
    JournalError,
    RunError,
    RunTimeoutError,
    ScriptError,
)
from duologue.frozen import frozen
from duologue.journal.events import CheckEvaluated, ErrorInfo, RunFinished
from duologue.journal.journal import Journal, JournalSink, Listener, RunView
from duologue.journal.jsonl import JsonlJournal
from duologue.vocabulary import CheckStatus, RunStatus, Scope, Termination, Verdict

logger = logging.getLogger("duologue.conversation")

CONCLUDE_GRACE = 60.0
"""Seconds in which sessions may note what they still have, of a run that ends with an error."""

ALL_CHECKPOINTS_PASSED = "All inline criteria checkpoints passed"
ALL_CHECKS_PASSED = "All checks passed"


@frozen
class Conclusion:
    """What a run comes to."""

    verdict: Verdict
    termination: Termination
    reasoning: str | None
    passed_criteria: list[str]
    failed_criteria: list[str]


@dataclass(frozen=True)
class _TimeLimit:
    """The time limit that a run reaches first, in seconds, and the error of reaching it."""

    seconds: float
    error: DuologueError

    def error_at(self, where: str) -> Exception:
        """The error of a run that does not end when it is cancelled, and is at that line."""
        text = " and does not end when it is cancelled" + (f": it is at {where}" if where else "")
        return type(self.error)(f"{self.error}{text}")


class RunLifecycle:
    """A run: its beginning, its limits, its end.

    Attributes:
        conversation: what is said in it.
        task: the run, seen from outside.
        failure: the exception that the run ended with, if it did.
    """

    def __init__(self, setup: RunSetup, control: RunControl, listeners: Sequence[Listener]) -> None:
        """Give the run its ids, or those that it had before it was interrupted, and write the first event.

        Raises:
            JournalError: the run is to be resumed, and its journal cannot be read.
            ResumeError: the run is to be resumed, and is not the one that was recorded.
        """
        run_id = setup.context.ids.new("run")
        self._kept_in = journal_for(setup, run_id)
        if (earlier := earlier_journal(setup)) is not None:
            self._kept_in, setup = JsonlJournal(earlier), replace(setup, resume=True)
        resumption = resume(setup, self._kept_in) if setup.resume else Resumption()
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
        self._noting = False  # whether sessions were asked for what they still have to note
        watch = watch_for(setup.config, clock, setup.agents)
        sinks: list[JournalSink] = [*setup.sinks]
        artifacts = setup.artifacts or (self._kept_in.artifacts if self._kept_in else None)
        if self._kept_in and not resumption.complete:
            sinks.append(self._kept_in.sink(kept=resumption.kept, artifacts=artifacts))
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
            voice=VoiceState(setup.voice) if setup.voice is not None else None,
        )
        if resumption.complete and resumption.recorded:
            resumption.recorded.compare_beginning(setup.started(run_id, thread_id, resumption.attempt))
            journal.restore(resumption.recorded.transitions)
        else:
            journal.append(setup.started(run_id, thread_id, resumption.attempt))
        self.task = RunTask(self.give_up)
        self.conversation = Conversation(setup, journal, state, self.task, watch, resumption.spent)

    @property
    def path(self) -> Path | None:
        """The file of its journal, if it is recorded in one."""
        return self._kept_in.path if self._kept_in else None

    async def run(
        self, play: Callable[[], Awaitable[Conclusion]], abandon: Callable[[], Awaitable[None]]
    ) -> ScenarioResult:
        """Play the whole script; failures are kept in ``failure``. Only what ends the run from outside is raised.

        Args:
            play: plays the script and says what it comes to.
            abandon: ends what is still in flight.

        Raises:
            asyncio.CancelledError: the caller was cancelled.
            KeyboardInterrupt: somebody has pressed Ctrl-C.
        """
        if self._complete:
            return self.result
        try:
            await self.task.play(self._play(play, abandon))
        except BaseException:
            await self.give_up()
            raise
        if self.task.given_up is not None:
            return await self.give_up(self.task.given_up)
        return self._outcome()

    async def give_up(self, error: Exception | None = None) -> ScenarioResult:
        """End a run that does not end by itself. Safe from any thread.

        Args:
            error: why; None for a run that was cancelled.
        """
        journal = self.conversation.journal
        if not journal.finished:
            with suppress(JournalError):  # the run may end in its own thread at this very moment
                if error is not None:
                    self.failure = error
                    self.conversation.give_up(error)
                self._finish(
                    cancelled(self.conversation.view, self.seconds)
                    if error is None
                    else failed(error, self.conversation.view, self.seconds)
                )
        elif error is not None and self.failure is not error:
            logger.warning("run %s has ended, but what it has opened could not be closed", journal.run_id)
        await self._close()
        self._announce()
        return self._outcome()

    async def withdraw(self, error: Exception) -> None:
        """End a run that is going to be played again in another thread: nobody is told of it. Safe from any thread."""
        self._announced = True
        await self.give_up(error)
        if self._kept_in is not None:
            self._kept_in.set_aside(REPLACED)

    def _outcome(self) -> ScenarioResult:
        result = self.result
        if self.failure is not None:
            attach(self.failure, result)
        return result

    async def _play(self, play: Callable[[], Awaitable[Conclusion]], abandon: Callable[[], Awaitable[None]]) -> None:
        CURRENT_RUN.set(self.conversation.state)  # in the run's own task
        try:
            self._finish(await self._within_limit(play))
        except BaseException as error:
            if isinstance(error, GeneratorExit) and self.task.from_outside(error):
                raise
            await self._failed_with(error)
        self.task.stopping = True
        if self.conversation.connected:
            self.task.closing(CLOSE_GRACE * (len(self.conversation.agents) + 1), _not_closed)
        try:
            await abandon()
            await self.conversation.close()
        finally:
            await self._close()
            self._announce()
            self.task.over()

    async def _failed_with(self, error: BaseException) -> None:
        """The script has ended with this."""
        if self.task.given_up is not None or self.conversation.journal.finished:
            return
        await self._conclude()
        if self.task.given_up is not None or self.conversation.journal.finished:
            return
        if not isinstance(error, Exception):
            if self.task.from_outside(error):
                self.task.interrupt = None if isinstance(error, asyncio.CancelledError) else error
                self._finish(cancelled(self.conversation.view, self.seconds))
                return
            await self.task.settle()
            broken = ScriptError(f"the script raised {describe(error)}")
            broken.__cause__ = error
            error = broken
        self.failure = error
        self._finish(failed(error, self.conversation.view, self.seconds))

    async def _conclude(self) -> None:
        """Let sessions note what they still have, of a run that ends with an error; what fails changes nothing."""
        if self._noting or not self.conversation.connected:
            return
        try:
            async with asyncio.timeout(CONCLUDE_GRACE):
                await self.conversation.conclude()
        except Exception:
            logger.exception("run %s: a session could not note its end", self.conversation.journal.run_id)

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, the time before it was interrupted included."""
        return self.conversation.setup.context.clock.monotonic() - self._began

    @property
    def result(self) -> ScenarioResult:
        """The result as the journal has it now."""
        view = self.conversation.view
        artifacts = self.conversation.journal.artifacts if view.notes else None  # only notes name any
        result = result_of(view, self.path, artifacts)
        if isinstance(self.failure, JournalError) and result.status is RunStatus.COMPLETED:
            # The last events could not be kept: a run that is not recorded has no verdict.
            info = ErrorInfo.of(self.failure)
            unkept = {"success": False, "verdict": None, "status": RunStatus.ERROR, "error": info}
            return result.model_copy(update={**unkept, "termination": Termination.ERROR})
        return result

    async def _within_limit(self, play: Callable[[], Awaitable[Conclusion]]) -> RunFinished:
        limit = self._time_limit()
        if limit:
            self.task.limit(limit.seconds, limit.error_at)
        try:
            await self.conversation.open()
            concluded = await play()
            self._noting = True
            await self.conversation.conclude()
            if self.conversation.connected:  # closing their connections is heard outside
                await self.conversation.journal.flush()
            self.task.check_going_on()
            if limit and self.task.late:
                raise limit.error
            return self._concluded(concluded)
        except BaseException as error:
            if limit and self.task.limit_reached and not self.task.stopping and error is not limit.error:
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
            if observed():  # a result is a copy of all that was said
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


def _not_closed(_: str) -> Exception:
    return RunError("the participants of the run could not be closed")


def _transcript(setup: RunSetup) -> list[Listener]:
    """The live transcript that the configuration asks for; if it says nothing, one where a terminal is attached."""
    verbose = setup.config.verbose
    if verbose is None:
        verbose = sys.stdout.isatty() and not setup.config.headless
    if not verbose:
        return []
    from duologue.journal.console import Transcript

    return [Transcript(level=int(verbose))]


# --- the verdict -----------------------------------------------------------------------------------------------------


def conclude(view: RunView, ended_by: ScenarioResult | None, termination: Termination | None) -> Conclusion:
    """The verdict of a conversation that ran to its end.

    Args:
        view: the run so far, all checks evaluated.
        ended_by: the result that a judge, a step or an agent ended the run with, if one did.
        termination: why the conversation ended, where ``ended_by`` does not say.
    """
    failed_checks = _by_name(view.checks_with(CheckStatus.FAILED))
    passed_checks = [name for name in _by_name(view.checks_with(CheckStatus.PASSED)) if name not in failed_checks]
    verdict, reasoning = _before_checks(view, ended_by, bool(passed_checks))
    if failed_checks:
        verdict = Verdict.FAIL
        found = "; ".join(_told(name, failures) for name, failures in failed_checks.items())
        reasoning = f"Failed checks: {found}" + (f" ({reasoning})" if reasoning and ended_by else "")
    own_passed = ended_by.passed_criteria if ended_by else []
    own_failed = ended_by.failed_criteria if ended_by else view.failed_criteria
    compiled = view.passed_criteria
    return Conclusion(
        verdict=verdict,
        termination=(ended_by.termination if ended_by else None) or termination or Termination.SCRIPT_END,
        reasoning=reasoning,
        passed_criteria=[*compiled, *(text for text in own_passed if text not in compiled), *passed_checks],
        failed_criteria=[*own_failed, *failed_checks],
    )


def _by_name(checks: Iterable[CheckEvaluated]) -> dict[str, list[CheckEvaluated]]:
    """Outcomes by check: one that is evaluated in each turn is still one check."""
    found: dict[str, list[CheckEvaluated]] = {}
    for check in checks:
        found.setdefault(check.name, []).append(check)
    return found


def _told(name: str, outcomes: Sequence[CheckEvaluated]) -> str:
    """A check and what it found, each finding once, with the turns if it looked at turns."""
    turns: dict[str, list[int]] = {}
    for outcome in outcomes:
        turns.setdefault(outcome.explanation, [])
        if outcome.scope is Scope.TURN:
            turns[outcome.explanation].append(outcome.turn + 1)
    findings = [
        explanation + (f" (turn{'s' if len(found) > 1 else ''} {', '.join(map(str, found))})" if found else "")
        for explanation, found in turns.items()
    ]
    told = "; ".join(text.strip() for text in findings if text)
    return f"{name}: {told}" if told else name


def _before_checks(view: RunView, ended_by: ScenarioResult | None, checks_passed: bool) -> tuple[Verdict, str | None]:
    """The verdict without a veto of checks, and its reason."""
    if ended_by is not None:
        limit_only = ended_by.termination is Termination.MAX_TURNS and not ended_by.decisions
        if not (limit_only and checks_passed and ended_by.undecided):
            reasoning = ended_by.reasoning
            if limit_only and ended_by.undecided and (skipped := _all_skipped(view)):
                reasoning = f"{reasoning}. {skipped}" if reasoning else skipped
            return ended_by.verdict or Verdict.UNDECIDED, reasoning
    if view.checkpoints:
        if view.failed_criteria:
            return Verdict.FAIL, "A checkpoint found criteria that are not met"
        return Verdict.PASS, ALL_CHECKPOINTS_PASSED
    if checks_passed:
        return Verdict.PASS, ALL_CHECKS_PASSED + _some_skipped(view)
    return Verdict.UNDECIDED, _all_skipped(view) or NOTHING_TO_GO_BY


def _some_skipped(view: RunView) -> str:
    """Which checks decided nothing in any turn, beside those that passed."""
    skipped = _by_name(view.checks_with(CheckStatus.SKIPPED))
    names = skipped.keys() - {check.name for check in view.checks_with(CheckStatus.PASSED)} if skipped else set[str]()
    return f", except for skipped ones: {', '.join(name for name in skipped if name in names)}" if names else ""


def _all_skipped(view: RunView) -> str:
    """What was skipped and why, where no check decided anything; '' without checks."""
    skipped = _by_name(view.checks_with(CheckStatus.SKIPPED))
    if not skipped:
        return ""
    return f"Every check was skipped: {'; '.join(_told(name, outcomes) for name, outcomes in skipped.items())}"
