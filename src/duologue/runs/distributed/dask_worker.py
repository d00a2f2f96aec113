"""What runs in a worker of a Dask cluster. A worker needs ``duologue`` installed, in the same version."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import distributed
from distributed.protocol import pickle as dask_pickle

from duologue.context import SystemClock
from duologue.errors import ExecutorError
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed.carrier import Carrier
from duologue.runs.distributed.dask_settings import TOGETHER
from duologue.runs.distributed.ports import WorkResult, WorkUnit
from duologue.runs.distributed.worker_scope import WorkerScope

_pickle: Any = dask_pickle
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.scheduler", "distributed.worker")
SECONDS_TO_WAIT = 10.0
"""For results, until a call is answered without any."""
SECONDS_UNASKED = 120.0
"""After which the session of an executor that does not ask for results any more is closed."""


def dumped(value: object) -> bytes:
    """A value as Dask sends it: functions and classes that no module has are sent whole."""
    return _pickle.dumps(value)


def loaded(data: bytes) -> Any:
    """What :func:`dumped` was given."""
    return _pickle.loads(data)


class SessionPlugin(distributed.WorkerPlugin):
    """Has the session of an executor on a worker until the executor leaves, and results until it has them.

    Args:
        session: opens it, as :func:`dumped` made it.
    """

    def __init__(self, session: bytes) -> None:
        self._session = session

    def setup(self, worker: Any) -> None:
        """Called by Dask when the worker begins to have it."""
        self._worker = worker
        self._capacity: int = worker.state.nthreads
        self._outbox: list[tuple[int, bytes]] = []
        self._sent = 0
        self._arrived = asyncio.Event()
        self._begin()

    async def teardown(self, worker: Any) -> None:
        """Called by Dask when the worker ends, or the executor has left."""
        self._expiring.cancel()
        await self._end()

    async def carrier(self) -> Carrier:
        """Does units in the session."""
        if self._opening is None:
            self._begin()
        assert self._opening is not None
        return await asyncio.shield(self._opening)

    def _begin(self) -> None:
        self._asked = SystemClock().monotonic()
        self._opening: asyncio.Task[Carrier] | None = asyncio.create_task(self._open())
        self._expiring = asyncio.create_task(self._expire())

    async def _end(self) -> None:
        carrier, opening = self._opened, self._opening
        self._opening = None
        if carrier is not None:
            carrier.cancel_all()
            await carrier.scope.close()
        elif opening is not None:
            opening.cancel()

    async def _expire(self) -> None:
        """Nobody has asked for results for long: the executor has ended without taking its leave."""
        while SystemClock().monotonic() - self._asked < SECONDS_UNASKED:
            await SystemClock().sleep(SECONDS_UNASKED / 4)
        self._outbox.clear()
        await self._end()

    @property
    def _opened(self) -> Carrier | None:
        task = self._opening
        if task is None:
            return None
        return task.result() if task.done() and not task.cancelled() and not task.exception() else None

    def cancel(self, unit_ids: Sequence[str]) -> None:
        """Cancel units that are being done here."""
        carrier = self._opened
        if carrier is not None:
            for unit_id in unit_ids:
                carrier.cancel(unit_id)

    def put(self, unit_id: str, message: object) -> None:
        """Keep a result, or what a unit tells, until the executor has it."""
        self._sent += 1
        self._outbox.append((self._sent, dumped((unit_id, message))))
        self._arrived.set()

    async def collected(self, taken: int) -> list[tuple[int, bytes]]:
        """What there is after the number that the executor has taken; waits a moment if there is nothing."""
        self._asked = SystemClock().monotonic()
        self._outbox = [item for item in self._outbox if item[0] > taken]
        if not self._outbox:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_WAIT):
                    await self._arrived.wait()
        await SystemClock().sleep(TOGETHER)  # others may come in the meantime: a call costs more than its content
        return list(self._outbox)

    async def _open(self) -> Carrier:
        loop = asyncio.get_running_loop()

        def tell(unit_id: str, message: object) -> None:
            loop.call_soon_threadsafe(self.put, unit_id, message)

        scope = WorkerScope(self._worker.address, loaded(self._session), tell, self._worker.local_directory)
        await scope.open()
        return Carrier(scope, capacity=self._capacity)


async def perform(name: str, data: bytes) -> None:
    """Do units on the event loop of this worker. Each result can be collected as soon as it is there.

    Args:
        name: of the plugin that has their session.
        data: the units.

    Raises:
        ExecutorError: the session cannot be opened, so that no unit can be done here.
    """
    worker: Any = distributed.get_worker()
    plugin: SessionPlugin = worker.plugins[name]
    try:
        carrier = await plugin.carrier()
    except Exception as error:  # noqa: BLE001 - whatever opening a session raises
        found = ErrorInfo.of(error)
        raise ExecutorError(f"the worker {worker.address} could not begin: {found.type}: {found.message}") from None
    units: list[WorkUnit] = loaded(data)
    await asyncio.gather(*(_one(plugin, carrier, unit) for unit in units))


async def _one(plugin: SessionPlugin, carrier: Carrier, unit: WorkUnit) -> None:
    result = await carrier.run(unit)
    try:
        plugin.put(unit.id, result)
    except Exception as error:  # noqa: BLE001 - whatever its classes raise when they are to be sent
        found = ErrorInfo.of(error)
        told = found.model_copy(update={"message": f"the result cannot be sent to another process: {found.message}"})
        plugin.put(unit.id, WorkResult(work_unit_id=unit.id, success=False, error=told))


async def collect(name: str, taken: int, dask_worker: Any = None) -> list[tuple[int, bytes]]:
    """What units on this worker have come to, with numbers."""
    plugin = dask_worker.plugins.get(name)
    return [] if plugin is None else await plugin.collected(taken)


def cancel_units(name: str, unit_ids: Sequence[str], dask_worker: Any = None) -> None:
    """Cancel units on this worker."""
    plugin = dask_worker.plugins.get(name)
    if plugin is not None:
        plugin.cancel(unit_ids)


class WorkersSeen(distributed.SchedulerPlugin):
    """Hears of the workers of a scheduler in this process.

    Args:
        names: gets the names of those that have come.
        changed: called when one has come or gone.
    """

    name = "duologue-workers"

    def __init__(self, names: set[str], changed: Callable[[], None]) -> None:
        self._names = names
        self._changed = changed

    def add_worker(self, scheduler: distributed.Scheduler, worker: str) -> None:
        """One has come."""
        self._names.add(str(scheduler.workers[worker].name))
        self._changed()

    def remove_worker(self, scheduler: distributed.Scheduler, worker: str, *, stimulus_id: str, **_: object) -> None:
        """One has gone."""
        self._changed()


@contextmanager
def quiet() -> Generator[None]:
    """Dask logs every connection that comes and goes; what matters of it is told by the executor."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
