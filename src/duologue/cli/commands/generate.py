"""``duologue generate``: files of a suite, made from what there is already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo
from duologue.errors import ConfigurationError, SuiteError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.transcripts.recording import Recording

generate = typer.Typer(help="Scenarios from conversations that took place.", no_args_is_help=True)
_SUFFIXES = {".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".zip", ".gz", ".eval", ".txt"}


@generate.callback()
def _commands() -> None:
    """With one command only, typer would take its name for an argument."""


@generate.command()
def scenarios(
    sources: Annotated[
        list[Path],
        typer.Option("--from", help="Recording, or a folder of recordings, journals or results. Can be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the scenarios.")] = Path("scenarios"),
    format: Annotated[str | None, typer.Option(help="Format of the recordings. Default: found out.")] = None,
    criterion: Annotated[
        list[str], typer.Option("--criterion", help="Statement that a judge decides at the end. Can be repeated.")
    ] = [],  # noqa: B006 - typer's way
    expect_tools: Annotated[
        bool, typer.Option("--expect-tools", help="Check that the agent calls the tools that it called then.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many scenarios, the first ones.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> int:
    """Write a scenario for each recorded conversation: the user's lines become fixed turns. No model is called."""
    from duologue.suites.manifests.from_recordings import scenarios_from
    from duologue.suites.manifests.writer import write_scenarios

    made = scenarios_from(_recordings(sources, format), criteria=criterion, expect_tools=expect_tools)[:limit]
    if not made:
        raise ConfigurationError(f"no user speaks in {', '.join(map(str, sources))}; expected recorded conversations")
    paths = write_scenarios(made, out, replace=force)
    echo(f"{len(paths)} {'scenario' if len(paths) == 1 else 'scenarios'}: {one_line(out)}/*.yaml")
    echo(f"Name them in a suite: scenarios: [{one_line(out.name)}/*.yaml]")
    if not all(item.checks or item.judged for item in made):
        echo("Some decide nothing yet: give them checks or criteria, here with --criterion or --expect-tools.")
    return ExitCode.PASSED


def _recordings(sources: Sequence[Path], format: str | None) -> Iterator[Recording]:
    """The recordings of all files; an entry that cannot be read is told and left out."""
    from duologue.transcripts.reader import read_entries

    paths = [path for source in sources for path in _files(source)]
    for path in paths:
        try:
            entries = read_entries(path, format)
        except SuiteError as error:
            if len(paths) == 1:
                raise
            echo(f"left out: {one_line(error)}", err=True)
            continue
        for entry in entries:
            if entry.error is None:
                yield entry
            else:
                echo(f"left out: {one_line(entry.error)}", err=True)


def _files(source: Path) -> list[Path]:
    from duologue.journal.artifacts import JOURNALS

    if not source.is_dir():
        return [source]
    inner = source / JOURNALS
    if inner.is_dir():  # of an execution: its other files tell of the same runs
        return sorted(inner.glob("*.jsonl"))
    found = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix.lower() in _SUFFIXES)
    if not found:
        raise ConfigurationError(f"{source} holds no recordings")
    return found
