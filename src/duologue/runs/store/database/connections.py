"""The connections of a database, and the loop that they live on.

A database has a thread and an event loop of its own. Whoever uses it may be on any event loop or in any thread,
and a program that blocks its own loop, as an agent under test may do, never keeps heartbeats from being sent.

Everything that is not on the path of each run is a function of a SQLAlchemy connection that is executed as one
transaction (:meth:`Connections.read`, :meth:`Connections.write`). A database that goes away is waited for, and the
function is executed again: only if the transaction was not committed before.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from duologue.context import Context
from duologue.errors import DuologueError, MissingExtraError, StoreError
from duologue.runs.store.database.address import DatabaseAddress
from duologue.runs.store.database.changes import StoreDriver
from duologue.runs.store.database.failures import passes, store_error
from duologue.runs.store.database.json_columns import from_column, to_column
from duologue.runs.store.database.sqlite import SqliteDriver, configure

try:
    import aiosqlite  # noqa: F401 # pyright: ignore[reportUnusedImport] -- SQLAlchemy uses it
    from sqlalchemy import Connection, event, text
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("a database of runs", "runs", error.name or "sqlalchemy") from error

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a database that went away is waited for."""
STATEMENT_TIMEOUT = 30.0
"""Seconds."""
_FIRST_PATIENCE = 5.0
"""Seconds: a database that cannot be reached at the very beginning is rather a wrong address."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
_POOL = 5


class StoreLoop:
    """A thread with an event loop, in which everything that uses connections runs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="duologue-store", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self.loop.is_closed()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something there; from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there and wait for it, on any event loop."""
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(self.submit(work))

    def stop(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class Connections:
    """The connections of a database, and the thread that they are used in.

    Args:
        address: where it is.
        patience: seconds that a database that went away is waited for.
        statement_timeout: seconds.
        context: time and ids.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        patience: float = PATIENCE,
        statement_timeout: float = STATEMENT_TIMEOUT,
        context: Context | None = None,
    ) -> None:
        self.address = address
        self.folder = address.path.parent if address.path is not None else None
        """That an SQLite database is in; None for PostgreSQL."""
        self.context = context or Context()
        self.patience, self.statement_timeout = patience, statement_timeout
        self._engine = _engine(address, statement_timeout)
        self.loop = StoreLoop()
        self.hot = asyncio.Lock()
        """Held while the driver does something: it does one thing at a time."""
        self._writing = asyncio.Lock()
        self.driver = self._driver()

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The kind of database."""
        return self.address.dialect

    async def read(self, work: Callable[[Connection], T], *, timeout: float | None = None) -> T:
        """Execute a function that only reads, on a connection.

        Args:
            work: gets a SQLAlchemy connection in a transaction, and is executed again if the database went away.
            timeout: seconds, in place of the usual ones.
        """
        return await self.loop.call(self._transact(work, writing=False, timeout=timeout))

    async def write(self, work: Callable[[Connection], T], *, timeout: float | None = None) -> T:
        """Execute a function as one transaction, whole or not at all.

        Args:
            work: gets a SQLAlchemy connection. It is executed again if the database went away before it was committed,
                so it does nothing but SQL.
            timeout: seconds, in place of the usual ones.

        Raises:
            StoreError: the transaction was not committed; or, which the error then says, nobody knows.
        """
        return await self.loop.call(self._transact(work, writing=True, timeout=timeout))

    async def outside_transaction(self, statement: str, *, timeout: float | None = None) -> None:
        """Execute a statement that cannot be part of a transaction, such as ``VACUUM``.

        Raises:
            StoreError: it failed.
        """

        async def work() -> None:
            async with self._writing, self._engine.connect() as plain:
                connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                async with self._bounded(connection, timeout):
                    if timeout is not None and self.dialect == "postgresql":
                        await connection.execute(text(f"SET statement_timeout = {int(timeout * 1000)}"))
                    await connection.exec_driver_sql(statement)
                    await connection.invalidate()  # with whatever was set

        await self.loop.call(self.patiently(lambda again: work(), statement.split("(", maxsplit=1)[0].lower()))

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """:meth:`read` for a thread without an event loop."""
        return self.loop.submit(self._transact(work, writing=False, timeout=None)).result()

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """:meth:`write` for a thread without an event loop."""
        return self.loop.submit(self._transact(work, writing=True, timeout=None)).result()

    def now(self, connection: Connection) -> float:
        """Seconds since 1970, as rows have them: the server's time, or on SQLite this machine's."""
        if self.dialect == "sqlite":
            return self.context.clock.now()
        return connection.execute(text("SELECT extract(epoch FROM clock_timestamp())::float8")).scalar_one()

    async def patiently(
        self, attempt: Callable[[bool], Awaitable[T]], doing: str, *, patience: float | None = None
    ) -> T:
        """Do something; again and again while the database is away.

        Args:
            attempt: gets whether it was tried before.
            doing: what it is, for errors.
            patience: seconds, in place of the usual ones.
        """
        clock = self.context.clock
        until = clock.monotonic() + (self.patience if patience is None else patience)
        pause, again = _SHORTEST_PAUSE, False
        while True:
            try:
                return await attempt(again)
            except DuologueError:
                raise
            except Exception as error:
                if not passes(error) or clock.monotonic() + pause > until:
                    raise store_error(error, self.address, doing) from error
            await asyncio.sleep(pause)  # noqa: TID251 -- real time: the clock of a test does not bring a database back
            pause, again = min(2 * pause, _LONGEST_PAUSE), True

    async def first_connection(self, work: Callable[[AsyncConnection], Awaitable[T]], doing: str) -> T:
        """Do something on a connection, with less patience: for the beginning."""

        async def attempt(again: bool) -> T:
            async with self._engine.connect() as connection:
                return await work(connection)

        return await self.patiently(attempt, doing, patience=min(self.patience, _FIRST_PATIENCE))

    async def _transact(self, work: Callable[[Connection], T], *, writing: bool, timeout: float | None) -> T:
        doing = "writing" if writing else "reading"
        if not writing:
            return await self.patiently(lambda again: self._read(work, timeout), doing)
        if self.dialect == "sqlite":
            return await self.patiently(lambda again: self._write(work, timeout, None), doing)
        doubt = Doubt()

        async def attempt(again: bool) -> T:
            if doubt.transaction and await self._was_committed(doubt):
                return doubt.result
            return await self._write(work, timeout, doubt)

        return await self.patiently(attempt, doing)

    async def _read(self, work: Callable[[Connection], T], timeout: float | None) -> T:
        async with self._engine.connect() as connection, self._bounded(connection, timeout):
            return await connection.run_sync(work)

    async def _write(self, work: Callable[[Connection], T], timeout: float | None, doubt: Doubt | None) -> T:
        if doubt is None:
            async with self._writing, self._engine.connect() as connection:
                await connection.execution_options(duologue_writes=True)
                async with self._bounded(connection, timeout), connection.begin():
                    return await connection.run_sync(work)
        async with self._engine.connect() as connection, self._bounded(connection, timeout), connection.begin():
            if timeout is not None:
                await connection.execute(text(f"SET LOCAL statement_timeout = {int(timeout * 1000)}"))
            result = await connection.run_sync(work)
            doubt.transaction = (await connection.execute(text("SELECT pg_current_xact_id()::text"))).scalar_one()
            doubt.result = result
        return result

    async def _was_committed(self, doubt: Doubt) -> bool:
        """Whether a transaction was committed whose end nobody told us."""
        async with self._engine.connect() as connection:
            asked = text("SELECT pg_xact_status(CAST(:id AS text)::xid8)")
            state = (await connection.execute(asked, {"id": doubt.transaction})).scalar_one()
        if state == "in progress":
            raise TimeoutError("the server has not noticed yet that a connection is gone")
        if state is None:
            raise StoreError(f"{self.address}: writing: the server does not know any more whether it has committed it")
        if state == "aborted":
            doubt.transaction = ""
        return state == "committed"

    @asynccontextmanager
    async def _bounded(self, connection: AsyncConnection, timeout: float | None) -> AsyncGenerator[None]:
        """End what takes too long: SQLite by an interrupt of its thread, PostgreSQL by a word to the server."""
        limit = self.statement_timeout if timeout is None else timeout
        if self.dialect != "sqlite":
            async with asyncio.timeout(limit + 1.0):  # a server that can does it first
                yield
            return
        raw: Any = (await connection.get_raw_connection()).driver_connection
        handle = self.loop.loop.call_later(limit, raw._conn.interrupt)
        try:
            yield
        finally:
            handle.cancel()

    def _driver(self) -> StoreDriver:
        if self.address.path is not None:
            return SqliteDriver(self.address.path, self.context.clock, self._writing, self.statement_timeout)
        from duologue.runs.store.database.postgres import PostgresDriver

        return PostgresDriver(self.address, self.statement_timeout)

    async def close_connections(self) -> None:
        """Give all connections back. On the store's own loop."""
        await self.driver.close()
        await self._engine.dispose()


