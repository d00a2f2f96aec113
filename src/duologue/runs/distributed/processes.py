"""Does units in worker processes on this machine, each an event loop that has many units at once.

For more cores, and for agents that block. The processes are watched: whoever dies costs the units that it was doing,
another one takes its place, and none is left when the executor, or the process that it is in, has ended.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self

from duologue.config.processes import group_begins, group_ended, kill_group_of
from duologue.context import Clock
from duologue.errors import ExecutorError
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed import process_worker
from duologue.runs.distributed.children import Child
from duologue.runs.distributed.coordinator import Coordinator, ExecutorOptions, WorkerLost
from duologue.runs.distributed.frames import framed, pickled, read_frame
from duologue.runs.distributed.local import require_workers
from duologue.runs.distributed.ports import WorkerInfo, WorkResult, WorkUnit

_SECONDS_TO_CLOSE = 10.0
"""That a worker has to end its session in; then it is killed."""
_MOST_FALSE_STARTS = 3
"""Workers in a row that may end before they are ready."""


class ProcessExecutor(Coordinator["_Worker"]):
    """Does units in worker processes.

    Args:
        workers: how many processes there are.
        capacity: units that each does at once.
        options: what is the same for all executors. ``session`` is sent to the processes as units are.
    """

    def __init__(self, workers: int = 2, *, capacity: int = 8, options: ExecutorOptions | None = None) -> None:
        require_workers(workers)
        super().__init__(options)
        self._count, self._capacity = workers, capacity
        self._session = b""
        self._held: dict[str, _Worker] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._false_starts = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        try:
            self._session = pickled(self.options.session)
        except Exception as error:
            raise ExecutorError(f"the session of the workers cannot be sent to another process: {error}") from error
        try:
            await self.scale(self._count)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        await asyncio.gather(*(worker.close() for worker in self._held.values()), *self._ending, return_exceptions=True)
        self._held.clear()

    def workers(self) -> Sequence[WorkerInfo]:
        """All workers; those that are about to end are ``offline``."""
        return [worker.info for worker in self._held.values()]

    async def scale(self, workers: int) -> None:
        """Have this many workers from now on."""
        require_workers(workers)
        self._count = workers
        held = [worker for worker in self._held.values() if not worker.leaving]
        for worker in sorted(held, key=lambda worker: len(worker.current))[: max(len(held) - workers, 0)]:
            self._leave(worker)
        await asyncio.gather(*(self._start() for _ in range(workers - len(held))))

    async def _start(self) -> None:
        self._numbers += 1
        worker_id = f"worker-{self._numbers}"
        worker = await _Worker.start(worker_id, self._session, self._capacity, self, self._clock)
        self._held[worker_id] = worker
        if self._closed:
            await worker.close()

    def _leave(self, worker: _Worker) -> None:
        """Let a worker end once it has nothing more to do."""
        worker.leaving = True
        if not worker.current and not worker.child.ended:
            self._keep(asyncio.create_task(worker.close()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def ready(self) -> None:
        """A worker can begin."""
        self._false_starts = 0
        self._changes()

    def told(self, unit_id: str, message: object) -> None:
        """A unit has told something."""
        self._tell(unit_id, message)

    def ended(self, worker: _Worker, how: str) -> None:
        """A worker has ended; another takes its place."""
        self._held.pop(worker.id, None)
        self._changes()
        if self._closed or worker.leaving:
            return
        self._false_starts += not worker.was_ready
        if worker.broken is not None:
            found = worker.broken
            self._fail(ExecutorError(f"a worker process could not begin: {found.type}: {found.message}"))
        elif self._false_starts >= _MOST_FALSE_STARTS:
            self._fail(ExecutorError(f"{self._false_starts} worker processes ended before they were ready ({how})"))
        elif sum(not held.leaving for held in self._held.values()) < self._count:
            self._keep(asyncio.create_task(self._replace()))

    async def _replace(self) -> None:
        try:
            await self._start()
        except OSError as error:
            self._fail(ExecutorError(f"a worker process cannot be started: {error.strerror or error}"))

    def _slot(self) -> _Worker | None:
        free = [worker for worker in self._held.values() if worker.has_room]
        return min(free, key=lambda worker: len(worker.current), default=None)

    def _occupy(self, slot: _Worker, unit_id: str) -> None:
        slot.current.add(unit_id)

    def _vacate(self, slot: _Worker, unit_id: str) -> None:
        slot.current.discard(unit_id)
        if slot.leaving:
            self._leave(slot)

    async def _run_on(self, slot: _Worker, unit: WorkUnit) -> WorkResult:
        return await slot.run(unit)

    async def _cancel_on(self, slot: _Worker, unit_ids: Sequence[str]) -> None:
        for unit_id in unit_ids:
            slot.say(("cancel", unit_id))


class _Worker:
    """The coordinator's end of a worker process."""

    def __init__(
        self,
        worker_id: str,
        capacity: int,
        child: Child,
        executor: ProcessExecutor,
        clock: Clock,
    ) -> None:
        self.id = worker_id
        self.capacity = capacity
        self.child = child
        self.current: set[str] = set()
        self._answers: dict[str, asyncio.Future[WorkResult]] = {}
        self.was_ready = self.leaving = False
        self.broken: ErrorInfo | None = None
        self._executor = executor
        self._clock = clock
        self._seen: float | None = None
        self._programs: set[int] = set()
        self._writer: asyncio.StreamWriter
        self._listening: asyncio.Task[None]

    @classmethod
    async def start(
        cls, worker_id: str, session: bytes, capacity: int, executor: ProcessExecutor, clock: Clock
    ) -> _Worker:
        """Start the process."""
        ours, theirs = socket.socketpair()
        try:
            child = await Child.start(process_worker.__name__, [str(theirs.fileno())], keep_open=[theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = cls(worker_id, capacity, child, executor, clock)
        reader, worker._writer = await asyncio.open_connection(sock=ours)
        worker.say({"id": worker_id, "path": sys.path, "session": session})
        worker._listening = asyncio.create_task(worker._listen(reader))
        return worker

    @property
    def has_room(self) -> bool:
        """Whether it can do one more unit."""
        return self.was_ready and not self.leaving and not self.child.ended and len(self.current) < self.capacity

    @property
    def info(self) -> WorkerInfo:
        """What is known of it."""
        gone = self.leaving or not self.was_ready
        return WorkerInfo(
            id=self.id,
            status="offline" if gone else "online" if self.has_room else "busy",
            capacity=self.capacity,
            current=tuple(self.current),
            last_seen=None if self._seen is None else datetime.fromtimestamp(self._seen, UTC),
            metadata={"pid": self.child.process.pid},
        )

    async def run(self, unit: WorkUnit) -> WorkResult:
        """Do a unit there.

        Raises:
            WorkerLost: the process has ended meanwhile.
        """
        try:
            frame = framed(("run", unit.id, pickled(unit)))
        except Exception as error:  # noqa: BLE001 - whatever its classes raise
            message = f"the unit of work cannot be sent to another process: {type(error).__name__}: {error}"
            info = ErrorInfo.of(error).model_copy(update={"message": message})
            return WorkResult(work_unit_id=unit.id, success=False, error=info)
        if self.child.ended:
            raise WorkerLost(f"{self.id} ended before the unit began")
        answer = self._answers[unit.id] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(frame)
            return await answer
        finally:
            self._answers.pop(unit.id, None)

    def say(self, frame: object) -> None:
        """Send something; that nobody reads it any more is met when the answer is awaited."""
        if not self._writer.is_closing():
            self._writer.write(framed(frame))

    async def close(self) -> None:
        """Let it end its session and go; kill it if it does not."""
        self.leaving = True
        self.say(("close",))
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS_TO_CLOSE):
                await self.child.process.wait()
        await self._end()
        await self._listening

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                frame = await read_frame(reader)
                self._seen = self._clock.now()
                self._take(frame)
        except EOFError:
            pass
        except Exception as error:  # noqa: BLE001 - an answer of classes that are not here
            self.broken = ErrorInfo.of(error)
        await self._end()

    async def _end(self) -> None:
        """It has ended, or has to: nothing of it is left after this."""
        if self.child.ended:
            return
        await self.child.end()
        for program in self._programs:
            kill_group_of(program)
            group_ended(program)
        self._programs.clear()
        self._writer.close()
        for answer in tuple(self._answers.values()):
            if not answer.done():
                answer.set_exception(WorkerLost(f"{self.id} ended with {self.child.how}"))
        self._executor.ended(self, self.child.how)

    def _take(self, frame: Sequence[object]) -> None:
        """What the worker says."""
        match frame:
            case ("result", WorkResult() as result):
                answer = self._answers.get(result.work_unit_id)
                if answer is not None and not answer.done():
                    answer.set_result(result)
            case ("message", str(unit_id), message):
                self._executor.told(unit_id, message)
            case ("ready",):
                self.was_ready = True
                self._executor.ready()
            case ("broken", ErrorInfo() as error):
                self.broken = error
            case ("program", int(pid), True):
                self._programs.add(pid)
                group_begins(pid)
            case ("program", int(pid), False):
                self._programs.discard(pid)
                group_ended(pid)
            case _:
                """A sign of life: it was seen, which is all that this says."""
