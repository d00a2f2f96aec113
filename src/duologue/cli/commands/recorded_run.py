"""A recorded run as an argument of a command, and the suite that it is continued with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from duologue.cli.output import response_file
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.located import LocatedRun, locate_run
from duologue.stats.proportion import Proportion, percent
from duologue.suites.execution.engine import Engine
from duologue.suites.forks.source import engine_for
from duologue.suites.plan.build import TestCase

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A journal (.jsonl), the result of a run (.json), FOLDER/RUN_ID, or a folder with one run that failed.",
    ),
]
SuiteOption = Annotated[
    Path | None, typer.Option("--suite", help="The suite of the run. Default: the one that it was run from.")
]
AgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent", help="Another agent: one of the suite, a target such as bot.py:answer, or a URL. Default: the same."
    ),
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="Another model for an agent that is made of a model and a prompt.")
]
CriterionOption = Annotated[
    list[str],
    typer.Option("--criterion", help="What must be true, for a run that code has recorded. Repeatable."),
]
MockOption = Annotated[
    str | None, typer.Option("--mock", callback=response_file, help="Answer for every model from this response file.")
]
MockAllOption = Annotated[bool, typer.Option("--mock-all", help="Answer for every model with fixed text.")]
JobsOption = Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="Number of runs at once.")]
BudgetOption = Annotated[
    float | None, typer.Option(min=0, help="Spending limit for the models of all runs together, in US dollars.")
]
AgainOption = Annotated[
    bool | None,
    typer.Option(
        "--again/--as-recorded",
        help="Say the user's lines to the agent again, or give it what was recorded. Default: recorded answers for an "
        "agent that is given the whole conversation with each call, else again.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@frozen
class Loaded:
    """A recorded run, and what continues it.

    Attributes:
        located: the run.
        engine: of its suite.
        case: which test case, with the agent that is asked for.
        path: of the file of the suite; '' for a run of other code.
    """

    located: LocatedRun
    engine: Engine
    case: TestCase
    path: str


def load_run(
    run: Path,
    *,
    suite: Path | None = None,
    agent: str | None = None,
    model: str | None = None,
    criteria: Sequence[str] = (),
    mock: str | None = None,
    mock_all: bool = False,
) -> Loaded:
    """The run that an argument names, and what continues it.

    Raises:
        ConfigurationError: there is no such run, or its suite cannot be found.
    """
    located = locate_run(run)
    path = suite or suite_file(located.suite)
    engine, case = engine_for(
        located.journal.entries, located.run.case, suite=path, agent=agent, model=model, criteria=criteria
    )
    if mock is not None or mock_all:
        engine.enable_mock_mode(mock)
    return Loaded(located=located, engine=engine, case=case, path=str(path or ""))


def suite_file(written: str) -> Path | None:
    """The suite that results name; None where they name none, such as results of functions.

    Raises:
        ConfigurationError: it is not there.
    """
    if not written or "::" in written or written.endswith(".py"):
        return None
    path = Path(written)
    if not path.exists():
        raise ConfigurationError(
            f"the suite of the run, {written}, is not here; call the command in the folder where the suite was run, or "
            "name the suite with --suite"
        )
    return path


def interval(found: Proportion) -> str:
    """``7 of 10 (70%, 95% interval 40% to 89%)``."""
    if found.rate is None:
        return "0 of 0"
    sure = percent(found.confidence)
    return (
        f"{found.successes} of {found.total} ({percent(found.rate)}, {sure} interval {percent(found.low)} to "
        f"{percent(found.high)})"
    )


def proportion_data(found: Proportion) -> dict[str, Any]:
    """A share with its interval, for JSON."""
    return {
        "passed": found.successes,
        "decided": found.total,
        "rate": found.rate,
        "low": found.low,
        "high": found.high,
        "confidence": found.confidence,
    }
