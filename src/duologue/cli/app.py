"""The ``duologue`` command: its subcommands, and how errors are shown.

A subcommand is imported when it is called, so that none pays for what another needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import typer

from duologue.cli.catalogue import ABOUT, COMMANDS, answer
from duologue.cli.exit_codes import ExitCode, exit_code_for
from duologue.cli.interruption import discard_output, raise_errors
from duologue.errors import DuologueError
from duologue.terminal_text import continued
from duologue.version import __version__

_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
"""What typer raises for every wrong use of a command; of its kind, typer exports only the child."""


_ELSEWHERE = {
    "--mock-provider": "--mock-all, or --mock FILE with the answers,",
    "--mock-config": "--mock FILE",
    "--concurrency": "-j",
    "--output": "--out",
    "--eval-types": "--eval-type",
    "--skip-pack-evals": "--no-pack-evals",
    "--formats": "--format",
}
"""What options of PromptKit's command are called here."""


def application(called: str = "", *, completing: bool = False) -> typer.Typer:
    """The command, with the subcommand that is called; with none, it knows all names, to complete and suggest them."""
    app = typer.Typer(
        name="duologue",
        help=ABOUT,
        no_args_is_help=True,
        add_completion=completing or not called,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    if called:
        COMMANDS[called].add(app)
        for command in app.registered_commands:
            command.help = command.help or _paragraphs(command.callback)
        return app
    for name, command in COMMANDS.items():
        app.command(name, help=command.line)(_not_imported)
    return app


def _paragraphs(command: Callable[..., object] | None) -> str:
    """What a docstring says, without the ends of its lines: the terminal may be narrower than the source."""
    written = (command.__doc__ or "").strip()
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in written.split("\n\n"))


def _not_imported() -> None:
    """Stands for a subcommand that is not called."""


_WITHOUT_SETTINGS = {"demo", "init", "schema", "show", "report", "redteam-report"}
"""Commands that read neither ``.env`` nor the settings of the project."""


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
    completing = "_DUOLOGUE_COMPLETE" in os.environ
    if not completing and (code := answer(arguments)) is not None:
        return code
    words = _words_to_complete() if completing else arguments
    called = next((word for word in words if not word.startswith("-")), "")
    app = application(called if called in COMMANDS else "", completing=completing)
    if called not in {"run", "retry"}:  # they stop in good order
        raise_errors()
    try:
        if called in COMMANDS and called not in _WITHOUT_SETTINGS and not completing:
            from duologue.cli.project import defaults_of, take_settings

            settings = take_settings(Path.cwd())
            command = typer.main.get_command(app)
            _leave_options_that_nobody_gave(command)
            given: object = command.main(
                args=list(arguments),
                prog_name=None,
                standalone_mode=False,
                default_map=defaults_of(command, called, settings),
            )
        else:
            given = app(args=list(arguments), standalone_mode=False)
    except typer.Exit as error:
        return error.exit_code
    except _UsageError as error:
        error.show()
        for option in dict.fromkeys(_plain(word) for word in arguments):
            if option in _ELSEWHERE and option in str(error):
                typer.echo(f"{option} of PromptKit is {_ELSEWHERE[option]} here.", err=True)
        return ExitCode.USAGE
    except _interruptions():
        return ExitCode.INTERRUPTED
    except (DuologueError, BrokenPipeError) as error:
        if isinstance(error, BrokenPipeError):
            discard_output()
        else:
            _show_error(error)
        return exit_code_for(error)
    return given if isinstance(given, int) else ExitCode.PASSED


def _leave_options_that_nobody_gave(command: Any) -> None:
    """Convert no option without a value: typer makes a schema for each option first, even with nothing to convert."""
    for inner in getattr(command, "commands", {}).values():
        _leave_options_that_nobody_gave(inner)
    for option in command.params:
        if not option.required:
            option.process_value = partial(_processed, option, option.process_value)


def _processed(option: Any, process: Callable[[Any, Any], object], context: Any, value: object) -> object:
    if (value is None and not option.multiple and option.nargs == 1) or (value == [] and option.multiple):
        return value if option.callback is None else option.callback(context, option, value)
    return process(context, value)


def _interruptions() -> tuple[type[BaseException], ...]:
    """What ends a command that is stopped; looked at only when something was raised."""
    from asyncio import CancelledError

    return (typer.Abort, KeyboardInterrupt, CancelledError)


def _plain(word: str) -> str:
    """An option without its value."""
    return word.partition("=")[0]


def _words_to_complete() -> list[str]:
    """What is on the line that the shell wants completed, after the name of the program."""
    return (os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")).split()[1:]


def _show_error(error: DuologueError) -> None:
    from rich.console import Console
    from rich.text import Text

    from duologue.cli.output import say

    console = Console(stderr=True, highlight=False)
    say(console, Text("Error: ", style="bold red").append(Text(continued(error), style="")))
    for note in getattr(error, "__notes__", []):
        say(console, note, "dim")
