"""A database of runs that is open: what reads it, writes it, takes from its queue and wakes up whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from duologue.context import Context
from duologue.runs.store.database import migrations
from duologue.runs.store.database.address import DatabaseAddress, address_of
from duologue.runs.store.database.connections import PATIENCE, STATEMENT_TIMEOUT, Connections
from duologue.runs.store.database.queue import LEASE, Queue
from duologue.runs.store.database.sqlite_file import prepare_file
from duologue.runs.store.database.wakeup import WakeUp
from duologue.runs.store.database.writer import Writer


class Database(Connections):
    """A database that is open. Made by :meth:`open`; may be used from any thread and any event loop.

    Attributes:
        writer: records what the runs do that this process has.
        queue: puts runs in, and takes them out.
        wakeup: tells when something happens that somebody may wait for.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        lease: float = LEASE,
        patience: float = PATIENCE,
        statement_timeout: float = STATEMENT_TIMEOUT,
        context: Context | None = None,
    ) -> None:
        super().__init__(address, patience=patience, statement_timeout=statement_timeout, context=context)
        self.wakeup = WakeUp(self)
        self.writer = Writer(self)
        self.queue = Queue(self, self.writer, self.wakeup, lease=lease)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        where: str | Path | None = None,
        *,
        create: bool | None = None,
        upgrade: bool = False,
        lease: float = LEASE,
        patience: float = PATIENCE,
        statement_timeout: float = STATEMENT_TIMEOUT,
        context: Context | None = None,
    ) -> AsyncGenerator[Database]:
        """Open a database, and close it in the end.

        Args:
            where: its URL, folder or file; None for what ``DUOLOGUE_DATABASE_URL`` names, else for the project's own,
                ``.duologue/duologue.db``.
            create: whether to make the tables of one that has none. None: of an SQLite database that does not exist.
            upgrade: whether to bring older tables up to date.
            lease: seconds that a worker of this process may be silent before its runs are given to others.
            patience: seconds that a database that went away is waited for.
            statement_timeout: seconds.
            context: time and ids.

        Raises:
            ConfigurationError: ``where`` names no database.
            StoreError: it cannot be opened.
            StoreVersionError: its tables are missing, or those of another version.
        """
        address = address_of(where)
        create = address.path is not None and not address.path.exists() if create is None else create
        if address.path is not None:
            prepare_file(address.path, create=create)
        database = cls(address, lease=lease, patience=patience, statement_timeout=statement_timeout, context=context)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await database.loop.call(migrations.require_current(database, create=create, upgrade=upgrade))
            yield database

    async def close(self) -> None:
        """Write what is waiting to be written, and give back all connections."""
        if self.loop.closed:
            return
        await asyncio.shield(self.loop.call(self._close()))
        await asyncio.to_thread(self.loop.stop)

    async def _close(self) -> None:
        await self.writer.close()
        await self.wakeup.close()
        await self.close_connections()
        await asyncio.sleep(0)  # noqa: TID251 -- connections that were cut off close their sockets now
