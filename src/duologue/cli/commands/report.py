"""``duologue report``: reports on an execution that was kept, at any time after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.exit_codes import ExitCode


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of an execution, as 'duologue run' wrote it.")],
    format: Annotated[
        list[str], typer.Option("--format", "-f", help="Of html, junit, md, json, promptkit; commas are fine.")
    ] = ["html"],  # noqa: B006 - typer reads the default and never changes it
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the reports; else the same one.")] = None,
    job_summary: Annotated[
        bool, typer.Option("--job-summary", help="Also append to the file that GITHUB_STEP_SUMMARY names.")
    ] = False,
) -> int:
    """Write reports on an execution that was kept. The exit code says whether they are written, not what is in them."""
    from duologue.reports.files import read_execution
    from duologue.reports.formats import write_reports

    execution = read_execution(folder)
    names = [name for item in format for name in item.split(",") if name]
    place = folder if folder.is_dir() else folder.parent
    paths = write_reports(execution, place, names, out=out)
    if job_summary:
        from duologue.reports.markdown import append_job_summary

        paths.append(append_job_summary(execution))
    for path in paths:
        typer.echo(str(path))
    return ExitCode.PASSED
