"""``duologue compare``: two executions of the same test cases."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.commands.db import ArtifactsOption, DatabaseOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, listed_names, print_json
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.suites.comparison import Comparison
    from duologue.suites.results.execution import ExecutionResult

_FAIL_ON = ("worse", "better", "undecided", "missing")
_PLACE = "A results folder, or the name of a baseline. With --database: number, name or baseline of a stored execution."


def compare(
    first: Annotated[str, typer.Argument(help=f"What is compared with. {_PLACE}", metavar="FIRST")],
    second: Annotated[
        str | None,
        typer.Argument(
            help="What is judged, in the same way. Without it, FIRST is judged against --baseline.", metavar="SECOND"
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option("--baseline", help="Name of the baseline that FIRST is judged against.")
    ] = None,
    first_agent: Annotated[str | None, typer.Option(help="Only runs of this agent, on the first side.")] = None,
    second_agent: Annotated[str | None, typer.Option(help="Only runs of this agent, on the second side.")] = None,
    fail_on: Annotated[
        list[str],
        typer.Option(
            help="Exit with 1 for 'worse' or 'missing' (cases of which the second has no decided run), with 3 for "
            "'undecided'; separate several with commas."
        ),
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    confidence: Annotated[float, typer.Option(help="Of intervals and verdicts.")] = 0.95,
    margin: Annotated[
        float, typer.Option(help="Differences of a pass rate up to this are tied where no test finds one.")
    ] = 0.1,
    exact_test: Annotated[
        str,
        typer.Option(
            help="Exact test of single cases: fisher, or boschloo, which is sharper and needs 'duologue[stats]'.",
            metavar="[fisher|boschloo]",
        ),
    ] = "fisher",
    flips: Annotated[int, typer.Option(min=0, help="Conversations of other verdicts that are shown.")] = 3,
    format: Annotated[
        list[str], typer.Option("--format", "-f", help="Also write json, md or html; separate several with commas.")
    ] = [],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for these files.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON and nothing else.")] = False,
    project: Annotated[
        str | None, typer.Option("--project", help="With --database: name of the project. Default: the only one.")
    ] = None,
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
) -> int:
    """Compare two executions: what became better, worse, stayed tied or is undecided.

    Exit codes: 0, unless --fail-on says otherwise; 1 what it names as failed; 3 what it names as undecided; 2 invalid
    usage.
    """
    from duologue.reports.comparison.files import comparison_paths, write_comparison
    from duologue.stats.proportion import require_confidence
    from duologue.suites.comparison import compare_executions

    require_confidence(confidence, "--confidence")
    wanted = _wanted(fail_on)
    if exact_test not in {"fisher", "boschloo"}:
        raise ConfigurationError(f"--exact-test: found '{exact_test}'; expected fisher or boschloo")
    paths = comparison_paths(out, listed_names(format))
    before, after = _sides(first, second, against)
    with ExitStack() as held:
        if database is not None:
            sides = _stored(held, before, after, database, artifacts, project)
        else:
            sides = _execution(before), _execution(after)
        found = compare_executions(
            *sides,
            agents=(first_agent, second_agent),
            confidence=confidence,
            margin=margin,
            exact_test="boschloo" if exact_test == "boschloo" else "fisher",
        )
    written = write_comparison(found, paths)
    if as_json:
        print_json(found.as_data())
    else:
        from duologue.reports.comparison.terminal import print_comparison

        print_comparison(found, flips=flips)
        for path in written:
            echo(f"  report:  {one_line(path)}")
    return _exit_code(found, wanted)


def _wanted(fail_on: list[str]) -> set[str]:
    words = set(listed_names(fail_on))
    for word in words:
        if word not in _FAIL_ON:
            raise ConfigurationError(f"--fail-on: found '{word}'; expected {', '.join(_FAIL_ON)}")
    return words


def _exit_code(found: Comparison, wanted: set[str]) -> ExitCode:
    failed = wanted & {"worse", "better"}
    if (failed and found.found(failed)) or ("missing" in wanted and found.missing):
        return ExitCode.FAILED
    return ExitCode.UNCERTAIN if "undecided" in wanted and found.found({"undecided"}) else ExitCode.PASSED


def _sides(first: str, second: str | None, against: str | None) -> tuple[str, str]:
    from duologue.runs.store.baselines import DEFAULT

    if second is not None and against is not None:
        raise ConfigurationError("--baseline stands for FIRST; remove it, or name one execution only")
    return (first, second) if second is not None else (against or DEFAULT, first)


def _execution(place: str) -> ExecutionResult:
    """The execution in a folder, or of a baseline."""
    from duologue.runs.store.baselines import baseline_named, read_baselines
    from duologue.runs.store.reader import find_execution

    path = Path(place)
    if not path.exists() and ("/" not in place or any(item.name == place for item in read_baselines())):
        path = baseline_named(place)[1]
    found = find_execution(path)
    for problem in found.problems:
        echo(f"Note: {one_line(problem)}", err=True)
    return found.execution


def _stored(
    held: ExitStack, first: str, second: str, database: str, artifacts: str | None, project: str | None
) -> tuple[ExecutionResult, ExecutionResult]:
    """Two executions of a database."""
    from tempfile import TemporaryDirectory

    from duologue.runs.service import open_project
    from duologue.runs.store.database.artifacts import artifacts_of
    from duologue.runs.store.database.engine import Database
    from duologue.runs.store.database.results_export import execution_named, export_results
    from duologue.runs.store.reader import find_execution

    folder = Path(held.enter_context(TemporaryDirectory(prefix="duologue-compare-")))

    async def read() -> tuple[ExecutionResult, ExecutionResult]:
        async with Database.open(database, create=False) as opened:
            found = await open_project(opened, project)
            store = artifacts_of(opened.address, artifacts)
            sides: list[ExecutionResult] = []
            for name, place in ((first, folder / "first"), (second, folder / "second")):
                number = await execution_named(opened, found.id, name)
                await export_results(opened, store, number, place)
                sides.append(find_execution(place, ended=True).execution)
            return sides[0], sides[1]

    return asyncio.run(read())
