"""``duologue fork`` and ``duologue localise``: a recorded run is continued from the end of one of its turns."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.commands.recorded_run import (
    AgainOption,
    AgentOption,
    BudgetOption,
    CriterionOption,
    JobsOption,
    JsonOption,
    Loaded,
    MockAllOption,
    MockOption,
    ModelOption,
    RunArgument,
    SuiteOption,
    interval,
    load_run,
    proportion_data,
)
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.stats.proportion import percent
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.suites.execution.launch import Observer
    from duologue.suites.forks.fork import Forked
    from duologue.suites.forks.localise import Localised
    from duologue.suites.results.run import RunResult
    from duologue.suites.runner.definition import RunOptions


def fork(
    run: RunArgument,
    turn: Annotated[int, typer.Option("--turn", min=0, help="After how many turns; 0 from the beginning.")],
    say: Annotated[str | None, typer.Option("--say", help="What the user says next.")] = None,
    trials: Annotated[int, typer.Option("-k", "--trials", min=1, help="How often the run is continued.")] = 10,
    agent: AgentOption = None,
    model: ModelOption = None,
    suite: SuiteOption = None,
    criterion: CriterionOption = [],  # noqa: B006 - typer's way
    again: AgainOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Keep the results in this new folder.")] = None,
    mock: MockOption = None,
    mock_all: MockAllOption = False,
    jobs: JobsOption = None,
    budget: BudgetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Continue a recorded run from the end of a turn, several times, and report how often it passes.

    The scenario goes on as it is written, or with the line of --say. Agent, simulated user, checks and judge are those
    of the suite as it is now.

    Exit code 0: at least one continuation was decided. 3: none was.
    """
    from duologue.suites.forks.fork import fork as continue_run

    loaded = load_run(run, suite=suite, agent=agent, model=model, criteria=criterion, mock=mock, mock_all=mock_all)

    async def play(observers: list[Observer]) -> Forked:
        async with loaded.engine:
            return await continue_run(
                loaded.engine,
                loaded.case,
                loaded.located.journal.entries,
                turns=turn,
                trials=trials,
                say=say,
                again=again,
                options=_options(jobs, budget),
                observers=observers,
            )

    with ExitStack() as held:
        found = asyncio.run(play(_keepers(loaded, out, held)))
    if as_json:
        print_json(_fork_data(loaded, found, out))
    else:
        _print_fork(loaded, found, out)
    return ExitCode.PASSED if found.passed.total else ExitCode.UNCERTAIN


def _options(jobs: int | None, budget: float | None) -> RunOptions:
    from duologue.models.scope import Budget
    from duologue.suites.runner.definition import RunOptions

    return RunOptions(concurrency=jobs, budget=None if budget is None else Budget(money=budget))


def _keepers(loaded: Loaded, out: Path | None, held: ExitStack) -> list[Observer]:
    """What keeps the results in a folder, if one is asked for."""
    if out is None:
        return []
    from duologue.config.files import make_results_folder
    from duologue.runs.store.folder import ResultFolder, claimed

    folder = out.absolute()
    make_results_folder(folder)
    held.enter_context(claimed(folder, patience=0.2))
    keeper = ResultFolder(folder, suite=loaded.engine.suite.name, path=loaded.path)
    loaded.engine.enable_recording(folder)
    return [keeper]


def _print_fork(loaded: Loaded, found: Forked, out: Path | None) -> None:
    run, runs = loaded.located.run, found.execution.runs
    _print_run(run)
    said = f', the user says "{one_line(found.say)}"' if found.say is not None else ""
    echo(f"Continued {len(runs)} times after turn {found.turns} with {one_line(loaded.case.agent or '')}{said}:")
    echo(f"  passed: {interval(found.passed)}")
    _print_open(len(runs) - found.passed.total, [run.error.message for run in runs if run.error])
    if out is not None:
        echo(f"Results: {one_line(out)}")


def _print_open(open_: int, errors: list[str]) -> None:
    if open_:
        echo(f"  without a verdict either way: {open_}")
    if errors:
        echo(f"  first error: {one_line(errors[0])}")


