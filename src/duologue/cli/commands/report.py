"""``duologue report`` and ``duologue redteam-report``: reports on what was kept, at any later time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json
from duologue.terminal_text import one_line


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of an execution, as 'duologue run' wrote it.")],
    format: Annotated[
        list[str],
        typer.Option("--format", "-f", help="html, junit, md, csv, json or promptkit; separate several with commas."),
    ] = ["html"],  # noqa: B006 - typer reads the default and never changes it
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the reports. Default: the folder of the execution.")
    ] = None,
    job_summary: Annotated[
        bool, typer.Option("--job-summary", help="Also append to the file named by GITHUB_STEP_SUMMARY.")
    ] = False,
    annotate: Annotated[
        bool, typer.Option("--annotate", help="Also print what did not pass as annotations for GitHub Actions.")
    ] = False,
    labels: Annotated[
        list[Path],
        typer.Option("--labels", help="Files with labels that judges are compared with. Default: DIR.labels.jsonl."),
    ] = [],  # noqa: B006
    open_: Annotated[bool, typer.Option("--open", help="Open the first report in the browser.")] = False,
) -> int:
    """Write reports on a kept execution. The exit code says whether they were written, not what they say.

    An execution that did not finish is reported as interrupted, with the runs that did; one that is still running as
    running.
    """
    from duologue.reports.formats import format_named, write_reports
    from duologue.runs.store.calibrated import with_calibration
    from duologue.runs.store.reader import find_execution

    names = [format_named(name) for item in format for name in item.split(",") if name.strip()]
    found = with_calibration(find_execution(folder), labels)
    for problem in found.problems:
        echo(f"Note: {one_line(problem)}", err=True)
    paths = write_reports(found.execution, found.folder, names, out=out)
    if job_summary:
        from duologue.reports.markdown import append_job_summary

        paths.append(append_job_summary(found.execution))
    for path in paths:
        echo(one_line(path))
    if annotate:
        from duologue.reports.annotations import print_annotations

        print_annotations(found.execution)
    if open_ and paths:
        typer.launch(paths[0].resolve().as_uri())
    return ExitCode.PASSED


def redteam_report(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Journals (.jsonl), saved reports (.json), or folders of them. Default: newest in redteam-reports/."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report. Default: the first folder that is read.")
    ] = None,
    latest: Annotated[int | None, typer.Option(min=1, help="Only the newest attacks, this many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and write no file.")] = False,
) -> int:
    """Collect recorded attacks in one report, as JSON and as a web page. No model is called.

    The exit code says whether the report was written, not what it says.
    """
    from duologue.reports.red_team import as_data, gather, in_words, newest_batch, save_html, save_json, summarise

    given = paths or [newest_batch()]
    reports = gather(given, latest)
    if as_json:
        print_json(as_data(reports))
        return ExitCode.PASSED
    folder = out or (given[0] if given[0].is_dir() else given[0].parent)
    page = save_html(reports, folder / "redteam-report.html")
    data = save_json(reports, folder)
    echo(in_words(summarise(reports)))
    echo(one_line(data))
    echo(one_line(page))
    return ExitCode.PASSED
