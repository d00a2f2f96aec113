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
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

from duologue.context import Context
from duologue.errors import DuologueError, MissingExtraError
from duologue.runs.store.database.address import DatabaseAddress
from duologue.runs.store.database.changes import StoreDriver
from duologue.runs.store.database.failures import passes, store_error
from duologue.runs.store.database.outage import Outage
from duologue.runs.store.database.sqlite import SqliteDriver
from duologue.runs.store.database.sqlite_file import DatabaseFile

try:
    from sqlalchemy import Connection, text
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("a database of runs", "runs", "sqlalchemy") from error

from duologue.runs.store.database.sqlite_transactions import SqliteTransactions
from duologue.runs.store.database.transactions import Doubt, Transactions

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a database that went away is waited for."""
STATEMENT_TIMEOUT = 30.0
"""Seconds."""
READING = "reading"
"""What is done that changes nothing."""
_FIRST_PATIENCE = 5.0
"""Seconds: a database that cannot be reached at the very beginning is rather a wrong address."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


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
        self.loop = StoreLoop()
        self.hot = asyncio.Lock()
        """Held while the driver does something: it does one thing at a time."""
        self.driver, self._transactions = self._drivers()
        self._outage = Outage(address, self.context.clock)

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
        return await self.loop.call(self._read(work, timeout))

    async def write(self, work: Callable[[Connection], T], *, timeout: float | None = None) -> T:
        """Execute a function as one transaction, whole or not at all.

        Args:
            work: gets a SQLAlchemy connection. It is executed again if the database went away before it was committed,
                so it does nothing but SQL.
            timeout: seconds, in place of the usual ones.

        Raises:
            StoreError: the transaction was not committed; or, which the error then says, nobody knows.
        """
        return await self.loop.call(self._write(work, timeout))

    async def outside_transaction(self, statement: str, *, timeout: float | None = None) -> None:
        """Execute a statement that cannot be part of a transaction, such as ``VACUUM``.

        Raises:
            StoreError: it failed.
        """
        limit = self.statement_timeout if timeout is None else timeout
        doing = statement.split("(", maxsplit=1)[0].lower()
        await self.loop.call(self.patiently(lambda again: self._transactions.outside(statement, limit), doing))

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """:meth:`read` for a thread without an event loop."""
        return self.loop.submit(self._read(work, None)).result()

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """:meth:`write` for a thread without an event loop."""
        return self.loop.submit(self._write(work, None)).result()

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
        began = clock.monotonic()
        until = began + (self.patience if patience is None else patience)
        pause, again = _SHORTEST_PAUSE, False
        while True:
            try:
                result = await attempt(again)
            except DuologueError:
                raise
            except Exception as error:
                given_up = clock.monotonic() + pause > until
                if passes(error):
                    self._outage.failed(error, doing, began, writing=doing != READING, given_up=given_up)
                if given_up or not passes(error):
                    raise store_error(error, self.address, doing) from error
            else:
                self._outage.worked(writing=doing != READING)
                return result
            await asyncio.sleep(pause)  # noqa: TID251 -- real time: the clock of a test does not bring a database back
            pause, again = min(2 * pause, _LONGEST_PAUSE), True

    async def first_read(self, work: Callable[[Connection], T], doing: str) -> T:
        """:meth:`read` with less patience: for the beginning. On the store's own loop."""
        patience = min(self.patience, _FIRST_PATIENCE)
        limit = self.statement_timeout
        return await self.patiently(lambda again: self._transactions.read(work, limit), doing, patience=patience)

    async def _read(self, work: Callable[[Connection], T], timeout: float | None) -> T:
        limit = self.statement_timeout if timeout is None else timeout
        return await self.patiently(lambda again: self._transactions.read(work, limit), READING)

    async def _write(self, work: Callable[[Connection], T], timeout: float | None) -> T:
        limit, doubt = self.statement_timeout if timeout is None else timeout, Doubt()
        return await self.patiently(lambda again: self._transactions.write(work, limit, doubt), "writing")

    def _drivers(self) -> tuple[StoreDriver, Transactions]:
        """What is used on the path of each run, and for everything else."""
        if self.address.path is not None:
            file, writing = DatabaseFile(self.address.path), asyncio.Lock()
            driver = SqliteDriver(file, self.context.clock, writing, self.statement_timeout)
            return driver, SqliteTransactions(file, writing)
        from duologue.runs.store.database.postgres import PostgresDriver
        from duologue.runs.store.database.postgres_transactions import PostgresTransactions

        timeout = self.statement_timeout
        return PostgresDriver(self.address, timeout), PostgresTransactions(self.address, timeout)

    async def close_connections(self) -> None:
        """Give all connections back. On the store's own loop."""
        await self.driver.close()
        await self._transactions.close()
