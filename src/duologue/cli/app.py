"""The ``duologue`` command: its commands, and how an error is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import typer
from rich.console import Console
from rich.text import Text

from duologue.cli.commands.convert import convert
from duologue.cli.commands.demo import demo
from duologue.cli.commands.doctor import doctor
from duologue.cli.commands.init import init
from duologue.cli.commands.inspect import inspect
from duologue.cli.commands.mocks import mocks
from duologue.cli.commands.models import models
from duologue.cli.commands.plan import plan
from duologue.cli.commands.redteam_report import redteam_report
from duologue.cli.commands.report import report
from duologue.cli.commands.run import run
from duologue.cli.commands.schema import schema
from duologue.cli.commands.show import show
from duologue.cli.commands.validate import validate
from duologue.cli.exit_codes import ExitCode, exit_code_for
from duologue.errors import DuologueError
from duologue.journal.console import clean
from duologue.version import __version__

_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""What typer raises for every wrong use of a command; of its kind, typer exports only the child."""

app = typer.Typer(
    name="duologue",
    help="Rehearse AI agents before real users meet them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(run)
app.command()(plan)
app.command()(show)
app.command()(report)
app.command("redteam-report")(redteam_report)
app.command()(validate)
app.command()(inspect)
app.command()(convert)
app.command()(schema)
app.command()(init)
app.command()(doctor)
app.add_typer(mocks, name="mocks")
app.add_typer(models, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"duologue {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Rehearse AI agents before real users meet them."""


def invoke(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Errors of Duologue are one paragraph, never a traceback."""
    try:
        code: object = app(args=list(arguments), standalone_mode=False)
    except typer.Exit as error:
        return error.exit_code
    except _UsageError as error:
        error.show()
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt, asyncio.CancelledError):
        return ExitCode.INTERRUPTED
    except DuologueError as error:
        _show(error)
        return exit_code_for(error)
    return code if isinstance(code, int) else ExitCode.PASSED


def _show(error: DuologueError) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(Text("Error: ", style="bold red").append(Text(clean(str(error)), style="")), soft_wrap=True)
    for note in getattr(error, "__notes__", []):
        console.print(Text(clean(note), style="dim"), soft_wrap=True)
