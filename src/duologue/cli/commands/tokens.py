"""``duologue tokens``: who may use the API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.commands.db import DatabaseOption, JsonOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo, print_json, print_table, terminal
from duologue.config.durations import parse_duration
from duologue.context import SystemClock
from duologue.errors import ConfigurationError, NotFoundError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.runs.store.database.engine import Database
    from duologue.runs.tokens import ApiToken

tokens = typer.Typer(help="Tokens of the API.", no_args_is_help=True)

_Project = Annotated[str | None, typer.Option("--project", help="Name or id of the only project. Default: all.")]


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it.")],
    scope: Annotated[str, typer.Option(help="read: look. run: define and run as well. admin: everything.")] = "read",
    project: _Project = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: a duration such as 90d or 12h, or a date. Default: never.")
    ] = None,
    store: DatabaseOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a token. It is printed now, and never again: only a digest of it is kept."""

    async def work() -> tuple[str, ApiToken]:
        from duologue.runs.store.database.engine import Database
        from duologue.runs.tokens import ApiTokens

        async with Database.open(store) as database:
            project_id = await _project_id(database, project)
            return await ApiTokens(database).create_token(name, scope, project_id=project_id, expires_at=_end(expires))

    token, made = asyncio.run(work())
    if as_json:
        print_json({**_fields(made), "token": token})
    else:
        echo(token)
        echo(f"made {one_line(made.name)} ({made.scope}); it is not shown again", err=True)
    return ExitCode.PASSED


@tokens.command(name="list")
def list_(project: _Project = None, store: DatabaseOption = None, as_json: JsonOption = False) -> int:
    """Show the tokens, without the tokens themselves."""

    async def work() -> list[ApiToken]:
        from duologue.runs.store.database.engine import Database
        from duologue.runs.tokens import ApiTokens

        async with Database.open(store, create=False) as database:
            return await ApiTokens(database).list_tokens(project_id=await _project_id(database, project))

    found = asyncio.run(work())
    if as_json:
        print_json([_fields(item) for item in found])
    elif not found:
        echo("there is no token")
    else:
        _print(found)
    return ExitCode.PASSED


@tokens.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Id of the token, or its first characters.", metavar="ID")],
    store: DatabaseOption = None,
) -> int:
    """Make a token useless, at once."""

    async def work() -> ApiToken:
        from duologue.runs.store.database.engine import Database
        from duologue.runs.tokens import ApiTokens

        async with Database.open(store, create=False) as database:
            store_of_tokens = ApiTokens(database)
            found = [item for item in await store_of_tokens.list_tokens() if token in {item.id, item.hint}]
            if len(found) != 1:
                raise NotFoundError(f'there is no token "{token}"; duologue tokens list shows those that there are')
            await store_of_tokens.revoke_token(found[0].id)
            return found[0]

    echo(one_line(f"revoked {asyncio.run(work()).name}"))
    return ExitCode.PASSED


async def _project_id(database: Database, project: str | None) -> str | None:
    if project is None:
        return None
    from duologue.runs.service import open_project

    return (await open_project(database, project)).id


def _end(expires: str | None) -> float | None:
    """Seconds since 1970."""
    if expires is None:
        return None
    if (days := expires.removesuffix("d")).isdecimal() and expires.endswith("d"):
        return SystemClock().now() + 24 * 3600.0 * int(days)
    try:
        return SystemClock().now() + parse_duration(expires)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(expires)
    except ValueError:
        raise ConfigurationError(
            f"--expires is {expires!r}; expected a duration such as 90d, or a date such as 2030-12-31"
        ) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _fields(token: ApiToken) -> dict[str, object]:
    return {**vars(token), "scope": str(token.scope)}


def _print(found: list[ApiToken]) -> None:
    from rich.table import Table

    table = Table("id", "name", "scope", "project", "begins", "expires", "last used", header_style="bold")
    for item in found:
        cells = (item.id, item.name, str(item.scope), item.project_id or "all", f"{item.hint}…")
        table.add_row(*map(one_line, cells), _day(item.expires_at), _day(item.last_used_at))
    print_table(terminal(), table)


def _day(at: float | None) -> str:
    return "never" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
