"""``duologue retry``: play the runs of an execution again that ended in an error, into the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.executor_options import (
    AddressOption,
    ExecutorOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    WorkersOption,
)
from duologue.cli.output import listed_names, response_file
from duologue.errors import ConfigurationError


def retry(
    folder: Annotated[Path, typer.Argument(help="The folder of an execution, as 'duologue run' wrote it.")],
    mock: Annotated[
        str | None,
        typer.Option(
            callback=response_file, help="Answer for every model from this response file, as the execution did."
        ),
    ] = None,
    mock_all: Annotated[
        bool, typer.Option("--mock-all", help="Answer for every model with fixed text, as the execution did.")
    ] = False,
    jobs: Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="Number of cases to run at once.")] = None,
    executor: ExecutorOption = "local",
    workers: WorkersOption = None,
    address: AddressOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0, help="Spending limit for the models of all runs together, earlier ones included, in US dollars."
        ),
    ] = None,
    format: Annotated[
        list[str],
        typer.Option(
            "--format", help="Also write json, junit, md, csv, html or promptkit; separate several with commas."
        ),
    ] = [],  # noqa: B006 - typer's way
    ci: Annotated[bool, typer.Option("--ci", help="Plain lines without colours.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no transcript and no progress.")] = False,
) -> int:
    """Play the runs again that ended in an error. All other results stay, and costs and times add up.

    Like 'duologue run --resume', it also plays what was not finished. Exit codes are those of 'duologue run'.
    """
    from duologue.runs.store.from_journals import holds_journals
    from duologue.runs.store.ownership import read_launch
    from duologue.runs.store.reader import holds_results

    if not holds_results(folder) and folder.is_dir() and holds_journals(folder):
        raise ConfigurationError(
            f"{folder} holds runs that a program or pytest has recorded, and only it can play them again; expected a "
            "folder that 'duologue run' wrote"
        )
    launch = read_launch(folder)
    formats = listed_names(format)
    from duologue.cli.commands.suite_executor import ExecutorRequest

    chosen = ExecutorRequest(
        name=executor, workers=workers, address=address, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key
    )
    chosen.require_possible()
    if not launch.plan.cases:
        if not chosen.is_local:
            raise ConfigurationError(f"--executor applies to suites, and {launch.path} is a function; remove it")
        from duologue.cli.commands.function_run import FunctionRequest, run_function

        request = FunctionRequest(
            out=folder.parent, as_json=as_json, quiet=quiet, formats=formats, resume=folder, retry_errors=True
        )
        return run_function(launch.path, request)
    from duologue.cli.commands.suite_run import Request, Shown, run_and_show
    from duologue.models.scope import Budget
    from duologue.suites.plan.build import Filters
    from duologue.suites.runner.definition import RunOptions

    return run_and_show(
        launch.path,
        Request(
            filters=Filters(),
            settings=RunOptions(concurrency=jobs, budget=None if budget is None else Budget(money=budget)),
            mock="" if mock_all and mock is None else mock,
            resume=folder,
            retry_errors=True,
            executor=chosen,
            formats=formats,
        ),
        Shown(ci=ci, as_json=as_json, quiet=quiet),
    )
