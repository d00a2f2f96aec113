"""Continue an interrupted run from its journal.

The script is executed again from its beginning, and what the journal holds is answered from it instead of being asked
again; where the journal ends, the run goes live and is appended to the same one. A run with a participant that cannot
continue (see :attr:`AgentAdapter.resumable`) is started again as its next attempt, and the journal of the attempt
before is kept beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import field, replace

from duologue import errors
from duologue.conversation.adapter import AgentAdapter, UserDone
from duologue.conversation.answers import Answer, Said
from duologue.conversation.calls import FAILURES
from duologue.conversation.result import ScenarioResult
from duologue.conversation.setup import RunSetup
from duologue.errors import (
    BudgetExceededError,
    ConfigurationError,
    DuologueError,
    JournalError,
    JournalVersionError,
    ResumeError,
    RunError,
)
from duologue.frozen import frozen
from duologue.journal.events import (
    AgentCalled,
    ErrorInfo,
    Event,
    JudgeDecided,
    MessageAdded,
    ModelCalled,
    Noted,
    RunFinished,
    RunResumed,
    RunStarted,
    Transition,
    UserFinished,
)
from duologue.journal.journal import Journal
from duologue.journal.outcomes import same_call
from duologue.journal.recorded import RecordedRun
from duologue.journal.run_journal import RunJournal
from duologue.models.scope import Amount
from duologue.vocabulary import AgentRole, Decision, RunStatus, Verdict

logger = logging.getLogger("duologue.journal")

_CANCELLATIONS = {"CancelledError", "KeyboardInterrupt", "GeneratorExit"}
"""How a call fails that somebody has cancelled."""


@frozen
class Resumption:
    """How a run begins: fresh, unless an interrupted one is there to be continued.

    Attributes:
        recorded: what is repeated first.
        complete: the run had come to its end already, so that there is nothing to continue.
        run_id, thread_id, seed: of the run that is continued.
        attempt: how often the run was started from its beginning, this time included.
        seconds: that the run had taken before.
        spent: what the run and its earlier attempts have taken from the run's own budget.
        kept: how many transitions of the journal stay; None to begin a new one.
    """

    recorded: RecordedRun | None = None
    complete: bool = False
    run_id: str | None = None
    thread_id: str | None = None
    seed: int | None = None
    attempt: int = 1
    seconds: float = 0.0
    spent: Amount = field(default_factory=Amount)
    kept: int | None = None


def resume(setup: RunSetup, journal: RunJournal | None) -> Resumption:
    """How the run that ``journal`` holds continues.

    A journal that holds nothing that can be read costs its run a fresh start: it is set aside.

    Raises:
        ConfigurationError: there is no journal to resume from.
        ResumeError: media of its messages are missing or damaged.
    """
    if journal is None:
        raise ConfigurationError("resume=True needs the journal file of the run: record='….jsonl'; found none")
    if not journal.exists:
        return Resumption()
    try:
        found = journal.read()
    except JournalVersionError:
        raise
    except JournalError as error:
        if isinstance(error.__cause__, OSError):
            raise
        journal.set_aside("unreadable")
        logger.warning("%s; it is kept beside the new journal, and the run starts over", error)
        return Resumption(spent=_spent_by_attempts(setup, journal))
    if found.missing:  # what was said is not known: it can neither be repeated nor be shown to anybody
        raise ResumeError(f"{found.name} cannot be continued: {'; '.join(found.missing)}")
    started = found.transitions[0][0].event
    assert isinstance(started, RunStarted)
    kept = without_cancellation(found.transitions)
    if kept and kept[-1][-1].event.type == "run_finished":
        return _continued(setup, journal, started, kept, complete=True)
    if not all(map(resumable, setup.agents)):
        journal.set_aside(f"attempt-{started.attempt}")
        spent = _spent_by_attempts(setup, journal)
        return Resumption(run_id=started.run_id, seed=started.seed, attempt=started.attempt + 1, spent=spent)
    return _continued(setup, journal, started, kept)


def without_cancellation(transitions: Sequence[Transition]) -> Sequence[Transition]:
    """What was recorded before somebody cancelled the run: that is where it continues, and the rest is removed.

    That it was resumed before says nothing if nothing has happened since.
    """
    last = len(transitions)
    cancelled: set[str | None] = set()
    while last:
        event = transitions[last - 1][0].event
        if _cancels(event):
            cancelled.add(getattr(event, "call", None))
        elif not isinstance(event, RunResumed) and not (
            isinstance(event, Noted) and event.call and event.call in cancelled
        ):
            break
        last -= 1
    return transitions[:last]


def _cancels(event: Event) -> bool:
    match event:
        case RunFinished():
            return event.status is RunStatus.CANCELLED
        case AgentCalled():
            return event.error is not None and event.error.type in _CANCELLATIONS
        case _:
            return False


def _continued(
    setup: RunSetup, journal: RunJournal, started: RunStarted, kept: Sequence[Transition], complete: bool = False
) -> Resumption:
    recorded = RecordedRun(kept)
    return Resumption(
        recorded=recorded,
        complete=complete,
        run_id=started.run_id,
        thread_id=started.thread_id,
        seed=started.seed,
        attempt=started.attempt,
        seconds=recorded.seconds,
        spent=_spent_by(recorded.model_calls) + _spent_by_attempts(setup, journal),
        kept=len(kept),
    )


def resumable(agent: AgentAdapter) -> bool:
    """Whether an interrupted run can continue with this participant."""
    if agent.resumable is not None:
        return agent.resumable
    return agent.repeats or agent.role is not AgentRole.AGENT


def _spent_by(calls: Iterable[ModelCalled]) -> Amount:
    """What these model calls took."""
    money, tokens = 0.0, 0
    for call in calls:
        money += call.cost or 0.0
        tokens += call.usage.total_tokens
    return Amount(money=money, tokens=tokens)


def _spent_by_attempts(setup: RunSetup, journal: RunJournal) -> Amount:
    """What earlier attempts of the run have spent, which are kept with the journal of this one."""
    return Amount() if setup.budget is None else _spent_by(journal.earlier_calls())  # else nobody counts it


def result_of_decision(event: JudgeDecided) -> ScenarioResult:
    """The result that a judge gave when its decision was recorded."""
    return ScenarioResult(
        success=event.verdict is Verdict.PASS,
        verdict=event.verdict,
        reasoning=event.reasoning,
        decisions=event.decisions,
        passed_criteria=[item.criterion for item in event.decisions if item.decision is Decision.MET],
        failed_criteria=[item.criterion for item in event.decisions if item.decision is not Decision.MET],
        advisory=event.advisory,
        termination=event.termination,
        details=event.details,
    )


def recorded_error(info: ErrorInfo, role: type[RunError]) -> DuologueError:
    """The failure that was recorded, in its own class where that is one of ours, else as an error of the role."""
    found: object = getattr(errors, info.type, None)
    if isinstance(found, type) and issubclass(found, RunError):
        return found(info.message, who=info.who)
    if found in {BudgetExceededError, ConfigurationError}:
        return ConfigurationError(info.message) if found is ConfigurationError else BudgetExceededError(info.message)
    return role(info.message, who=info.who)


def recorded_answer(journal: Journal, outcome: Transition, call: str, index: int, agent: AgentAdapter) -> Answer:
    """The answer that this call of a participant had when it was recorded.

    Raises:
        DuologueError: the call had failed.
        ResumeError: it was a call of somebody else.
    """

    def difference(was: AgentCalled) -> str:
        if was.participant == index:
            return ""
        then = f"call {call} was one of participant {was.participant} when it was recorded"
        return f"{then}, and now is one of {index} ({agent.name})"

    called = same_call(journal, call, outcome, AgentCalled, difference)
    if called.error is not None:
        raise recorded_error(called.error, FAILURES[agent.role])
    done: UserDone | None = None
    said: list[Said] = []
    for entry in outcome[1:]:
        match entry.event:
            case MessageAdded() as event:
                said.append(Said(event.message, event.call or ""))
            case UserFinished() as event if agent.role is AgentRole.USER:
                done = UserDone(reason=event.reason, explanation=event.explanation)  # pyright: ignore[reportArgumentType]
            case JudgeDecided() as event:
                return result_of_decision(event)
            case _:
                pass
    if done is None:
        return said
    return replace(done, message=said[-1].message) if said else done


def repeated_content(event: Event) -> object:
    """What has to be the same when a call is repeated."""
    match event:
        case MessageAdded():
            return event.message
        case UserFinished():
            return event.reason
        case JudgeDecided():
            return event.verdict
        case _:
            return event.type
