"""A Dask cluster of this machine: a scheduler on this event loop, and worker processes that are watched.

Everything is on the loopback interface; there is no dashboard and no page. (``distributed.LocalCluster`` starts its
workers with ``multiprocessing``, whose helper process outlives the cluster, and a supervisor with a port for each.)
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from typing import Any

from duologue.errors import ExecutorError
from duologue.runs.distributed import dask_process
from duologue.runs.distributed.children import Child
from duologue.runs.distributed.dask_settings import QUIET

_MOST_FALSE_STARTS = 3
"""Workers in a row that may end before the scheduler has seen them."""


class OwnCluster:
    """The cluster.

    Args:
        workers: how many processes there are.
        capacity: units that each does at once.
        changed: called when a worker has come or gone.
        failed: told why there are no more workers.
    """

    def __init__(
        self,
        workers: int,
        capacity: int,
        *,
        changed: Callable[[], None],
        failed: Callable[[ExecutorError], None],
    ) -> None:
        self._count, self._capacity = workers, capacity
        self._failed = failed
        self._changed = changed
        self._seen: set[str] = set()
        self._children: dict[str, Child] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._leaving: set[str] = set()
        self._numbers = 0
        self._false_starts = 0
        self._closed = False
        self._kept = ExitStack()
        self._folder = ""
        self._scheduler: Any = None

    async def begin(self) -> None:
        """Start the workers, which need not wait for the scheduler to load what they need."""
        scratch = tempfile.TemporaryDirectory(prefix="duologue-dask-", ignore_cleanup_errors=True)
        self._folder = self._kept.enter_context(scratch)
        await self.scale(self._count)

    async def start(self) -> str:
        """Start the scheduler; its address."""
        import distributed
        from dask import config

        from duologue.runs.distributed.dask_worker import WorkersSeen

        with config.set(QUIET):
            self._scheduler = await distributed.Scheduler(
                host="127.0.0.1", port=0, protocol="tcp://", dashboard=False, dashboard_address="127.0.0.1:0"
            )
        self._scheduler.add_plugin(WorkersSeen(self._seen, self._changed))
        for name, child in self._children.items():
            self._instruct(name, child)
        return self._scheduler.address

    async def scale(self, workers: int) -> None:
        """Have at least this many workers from now on; see :meth:`scale_down`."""
        self._count = workers
        missing = workers - (len(self._children) - len(self._leaving))
        await asyncio.gather(*(self._start() for _ in range(missing)))

    async def scale_down(self, names: Collection[str]) -> None:
        """End these workers."""
        self._leaving.update(names)
        self._count = len(self._children) - len(self._leaving)
        await self._scheduler.retire_workers(names=list(names), close_workers=True)

    async def close(self) -> None:
        """End everything. Sessions on the workers have been closed before."""
        self._closed = True
        await asyncio.gather(*(child.end() for child in self._children.values()))
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self._scheduler is not None:
            await self._scheduler.close()
        self._kept.close()

    async def _start(self) -> None:
        self._numbers += 1
        name = f"worker-{self._numbers}"
        child = await Child.start(dask_process.__name__, listens=True)
        self._children[name] = child
        watching = asyncio.create_task(self._watch(name, child))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        if self._scheduler is not None:
            self._instruct(name, child)
        if self._closed:
            await child.end()

    def _instruct(self, name: str, child: Child) -> None:
        """Tell a worker what it is."""
        options = {
            "address": self._scheduler.address,
            "name": name,
            "nthreads": self._capacity,
            "folder": self._folder,
            "path": sys.path,
            "share": 1 / max(self._count, 1),
        }
        assert child.process.stdin is not None
        with suppress(OSError):  # it has ended already, which is seen elsewhere
            child.process.stdin.write(json.dumps(options).encode() + b"\n")

    async def _watch(self, name: str, child: Child) -> None:
        await child.process.wait()
        await child.end()
        self._children.pop(name, None)
        if self._closed or name in self._leaving:
            self._leaving.discard(name)
            return
        self._false_starts = 0 if name in self._seen else self._false_starts + 1
        if self._false_starts >= _MOST_FALSE_STARTS:
            self._failed(
                ExecutorError(f"{self._false_starts} worker processes ended before they were ready ({child.how})")
            )
            return
        try:
            await self._start()
        except OSError as error:
            self._failed(ExecutorError(f"a worker process cannot be started: {error.strerror or error}"))