def _fork_data(loaded: Loaded, found: Forked, out: Path | None) -> dict[str, Any]:
    return {
        "run_id": loaded.located.run.run_id,
        "recorded": loaded.located.run.outcome,
        "turn": found.turns,
        "say": found.say,
        "agent": loaded.case.agent,
        "passed": proportion_data(found.passed),
        "runs": [
            {"run_id": run.run_id, "outcome": run.outcome, "reason": run.reasoning or ""}
            for run in found.execution.runs
        ],
        "folder": None if out is None else str(out),
    }


def localise(
    run: RunArgument,
    trials: Annotated[int, typer.Option("-k", "--trials", min=1, help="Continuations from the end of each turn.")] = 10,
    agent: AgentOption = None,
    model: ModelOption = None,
    suite: SuiteOption = None,
    criterion: CriterionOption = [],  # noqa: B006
    again: AgainOption = None,
    mock: MockOption = None,
    mock_all: MockAllOption = False,
    jobs: JobsOption = None,
    budget: BudgetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Find the turn of a recorded run after which success is less probable.

    The run is continued from the end of every turn, and from its beginning. The success rate of each place is reported
    with its interval, and the turn with which it drops with the range that holds it with a probability of 95 %.

    Exit code 0: a turn was found. 3: the success rate does not drop, or too few runs say so.
    """
    from duologue.suites.forks.localise import localise as find_turn

    loaded = load_run(run, suite=suite, agent=agent, model=model, criteria=criterion, mock=mock, mock_all=mock_all)

    async def play() -> Localised:
        async with loaded.engine:
            return await find_turn(
                loaded.engine,
                loaded.case,
                loaded.located.journal.entries,
                trials=trials,
                again=again,
                options=_options(jobs, budget),
            )

    found = asyncio.run(play())
    if as_json:
        print_json(_localised_data(loaded, found))
    else:
        _print_localised(loaded, found)
    return ExitCode.PASSED if found.turn is not None else ExitCode.UNCERTAIN


def _print_run(run: RunResult) -> None:
    from duologue.reports.display import plural

    echo(f"{one_line(run.run_id)}: {run.outcome}, {plural(run.turns, 'turn')}")


def _print_localised(loaded: Loaded, found: Localised) -> None:
    run = loaded.located.run
    _print_run(run)
    for item in found.outlooks:
        mark = "→" if item.turns == found.turn else " "
        said = f"  {_short(item.user)} | {_short(item.agent)}" if item.turns else "  from the beginning"
        echo(f"{mark} {item.turns:>3}  {interval(item.passed)}{said}")
    undecided = sum(item.undecided for item in found.outlooks)
    errors = [run.error.message for run in found.execution.runs if run.error]
    _print_open(undecided + sum(item.errors for item in found.outlooks), errors)
    change = found.change
    if found.turn is None or change.low is None or change.high is None:
        echo(f"The success rate does not drop (probability of a drop: {percent(change.probability)}).")
        if not any(item.passed.successes for item in found.outlooks):
            echo("No continuation passes, not even from the beginning; 'duologue shrink' finds what the failure needs.")
        return
    low, high = found.outlooks[change.low + 1].turns, found.outlooks[change.high + 1].turns
    where = f"turn {low}" if low == high else f"turns {low} to {high}"
    echo(
        f"The success rate drops with turn {found.turn} (probability of a drop: {percent(change.probability)}; "
        f"{percent(change.confidence)} range: {where})."
    )


_SHOWN = 40


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _localised_data(loaded: Loaded, found: Localised) -> dict[str, Any]:
    change = found.change
    drop = None
    if found.turn is not None and change.low is not None and change.high is not None:
        drop = {
            "turn": found.turn,
            "low": found.outlooks[change.low + 1].turns,
            "high": found.outlooks[change.high + 1].turns,
            "confidence": change.confidence,
        }
    return {
        "run_id": loaded.located.run.run_id,
        "recorded": loaded.located.run.outcome,
        "agent": loaded.case.agent,
        "turns": [
            {
                "turn": item.turns,
                "passed": proportion_data(item.passed),
                "undecided": item.undecided,
                "errors": item.errors,
                "user": item.user,
                "agent": item.agent,
            }
            for item in found.outlooks
        ],
        "drop": drop,
        "probability_of_a_drop": change.probability,
    }
