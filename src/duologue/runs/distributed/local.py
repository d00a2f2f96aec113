"""Does units on the event loop of this process: the default, and the measure for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from duologue.errors import ConfigurationError
from duologue.runs.distributed.carrier import Carrier
from duologue.runs.distributed.coordinator import Coordinator, ExecutorOptions
from duologue.runs.distributed.ports import WorkerInfo, WorkResult, WorkUnit
from duologue.runs.distributed.worker_scope import WorkerScope


@dataclass(kw_only=True, eq=False)
class _Worker:
    """A share of the event loop."""

    id: str
    carrier: Carrier
    current: set[str] = field(default_factory=set[str])


class LocalExecutor(Coordinator[_Worker]):
    """Does units in this process. Its workers are shares of one event loop, which all have the same session.

    Args:
        workers: how many shares there are.
        capacity: units that each does at once.
        options: what is the same for all executors.
    """

    def __init__(self, workers: int = 1, *, capacity: int = 8, options: ExecutorOptions | None = None) -> None:
        super().__init__(options)
        self._count, self._capacity = workers, capacity
        self._workers: list[_Worker] = []
        self._numbers = 0
        self._scope = WorkerScope("local", self.options.session, self._tell)

    async def __aenter__(self) -> Self:
        await self._scope.open()
        await self.scale(self._count)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._workers.clear()
        await self._scope.close()

    def workers(self) -> Sequence[WorkerInfo]:
        """All workers."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        return [
            WorkerInfo(
                id=worker.id,
                status="busy" if len(worker.current) >= self._capacity else "online",
                capacity=self._capacity,
                current=tuple(worker.current),
                last_seen=now,
            )
            for worker in self._workers
        ]

    async def scale(self, workers: int) -> None:
        """Have this many workers from now on."""
        require_workers(workers)
        while len(self._workers) < workers:
            self._numbers += 1
            self._workers.append(_Worker(id=f"local-{self._numbers}", carrier=Carrier(self._scope, self._clock)))
        self._workers.sort(key=lambda worker: -len(worker.current))  # those with least to do go
        del self._workers[workers:]
        self._changes()

    def _slot(self) -> _Worker | None:
        free = [worker for worker in self._workers if len(worker.current) < self._capacity]
        return min(free, key=lambda worker: len(worker.current), default=None)

    def _occupy(self, slot: _Worker, unit_id: str) -> None:
        slot.current.add(unit_id)

    def _vacate(self, slot: _Worker, unit_id: str) -> None:
        slot.current.discard(unit_id)

    async def _run_on(self, slot: _Worker, unit: WorkUnit) -> WorkResult:
        return await slot.carrier.run(unit)

    async def _cancel_on(self, slot: _Worker, unit_ids: Sequence[str]) -> None:
        for unit_id in unit_ids:
            slot.carrier.cancel(unit_id)


def require_workers(workers: int) -> None:
    """Raise ConfigurationError if there cannot be so many workers."""
    if workers < 1:
        raise ConfigurationError(f"found {workers} workers; expected at least 1")
