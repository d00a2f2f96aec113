"""The ``duologue`` command: its subcommands, and how errors are shown.

A subcommand is imported when it is called, so that none pays for what another needs; ``--help`` imports all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import typer

from duologue.cli.exit_codes import ExitCode, exit_code_for
from duologue.cli.interruption import raise_errors
from duologue.errors import DuologueError
from duologue.terminal_text import continued
from duologue.version import __version__

_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""What typer raises for every wrong use of a command; of its kind, typer exports only the child."""


def _demo(app: typer.Typer) -> None:
    from duologue.cli.commands.demo import demo

    app.command()(demo)


def _run(app: typer.Typer) -> None:
    from duologue.cli.commands.run import run

    app.command()(run)


def _plan(app: typer.Typer) -> None:
    from duologue.cli.commands.plan import plan

    app.command()(plan)


def _show(app: typer.Typer) -> None:
    from duologue.cli.commands.show import show

    app.command()(show)


def _report(app: typer.Typer) -> None:
    from duologue.cli.commands.report import report

    app.command()(report)


def _redteam_report(app: typer.Typer) -> None:
    from duologue.cli.commands.report import redteam_report

    app.command("redteam-report")(redteam_report)


def _validate(app: typer.Typer) -> None:
    from duologue.cli.commands.suite_files import validate

    app.command()(validate)


def _inspect(app: typer.Typer) -> None:
    from duologue.cli.commands.inspect import inspect

    app.command()(inspect)


def _convert(app: typer.Typer) -> None:
    from duologue.cli.commands.suite_files import convert

    app.command()(convert)


def _schema(app: typer.Typer) -> None:
    from duologue.cli.commands.suite_files import schema

    app.command()(schema)


def _init(app: typer.Typer) -> None:
    from duologue.cli.commands.init import init

    app.command()(init)


def _doctor(app: typer.Typer) -> None:
    from duologue.cli.commands.doctor import doctor

    app.command()(doctor)


def _mocks(app: typer.Typer) -> None:
    from duologue.cli.commands.mocks import mocks

    app.add_typer(mocks, name="mocks")


def _models(app: typer.Typer) -> None:
    from duologue.cli.commands.models import models

    app.add_typer(models, name="models")


COMMANDS: dict[str, Callable[[typer.Typer], None]] = {
    "demo": _demo,
    "run": _run,
    "plan": _plan,
    "show": _show,
    "report": _report,
    "redteam-report": _redteam_report,
    "validate": _validate,
    "inspect": _inspect,
    "convert": _convert,
    "schema": _schema,
    "init": _init,
    "doctor": _doctor,
    "mocks": _mocks,
    "models": _models,
}
"""What adds each subcommand, in the order of the help page."""


def application(commands: Iterable[str] = tuple(COMMANDS)) -> typer.Typer:
    """The command with these of its subcommands."""
    app = typer.Typer(
        name="duologue",
        help="Rehearse AI agents before real users meet them.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in commands:
        COMMANDS[name](app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"duologue {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Rehearse AI agents before real users meet them."""


def invoke(arguments: Sequence[str]) -> int:
    """Run one subcommand; returns its exit code. Errors of Duologue are one paragraph, never a traceback."""
    called = next((word for word in arguments if not word.startswith("-")), "")
    app = application([called]) if called in COMMANDS else application()
    if called != "run":  # it stops in good order
        raise_errors()
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
        _show_error(error)
        return exit_code_for(error)
    return code if isinstance(code, int) else ExitCode.PASSED


def _show_error(error: DuologueError) -> None:
    from rich.console import Console
    from rich.text import Text

    from duologue.cli.output import say

    console = Console(stderr=True, highlight=False)
    say(console, Text("Error: ", style="bold red").append(Text(continued(error), style="")))
    for note in getattr(error, "__notes__", []):
        say(console, note, "dim")
