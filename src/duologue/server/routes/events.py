"""Live events of executions and runs, as server-sent events that continue where a listener was cut off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import select
from starlette.responses import Response

from duologue.config.placed_json import refused
from duologue.errors import NotFoundError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.execution_events import newest_event
from duologue.runs.store.database.journal_events import has_event
from duologue.runs.store.database.schema import executions, runs
from duologue.server.auth import Caller, Reader
from duologue.server.events.executions import ExecutionSource
from duologue.server.events.feed import Listener, Place
from duologue.server.events.journals import JournalSource
from duologue.server.events.stream import MEDIA_TYPE, EventStream, place_after
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.routes.executions import ExecutionId
from duologue.server.routes.runs import RunId

routes = routes_of_group("events")
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, until all is over", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": "All is over, and there is nothing after the event that was named"},
}
After = Annotated[
    str | None,
    Query(max_length=60, description="Id of the last event that is known; the header Last-Event-ID counts more."),
]


@routes.get(
    "/executions/{execution_id}/events",
    operation_id="watch_execution",
    response_class=Response,
    responses=_STREAM,
)
async def watch_execution(request: Request, caller: Reader, execution_id: ExecutionId, after: After = None) -> Response:
    """What happens in an execution, from its beginning or from an event on, until all of its runs are over.

    Events: ``execution_started``, ``run_started``, ``run_completed``, ``run_retried``, ``run_deleted``,
    ``execution_completed``. Their ids are whole numbers without gaps.
    """
    place = place_after(request, after, 1)
    database, project = caller.state.database, caller.project.id
    asked = select(executions.c.id).where(executions.c.id == execution_id, executions.c.project_id == project)
    if await database.read(lambda connection: connection.execute(asked).first()) is None:
        raise NotFoundError(f"Execution {execution_id} not found")
    listener = caller.state.feeds.listen(
        ("execution", execution_id), lambda: ExecutionSource(database, execution_id), place
    )
    return await _stream(caller, listener, lambda: _require_event(database, execution_id, place))


@routes.get("/runs/{run_id}/events", operation_id="watch_run", response_class=Response, responses=_STREAM)
async def watch_run(request: Request, caller: Reader, run_id: RunId, after: After = None) -> Response:
    """The journal of a run, from its beginning or from an event on, until the run is over.

    Ids of events are the attempt and the number in it, such as ``1.17``. ``attempt_started`` says that the run began
    anew, and ``run_ended`` comes last.
    """
    place = place_after(request, after, 2)
    database, project = caller.state.database, caller.project.id
    asked = select(runs.c.number).where(runs.c.id == run_id, runs.c.project_id == project)
    if await database.read(lambda connection: connection.execute(asked).first()) is None:
        raise NotFoundError(f'Run with id "{run_id}" not found')
    listener = caller.state.feeds.listen(("run", run_id), lambda: JournalSource(database, run_id), place)
    return await _stream(caller, listener, lambda: _require_line(database, run_id, place))


async def _stream(caller: Caller, listener: Listener, known: Callable[[], Awaitable[None]]) -> Response:
    """The answer to a listener.

    Args:
        caller: whose token has to stay valid.
        listener: who has come just now.
        known: raises if the event does not exist that the listener says it knows.
    """
    try:
        await listener.prepare()
        if listener.after > listener.place:
            await known()
    except BaseException:
        listener.leave()
        raise
    if listener.over and listener.resumed:
        listener.leave()
        return Response(status_code=204)
    return EventStream(listener, lambda: caller.state.still_holds(caller.token))


async def _require_event(database: Database, execution_id: int, place: Place | None) -> None:
    newest = await newest_event(database, execution_id)
    if place is not None and place[0] > newest:
        raise refused("after", f"execution {execution_id} has no event {place[0]}; the newest is {newest}")


async def _require_line(database: Database, run_id: str, place: Place | None) -> None:
    if place is not None and not await has_event(database, run_id, (place[0], place[1])):
        raise refused("after", f"the run has no event {place[0]}.{place[1]}")
