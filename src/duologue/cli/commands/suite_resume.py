"""``duologue run SUITE --resume FOLDER``: what of an earlier execution still holds, and what is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from duologue.cli.commands.planned_execution import PlannedExecution
from duologue.errors import ConfigurationError
from duologue.journal.events import ErrorInfo
from duologue.runs.store.encoding import RUNS
from duologue.runs.store.ownership import Deaths
from duologue.runs.store.reader import Unfinished, unfinished
from duologue.suites.execution.engine import Engine
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.run import RunResult, total_spent
from duologue.suites.runner.definition import Kept, RunOptions
from duologue.suites.runner.earlier import Earlier
from duologue.vocabulary import RunStatus, Termination

MOST_DEATHS = 3
"""A case during which the process ended so often is not run again, unless it has changed."""


def resumed_plan(folder: Path, engine: Engine, settings: RunOptions, *, retry_errors: bool = False) -> PlannedExecution:
    """What is run if the execution in a folder is resumed.

    Args:
        folder: of the execution.
        engine: of its suite.
        settings: how it is run now.
        retry_errors: runs that ended in an error are run again.

    Raises:
        ConfigurationError: the folder holds no execution, or one of another suite.
    """
    earlier = unfinished(folder, retry_errors=retry_errors)
    if earlier.plan.suite != engine.suite.name:
        raise ConfigurationError(
            f"{folder} holds an execution of the suite '{earlier.plan.suite}' ({earlier.path}), and this one is "
            f"'{engine.suite.name}'; name the same suite"
        )
    plan = _plan_now(folder, engine, earlier)
    now = {case.identity: case for case in plan.cases}
    before = {case.identity for case in earlier.plan.cases}
    known = [run for run in earlier.known if run.case.identity in now]
    kept = engine.still_valid(plan, known, settings)
    results = {run.run_id: run for run in earlier.known}
    runs = tuple(replace(run, case=now[run.case.identity]) for run in kept.runs)
    moved = [run.run_id for run, was in zip(runs, kept.runs, strict=True) if run.case != was.case]
    done = {run.case.identity for run in runs}
    fatal = [(case, found) for case in plan.cases if case.identity not in done
             and (found := _deaths(engine, settings, earlier, case))]  # fmt: skip
    given_up = [_given_up(engine, settings, earlier, case, found) for case, found in fatal if _hopeless(found)]
    last = sorted((item for item in fatal if not _hopeless(item[1])), key=lambda item: item[1].count)
    return PlannedExecution(
        plan=plan,
        settings=replace(
            settings,
            execution_id=earlier.id,
            known=(*runs, *given_up),
            pass_threshold=earlier.pass_threshold,
            last=[case.identity for case, _ in last],
            resuming=True,
            anew=earlier.anew,
            earlier=Earlier(
                started_at=earlier.started_at,
                seconds=earlier.seconds,
                spent=total_spent([earlier.spent, *(run.spent for run in _unjournaled(results, runs))]),
            ),
        ),
        selection=earlier.selection,
        outdated={run_id: results[run_id].definition for run_id in kept.changed},
        damaged=earlier.damaged,
        moved=[*moved, *(run.run_id for run in given_up)],
        deaths=earlier.deaths,
        summary=_said(folder, kept, earlier, added=sum(key not in before for key in now), now=now),
    )


def _deaths(engine: Engine, settings: RunOptions, earlier: Unfinished, case: TestCase) -> Deaths | None:
    """How often the process ended while the case was run as it is now."""
    found = earlier.deaths.get(case.run_id(earlier.id))
    return found if found and dict(found.definition) == dict(engine.definition(case, settings)) else None


def _hopeless(deaths: Deaths) -> bool:
    return deaths.count >= MOST_DEATHS and not deaths.killed


def _given_up(engine: Engine, settings: RunOptions, earlier: Unfinished, case: TestCase, deaths: Deaths) -> RunResult:
    """The result of a case that ends the process whenever it is run."""
    said = (
        f"the process ended ({deaths.how}) in each of {deaths.count} attempts to run this case. Mend the agent, or "
        "give it 'isolation: processes', so that it can end only its own runs"
    )
    return RunResult(
        case=case,
        run_id=case.run_id(earlier.id),
        status=RunStatus.ERROR,
        termination=Termination.ERROR,
        reasoning=said,
        error=ErrorInfo(type="AgentError", message=said, who=case.agent),
        definition=engine.definition(case, settings),
    )


def _plan_now(folder: Path, engine: Engine, earlier: Unfinished) -> Plan:
    """The plan, as the suite would be planned today with what was asked for then."""
    selection = earlier.selection
    if selection is None:  # an old folder does not say how its cases were chosen: none is added
        present = {case.identity for case in engine.generate_plan(seed=earlier.plan.seed).cases}
        trials = {case.identity for case in earlier.plan.cases if _first(case) in present}
        cases = [case for case in earlier.plan.cases if case.identity in trials]
    else:
        try:
            plan = engine.generate_plan(
                selection.filters,
                trials=selection.trials,
                seed=earlier.plan.seed,
                until_decided=selection.until_decided,
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"{folder} cannot be resumed: {error}") from error
        groups = None if selection.groups is None else set(selection.groups)
        cases = [case for case in plan.cases if groups is None or case.group in groups]
    before = {case.identity for case in earlier.plan.cases}
    if not any(case.identity in before for case in cases):
        raise ConfigurationError(
            f"{folder} cannot be resumed: the suite '{engine.suite.name}' no longer has any of its {len(before)} runs. "
            "Nothing was changed; run the suite without --resume"
        )
    return Plan(
        suite=earlier.plan.suite,
        seed=earlier.plan.seed,
        cases=tuple(replace(case, index=index) for index, case in enumerate(cases)),
    )


def _first(case: TestCase) -> str:
    return replace(case, trial=1).identity


def _unjournaled(results: Mapping[str, RunResult], kept: Sequence[RunResult]) -> list[RunResult]:
    """Results that do not hold any more and have no journal, which would say what they took."""
    held = {run.run_id for run in kept}
    return [run for run_id, run in results.items() if run_id not in held and run.journal is None]


def _said(folder: Path, kept: Kept, earlier: Unfinished, *, added: int, now: Mapping[str, TestCase]) -> str:
    gone = sum(case.identity not in now for case in earlier.plan.cases)
    damaged, unrecorded = len(earlier.damaged), len(earlier.unrecorded)
    broken = len(earlier.broken)
    unfinished = kept.unfinished - added - damaged - unrecorded - broken
    parts = [str(replace(kept, unfinished=max(unfinished, 0)))]
    if damaged:
        parts.append(f"{_results(damaged)} could not be read and {_is(damaged)} run again")
    if broken:
        parts.append(f"{broken} ended in an error and {_is(broken)} run again")
    if unrecorded:
        parts.append(f"{unrecorded} could not be recorded and {_is(unrecorded)} run again")
    if added:
        parts.append(f"{added} {_is(added)} new in the suite")
    if gone:
        parts.append(f"{gone} {_is(gone)} no longer in the suite (results stay in {folder / RUNS})")
    return "; ".join(parts)


def _results(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'}"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