class Doubt:
    """A transaction of PostgreSQL that may have been committed although its connection broke.

    Attributes:
        transaction: its number; '' as long as none was about to be committed.
        result: what it gave.
    """

    def __init__(self) -> None:
        self.transaction = ""
        self.result: Any = None


def _engine(address: DatabaseAddress, timeout: float) -> AsyncEngine:
    if address.path is not None:
        return _sqlite_engine(address.path)
    from duologue.runs.store.database.postgres import connect

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(
            address, timeout, waiting=False
        ),  # the URL is read by asyncpg, which knows libpq's options
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_recycle=600,
        json_serializer=to_column,
        json_deserializer=from_column,
    )


def _sqlite_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=_POOL,
        max_overflow=_POOL,
        json_serializer=to_column,
        json_deserializer=from_column,
        connect_args={"isolation_level": None},  # transactions begin as `_begin` says
    )
    event.listen(engine.sync_engine, "connect", _configure)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _configure(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    configure(cursor.execute)
    cursor.execute("PRAGMA synchronous = FULL")  # what people define is not lost in a power failure
    cursor.close()


def _begin(connection: Connection) -> None:
    """A transaction that writes has the lock from its beginning: it cannot fail in the middle for want of it."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    writes = connection.get_execution_options().get("duologue_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
