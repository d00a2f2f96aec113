"""Worker threads for ``run``: each has an event loop of its own, so that agents that block do not hold up one another.

A run gets a thread to itself while there are fewer than ``MAX_THREADS``; beyond that, runs share the least busy loops,
so that thousands of runs need no thousands of threads. Threads are daemons, start on first use and end when idle.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MAX_THREADS = 128
"""Agents that may block at the same time."""
IDLE_SECONDS = 10.0
"""How long a thread without a run is kept for the next one."""
CANCEL_GRACE = 1.0
"""Seconds that a cancelled run may take to end; one whose agent blocks its thread is left behind after that."""

Start = Callable[[], Coroutine[Any, Any, T]]


class RunHandle(Generic[T]):
    """A coroutine on another thread's loop: its outcome, and a way to cancel it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> None:
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self._loop = loop
        self._done = done
        self._task: asyncio.Task[T] | None = None

    def begin(self, start: Start[T], context: contextvars.Context) -> None:
        """Called on the loop's own thread."""
        self._task = self._loop.create_task(start(), context=context)
        self._task.add_done_callback(self._settle)

    def cancel(self) -> None:
        """Ask the run to end; it records that it was cancelled."""
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())

    def _settle(self, task: asyncio.Task[T]) -> None:
        self._done()
        if task.cancelled():
            self.future.set_exception(asyncio.CancelledError())
        elif error := task.exception():
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class WorkerPool:
    """Event loops in threads."""

    def __init__(self, max_threads: int = MAX_THREADS) -> None:
        self._max_threads = max_threads
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()

    def submit(self, start: Start[T]) -> RunHandle[T]:
        """Run the coroutine on a free thread's loop, or on the least busy one."""
        context = contextvars.copy_context()
        with self._lock:
            worker = self._choose()
            worker.active += 1
        handle: RunHandle[T] = RunHandle(worker.loop, lambda: self._release(worker))
        worker.loop.call_soon_threadsafe(handle.begin, start, context)
        return handle

    @property
    def threads(self) -> int:
        """How many threads there are now."""
        with self._lock:
            return len(self._workers)

    def _choose(self) -> _Worker:
        least = min(self._workers, key=lambda worker: worker.active, default=None)
        if least is not None and (least.active == 0 or len(self._workers) >= self._max_threads):
            return least
        worker = _Worker()
        self._workers.append(worker)
        return worker

    def _release(self, worker: _Worker) -> None:
        with self._lock:
            worker.active -= 1
            idle = worker.active == 0
        if idle:
            worker.loop.call_later(IDLE_SECONDS, self._retire, worker)

    def _retire(self, worker: _Worker) -> None:
        with self._lock:
            if worker.active or worker not in self._workers:
                return
            self._workers.remove(worker)
        worker.loop.stop()


class _Worker:
    """A thread that does nothing but run its loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.active = 0
        threading.Thread(target=self._serve, name="duologue-run", daemon=True).start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


_pool: WorkerPool | None = None
_pool_lock = threading.Lock()


def _forget_pool() -> None:
    """A forked child has its parent's pool and none of its threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


async def in_worker_thread(start: Start[T], abandon: Callable[[], Awaitable[None]]) -> T:
    """Run the coroutine in a worker thread and wait for it without blocking this loop.

    When the waiting is cancelled, so is the coroutine; ``abandon`` is called if it does not end in ``CANCEL_GRACE``.
    """
    handle = _shared_pool().submit(start)
    outcome = asyncio.wrap_future(handle.future)
    try:
        return await asyncio.shield(outcome)
    except asyncio.CancelledError:
        if outcome.done():
            raise
        handle.cancel()
        await asyncio.wait({outcome}, timeout=CANCEL_GRACE)
        if outcome.done():
            outcome.exception()
        else:
            await abandon()
            outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


def _shared_pool() -> WorkerPool:
    global _pool  # noqa: PLW0603 - threads can only be shared through the process
    with _pool_lock:
        if _pool is None:
            _pool = WorkerPool()
        return _pool
