"""Wakes up whoever waits for work, or for an order to stop it.

What happens in this process is known at once. What happens elsewhere PostgreSQL tells with LISTEN and NOTIFY; of SQLite
one number is asked a few times a second, which changes when another process has written. A signal may come for
nothing, and one that was missed is made up for when a lost connection is back; processors look by themselves now and
then anyway.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text

from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.raw_connection import RawConnection
from duologue.runs.store.database.sqlite import SqliteDriver

QUEUED, CANCELLED, FINISHED = "queued", "cancelled", "finished"
"""Topics: there is something to claim; a running run is to be stopped; a run of this process is over."""
ALL = frozenset({QUEUED, CANCELLED, FINISHED})
_CHANNEL = "duologue"
_POLL = 0.05
"""Seconds between two looks at an SQLite file."""
_CHECK = 10.0
"""Seconds after which a silent connection is asked whether it is still there."""


class WakeUpListener:
    """Waits for signals, and keeps those that come between two waits. Belongs to one event loop.

    Args:
        wanted: the topics that it waits for.
    """

    def __init__(self, wanted: frozenset[str] = ALL) -> None:
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._topics: set[str] = set()

    async def wait(self, seconds: float) -> frozenset[str]:
        """Wait for a signal.

        Args:
            seconds: how long at most.

        Returns:
            The topics since the last wait; none if the time is over.
        """
        if not self._topics:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        topics = frozenset(self._topics)
        self._topics.clear()
        self._event.clear()
        return topics

    def signal(self, topics: Iterable[str]) -> None:
        """Wake up whoever waits; from any thread."""
        heard = self._wanted.intersection(topics)
        if not heard:
            return
        with suppress(RuntimeError):  # its loop is gone
            self._loop.call_soon_threadsafe(self._signal, heard)

    def _signal(self, topics: frozenset[str]) -> None:
        self._topics |= topics
        self._event.set()


class WakeUp:
    """Signals of a database.

    Args:
        database: that is listened to as long as anybody listens here.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database
        self._listeners: set[WakeUpListener] = set()
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @contextmanager
    def listen(self, *topics: str) -> Generator[WakeUpListener]:
        """Listen for these topics, or for all, from now on. On the event loop of whoever waits."""
        listener = WakeUpListener(frozenset(topics) or ALL)
        with self._lock:
            self._listeners.add(listener)
        self._database.loop.loop.call_soon_threadsafe(self._start)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    async def wait(self, seconds: float) -> frozenset[str]:
        """Wait for one signal from now on; see :meth:`WakeUpListener.wait`."""
        with self.listen() as listener:
            return await listener.wait(seconds)

    def signal(self, *topics: str) -> None:
        """Wake up those who listen in this process."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.signal(topics)

    def notify(self, connection: Connection, topic: str) -> None:
        """Wake up those who listen in other processes, once the transaction of this connection is committed.

        Processes that share an SQLite file see that it has changed.
        """
        if self._database.dialect == "postgresql":
            connection.execute(text("SELECT pg_notify(:channel, :topic)"), {"channel": _CHANNEL, "topic": topic})

    async def close(self) -> None:
        """Stop listening. On the store's own loop."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _start(self) -> None:
        if self._task is None and not self._closed:
            driver = self._database.driver
            watched = self._poll(driver) if isinstance(driver, SqliteDriver) else self._listen()
            self._task = asyncio.get_running_loop().create_task(watched)

    async def _poll(self, driver: SqliteDriver) -> None:
        seen: int | None = None
        while True:
            await asyncio.sleep(_POLL)  # noqa: TID251 -- real time: other processes know no other
            if not self._listeners:
                seen = None
                continue
            with suppress(sqlite3.Error):
                version = driver.data_version()
                if version != seen and (topics := driver.topics()):
                    self.signal(*topics)
                seen = version

    async def _listen(self) -> None:
        from duologue.runs.store.database.postgres import DRIVER_ERRORS, connect

        pause = _POLL
        while True:
            with suppress(OSError, asyncio.TimeoutError, *DRIVER_ERRORS):
                connection = await connect(self._database.address, self._database.statement_timeout)
                try:
                    pause = _POLL
                    await self._listen_on(connection)
                finally:
                    connection.terminate()
            await asyncio.sleep(pause)  # noqa: TID251 -- real time
            pause = min(2 * pause, 1.0)

    async def _listen_on(self, connection: RawConnection) -> None:
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        await connection.add_listener(_CHANNEL, lambda *told: self.signal(str(told[3])))
        self.signal(*ALL)  # for what was missed
        while not gone.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(gone.wait(), _CHECK)
            if not gone.is_set():
                await connection.execute("SELECT 1")
