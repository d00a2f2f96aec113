"""Keeps results in memory, and tells subscribers of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields

from duologue.runs.distributed.ports import Filter, WorkResult

_FIELDS = frozenset(item.name for item in fields(WorkResult)) - {"metadata"}
_ABSENT = object()


class MemoryResults:
    """Keeps each unit's first result."""

    def __init__(self) -> None:
        self._results: dict[str, WorkResult] = {}
        self._subscribers: list[asyncio.Queue[WorkResult | None]] = []
        self._closed = False

    async def store(self, result: WorkResult) -> None:
        """Keep the result, unless the unit has one."""
        if result.work_unit_id in self._results:
            return
        self._results[result.work_unit_id] = result
        self._publish(result)

    async def retrieve(self, work_unit_id: str) -> WorkResult | None:
        """The result of a unit."""
        return self._results.get(work_unit_id)

    async def query(self, criteria: Mapping[str, object]) -> Sequence[WorkResult]:
        """The results for which all this holds."""
        return [result for result in self._results.values() if holds(result, criteria)]

    def subscribe(self, filter: Filter | None = None) -> AsyncIterator[WorkResult]:
        """Results as they come; whoever subscribes late has missed those before."""
        queue: asyncio.Queue[WorkResult | None] = asyncio.Queue()
        if self._closed:
            queue.put_nowait(None)
        else:
            self._subscribers.append(queue)
        return self._of(queue, filter)

    def close(self) -> None:
        """End all subscriptions, once what was stored has reached them."""
        self._closed = True
        for queue in self._subscribers:
            queue.put_nowait(None)

    def _publish(self, result: WorkResult) -> None:
        for queue in self._subscribers:
            queue.put_nowait(result)

    async def _of(self, queue: asyncio.Queue[WorkResult | None], filter: Filter | None) -> AsyncIterator[WorkResult]:
        try:
            while (result := await queue.get()) is not None:
                if filter is None or filter(result):
                    yield result
        finally:
            if queue in self._subscribers:
                self._subscribers.remove(queue)


def holds(result: WorkResult, criteria: Mapping[str, object]) -> bool:
    """Whether all criteria hold for a result."""
    return all(
        (getattr(result, name) if name in _FIELDS else result.metadata.get(name, _ABSENT)) == value
        for name, value in criteria.items()
    )
