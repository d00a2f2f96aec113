"""Schedules: evals that are launched by themselves, whenever a cron expression says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from duologue.config.placed_json import refused
from duologue.config.problems import PlacedDict
from duologue.config.spec import Name, Spec, Text
from duologue.runs.schedules import Schedule, Schedules
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.definitions import StoredFields, instant_text, optional_instant

routes = routes_of_group("schedules")
_EXAMPLE = {
    "eval_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "cron": "0 6 * * MON-FRI",
    "timezone": "Europe/Berlin",
}


class ScheduleFields(Spec):
    """When an eval is launched, as it is written."""

    eval_id: Name
    """The eval."""
    cron: Text
    """Minute, hour, day of month, month, day of week, such as ``0 6 * * MON-FRI``; with six fields, seconds first."""
    timezone: Text = "UTC"
    """Time zone of the expression, such as ``Europe/Berlin``."""
    enabled: bool = True
    """Whether it is launched."""


class ScheduleChanges(Spec):
    """What of a schedule can be changed."""

    cron: Text | None = None
    """Minute, hour, day of month, month, day of week."""
    timezone: Text | None = None
    """Time zone of the expression."""
    enabled: bool | None = None
    """Whether it is launched."""


class ScheduleAnswer(StoredFields):
    """When an eval is launched by itself."""

    eval_id: str
    """The eval."""
    cron: str
    """The expression."""
    timezone: str
    """Time zone of the expression."""
    enabled: bool
    """Whether it is launched."""
    next_at: datetime | None
    """When it is due; null while it is disabled."""
    last_at: datetime | None
    """The instant that it was launched for last."""
    last_execution: int | None
    """The execution that was made last."""
    last_error: str | None
    """Why nothing was launched the last time; null if something was."""


@routes.get("/schedules", operation_id="list_schedules", response_model=PageOf[ScheduleAnswer])
async def list_schedules(
    request: Request,
    caller: Reader,
    wanted: Paging,
    eval_id: Annotated[str | None, Query(max_length=200, description="Only those of this eval.")] = None,
) -> Response:
    """The schedules of the project, in the order in which they were created."""
    every = await _schedules(caller).list(project_id=caller.project.id, eval_id=eval_id)
    place = wanted.place()
    rows = sorted((item for item in every if place is None or by_creation(item) > place), key=by_creation)
    return answer(page_of(rows[: wanted.fetched], wanted, by_creation, schedule_fields), request)


@routes.post("/schedules", operation_id="create_schedule", status_code=201, response_model=ScheduleAnswer)
async def create_schedule(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ScheduleFields, example=_EXAMPLE)]
) -> Response:
    """Launch an eval at every instant of a cron expression from now on."""
    fields = read_body(ScheduleFields, body)
    found = await caller.state.definitions.get_eval(fields.eval_id)
    if found is None or found.project_id != caller.project.id:
        raise refused("eval_id", f'Eval with id "{fields.eval_id}" not found')
    made = await _schedules(caller).create(
        fields.eval_id, fields.cron, timezone=fields.timezone, enabled=fields.enabled
    )
    return created(schedule_fields(made), f"/api/v1/schedules/{made.id}")


@routes.get("/schedules/{schedule_id}", operation_id="get_schedule", response_model=ScheduleAnswer)
async def get_schedule(request: Request, caller: Reader, schedule_id: str) -> Response:
    """A schedule."""
    return answer(schedule_fields(await _found(caller, schedule_id)), request)


@routes.patch("/schedules/{schedule_id}", operation_id="update_schedule", response_model=ScheduleAnswer)
async def update_schedule(
    caller: Runner,
    schedule_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ScheduleChanges, partial=True, example={"enabled": False})],
) -> Response:
    """Change the expression or its time zone, or enable or disable it."""
    await _found(caller, schedule_id)
    changes = read_body(ScheduleChanges, body)
    made = await _schedules(caller).update(
        schedule_id,
        cron=changes.cron,
        timezone="UTC" if "timezone" in body and changes.timezone is None else changes.timezone,
        enabled=changes.enabled,
        expected=lambda saved: matching.require(schedule_fields(saved)),
    )
    return answer(schedule_fields(caller.own(made, "Schedule", schedule_id)))


@routes.delete("/schedules/{schedule_id}", operation_id="delete_schedule", status_code=204)
async def delete_schedule(caller: Runner, schedule_id: str) -> Response:
    """Delete a schedule. What it has launched stays."""
    await _found(caller, schedule_id)
    await _schedules(caller).delete(schedule_id)
    return nothing()


def schedule_fields(saved: Schedule) -> Mapping[str, Any]:
    """A schedule as it is answered."""
    return {
        "id": saved.id,
        "project_id": saved.project_id,
        "eval_id": saved.eval_id,
        "cron": saved.cron,
        "timezone": saved.timezone,
        "enabled": saved.enabled,
        "next_at": optional_instant(saved.next_at),
        "last_at": optional_instant(saved.last_at),
        "last_execution": saved.last_execution,
        "last_error": saved.last_error,
        "created_at": instant_text(saved.created_at),
        "updated_at": instant_text(saved.updated_at),
    }


def _schedules(caller: Caller) -> Schedules:
    return Schedules(caller.state.database)


async def _found(caller: Caller, schedule_id: str) -> Schedule:
    return caller.own(await _schedules(caller).get(schedule_id), "Schedule", schedule_id)
