"""Transactions of SQLAlchemy on PostgreSQL, which happen once although their connection may break at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from duologue.errors import StoreError
from duologue.runs.store.database.address import DatabaseAddress
from duologue.runs.store.database.json_columns import from_column, to_column
from duologue.runs.store.database.postgres import connect
from duologue.runs.store.database.transactions import Doubt

T = TypeVar("T")

_CONNECTIONS = 5
_GRACE = 1.0
"""Seconds: a server that answers gives up on a statement before we do."""


class PostgresTransactions:
    """Executes functions of a connection.

    Args:
        address: of the database.
        timeout: seconds that a statement may take, unless a call says otherwise.
    """

    def __init__(self, address: DatabaseAddress, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            # The URL is read by asyncpg, which knows libpq's options.
            async_creator=lambda: connect(address, timeout, waiting=False),
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS,
            pool_recycle=600,
            json_serializer=to_column,
            json_deserializer=from_column,
        )

    async def read(self, work: Callable[[Connection], T], timeout: float) -> T:
        """See :class:`Transactions`."""
        async with asyncio.timeout(timeout + _GRACE), self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T], timeout: float, doubt: Doubt) -> T:
        """See :class:`Transactions`."""
        async with asyncio.timeout(timeout + _GRACE):
            if doubt.transaction and await self._was_committed(doubt):
                return doubt.result
            async with self._engine.connect() as connection, connection.begin():
                if timeout != self._timeout:
                    await connection.execute(text(f"SET LOCAL statement_timeout = {int(timeout * 1000)}"))
                result = await connection.run_sync(work)
                number = await connection.execute(text("SELECT pg_current_xact_id()::text"))
                doubt.transaction, doubt.result = number.scalar_one(), result
            return result

    async def outside(self, statement: str, timeout: float) -> None:
        """See :class:`Transactions`."""
        async with asyncio.timeout(timeout + _GRACE), self._engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text(f"SET statement_timeout = {int(timeout * 1000)}"))
            await connection.exec_driver_sql(statement)
            await connection.invalidate()  # with what was set

    async def close(self) -> None:
        """See :class:`Transactions`."""
        await self._engine.dispose()

    async def _was_committed(self, doubt: Doubt) -> bool:
        async with self._engine.connect() as connection:
            asked = text("SELECT pg_xact_status(CAST(:id AS text)::xid8)")
            state = (await connection.execute(asked, {"id": doubt.transaction})).scalar_one()
        if state == "in progress":
            raise TimeoutError("the server has not noticed yet that a connection is gone")
        if state is None:
            raise StoreError(f"{self._address}: writing: the server does not know any more whether it was committed")
        if state == "aborted":
            doubt.transaction = ""
        return state == "committed"
