"""What a run comes to that broke or was cancelled, and what its exception says of where that happened."""

from __future__ import annotations

from contextlib import suppress

from duologue.config.tracebacks import describe, message_of
from duologue.conversation.result import ScenarioResult
from duologue.errors import AgentTimeoutError, BudgetExceededError, DuologueError, RunError, RunTimeoutError
from duologue.journal.events import ErrorInfo, RunFinished
from duologue.journal.journal import RunView
from duologue.terminal_text import one_line
from duologue.vocabulary import RunStatus, Termination, Verdict


def failed(error: Exception, view: RunView, seconds: float) -> RunFinished:
    """The end of a run that raised: a fail for an assertion, an error for everything else."""
    asserted = isinstance(error, AssertionError)
    text = message_of(error, whole=True) if asserted or isinstance(error, DuologueError) else ""
    text = text or describe(error)
    return RunFinished(
        status=RunStatus.COMPLETED if asserted else RunStatus.ERROR,
        verdict=Verdict.FAIL if asserted else None,
        termination=Termination.SCRIPT_END if asserted else _termination(error),
        reasoning=f"Scenario failed: {text}" if asserted else f"Scenario failed with error: {text}",
        passed_criteria=view.passed_criteria,
        failed_criteria=[*view.failed_criteria, text] if asserted else view.failed_criteria,
        error=None if asserted else ErrorInfo.of(error, view.turn),
        total_time=seconds,
        agent_time=view.agent_time,
    )


def cancelled(view: RunView, seconds: float) -> RunFinished:
    """The end of a run that was cancelled."""
    return RunFinished(
        status=RunStatus.CANCELLED,
        termination=Termination.CANCELLED,
        reasoning="The run was cancelled.",
        total_time=seconds,
        agent_time=view.agent_time,
    )


def _termination(error: Exception) -> Termination:
    if isinstance(error, (RunTimeoutError, AgentTimeoutError)):
        return Termination.TIMEOUT
    return Termination.BUDGET if isinstance(error, BudgetExceededError) else Termination.ERROR


def attach(error: BaseException, result: ScenarioResult) -> None:
    """Give an exception that leaves the run everything that is known about where it happened."""
    if isinstance(error, RunError):
        error.run_id, error.scenario, error.result = result.run_id, result.scenario, result
        error.turn = result.error.turn if result.error else None
    else:
        _carry(error, result)
        error.add_note(f"in scenario '{one_line(result.scenario)}', run {result.run_id}")
    if result.journal is not None:
        error.add_note(f"journal: {one_line(result.journal)}")


def _carry(error: BaseException, result: ScenarioResult) -> None:
    """Any exception can carry one more fact, unless its class has another use for the name."""
    with suppress(Exception):
        if isinstance(getattr(error, "result", None), ScenarioResult | None):
            error.result = result  # pyright: ignore[reportAttributeAccessIssue]
