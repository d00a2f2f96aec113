"""Transactions of SQLAlchemy on SQLite: each is one call of a function in a thread.

The library is synchronous and as fast as a file, so a driver that hands every statement to a thread and back costs
three times what the statements take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL

from duologue.runs.store.database.clocks import since_boot
from duologue.runs.store.database.json_columns import from_column, to_column
from duologue.runs.store.database.sqlite import STEPS, configure
from duologue.runs.store.database.sqlite_file import DatabaseFile
from duologue.runs.store.database.transactions import Doubt

T = TypeVar("T")

_THREADS = 4


class SqliteTransactions:
    """Executes functions of a connection, several readers and one writer at a time.

    Args:
        file: that they are executed on.
        writing: held by whoever in this process writes, so that nobody polls for what a neighbour holds.
    """

    def __init__(self, file: DatabaseFile, writing: asyncio.Lock) -> None:
        self._file, self._writing = file, writing
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="duologue-sqlite")
        self._engine = create_engine(
            URL.create("sqlite", database=str(file.path)),
            pool_size=_THREADS,
            json_serializer=to_column,
            json_deserializer=from_column,
            # Transactions begin as `_begin` says; a connection is used by whichever thread is free.
            connect_args={"isolation_level": None, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)

    async def read(self, work: Callable[[Connection], T], timeout: float) -> T:
        """See :class:`Transactions`."""
        return await self._in_thread(partial(self._transact, work, timeout, {}))

    async def write(self, work: Callable[[Connection], T], timeout: float, doubt: Doubt) -> T:
        """See :class:`Transactions`; a file is never in doubt."""
        async with self._writing:
            return await self._in_thread(partial(self._transact, work, timeout, {"duologue_writes": True}))

    async def outside(self, statement: str, timeout: float) -> None:
        """See :class:`Transactions`."""
        options = {"isolation_level": "AUTOCOMMIT"}
        async with self._writing:
            await self._in_thread(partial(self._transact, partial(_execute, statement), timeout, options))

    async def close(self) -> None:
        """See :class:`Transactions`."""
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        held = copy_context()  # what definitions may use while they are looked at is said there
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: held.run(work))

    def _transact(self, work: Callable[[Connection], T], timeout: float, options: dict[str, Any]) -> T:
        deadline = since_boot() + timeout
        with self._engine.connect().execution_options(**options) as connection:
            self._file.check()
            raw: Any = connection.connection.driver_connection
            raw.set_progress_handler(lambda: since_boot() > deadline, STEPS)
            try:
                with connection.begin():
                    return work(connection)
            finally:
                raw.set_progress_handler(None, 0)


def _execute(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)


def _configure(connection: Any, _: object) -> None:
    configure(connection.execute)
    connection.execute("PRAGMA synchronous = FULL")  # what people define is not lost in a power failure


def _begin(connection: Connection) -> None:
    """A transaction that writes has the lock from its beginning: it cannot fail in the middle for want of it."""
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("duologue_writes") else "BEGIN")
