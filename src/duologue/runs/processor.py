"""The run processor: claims queued runs, carries them out, and fills each slot again as soon as it is free.

::

    processor = RunProcessor("runs.db", max_concurrent=20, on_run_complete=report)
    await processor.start()
    ...
    await processor.stop()

Any number of processors may work on one store, in one process, in several and on several machines. Each holds a lease
on the runs that it carries out. ``start`` takes back only runs of workers whose lease is over: they are dead.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, select

from duologue.config.problems import hint, listed
from duologue.context import Clock, RandomIds, SystemClock
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.models.base import Model
from duologue.runs.arguments import require
from duologue.runs.callbacks import Callbacks, OnRunComplete, OnRunEnd, OnRunError, OnRunStart, OnStatusChange
from duologue.runs.carry_out import RunCarrier
from duologue.runs.project_access import UsualPolicy
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import projects
from duologue.runs.store.records import ProviderLimit, WorkerRecord
from duologue.runs.worker import Worker
from duologue.version import __version__

POLL_INTERVAL = 5.0
"""Seconds between two looks at the queue when nothing wakes the processor."""
MAX_CONCURRENT = 3
"""Runs at once, unless the processor or its project says otherwise."""
STOP_TIMEOUT = 30.0
"""Seconds that runs under way may take to finish when a processor is stopped."""


class RunProcessor:
    """Carries out the runs of a store.

    Args:
        store: the database, its URL, its file or folder; None for that of the project in the current folder. One that
            does not exist is refused: it has no runs, and its name is rather a wrong one.
        poll_interval: seconds between two looks at the queue. New runs wake the processor at once, so it matters only
            where the news of them is lost.
        max_concurrent: runs at once; None for what the project says, or 3.
        projects: names or ids of those whose runs are claimed; empty for all.
        limits: by provider, how many of its runs all workers of the store may carry out at once, or a
            ``ProviderLimit``. They are kept in the store, and hold for all its workers until they are set again.
        agents, models: agents and models that this program hands over, by the names that suites use.
        on_status_change: called with the id of a run, its new status and the run.
        on_run_start: called with a run that begins.
        on_run_complete: called with a run and its result, once there is a verdict.
        on_run_error: called with a run that ended without a verdict, and why.
        on_run_end: called with a run as it was claimed, and its end, whatever that is. It costs nothing: no run is read
            from the database for it.
        stop_timeout: seconds that runs under way may take to finish when the processor is stopped. What is not over by
            then is given back to the queue, and continued by others.
        policy: what definitions may use of this machine. None for everything, unless the API has tokens: then their
            authors need not be its owners, and they get the secrets of their project only.
        clock: time, for tests.

    Callbacks may be coroutine functions. What they raise is logged, and hurts no run.

    Raises:
        ConfigurationError: a number cannot be used.
    """

    def __init__(
        self,
        store: Database | str | Path | None = None,
        *,
        poll_interval: float = POLL_INTERVAL,
        max_concurrent: int | None = None,
        projects: Sequence[str] = (),
        limits: Mapping[str, int | ProviderLimit] | None = None,
        agents: Mapping[str, Any] | None = None,
        models: Mapping[str, Model] | None = None,
        on_status_change: OnStatusChange | None = None,
        on_run_start: OnRunStart | None = None,
        on_run_complete: OnRunComplete | None = None,
        on_run_error: OnRunError | None = None,
        on_run_end: OnRunEnd | None = None,
        stop_timeout: float = STOP_TIMEOUT,
        policy: UsualPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        for name, number in (("poll_interval", poll_interval), ("stop_timeout", stop_timeout)):
            require(name, number, float)
        require("max_concurrent", max_concurrent, int | None)
        require("projects", projects, Sequence[str])
        if not poll_interval > 0:
            raise ConfigurationError(f"poll_interval is {poll_interval}; expected seconds above 0")
        if max_concurrent is not None and max_concurrent < 1:
            raise ConfigurationError(f"max_concurrent is {max_concurrent}; expected at least 1")
        if not stop_timeout >= 0:
            raise ConfigurationError(f"stop_timeout is {stop_timeout}; expected seconds, 0 or more")
        self.poll_interval = poll_interval
        self.stop_timeout = stop_timeout
        self.outcomes: Counter[str] = Counter()
        """How many runs this processor has brought to which outcome: ``pass``, ``fail``, ``undecided``, ``error``."""
        self._store = store
        self._asked = max_concurrent
        self._projects = tuple(projects)
        self._limits = [_limit(provider, limit) for provider, limit in (limits or {}).items()]
        self._agents, self._models = dict(agents or {}), dict(models or {})
        self._callbacks = Callbacks(
            on_status_change=on_status_change,
            on_run_start=on_run_start,
            on_run_complete=on_run_complete,
            on_run_error=on_run_error,
            on_run_end=on_run_end,
        )
        self._policy = policy or UsualPolicy()
        self._clock = clock or SystemClock()
        self._worker: Worker | None = None
        self._serving: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._held = AsyncExitStack()
        self._users = 0

    async def __aenter__(self) -> Self:
        async with self._changing:
            await self._open()
            self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        await self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._serving is not None

    @property
    def record(self) -> WorkerRecord | None:
        """Who it is, as others see it in the list of workers; None as long as it does nothing."""
        return self._worker.record if self._worker else None

    def get_active_run_count(self) -> int:
        """How many runs it is carrying out now."""
        return len(self._worker.active) if self._worker else 0

    async def start(self) -> None:
        """Begin to carry out runs, and go on until :meth:`stop`. Harmless when it was started before.

        Runs of workers that are dead are taken up again. Those of workers that live are theirs.

        Raises:
            ConfigurationError: there is no such project, or the store names no database.
            StoreError: there is no such database, or it cannot be used.
        """
        await self._stopped()
        async with self._changing:
            if self._serving is None:
                worker = await self._open()
                self._serving = asyncio.create_task(worker.serve(self.poll_interval), name="duologue-processor")

    async def stop(self, timeout: float | None = None) -> None:
        """Claim nothing more and wait for the runs that are under way. Harmless when it is not running.

        Args:
            timeout: seconds that they may take; None for ``stop_timeout``. What is not over by then is given back to
                the queue, where others continue it. Called again while it waits, the shorter time counts.
        """
        if (worker := self._worker) is None:
            return
        timer = asyncio.get_running_loop().call_later(self.stop_timeout if timeout is None else timeout, worker.hurry)
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(worker))
        self._stopping.add_done_callback(lambda _: timer.cancel())
        await asyncio.shield(self._stopping)

    async def process_once(self) -> int:
        """Claim runs for the free slots, and wait until these are over.

        Returns:
            How many there were; 0 if none can be claimed now.
        """
        async with self._in_use() as worker:
            tasks = [active.task for active in await worker.fill() if active.task]
            if tasks:
                await asyncio.wait(tasks)
            return len(tasks)

    async def process_run(self, run_id: str) -> bool:
        """Carry out this run now, whatever waits before it, and wait until it is over.

        Returns:
            Whether it was carried out; False if it does not wait in the queue.
        """
        async with self._in_use() as worker:
            active = await worker.take(run_id)
            if active is not None and active.task is not None:
                await asyncio.wait([active.task])
            return active is not None

    async def drain(self) -> None:
        """Carry out runs until none is left in the queue, with no slot idle meanwhile.

        Raises:
            StoreError: the database has failed.
        """
        async with self._in_use() as worker:
            await worker.serve(self.poll_interval, drain=True)

    @asynccontextmanager
    async def _in_use(self) -> AsyncGenerator[Worker]:
        await self._stopped()
        async with self._changing:
            worker = await self._open()
            self._users += 1
        try:
            yield worker
        finally:
            self._users -= 1
            if not self._users and self._serving is None:
                await self.stop()

    async def _stopped(self) -> None:
        """Wait for the end of a stop that is under way."""
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def _stop(self, worker: Worker) -> None:
        try:
            await worker.stop()
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.wait({self._serving})
        finally:
            self._worker = self._serving = None
            held, self._held = self._held, AsyncExitStack()
            try:
                await held.aclose()
            finally:
                self._stopping = None

    async def _open(self) -> Worker:
        """The worker; it is registered at the store by now."""
        if self._worker is not None:
            return self._worker
        async with AsyncExitStack() as held:
            if isinstance(self._store, Database):
                database = self._store
            else:
                database = await held.enter_async_context(Database.open(self._store, create=False))
            found = await _projects_named(database, self._projects)
            known = {limit.provider: limit for limit in await database.queue.limits()} if self._limits else {}
            for limit in self._limits:
                if known.get(limit.provider) != limit:  # one that is set anew begins with a full bucket
                    await database.queue.set_limit(limit)
            policy = await self._policy.of(database)
            carrier = RunCarrier(database, agents=self._agents, models=self._models, clock=self._clock, policy=policy)
            held.push_async_callback(carrier.close)
            worker = Worker(
                database,
                WorkerRecord(
                    id=RandomIds(self._clock).new("worker"),
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    version=__version__,
                    capacity=self._asked or _limit_of(found) or MAX_CONCURRENT,
                ),
                projects=[project.id for project in found] if self._projects else (),
                carrier=carrier,
                callbacks=self._callbacks,
                outcomes=self.outcomes,
                clock=self._clock,
            )
            held.push_async_callback(worker.close)
            await worker.open()
            self._held, self._worker = held.pop_all(), worker
        return worker


@frozen
class _Project:
    id: str
    name: str
    max_concurrency: int | None


async def _projects_named(database: Database, wanted: Sequence[str]) -> list[_Project]:
    """The projects of these names or ids; all if none is named.

    Raises:
        ConfigurationError: there is no such project.
    """

    def work(connection: Connection) -> list[_Project]:
        columns = (projects.c.id, projects.c.name, projects.c.max_concurrency)
        rows = connection.execute(select(*columns).order_by(projects.c.name))
        return [_Project(id=row.id, name=row.name, max_concurrency=row.max_concurrency) for row in rows]

    every = await database.read(work)
    for name in wanted:
        if not any(name in {project.id, project.name} for project in every):
            known = [project.name for project in every]
            raise ConfigurationError(
                f"{database.address} has no project '{name}'{hint(name, known)} Projects: {listed(known) or 'none'}"
            )
    return [project for project in every if not wanted or {project.id, project.name} & set(wanted)]


def _limit(provider: str, limit: int | ProviderLimit) -> ProviderLimit:
    """The limit of a provider, as it is stored.

    Raises:
        ConfigurationError: it makes no sense.
    """
    require("limits", {provider: limit}, Mapping[str, int | ProviderLimit])
    made = limit if isinstance(limit, ProviderLimit) else ProviderLimit(provider=provider, max_concurrency=limit)
    if made.provider != provider:
        raise ConfigurationError(f"limits['{provider}'] is for '{made.provider}'; expected a limit of '{provider}'")
    made.check()
    return made


def _limit_of(found: Sequence[_Project]) -> int | None:
    """How many runs at once the project says; None if it does not, or if there are several projects."""
    return found[0].max_concurrency if len(found) == 1 else None
