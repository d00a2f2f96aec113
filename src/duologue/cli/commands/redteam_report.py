"""``duologue redteam-report``: what attacks came to, from journals and reports that were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json


def redteam_report(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Journals (.jsonl), saved reports (.json), or folders of them; else the newest in redteam-reports/."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report; else the first folder that is read.")
    ] = None,
    latest: Annotated[int | None, typer.Option(min=1, help="Only so many attacks, the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; no file is written.")] = False,
) -> int:
    """Put the attacks that were recorded into one report, as JSON and as a web page. No model is asked.

    The exit code says whether the report is written, not what is in it.
    """
    from duologue.reports.red_team import as_data, gather, in_words, newest_batch, save_html, save_json, summarise

    given = paths or [newest_batch()]
    reports = gather(given, latest)
    if as_json:
        print_json(as_data(reports))
        return ExitCode.PASSED
    folder = out or (given[0] if given[0].is_dir() else given[0].parent)
    typer.echo(in_words(summarise(reports)))
    typer.echo(str(save_json(reports, folder)))
    typer.echo(str(save_html(reports, folder / "redteam-report.html")))
    return ExitCode.PASSED
