"""Worker threads for runs: each has an event loop of its own, so that agents that block do not hold up everybody.

For ``run``, code that awaits is played on one loop that stays for as long as the process does, so that a client that is
made once in a module works in every run. A run whose code never awaits gets a thread to itself while there are fewer
than ``MAX_THREADS``; beyond that, runs share the least busy loops, so that thousands of runs need no thousands of
threads. A suite plays the runs of its Python agents on one loop as well. When a shared loop is blocked by code that
waits, what has not begun moves to another thread.

A run whose code blocks its loop past its deadline is given up by the thread that watches all workers, and the thread
is used again when it is free. Threads are daemons: one that is blocked for ever does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

from duologue.context import SystemClock
from duologue.conversation.deadlines import BLOCKING, GRACE, Lane, RunTask, lane_of, leave
from duologue.conversation.loops import Activity, ThreadBlocked, timed_task
from duologue.errors import RunError

T = TypeVar("T")

logger = logging.getLogger("duologue.conversation")

THREAD_NAME = "duologue-run"
"""Of every thread with an event loop for runs."""
MAX_THREADS = 128
"""Agents that may block at the same time."""
IDLE_SECONDS = 10.0
"""How long a thread without a run is kept for the next one."""
CANCEL_GRACE = 1.0
"""Seconds that a cancelled run may take to end; one whose agent blocks its thread is left behind after that."""
WATCH_SECONDS = 0.1
"""How often the workers are looked at."""
PATIENCE = 0.5
"""Seconds that a run waits for a blocked thread before it begins on another."""

Start = Callable[[], Coroutine[Any, Any, T]]
GiveUp = Callable[[Exception | None], Awaitable[T]]


class RunHandle(Generic[T]):
    """A coroutine on another thread's loop: its outcome, and a way to cancel it.

    Args:
        start: makes the coroutine.
        context: that it runs in.
        repeatable: whoever waits for it can begin it again.
        alone: no other shares its thread.
        shared: it belongs on the loop that all such runs share.
        nested: runs are played beneath it, and one that blocks the thread ends all of it.

    Attributes:
        began: its code has been executed, so that it can no longer move to another thread.
    """

    def __init__(
        self,
        start: Start[T],
        context: contextvars.Context,
        *,
        repeatable: bool = False,
        alone: bool = False,
        shared: bool = False,
        nested: bool = False,
    ) -> None:
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self.worker: _Worker | None = None
        self.task: asyncio.Task[T] | None = None
        self.submitted = 0.0
        self.repeatable = repeatable
        self.alone = alone
        self.shared = shared
        self.nested = nested
        self.began = False
        self._start = start
        self._context = context
        self._cancelled = False
        self._moving = threading.Lock()

    def begin(self, worker: _Worker) -> None:
        """Called on the loop's own thread."""
        with self._moving:
            here = self.worker is worker
            if here and not self._cancelled:
                self.task = worker.loop.create_task(self._run(worker), context=self._context)
                self.task.add_done_callback(lambda task: self._settle(worker, task))
                return
            worker.release(self)
        if here and not self.future.done():
            self.future.set_exception(asyncio.CancelledError())

    async def _run(self, worker: _Worker) -> T:
        with self._moving:
            # A run that has left a thread may have come back to it, with another task.
            if self.worker is not worker or self.task is not asyncio.current_task():
                raise asyncio.CancelledError
            self.began = True
        return await self._start()

    def put_on(self, worker: _Worker, now: float) -> None:
        """It belongs to this thread from now on."""
        with self._moving:
            self.worker, self.submitted = worker, now
            worker.handles.add(self)

    def leave(self, worker: _Worker) -> bool:
        """Begin nothing on this thread any more; whether it was not too late for that."""
        with self._moving:
            if self.began or self.worker is not worker:
                return False
            self.worker = self.task = None
            return True

    def cancel(self) -> None:
        """Ask the run to end; it records that it was cancelled."""
        self._cancelled = True
        if self.worker is not None:
            self.worker.loop.call_soon_threadsafe(lambda: self.task and self.task.cancel())

    def lose(self, blocked: ThreadBlocked) -> None:
        """The run cannot end by itself: whoever waits for it ends it, with an error, and cancels it only then."""
        if not self.future.done():
            self.future.set_exception(blocked)

    def _settle(self, worker: _Worker, task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        with self._moving:
            mine = self.task is task
            if mine or self.worker is not worker:
                worker.release(self)
        if self.future.done() or self.worker is not worker or not mine:
            return
        if task.cancelled():
            self.future.set_exception(asyncio.CancelledError())
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class WorkerPool:
    """Event loops in threads.

    Args:
        max_threads: how many there are, beside those that are blocked.
        idle_seconds: how long one is kept without a run; None for as long as the pool is.
    """

    def __init__(self, max_threads: int = MAX_THREADS, *, idle_seconds: float | None = IDLE_SECONDS) -> None:
        self._max_threads = max_threads
        self._idle_seconds = idle_seconds
        self._workers: list[_Worker] = []
        self._shared: _Worker | None = None
        self._lock = threading.Lock()
        self._watching = False
        self._clock = SystemClock()

    def submit(
        self,
        start: Start[T],
        *,
        repeatable: bool = False,
        alone: bool = False,
        shared: bool = False,
        nested: bool = False,
    ) -> RunHandle[T]:
        """Run the coroutine on a free thread's loop, on the least busy one or, ``alone``, on one of its own.

        With ``shared``, it is the loop that all such coroutines share.
        """
        handle: RunHandle[T] = RunHandle(
            start, contextvars.copy_context(), repeatable=repeatable, alone=alone, shared=shared, nested=nested
        )
        self._assign(handle)
        return handle

    @property
    def threads(self) -> int:
        """How many threads there are now."""
        with self._lock:
            return len(self._workers)

    async def close(self) -> None:
        """End all threads that are not blocked; what still runs on them is cancelled."""
        with self._lock:
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.loop.call_soon_threadsafe(worker.end)
        deadline = self._clock.monotonic() + 2 * CANCEL_GRACE
        while any(not worker.blocked and worker.thread.is_alive() for worker in workers):
            if self._clock.monotonic() > deadline:
                return
            await self._clock.sleep(0.01)

    def _assign(self, handle: RunHandle[Any]) -> None:
        now = self._clock.monotonic()
        with self._lock:
            worker = self._worker_for(handle)
            handle.put_on(worker, now)
            watch, self._watching = not self._watching, True
        worker.loop.call_soon_threadsafe(handle.begin, worker)
        if watch:
            threading.Thread(target=self._watch, name="duologue-watch", daemon=True).start()

    def _worker_for(self, handle: RunHandle[Any]) -> _Worker:
        if handle.alone:
            return self._new(alone=True)
        if not handle.shared:
            return self._choose()
        if self._shared is None or self._shared.gave_up is not None:
            self._shared = self._new(shared=True)
        return self._shared

    def _choose(self) -> _Worker:
        usable = [worker for worker in self._workers if not worker.alone and not worker.shared]
        free = [worker for worker in usable if not worker.blocked][: self._max_threads]
        least = min(free, key=lambda worker: len(worker.handles), default=None)
        if least is not None and (not least.handles or len(free) >= self._max_threads):
            return least
        return self._new()

    def _new(self, *, alone: bool = False, shared: bool = False) -> _Worker:
        worker = _Worker(self._free, alone=alone, shared=shared)
        self._workers.append(worker)
        return worker

    def _free(self, worker: _Worker) -> None:
        """A worker has no run any more."""
        if worker.alone:
            worker.loop.call_soon(self._retire, worker)
        elif worker is not self._shared and self._idle_seconds is not None:
            worker.loop.call_later(self._idle_seconds, self._retire, worker)

    def _retire(self, worker: _Worker) -> None:
        with self._lock:
            if worker.handles or worker not in self._workers:
                return
            self._workers.remove(worker)
        worker.end()

    def _watch(self) -> None:
        """Look at all workers now and then, as long as any of them has a run."""
        wait = threading.Event()
        while True:
            with self._lock:
                workers = [worker for worker in self._workers if worker.waited_for]
                if not workers:
                    self._watching = False
                    return
            for worker in workers:
                if worker.blocked:
                    try:
                        self._see_to(worker)
                    except Exception:
                        logger.exception("a blocked thread could not be looked at")
            wait.wait(WATCH_SECONDS)

    def _see_to(self, worker: _Worker) -> None:
        """Give up the run that blocks this thread past its deadline, and let those that have not begun move."""
        now, culprit = self._clock.monotonic(), worker.lane.running
        may_move = worker.waits(now) or not worker.shared
        for handle in tuple(worker.handles):
            if handle.future.done() or handle.worker is not worker:
                continue
            patient = now - handle.submitted <= PATIENCE
            run = worker.run_of(handle)
            if not handle.began:
                if may_move and not patient and handle.leave(worker):
                    handle.shared = False
                    self._assign(handle)
            elif culprit is None:
                continue
            elif handle.nested or run is culprit:
                if (error := culprit.overdue(now)) is not None:
                    worker.gave_up = worker.gave_up or now
                    handle.lose(ThreadBlocked(error, own=True))
            elif run is not None and not run.began and handle.repeatable:
                if may_move and not patient:
                    handle.lose(ThreadBlocked(_blocked_by(culprit), own=False, begun=False))
            elif worker.gave_up and now - worker.gave_up > GRACE:
                handle.lose(ThreadBlocked(_blocked_by(culprit), own=False))


def _blocked_by(run: RunTask) -> RunError:
    return RunError(f"another run blocks the thread{f' at {place}' if (place := run.where()) else ''}")


class _Worker:
    """A thread that does nothing but run its loop."""

    def __init__(self, free: Callable[[_Worker], None], *, alone: bool = False, shared: bool = False) -> None:
        self.alone = alone
        self.shared = shared
        self.loop = asyncio.new_event_loop()
        self.handles: set[RunHandle[Any]] = set()
        self.gave_up: float | None = None
        self._free = free
        self._ended = False
        self._lane: Lane | None = None
        self._activity: Activity | None = None
        self.loop.set_task_factory(timed_task)
        self.thread = threading.Thread(target=self._serve, name=THREAD_NAME, daemon=True)
        self.thread.start()

    @property
    def lane(self) -> Lane:
        """What is known of the runs on its loop."""
        assert self._lane is not None
        return self._lane

    @property
    def blocked(self) -> bool:
        """Whether the code of a run has not given way for a while."""
        lane = self._lane
        return lane is not None and lane.running is not None and SystemClock().monotonic() - lane.since > 2 * BLOCKING

    def waits(self, now: float) -> bool:
        """Whether its thread is blocked by code that waits, and not by code that computes."""
        if self._activity is None:
            self._activity = Activity(self.lane.thread)
        return self._activity.waits(self.lane.since, now)

    @property
    def waited_for(self) -> bool:
        """Whether anybody waits for one of its runs."""
        return any(not handle.future.done() for handle in tuple(self.handles))

    def run_of(self, handle: RunHandle[Any]) -> RunTask | None:
        """The run of a handle; None while it is being prepared, and when it is over."""
        return next((run for run in tuple(self.lane.runs) if run.outer is handle.task), None)

    def release(self, handle: RunHandle[Any]) -> None:
        """The coroutine is over, or has moved away."""
        self.handles.discard(handle)
        self.gave_up = None
        if not self.handles:
            self._free(self)

    def end(self) -> None:
        """End the thread. Called on its loop."""
        self._ended = True
        self.loop.stop()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._lane = lane_of(self.loop)
        with suppress(OSError):  # code of a run closed all files of the process; who supervises it ends it
            while not self._ended:  # whoever stops the loop stops all others
                with suppress(SystemExit, KeyboardInterrupt):  # raised in a task that code of a run has started
                    self.loop.run_forever()
            self.loop.run_until_complete(self._close())
            self.loop.close()

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CANCEL_GRACE)
        for task in left:
            if not task.done():
                leave(task)
        with suppress(Exception):  # a generator of the user may wait for ever when it is closed
            await asyncio.wait_for(self.loop.shutdown_asyncgens(), CANCEL_GRACE)


