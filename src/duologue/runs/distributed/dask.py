"""Does units on a Dask cluster (``pip install 'duologue[dask]'``): one of this machine, or one whose address is given.

Dask watches the workers and moves units of those that are lost; each worker has as many units at once on its event loop
as it has threads. Nothing is connected to but the scheduler at the address: without one, scheduler and workers are on
the loopback interface, and there is no dashboard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, Self

from duologue.config.tracebacks import describe
from duologue.context import RandomIds
from duologue.errors import ConfigurationError, ExecutorError, MissingExtraError
from duologue.runs.distributed.coordinator import Coordinator, ExecutorOptions, WorkerLost
from duologue.runs.distributed.dask_cluster import OwnCluster
from duologue.runs.distributed.dask_settings import TOGETHER, Tls, require_address
from duologue.runs.distributed.local import require_workers
from duologue.runs.distributed.ports import WorkerInfo, WorkResult, WorkUnit

_SECONDS_TO_CONNECT = 10.0
_SECONDS_WITHOUT_WORKERS = 60.0
"""That a cluster may have no worker until the execution ends."""
_FEW = 4
"""A worker that does fewer units at once gets no more than these."""
_LOOK_AGAIN = 0.5
"""Seconds between two looks at the workers."""
_SHORT = 1.0
"""Seconds: of units that take less on average, a worker gets half as many more as it does at once, so that it need not
wait for the next."""
_SECONDS_TO_ARRIVE = 10.0
"""That results have to arrive in once Dask says that their task is done."""


class DaskExecutor(Coordinator[str]):
    """Does units on a Dask cluster.

    Args:
        workers: how many processes a cluster of our own has; without meaning for others.
        capacity: units that each of them does at once.
        address: of the scheduler, ``tcp://host:port`` or ``tls://host:port``; None for a cluster of our own on this
            machine, which ends with the executor.
        tls: for ``tls://``.
        cluster: a cluster that exists already, such as one of ``dask-jobqueue`` or ``dask-kubernetes``, in the place
            of an address: only such a one, and our own, can be scaled.
        options: what is the same for all executors. ``session`` and units are sent as Dask sends functions.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        capacity: int = 8,
        address: str | None = None,
        tls: Tls | None = None,
        cluster: object = None,
        options: ExecutorOptions | None = None,
    ) -> None:
        require_workers(workers)
        require_address(address, tls)
        if find_spec("distributed") is None:
            raise MissingExtraError("The executor 'dask'", "dask", "distributed")
        options = options or ExecutorOptions()
        if address is not None or cluster is not None:  # such a cluster does lost tasks again by itself
            options = replace(options, attempts=min(options.attempts, 2))
        super().__init__(options)
        self._count, self._capacity = workers, capacity
        self._address = address
        self._tls = tls
        self._cluster: Any = cluster
        self._own: OwnCluster | None = None
        self._client: Any = None
        self._name = RandomIds(self._clock).new("duologue")
        self._open = AsyncExitStack()
        self._workers: dict[str, dict[str, Any]] = {}
        self._current: dict[str, set[str]] = {}
        self._leaving: set[str] = set()
        self._without_workers: float | None = None
        self._answers: dict[str, asyncio.Future[WorkResult]] = {}
        self._outgoing: dict[str, list[WorkUnit]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._tasks_given = 0
        self._done, self._seconds_done = 0, 0.0
        self._looking = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _connect(self) -> None:
        target: object = self._cluster or self._address
        if target is None:
            self._own = await self._begun_cluster()
        import distributed

        from duologue.runs.distributed.dask_worker import SessionPlugin, dumped, quiet

        self._open.enter_context(quiet())
        if self._own is not None:
            self._open.push_async_callback(self._own.close)
            target = await self._own.start()
        security = _security(self._tls) if self._cluster is None else self._cluster.security
        try:
            self._client = await self._open.enter_async_context(
                distributed.Client(
                    target,
                    asynchronous=True,
                    security=security,
                    set_as_default=False,
                    direct_to_workers=False,
                    timeout=_SECONDS_TO_CONNECT,
                    name=self._name,
                )
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise ExecutorError(
                f"the Dask scheduler at {self._address} cannot be reached: {describe(error)}. Is 'dask scheduler' "
                "running there, with the same kind of connection (tcp:// or tls://)?"
            ) from error
        await self._client.register_plugin(SessionPlugin(dumped(self.options.session)), name=self._name)
        await self._look()
        self._open.push_async_callback(self._take_leave)
        self._open.push_async_callback(self._end_background)
        self._later(self._keep_looking())

    async def _begun_cluster(self) -> OwnCluster:
        """A cluster whose workers load Dask while this process does the same."""
        own = OwnCluster(self._count, self._capacity, changed=self._looking.set, failed=self._fail)
        try:
            await own.begin()
        except BaseException:
            await own.close()
            raise
        return own

    async def _take_leave(self) -> None:
        """The session on the workers is not needed any more."""
        if self._client.status == "running":
            with suppress(Exception):
                async with asyncio.timeout(_SECONDS_TO_CONNECT):
                    await self._client.unregister_worker_plugin(self._name)

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()
        self._workers.clear()

    def workers(self) -> Sequence[WorkerInfo]:
        """All workers that the scheduler has."""
        return [self._info(address, found) for address, found in self._workers.items()]

    def _info(self, address: str, found: Mapping[str, Any]) -> WorkerInfo:
        current = tuple(self._current.get(address, ()))
        online = found["status"] == "running" and address not in self._leaving
        return WorkerInfo(
            id=address,
            status="offline" if not online else "online" if len(current) < found["nthreads"] else "busy",
            capacity=found["nthreads"],
            current=current,
            last_seen=datetime.fromtimestamp(found["last_seen"], UTC),
            metadata={"name": found["name"], "host": found["host"], "pid": found.get("pid")},
        )

    async def scale(self, workers: int) -> None:
        """Have this many workers from now on, in a cluster that is ours or was handed over."""
        require_workers(workers)
        cluster = self._own or self._cluster
        if cluster is None:
            raise ConfigurationError(
                f"the workers of {self._address} do not belong to this executor; start or end 'dask worker' processes "
                "of that cluster, and they are used or left at once"
            )
        await self._look()
        held = [address for address in self._workers if address not in self._leaving]
        if workers >= len(held):
            await cluster.scale(workers + len(self._leaving))
            await self._look()
            return
        held.sort(key=lambda address: len(self._current.get(address, ())))
        self._leaving.update(held[: len(held) - workers])
        await self._let_leave()

    async def _let_leave(self) -> None:
        """End workers that are too many and have nothing more to do."""
        idle = [address for address in self._leaving if not self._current.get(address) and address in self._workers]
        if idle:
            await (self._own or self._cluster).scale_down([self._workers[address]["name"] for address in idle])
            self._leaving.difference_update(idle)
            await self._look()

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._looking.wait()
            self._looking.clear()
            if self._client.status != "running":
                self._fail(self._lost())
                return
            with suppress(OSError, TimeoutError):
                await self._look()
                if self._leaving:
                    await self._let_leave()
            now = self._clock.monotonic()
            if self._workers:
                self._without_workers = None
            elif self._without_workers is None:
                self._without_workers = now
            elif now - self._without_workers > _SECONDS_WITHOUT_WORKERS:
                self._fail(
                    ExecutorError(
                        f"the Dask cluster at {self._where()} has had no worker for {_SECONDS_WITHOUT_WORKERS:g} s"
                    )
                )
                return

    async def _look(self) -> None:
        """Ask the scheduler which workers there are."""
        found = await self._client.scheduler.identity(n_workers=-1)
        known = self._workers
        self._workers = {str(address): dict(worker) for address, worker in found["workers"].items()}
        for address in self._workers.keys() - known.keys():
            self._later(self._collect(address))
        self._changes()

    def _slot(self) -> str | None:
        short = bool(self._done) and self._seconds_done / self._done < _SHORT
        free = [
            (held / found["nthreads"], address)
            for address, found in self._workers.items()
            if found["status"] == "running"
            and address not in self._leaving
            and (held := len(self._current.get(address, ()))) < _most(found["nthreads"], short=short)
        ]
        return min(free)[1] if free else None

    def _occupy(self, slot: str, unit_id: str) -> None:
        self._current.setdefault(slot, set()).add(unit_id)

    def _vacate(self, slot: str, unit_id: str) -> None:
        self._current[slot].discard(unit_id)

    async def _run_on(self, slot: str, unit: WorkUnit) -> WorkResult:
        answer = self._answers[unit.id] = asyncio.get_running_loop().create_future()
        if not self._outgoing:
            self._later(self._send())
        self._outgoing.setdefault(slot, []).append(unit)
        try:
            result = await answer
        finally:
            del self._answers[unit.id]
        seconds = result.metadata.get("seconds")
        self._done += 1
        self._seconds_done += seconds if isinstance(seconds, float) else 0.0
        return result

    async def _send(self) -> None:
        """Give Dask what has come together: one task for all units that begin on a worker at about the same time."""
        await self._clock.sleep(TOGETHER)
        from duologue.runs.distributed.dask_worker import dumped, perform

        outgoing, self._outgoing = self._outgoing, {}
        for slot, units in outgoing.items():
            self._tasks_given += 1
            future = self._client.submit(
                perform,
                self._name,
                dumped(units),
                key=f"{self._name}-{self._tasks_given}",
                workers=[slot],
                allow_other_workers=True,
                priority=max(unit.priority for unit in units),
                pure=False,
            )
            self._later(self._watch(future, slot, [unit.id for unit in units]))

    async def _watch(self, future: Any, slot: str, unit_ids: Sequence[str]) -> None:
        """Wait for the end of a task; units that have no result then were lost with it."""
        try:
            lost = await self._outcome(future, slot)
            if lost is None and any(unit_id in self._answers for unit_id in unit_ids):
                await self._clock.sleep(_SECONDS_TO_ARRIVE)
            for unit_id in unit_ids:
                answer = self._answers.get(unit_id)
                if answer is not None and not answer.done():
                    answer.set_exception(lost or WorkerLost(f"the worker {slot} was lost"))
        finally:
            future.release()

    async def _outcome(self, future: Any, slot: str) -> Exception | None:
        """Wait for the end of a task; why it has no result, or None if it has."""
        import distributed
        from distributed.client import FutureCancelledError

        try:
            error = await future.exception()
        except FutureCancelledError:
            return self._lost()
        if isinstance(error, distributed.KilledWorker):
            self._workers.pop(slot, None)
            return WorkerLost(f"the worker {slot} was lost")
        if error is None or isinstance(error, ExecutorError):
            return error
        return ExecutorError(f"the Dask cluster at {self._where()} failed: {describe(error)}")

    async def _collect(self, address: str) -> None:
        """Take the results of a worker, and what its units tell, as long as it is there."""
        from duologue.runs.distributed.dask_worker import collect, loaded

        taken = 0
        while address in self._workers and self._client.status == "running":
            try:
                replies = await self._client.run(collect, self._name, taken, workers=[address])
                arrived = replies[address]
            except Exception:  # noqa: BLE001 - whether it is lost is known elsewhere
                await self._clock.sleep(_LOOK_AGAIN)
                continue
            for number, data in arrived:
                taken = number
                unit_id, message = loaded(data)
                if not isinstance(message, WorkResult):
                    self._tell(unit_id, message)
                elif (answer := self._answers.get(unit_id)) is not None and not answer.done():
                    answer.set_result(message)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _end_background(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _cancel_on(self, slot: str, unit_ids: Sequence[str]) -> None:
        """Dask cannot end what has begun; the workers do."""
        from duologue.runs.distributed.dask_worker import cancel_units

        if self._client.status == "running":
            await self._client.run(cancel_units, self._name, list(unit_ids), on_error="ignore")

    def _lost(self) -> ExecutorError:
        return ExecutorError(f"the connection to the Dask scheduler at {self._where()} is lost")

    def _where(self) -> str:
        return self._address or "127.0.0.1"


def _most(capacity: int, *, short: bool) -> int:
    """Units that a worker is given, some of which wait there for their turn."""
    return capacity + capacity // 2 if short and capacity >= _FEW else capacity


def _security(tls: Tls | None) -> Any:
    import distributed

    if tls is None:
        return distributed.Security()
    return distributed.Security(
        tls_ca_file=tls.ca_file,
        tls_client_cert=tls.cert_file,
        tls_client_key=tls.key_file,
        require_encryption=True,
    )
