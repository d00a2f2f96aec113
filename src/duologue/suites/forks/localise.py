"""After which turn of a recorded run success becomes improbable: the run is continued from the end of every turn."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import Entry, MessageAdded
from duologue.messages import text_of
from duologue.stats.change_point import ChangePoint, fall
from duologue.stats.proportion import Proportion
from duologue.suites.execution.engine import Engine
from duologue.suites.execution.launch import Observer
from duologue.suites.forks.fork import Continuation, passed_of, require_forkable, run_cases, trials_of
from duologue.suites.forks.recorded import first_turns, total_turns
from duologue.suites.plan.build import TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import Verdict


@frozen
class TurnOutlook:
    """What becomes of a conversation that begins with the first turns of the run.

    Attributes:
        turns: how many recorded turns.
        passed: of the continuations with a verdict either way, with an interval.
        undecided, errors: other continuations.
        user, agent: what was said last in these turns, for people.
    """

    turns: int
    passed: Proportion
    undecided: int
    errors: int
    user: str = ""
    agent: str = ""


@frozen
class Localised:
    """Where a recorded run went wrong.

    Attributes:
        outlooks: from the beginning (0 turns) to the end of the last turn.
        change: the place in ``outlooks`` after which success is less probable.
        execution: all continuations.
    """

    outlooks: tuple[TurnOutlook, ...]
    change: ChangePoint
    execution: ExecutionResult

    @property
    def turn(self) -> int | None:
        """The turn with which the success probability drops, from 1; None if there is none."""
        return None if self.change.place is None else self.outlooks[self.change.place + 1].turns


async def localise(
    engine: Engine,
    case: TestCase,
    entries: Sequence[Entry],
    *,
    trials: int = 10,
    again: bool | None = None,
    confidence: float = 0.95,
    options: RunOptions | None = None,
    observers: Sequence[Observer] = (),
) -> Localised:
    """Find the turn after which a recorded run is less likely to succeed.

    Args:
        engine: of the suite.
        case: which test case.
        entries: of the journal of the recorded run.
        trials: how often the run is continued from the end of each turn.
        again: whether the user's lines are said to the agent again; None to find out what the agent needs.
        confidence: of the range of turns.
        options: how the runs are run.
        observers: are told of everything.

    Raises:
        ConfigurationError: the run cannot be continued.
    """
    require_forkable(engine.suite, case)
    total = total_turns(entries)
    if total == 0:
        raise ConfigurationError(f"nothing was said in the run {entries[0].run_id}, so that it has no turns to look at")
    parts = [first_turns(entries, turns) for turns in range(total + 1)]
    cases = trials_of(case, trials * len(parts), salt="localise")
    adapts = {one.index: Continuation(recorded=parts[one.index // trials], again=again) for one in cases}
    execution = await run_cases(engine, adapts, cases, options, observers)
    by_part: list[list[RunResult]] = [[] for _ in parts]
    for run in execution.runs:
        by_part[run.case.index // trials].append(run)
    outlooks = tuple(_outlook(turns, runs, entries) for turns, runs in enumerate(by_part))
    counts = [(item.passed.successes, item.passed.total) for item in outlooks]
    return Localised(outlooks=outlooks, change=fall(counts, confidence), execution=execution)


def _outlook(turns: int, runs: Sequence[RunResult], entries: Sequence[Entry]) -> TurnOutlook:
    said = _said_in(turns - 1, entries)
    return TurnOutlook(
        turns=turns,
        passed=passed_of(runs),
        undecided=sum(run.verdict is Verdict.UNDECIDED for run in runs),
        errors=sum(run.verdict is None for run in runs),
        user=said.get("user", ""),
        agent=said.get("assistant", ""),
    )


def _said_in(turn: int, entries: Sequence[Entry]) -> dict[str, str]:
    """What was said last in a turn, by role."""
    said: dict[str, str] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, MessageAdded) and event.turn == turn and (text := text_of(event.message)):
            said[event.message["role"]] = text
    return said