_pool: WorkerPool | None = None
_pool_lock = threading.Lock()


def _forget_pool() -> None:
    """A forked child has its parent's pool and none of its threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


async def in_worker_thread(
    start: Start[T],
    give_up: GiveUp[T],
    pool: WorkerPool | None = None,
    *,
    repeatable: bool = False,
    alone: bool = False,
    shared: bool = False,
) -> T:
    """Run the coroutine in a worker thread and wait for it without blocking this loop.

    When the waiting is cancelled, so is the coroutine.

    Args:
        start: makes the coroutine, in the thread.
        give_up: ends the run and gives its outcome, if the coroutine does not: it blocks the thread, and is given the
            error; or it does not end in ``CANCEL_GRACE`` after it was cancelled, and is given None.
        pool: of threads; None for that of the process.
        repeatable: the caller begins it again if another run blocks the thread, at once if its code was not executed.
        alone: it shares its thread with no other.
        shared: it is played on the loop that all such coroutines share.

    Raises:
        ThreadBlocked: another run blocks the thread for ever.
    """
    handle = (pool or shared_pool()).submit(start, repeatable=repeatable, alone=alone, shared=shared)
    outcome = asyncio.wrap_future(handle.future)
    try:
        return await asyncio.shield(outcome)
    except ThreadBlocked as blocked:
        try:
            if not blocked.own:
                raise
            return await give_up(blocked.error)
        finally:
            handle.cancel()
    except asyncio.CancelledError:
        if (error := _by_a_run(outcome)) is not None:
            if repeatable and not alone:
                raise ThreadBlocked(error, own=False) from None
            return await give_up(error)
        handle.cancel()
        await asyncio.wait({outcome}, timeout=CANCEL_GRACE)
        if not outcome.done():
            await give_up(None)
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise


def _by_a_run(outcome: asyncio.Future[Any]) -> RunError | None:
    """The error of a coroutine that was cancelled, though nobody cancels the task that waits for it."""
    if not outcome.done() or ((task := asyncio.current_task()) is not None and task.cancelling()):
        return None
    return RunError("code of a run cancelled all tasks of its event loop, and what waited for them")


async def with_runs_in_worker_thread(start: Start[T]) -> T:
    """Run a coroutine that plays runs of its own in a thread, and wait for it without blocking this loop.

    Raises:
        ThreadBlocked: one of its runs blocks the thread past its deadline. All runs that were under way have ended as
            errors, and the coroutine is left behind. Or one has cancelled the coroutine, which is no fault of its own.
    """
    pool = WorkerPool(1, idle_seconds=None)
    handle = pool.submit(start, nested=True)
    outcome = asyncio.wrap_future(handle.future)
    try:
        return await asyncio.shield(outcome)
    except ThreadBlocked as blocked:
        await _end_runs(handle, blocked.error)
        raise
    except asyncio.CancelledError:
        if (error := _by_a_run(outcome)) is not None:
            raise ThreadBlocked(error, own=False) from None
        handle.cancel()
        await asyncio.wait({outcome}, timeout=CANCEL_GRACE)
        if not outcome.done():
            await _end_runs(handle, None)
        outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
    finally:
        await pool.close()


async def _end_runs(handle: RunHandle[Any], error: Exception | None) -> None:
    """End all runs on its thread: the one that blocks it with this error, the others with what blocks them."""
    assert handle.worker is not None
    lane = handle.worker.lane
    culprit = lane.running
    beside = error if error is None or culprit is None else _blocked_by(culprit)
    for run in tuple(lane.runs):
        if (end := run.end) is not None:
            await end(error if run is culprit else beside)


def shared_pool() -> WorkerPool:
    """The threads of this process."""
    global _pool  # noqa: PLW0603 - threads can only be shared through the process
    with _pool_lock:
        if _pool is None:
            _pool = WorkerPool()
        return _pool
