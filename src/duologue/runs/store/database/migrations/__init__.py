"""The versions of the tables, and how a database gets from one to another.

Alembic is imported only by what changes tables: opening a database asks for its version and nothing else. Changes are
one transaction that begins with a lock, so of two processes that start at once one waits and finds the work done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from duologue.errors import StoreVersionError
from duologue.frozen import frozen
from duologue.runs.store.database.connections import Connections

HEAD = "0003"
"""The newest version, which this version of Duologue reads and writes."""
VERSIONS = ("0001", "0002", "0003")
"""All of them, oldest first."""
VERSION_TABLE = "duologue_version"
_LOCK = 0x6475_6F6C
"""Of the advisory lock that is held while tables are changed."""


@frozen
class Version:
    """Which tables a database has.

    Attributes:
        current: their version; None if there are none.
        newest: what this version of Duologue needs.
    """

    current: str | None
    newest: str = HEAD

    @property
    def state(self) -> str:
        """``empty``, ``current``, ``older`` or ``newer``."""
        if self.current is None:
            return "empty"
        if self.current == self.newest:
            return "current"
        return "older" if self.current in VERSIONS else "newer"


async def version(database: Connections) -> Version:
    """Which tables a database has."""
    return Version(current=await database.first_read(_current, "opening it"))


async def require_current(database: Connections, *, create: bool, upgrade: bool) -> None:
    """Make sure that a database has the tables that this version of Duologue needs.

    Args:
        database: that was opened.
        create: whether they may be made.
        upgrade: whether older ones may be changed.

    Raises:
        StoreVersionError: they are missing, or those of another version.
        StoreError: the database cannot be read, or the tables cannot be changed.
    """
    found = await version(database)
    if found.state == "current":
        return
    if (found.state == "empty" and create) or (found.state == "older" and upgrade):
        await migrate(database)
        return
    raise StoreVersionError(f"{database.address}: {_advice(found)}")


async def migrate(database: Connections, target: str = HEAD) -> Version:
    """Bring the tables of a database to a version, up or down.

    Raises:
        StoreVersionError: they were made by a newer version of Duologue.
        StoreError: they cannot be changed.
    """

    def work(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = Version(current=_current(connection))
        if found.state == "newer":
            raise StoreVersionError(f"{database.address}: {_advice(found)}")
        if found.current != target:
            _run(connection, found.current, target)

    await database.write(work, timeout=3600.0)
    return await version(database)


def _advice(found: Version) -> str:
    match found.state:
        case "empty":
            return "there are no tables of Duologue. Make them with: duologue db init"
        case "older":
            return (
                f"the tables have version {found.current}, and this version of Duologue needs {found.newest}. Stop all "
                "workers, make a backup, and run: duologue db upgrade"
            )
        case _:
            return (
                f"the tables have version {found.current}, which a newer version of Duologue has made; this one knows "
                f"{found.newest}. Install the newer version"
            )


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 -- a constant


def _run(connection: Connection, current: str | None, target: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    script: Any = ScriptDirectory.from_config(config)  # what its own commands call is private
    back = current is not None and target not in VERSIONS[VERSIONS.index(current) :]

    def steps(revision: Any, _: Any) -> Any:
        return script._downgrade_revs(target, revision) if back else script._upgrade_revs(target, revision)

    with EnvironmentContext(config, script, fn=steps, destination_rev=target) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=False)
        environment.run_migrations()
