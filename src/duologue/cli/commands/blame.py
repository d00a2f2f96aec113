"""``duologue blame``: who made the runs of a results folder fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.commands.recorded_run import JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duologue.suites.results.run import RunResult


def blame(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")],
    model: Annotated[
        str | None,
        typer.Option(help="Also ask this model, such as openai/gpt-5-mini, about what rules put down to the agent."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Report who made runs fail: the agent, the simulated user, the judge, tools or the machinery.

    Rules decide and cite messages and calls. How well simulated users have played their part is reported beside.

    Exit code 0: the report was printed, whatever it says.
    """
    from duologue.runs.store.reader import find_execution

    runs = [run for run in find_execution(folder).execution.runs if run.outcome not in {"pass", "cancelled"}]
    runs = [_with_blame(run) for run in runs]
    if model is not None:
        runs = asyncio.run(_asked(runs, model))
    if as_json:
        print_json(
            {
                "runs": [
                    {
                        "run_id": run.run_id,
                        "outcome": run.outcome,
                        "blame": [asdict(item) for item in run.blame],
                        "fidelity": asdict(run.fidelity) if run.fidelity else None,
                        "repeated": run.repeated or None,
                    }
                    for run in runs
                ],
                "charged_to": dict(_counts(runs)),
            }
        )
    else:
        _print(runs)
    return ExitCode.PASSED


def _with_blame(run: RunResult) -> RunResult:
    """The run; one that an earlier version has recorded gets its blame now."""
    from dataclasses import replace

    from duologue.suites.results.blame import blame as by_rules

    return run if run.blame else replace(run, blame=by_rules(run))


async def _asked(runs: Sequence[RunResult], model: str) -> list[RunResult]:
    from duologue.models.choice import choose
    from duologue.suites.calibration.second_opinion import second_opinion

    asked = choose(model, purpose="duologue blame").model
    return [await second_opinion(run, asked) for run in runs]


def _counts(runs: Sequence[RunResult]) -> Counter[str]:
    from duologue.suites.results.blame import charged_to

    return Counter(party for run in runs if (party := charged_to(run)) is not None)


def _print(runs: Sequence[RunResult]) -> None:
    from duologue.reports.display import blame_lines

    for run in runs:
        echo(f"{one_line(run.case.title)}: {run.outcome}")
        for line in blame_lines(run, fidelity=True):
            echo(f"  {one_line(line)}")
    counts = ", ".join(f"{party} {count}" for party, count in _counts(runs).most_common())
    echo(f"{len(runs)} runs did not pass" + (f"; charged to: {counts}" if counts else ""))
