"""A database as a whole: what is in it, and giving back the space of what was deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, select, text

from duologue.errors import StoreError
from duologue.frozen import frozen
from duologue.runs.store.database.address import address_of
from duologue.runs.store.database.artifacts import GRACE
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.migrations import Version, version
from duologue.runs.store.database.schema import runs, snapshots, workers

_FORGOTTEN = 30 * 24 * 3600.0
"""Seconds after which a worker that has ended is no longer listed."""
_LONG = 24 * 3600.0
"""Seconds that vacuuming may take."""


@frozen
class Status:
    """What a database is.

    Attributes:
        address: where it is, without a password.
        version: of its tables.
        size: bytes; 0 where there is none.
        runs: how many there are, by status.
        workers: how many are running.
    """

    address: str
    version: Version
    size: int = 0
    runs: Mapping[str, int] = field(default_factory=dict[str, int])
    workers: int = 0

    @property
    def usable(self) -> bool:
        """Whether this version of Duologue can use it."""
        return self.version.state == "current"

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "database": self.address,
            "version": self.version.current,
            "newest": self.version.newest,
            "state": self.version.state,
            "bytes": self.size,
            "runs": dict(self.runs),
            "workers": self.workers,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"database: {self.address}"
        match self.version.state:
            case "empty":
                yield "tables: none; make them with: duologue db init"
                return
            case "older":
                yield f"tables: version {self.version.current}, out of date; run: duologue db upgrade"
                return
            case "newer":
                yield f"tables: version {self.version.current}, made by a newer version of Duologue"
                return
            case _:
                yield f"tables: version {self.version.current}, up to date"
        yield f"size: {self.size / 1_000_000:.1f} MB"
        yield f"runs: {', '.join(f'{count} {status}' for status, count in sorted(self.runs.items())) or 'none'}"
        yield f"workers: {self.workers}"


async def status_of(where: str | Path | None = None) -> Status:
    """What the database of that address is; see :meth:`Database.open`. Nothing is made or changed.

    Raises:
        StoreError: it cannot be read.
    """
    address = address_of(where)
    if address.path is not None and not address.path.exists():
        return Status(address=str(address), version=Version(current=None))
    database = Database(address)
    try:
        found = await database.loop.call(version(database))
        if found.state != "current":
            return Status(address=str(address), version=found)
        return await database.read(lambda connection: _status(database, connection, found))
    finally:
        await database.close()


async def remove_unused_snapshots(database: Connections, *, grace: float = GRACE) -> int:
    """Remove suites that no run was made from any more; how many.

    Args:
        database: that they are in.
        grace: seconds that they are kept in any case, because runs of them may be on their way.
    """

    def work(connection: Connection) -> int:
        used = select(runs.c.number).where(runs.c.snapshot == snapshots.c.digest).exists()
        old = snapshots.c.created_at < database.now(connection) - grace
        return connection.execute(delete(snapshots).where(old, ~used)).rowcount

    return await database.write(work, timeout=_LONG)


async def vacuumed(database: Connections) -> int:
    """Give unused space back to the system.

    Returns:
        How many bytes; PostgreSQL keeps most of what it frees for itself.

    Raises:
        StoreError: it is in use, it is damaged, or there is not enough space for a copy.
    """
    before = await database.read(lambda connection: _size(database, connection))
    await database.write(lambda connection: _forget_workers(database, connection))
    if database.dialect == "sqlite":
        found = await database.read(
            lambda connection: connection.execute(text("PRAGMA quick_check")).scalar(), timeout=_LONG
        )
        if found != "ok":
            raise StoreError(f"{database.address} is damaged: {found}. Restore it from a backup")
    await database.outside_transaction("VACUUM", timeout=_LONG)
    if database.dialect == "postgresql":
        await database.outside_transaction("ANALYZE", timeout=_LONG)
    else:  # no statistics: as the tables grow they would mislead, and every query has its index
        await database.outside_transaction("PRAGMA wal_checkpoint(TRUNCATE)", timeout=_LONG)
    return max(0, before - await database.read(lambda connection: _size(database, connection)))


def _forget_workers(database: Connections, connection: Connection) -> None:
    """Take workers off the list that were not seen for long and have no runs."""
    busy = select(runs.c.number).where(runs.c.owner == workers.c.id, runs.c.status == "running").exists()
    long_ago = workers.c.last_seen < database.now(connection) - _FORGOTTEN
    connection.execute(delete(workers).where(long_ago, ~busy))


def _status(database: Connections, connection: Connection, found: Version) -> Status:
    counts = connection.execute(select(runs.c.status, func.count()).group_by(runs.c.status))
    alive = select(func.count()).select_from(workers).where(workers.c.state == "running")
    return Status(
        address=str(database.address),
        version=found,
        size=_size(database, connection),
        runs={str(row[0]): int(row[1]) for row in counts},
        workers=connection.execute(alive).scalar_one(),
    )


def _size(database: Connections, connection: Connection) -> int:
    if database.address.path is None:
        return connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    path = database.address.path
    return sum(part.stat().st_size for part in (path, path.with_name(path.name + "-wal")) if part.exists())
