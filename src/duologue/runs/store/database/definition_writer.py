"""How all definitions are written to the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table, insert, update

from duologue.context import random_uuid
from duologue.errors import NotFoundError
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.definition_rows import Expected, get, named, require_free, require_unused
from duologue.runs.store.database.schema import projects

S = TypeVar("S")
T = TypeVar("T")


class DefinitionWriter:
    """Writes rows of definitions.

    Args:
        database: an open one.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database

    async def _create(
        self, table: Table, what: str, project_id: str, name: str, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        return await self._write(lambda connection: self._insert(connection, table, what, project_id, name, data))

    def _insert(
        self,
        connection: Connection,
        table: Table,
        what: str,
        project_id: str,
        name: str,
        data: Mapping[str, Any],
        columns: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Insert a row; its id, project and times."""
        if get(connection, projects, project_id) is None:
            raise NotFoundError(f'Project with id "{project_id}" not found')
        require_free(connection, table, what, named(name, what.lower()), project_id=project_id)
        now = self._database.now(connection)
        row = {"id": random_uuid(), "project_id": project_id, "created_at": now, "updated_at": now}
        connection.execute(insert(table).values(name=name, data=dict(data), **row, **(columns or {})))
        return row

    def _store(
        self, connection: Connection, table: Table, what: str, row: Row[Any], name: str, data: Mapping[str, Any]
    ) -> None:
        """Store the fields of a definition that was changed, perhaps under another name."""
        if name != row.name:
            require_free(connection, table, what, named(name, what.lower()), project_id=row.project_id, but=row.id)
        self._change(connection, table, row.id, {"name": name, "data": dict(data)})

    def _change(self, connection: Connection, table: Table, id_: str, values: Mapping[str, Any]) -> None:
        now = self._database.now(connection)
        connection.execute(update(table).where(table.c.id == id_).values(**values, updated_at=now))

    def _require_unused(self, connection: Connection, table: Table, what: str, id_: str, used: Any, by: str) -> None:
        row = get(connection, table, id_)
        if row is not None:
            require_unused(connection, what, row.name, used, by)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work)


def get_expected(
    connection: Connection, table: Table, id_: str, expected: Expected[S] | None, saved: Callable[[Row[Any]], S]
) -> Row[Any] | None:
    """The row with that id, once ``expected`` has seen what it says and has not raised; None if there is none.

    Args:
        connection: the transaction that is going to change it.
        table, id_: where it is.
        expected: see :data:`Expected`; None where the caller has seen nothing.
        saved: what a row says, as callers have seen it.
    """
    row = get(connection, table, id_)
    if row is not None and expected is not None:
        expected(saved(row))
    return row
