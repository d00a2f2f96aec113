"""``duologue secrets``: keys of a project, kept encrypted. Values are never arguments: other users can see those."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, print_table, terminal
from duologue.cli.store_options import ProjectOption
from duologue.errors import ConfigurationError, NotFoundError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.secrets import SavedSecret, SecretStore

T = TypeVar("T")
secrets = typer.Typer(help="Secrets of a project, which definitions name as ${NAME}.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="Such as RETELL_API_KEY.", metavar="NAME")]


@secrets.command(name="set")
def set_(
    name: _Name,
    provider: Annotated[str, typer.Option(help="What it is for, such as retell.")] = "",
    store: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Save a secret. Its value is read from standard input, or asked for."""
    value = _value(name)
    saved = _with(store, project, lambda secrets, id_: secrets.set_secret(id_, name, value, provider=provider))
    echo(one_line(f"saved {saved.name}"))
    return ExitCode.PASSED


@secrets.command(name="list")
def list_(store: DatabaseOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> int:
    """Show the names of the secrets of a project."""
    found = _with(store, project, lambda secrets, id_: secrets.list_secrets(id_))
    if as_json:
        print_json([vars(item) for item in found])
    elif not found:
        echo("there is no secret")
    else:
        _print(found)
    return ExitCode.PASSED


@secrets.command()
def delete(name: _Name, store: DatabaseOption = None, project: ProjectOption = None) -> int:
    """Delete a secret."""
    if not _with(store, project, lambda secrets, id_: secrets.delete_secret(id_, name)):
        raise NotFoundError(f'there is no secret "{name}" in this project')
    echo(one_line(f"deleted {name}"))
    return ExitCode.PASSED


@secrets.command()
def rotate(store: DatabaseOption = None) -> int:
    """Encrypt all secrets of a database with the newest key.

    Put the new key in front of the old one first: DUOLOGUE_SECRET_KEY=new,old, or both in the file secret.key.
    """

    async def work() -> int:
        from duologue.runs.secrets import SecretStore
        from duologue.runs.store.database.engine import Database

        async with Database.open(store, create=False) as database:
            return await SecretStore(database).rotate()

    echo(f"{asyncio.run(work())} secrets are encrypted with the newest key")
    return ExitCode.PASSED


@secrets.command(name="new-key")
def new_key() -> int:
    """Print a new key for DUOLOGUE_SECRET_KEY."""
    from duologue.runs.secrets import new_key as made

    echo(made())
    return ExitCode.PASSED


def _value(name: str) -> str:
    if sys.stdin.isatty():
        return typer.prompt(f"Value of {name}", hide_input=True)
    value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigurationError(f"standard input is empty; expected the value of {name}")
    return value


def _with(store: str | None, project: str | None, work: Callable[[SecretStore, str], Coroutine[Any, Any, T]]) -> T:
    async def open_and_work() -> T:
        from duologue.runs.secrets import SecretStore
        from duologue.runs.service import open_project
        from duologue.runs.store.database.engine import Database

        async with Database.open(store, create=False) as database:
            return await work(SecretStore(database), (await open_project(database, project)).id)

    return asyncio.run(open_and_work())


def _print(found: list[SavedSecret]) -> None:
    from rich.table import Table

    table = Table("name", "provider", header_style="bold")
    for item in found:
        table.add_row(one_line(item.name), one_line(item.provider))
    print_table(terminal(), table)
