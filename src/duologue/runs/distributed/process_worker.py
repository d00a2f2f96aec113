"""A worker process of :mod:`duologue.runs.distributed.processes`: ``python -m … LIFELINE SOCKET``.

Units come through the socket, and their results go back. This process ends with the coordinator, although a unit may
block its event loop, and so do all programs that it has started; see :mod:`duologue.runs.distributed.children`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from duologue.config.processes import watch_groups
from duologue.context import SystemClock
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed.carrier import Carrier
from duologue.runs.distributed.children import end_with_parent
from duologue.runs.distributed.frames import framed, loaded, read_frame
from duologue.runs.distributed.ports import WorkResult, WorkUnit
from duologue.runs.distributed.worker_scope import WorkerScope

SIGN_OF_LIFE = 1.0
"""Seconds between two signs of life."""


def main() -> None:
    """Be a worker until the coordinator closes the connection."""
    end_with_parent(int(sys.argv[1]))
    connection = socket.socket(fileno=int(sys.argv[2]))
    connection.set_inheritable(False)
    asyncio.run(_serve(connection))


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        hello = await read_frame(reader)
        sys.path[:] = hello["path"]
        worker = _Worker(hello["id"], hello["session"], writer)
    except EOFError:
        return
    if await worker.open():
        beating = asyncio.create_task(worker.beat())
        with suppress(EOFError):
            while (frame := await read_frame(reader)) != ("close",):
                worker.take(frame)
        beating.cancel()
    await worker.close()
    with suppress(ConnectionError):
        await writer.drain()
    writer.close()


class _Worker:
    """The worker's end of the connection."""

    def __init__(self, worker_id: str, session: bytes, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._session = session
        self._id = worker_id
        self._loop = asyncio.get_running_loop()
        self._scope = WorkerScope(worker_id)
        self._carrier = Carrier(self._scope)
        self._tasks: set[asyncio.Task[None]] = set()
        watch_groups(self._program)

    async def open(self) -> bool:
        """Get ready; False if that cannot be done, which was said then."""
        try:
            self._scope = WorkerScope(self._id, loaded(self._session), self._tell)
            await self._scope.open()
        except Exception as error:  # noqa: BLE001 - said where the worker was asked for
            self._say(("broken", ErrorInfo.of(error)))
            return False
        self._carrier = Carrier(self._scope)
        self._say(("ready",))
        return True

    def take(self, frame: Sequence[object]) -> None:
        """Begin a unit, or cancel one."""
        match frame:
            case ("run", str(unit_id), bytes(data)):
                task = asyncio.create_task(self._run(unit_id, data))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case ("cancel", str(unit_id)):
                self._carrier.cancel(unit_id)
            case _:
                raise AssertionError(f"a frame that no coordinator sends: {frame!r}")

    async def beat(self) -> None:
        """Give signs of life."""
        while True:
            await SystemClock().sleep(SIGN_OF_LIFE)
            self._say(("alive",))

    async def close(self) -> None:
        """End what is left, and the session."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._scope.close()

    async def _run(self, unit_id: str, data: bytes) -> None:
        try:
            unit: WorkUnit = loaded(data)
        except Exception as error:  # noqa: BLE001 - whatever its classes raise
            result = _unsent(unit_id, "the unit of work cannot be read in the worker process", error)
        else:
            result = await self._carrier.run(unit)
        try:
            answer = framed(("result", result))
        except Exception as error:  # noqa: BLE001 - as above
            unsent = _unsent(unit_id, "the result cannot be sent to another process", error)
            answer = framed(("result", unsent))
        self._write(answer)

    def _tell(self, unit_id: str, message: object) -> None:
        self._say(("message", unit_id, message))

    def _program(self, pid: int, running: bool) -> None:
        """A program was started or has ended, perhaps on another thread."""
        with suppress(RuntimeError):  # the loop is closed: the coordinator looks after what is left
            self._loop.call_soon_threadsafe(self._say, ("program", pid, running))

    def _say(self, frame: tuple[object, ...]) -> None:
        self._write(framed(frame))

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)


def _unsent(unit_id: str, what: str, error: Exception) -> WorkResult:
    found = ErrorInfo.of(error)
    told = found.model_copy(update={"message": f"{what}: {found.type}: {found.message}"})
    return WorkResult(work_unit_id=unit_id, success=False, error=told)


if __name__ == "__main__":
    main()
