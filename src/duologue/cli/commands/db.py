"""``duologue db``: the database of runs: init, upgrade, status, vacuum."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, say, terminal
from duologue.terminal_text import one_line

db = typer.Typer(help="The database of runs.", no_args_is_help=True)

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        "--store",
        metavar="URL",
        help="postgresql://user@host/name, or the folder or file of an SQLite database. "
        "Default: DUOLOGUE_DATABASE_URL, else .duologue/duologue.db in the project.",
    ),
]
ArtifactsOption = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        metavar="URL",
        help="Folder, or URL such as s3://bucket/folder, with the media of runs. "
        "Default: DUOLOGUE_ARTIFACTS, else beside the database.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@db.command()
def init(database: DatabaseOption = None) -> int:
    """Make the tables of a database that has none; one that has them is left as it is."""
    from duologue.runs.store.database.engine import Database

    async def work() -> None:
        async with Database.open(database, create=True) as opened:
            say(terminal(), one_line(f"ready: {opened.address}"))

    return _run(work)


@db.command()
def upgrade(database: DatabaseOption = None) -> int:
    """Bring the tables of a database up to date. Stop all workers and make a backup first."""
    from duologue.runs.store.database.engine import Database

    async def work() -> None:
        async with Database.open(database, create=False, upgrade=True) as opened:
            say(terminal(), one_line(f"up to date: {opened.address}"))

    return _run(work)


@db.command()
def status(database: DatabaseOption = None, as_json: JsonOption = False) -> int:
    """Show where the database is, the version of its tables, its size, and how many runs and workers there are."""
    from duologue.runs.store.database.upkeep import Status, status_of

    async def work() -> Status:
        return await status_of(database)

    found = asyncio.run(work())
    if as_json:
        print_json(found.as_data())
    else:
        console = terminal()
        for line in found.lines():
            say(console, one_line(line))
    return ExitCode.PASSED if found.usable else ExitCode.UNCERTAIN


@db.command()
def vacuum(database: DatabaseOption = None, artifacts: ArtifactsOption = None) -> int:
    """Give the space of deleted runs back to the system, after a look for damage. Stop all workers first.

    Suites, media and unfinished recordings that no run has any more are removed, if they are older than an hour.
    """
    from duologue.runs.store.database.artifacts import artifacts_of, remove_unused
    from duologue.runs.store.database.engine import Database
    from duologue.runs.store.database.upkeep import remove_unused_snapshots, vacuumed

    async def work() -> None:
        async with Database.open(database, create=False) as opened:
            await remove_unused_snapshots(opened)
            freed = (await remove_unused(opened, artifacts_of(opened.address, artifacts))).size
            freed += await vacuumed(opened)
            say(terminal(), one_line(f"{opened.address}: {freed / 1_000_000:.1f} MB freed"))

    return _run(work)


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    asyncio.run(work())
    return ExitCode.PASSED
