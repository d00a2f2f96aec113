"""One run from its first event to its last: ids, journal, time limit, and what each kind of failure comes to.

A failure of infrastructure is an error and never a verdict; a failed assertion is a fail; a cancelled run says so. In
each case the journal is complete before anyone is told.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from duologue.conversation.current import CURRENT_RUN
from duologue.conversation.instrument import watch_for
from duologue.conversation.observers import tell_observers
from duologue.conversation.result import ScenarioResult, result_of
from duologue.conversation.setup import RunSetup, ScriptStep, journal_path, sinks_for, step_name
from duologue.conversation.stage import Stage
from duologue.conversation.state import ScenarioState
from duologue.conversation.verdict import Conclusion, conclude
from duologue.errors import (
    AgentTimeoutError,
    BudgetExceededError,
    DuologueError,
    RunError,
    RunTimeoutError,
    ScriptError,
)
from duologue.journal.events import ErrorInfo, RunFinished, StepStarted
from duologue.journal.journal import Journal, Listener
from duologue.vocabulary import RunStatus, Termination, Verdict

if TYPE_CHECKING:
    from duologue.conversation.executor import ScenarioExecutor


@dataclass(kw_only=True)
class Performance:
    """A run in progress: its stage, where its journal is kept, when it began (seconds, monotonic)."""

    stage: Stage
    path: Path | None
    began: float
    announced: bool = False

    @classmethod
    def begin(cls, setup: RunSetup, executor: ScenarioExecutor, listeners: Sequence[Listener]) -> Performance:
        """Give the run its ids and write the first event."""
        context = setup.context
        run_id, thread_id = context.ids.new("run"), context.ids.new("thread")
        path = journal_path(setup.config.record, run_id)
        watch = watch_for(setup.config, context.clock)
        watching: list[Listener] = [watch] if watch else []
        journal = Journal(
            run_id, clock=context.clock, sinks=sinks_for(path), listeners=[*watching, *listeners, *_transcript(setup)]
        )
        state = ScenarioState(
            description=setup.description,
            thread_id=thread_id,
            config=setup.config,
            view=journal.view,
            executor=executor,
        )
        journal.append(setup.started(run_id, thread_id))
        return cls(stage=Stage(setup, journal, state, watch), path=path, began=context.clock.monotonic())

    def finish(self, finished: RunFinished) -> None:
        """Write the last event, unless it is there already."""
        if not self.stage.journal.finished:
            self.stage.journal.append(finished)

    def announce(self) -> None:
        """Tell the observers, once, that the run is over."""
        if not self.announced:
            self.announced = True
            tell_observers(self.result, self.stage.journal)

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return self.stage.setup.context.clock.monotonic() - self.began

    @property
    def result(self) -> ScenarioResult:
        """The result as the journal has it now."""
        return result_of(self.stage.view, self.path)


async def perform(executor: ScenarioExecutor) -> ScenarioResult:
    """Play the whole script; failures are kept in ``executor.failure``. Only cancellation is raised."""
    performance = executor.performance
    token = CURRENT_RUN.set(executor.state)
    try:
        performance.finish(await _play_within_limit(executor))
    except Exception as error:  # noqa: BLE001 - kept and raised again by the caller; the journal is completed first
        executor.failure = error
        performance.finish(_failed(performance, error))
    except BaseException:
        performance.finish(cancelled(performance))
        raise
    finally:
        CURRENT_RUN.reset(token)
        await executor.abandon()
        performance.stage.close()
        performance.announce()
    result = performance.result
    _attach(executor.failure, result)
    return result


async def _play_within_limit(executor: ScenarioExecutor) -> RunFinished:
    late = _late(executor)
    timer = asyncio.timeout(late.seconds if late else None)
    try:
        async with timer:
            return _concluded(executor.performance, await _play(executor))
    except TimeoutError as error:
        if late and timer.expired():
            raise late.error from error
        raise


@dataclass(frozen=True)
class _Late:
    """The time limit that a run reaches first, in seconds, and what reaching it comes to."""

    seconds: float
    error: DuologueError


def _late(executor: ScenarioExecutor) -> _Late | None:
    limit, budget = executor.config.run_timeout, executor.setup.budget
    allowed = budget.seconds if budget else None
    if allowed is not None and (limit is None or allowed <= limit):
        return _Late(allowed, BudgetExceededError(f"the run has used its budget of {allowed:g} s of time"))
    if limit is None:
        return None
    return _Late(limit, RunTimeoutError(f"the run took longer than run_timeout={limit:g} s"))


async def _play(executor: ScenarioExecutor) -> Conclusion:
    stage = executor.stage
    ended_by: ScenarioResult | None = None
    for index, step in enumerate(executor.script):
        stage.journal.append(StepStarted(index=index, name=step_name(step)))
        ended_by = await _step(step, executor.state)
        if ended_by is not None:
            break
    ended_by = await executor.drain() or ended_by
    await stage.check_conversation()
    return conclude(stage.view, ended_by, executor.termination)


async def _step(step: ScriptStep, state: ScenarioState) -> ScenarioResult | None:
    value = step(state)
    if inspect.isawaitable(value):
        value = await value
    if value is None or isinstance(value, ScenarioResult):
        return value
    raise ScriptError(
        f"the script step '{step_name(step)}' returned a {type(value).__name__}; expected None to go on or a "
        "ScenarioResult to end the run"
    )


def _concluded(performance: Performance, conclusion: Conclusion) -> RunFinished:
    return RunFinished(
        status=RunStatus.COMPLETED,
        verdict=conclusion.verdict,
        termination=conclusion.termination,
        reasoning=conclusion.reasoning,
        passed_criteria=conclusion.passed_criteria,
        failed_criteria=conclusion.failed_criteria,
        total_time=performance.seconds,
        agent_time=performance.stage.view.agent_time,
    )


def _failed(performance: Performance, error: Exception) -> RunFinished:
    """What an exception comes to: a fail for an assertion, an error for everything else."""
    view = performance.stage.view
    asserted = isinstance(error, AssertionError)
    text = str(error) or type(error).__name__
    return RunFinished(
        status=RunStatus.COMPLETED if asserted else RunStatus.ERROR,
        verdict=Verdict.FAIL if asserted else None,
        termination=Termination.SCRIPT_END if asserted else _termination(error),
        reasoning=f"Scenario failed with error: {text}",
        passed_criteria=view.passed_criteria,
        failed_criteria=[*view.failed_criteria, text] if asserted else view.failed_criteria,
        error=None if asserted else error_info(error, view.turn),
        total_time=performance.seconds,
        agent_time=view.agent_time,
    )


def cancelled(performance: Performance) -> RunFinished:
    """The last event of a run that was cancelled."""
    return RunFinished(
        status=RunStatus.CANCELLED,
        termination=Termination.CANCELLED,
        reasoning="The run was cancelled.",
        total_time=performance.seconds,
        agent_time=performance.stage.view.agent_time,
    )


def _termination(error: Exception) -> Termination:
    if isinstance(error, (RunTimeoutError, AgentTimeoutError)):
        return Termination.TIMEOUT
    return Termination.BUDGET if isinstance(error, BudgetExceededError) else Termination.ERROR


def error_info(error: BaseException, turn: int | None = None) -> ErrorInfo:
    """An exception and its causes as data."""
    causes: list[str] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(causes) < 10:
        causes.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    who = error.who if isinstance(error, RunError) else None
    return ErrorInfo(type=type(error).__name__, message=str(error), who=who, turn=turn, causes=causes)


def _attach(error: BaseException | None, result: ScenarioResult) -> None:
    """Give an exception that leaves the run everything that is known about where it happened."""
    if isinstance(error, RunError):
        error.run_id, error.scenario, error.result = result.run_id, result.scenario, result
        error.turn = result.error.turn if result.error else None
    elif error is not None:
        error.result = result  # pyright: ignore[reportAttributeAccessIssue] - any exception can carry one more fact
        error.add_note(f"in scenario '{result.scenario}', run {result.run_id}")
    if error is not None and result.journal is not None:
        error.add_note(f"journal: {result.journal}")


def _transcript(setup: RunSetup) -> list[Listener]:
    """The live transcript, if one is wanted."""
    from duologue.journal.console import transcript_for

    listener = transcript_for(setup.config)
    return [listener] if listener else []
