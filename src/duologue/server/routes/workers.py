"""Workers: who carries out runs, over all projects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.runs.store.records import WorkerRecord
from duologue.server.auth import ServerReader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, page_of
from duologue.server.preconditions import answer
from duologue.server.schemas.definitions import instant_text

routes = routes_of_group("workers")


class WorkerAnswer(BaseModel):
    """A process that carries out runs."""

    id: str
    """Unique everywhere."""
    host: str
    """The machine that it is on."""
    pid: int
    """The number of its process there."""
    version: str
    """Of Duologue."""
    capacity: int
    """Runs at once."""
    active: int
    """Runs that it has now."""
    state: Literal["running", "stopping", "stopped", "lost"]
    """``lost``: it was silent for so long that its runs were given to others."""
    started_at: datetime
    """When it began."""
    last_seen: datetime
    """When it was last heard of."""


@routes.get("/workers", operation_id="list_workers", response_model=PageOf[WorkerAnswer])
async def list_workers(request: Request, caller: ServerReader, wanted: Paging) -> Response:
    """Every worker that was not forgotten, the newest first."""
    every = sorted(await caller.state.database.queue.workers(), key=_key, reverse=True)
    place = wanted.place()
    found = [worker for worker in every if place is None or _key(worker) < place]
    return answer(page_of(found[: wanted.fetched], wanted, _key, _fields), request)


def _key(worker: WorkerRecord) -> tuple[float, str]:
    return worker.started_at, worker.id


def _fields(worker: WorkerRecord) -> Mapping[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "capacity": worker.capacity,
        "active": worker.active,
        "state": worker.state,
        "started_at": instant_text(worker.started_at),
        "last_seen": instant_text(worker.last_seen),
    }
