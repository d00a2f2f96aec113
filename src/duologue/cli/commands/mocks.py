"""``duologue mocks``: response files, with which a suite runs without models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.suites.results.run import RunResult

mocks = typer.Typer(help="Response files, which let a suite run without models.", no_args_is_help=True)


@mocks.callback()
def _commands() -> None:
    """With one command only, typer would take its name for an argument."""


@mocks.command()
def generate(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Folders that 'duologue run' wrote, journals, or files of runs.", metavar="DIR…"),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file. Default: standard output.")] = None,
    merge: Annotated[
        Path | None, typer.Option(help="Response file to start from. Its entries take precedence over the runs.")
    ] = None,
    scenario: Annotated[list[str], typer.Option("--scenario", help="Only runs of these scenarios.")] = [],  # noqa: B006 - typer's way
    agent: Annotated[list[str], typer.Option("--agent", "--provider", help="Only runs of these agents.")] = [],  # noqa: B006
    default_response: Annotated[str | None, typer.Option(help="Answer to use where no run has one.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> int:
    """Build a response file from recorded runs, for 'duologue run SUITE --mock FILE'.

    Agents, simulated users and judges then repeat what they said. Where runs of one scenario differ, the first one
    counts, with a warning on standard error. Exit code 2: there are no runs, or the file exists.
    """
    from duologue.runs.store.encoding import replace_file
    from duologue.suites.response_files import generate as generate_mocks

    if out is not None and out.exists() and not force:
        raise ConfigurationError(f"{out} already exists; choose another name, or overwrite it with --force")
    runs = _chosen(paths, scenario, agent)
    made = generate_mocks(runs, merge=_held(merge), default_response=default_response)
    for line in made.conflicts:
        echo(f"warning: {one_line(line)}", err=True)
    if out is None:
        typer.echo(made.text(for_terminal=True), nl=False)
        return ExitCode.PASSED
    replace_file(out, made.text())
    echo(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: wrote {one_line(out)}")
    return ExitCode.PASSED


def _chosen(paths: list[Path], scenarios: list[str], agents: list[str]) -> list[RunResult]:
    """The runs that are asked for, of all paths."""
    from duologue.config.problems import nearest
    from duologue.runs.store.journals import kept_runs

    runs = [run for path in paths for run in kept_runs(path)]
    for option, names, known in (
        ("--scenario", scenarios, {run.case.scenario for run in runs}),
        ("--agent", agents, {run.case.agent or "" for run in runs}),
    ):
        for name in names:
            if name not in known:
                raise ConfigurationError(f"{option}: there is no run of '{name}'{nearest(name, sorted(known))}")
    return [
        run
        for run in runs
        if (not scenarios or run.case.scenario in scenarios) and (not agents or run.case.agent in agents)
    ]


def _held(path: Path | None) -> dict[str, Any] | None:
    """What a response file says, which has to be in order."""
    if path is None:
        return None
    from duologue.config.problems import Problems
    from duologue.config.yaml_reader import read
    from duologue.models.mock.file import ResponseFile

    problems = ResponseFile.read(path).problems
    if problems:  # what is not understood could not be kept
        raise ConfigurationError("; ".join(map(str, problems)))
    held: Any = read(path, Problems())
    return held
