"""Units of work that tests of executors give to workers: functions of a module, so that other processes find them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from duologue.runs.distributed import WorkerScope, WorkResult, WorkUnit


@dataclass(frozen=True)
class Do:
    """What a unit does, with a line in a file for each time that it is begun.

    Attributes:
        what: ``answer``, ``fail``, ``exit``, ``wrong``, ``unsendable``, ``tell``, ``hold`` (until a file ``go`` is
            there), ``die`` (kill its process) or ``session``.
    """

    id: str
    folder: str
    what: str = "answer"

    async def __call__(self, scope: WorkerScope) -> WorkResult:
        folder = Path(self.folder)
        with (folder / "begun").open("a") as file:
            file.write(f"{self.id} {os.getpid()}\n")
        data: object = self.id
        match self.what:
            case "fail":
                raise ValueError(f"{self.id} is no good")
            case "exit":
                raise SystemExit(0)
            case "wrong":
                return "no result"  # type: ignore[return-value]
            case "unsendable":
                data = (item for item in "abc")
            case "tell":
                scope.tell(self.id, "half way")
            case "session":
                data = scope.session
            case "hold":
                while not (folder / "go").exists():
                    await asyncio.sleep(0.01)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return WorkResult(work_unit_id=self.id, success=True, data=data, metadata={"pid": os.getpid()})


def unit(id: str, folder: Path, what: str = "answer", **fields: object) -> WorkUnit:
    """A unit of work."""
    return WorkUnit(id=id, execute=Do(id, str(folder), what), **fields)  # type: ignore[arg-type]


def begun(folder: Path) -> list[str]:
    """The ids of the units in the order in which they were begun."""
    path = folder / "begun"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Session:
    """A session that leaves a line in a file when it is closed."""

    folder: str

    def __call__(self, scope: WorkerScope):
        return self._open(scope)

    @asynccontextmanager
    async def _open(self, scope: WorkerScope) -> AsyncIterator[str]:
        yield f"the session of {os.getpid()}"
        with (Path(self.folder) / "closed").open("a") as file:
            file.write(f"{os.getpid()}\n")


@dataclass(frozen=True)
class BrokenSession:
    """A session that cannot be opened."""

    def __call__(self, scope: WorkerScope):
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        raise RuntimeError("there is no suite here")
        yield
