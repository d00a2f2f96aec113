"""Baselines: executions that others of their eval are compared with, by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from duologue.config.placed_json import refused
from duologue.config.problems import PlacedDict
from duologue.errors import NotFoundError
from duologue.runs.store.database.baselines import Baselines
from duologue.runs.store.releases import Baseline
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import answer, made_or_changed, nothing
from duologue.server.schemas.releases import BaselineAnswer, BaselineFields, baseline_fields

routes = routes_of_group("baselines")
_Only = Annotated[str | None, Query(max_length=200, description="Only those of this one.")]


@routes.get("/baselines", operation_id="list_baselines", response_model=PageOf[BaselineAnswer])
async def list_baselines(
    request: Request,
    caller: Reader,
    wanted: Paging,
    eval_id: _Only = None,
    agent_id: _Only = None,
    name: Annotated[str | None, Query(max_length=200, description="Only those of this name.")] = None,
) -> Response:
    """The baselines of the project, in the order in which they were made."""
    found = await _baselines(caller).list_baselines(
        caller.project.id,
        eval_id=eval_id,
        agent_id=agent_id,
        name=name,
        limit=wanted.fetched,
        after=wanted.place(),
    )
    return answer(page_of(found, wanted, by_creation, baseline_fields), request)


@routes.post(
    "/baselines",
    operation_id="set_baseline",
    response_model=BaselineAnswer,
    responses={201: {"description": "The eval had no baseline of that name", "model": BaselineAnswer}},
)
async def set_baseline(
    caller: Runner,
    body: Annotated[
        PlacedDict, JSON_BODY, BodyOf(model=BaselineFields, example={"execution_id": 41, "name": "release-1"})
    ],
) -> Response:
    """Make an execution that is over the baseline of that name for its eval and agent, in place of another one."""
    fields = read_body(BaselineFields, body)
    try:
        made = await _baselines(caller).set_baseline(caller.project.id, fields.execution_id, fields.name)
    except NotFoundError as error:
        raise refused("execution_id", str(error)) from error
    return made_or_changed(
        baseline_fields(made), f"/api/v1/baselines/{made.id}", created_at=made.created_at, updated_at=made.updated_at
    )


@routes.get("/baselines/{baseline_id}", operation_id="get_baseline", response_model=BaselineAnswer)
async def get_baseline(request: Request, caller: Reader, baseline_id: str) -> Response:
    """A baseline."""
    return answer(baseline_fields(await _found(caller, baseline_id)), request)


@routes.delete("/baselines/{baseline_id}", operation_id="delete_baseline", status_code=204)
async def delete_baseline(caller: Runner, baseline_id: str) -> Response:
    """Delete a baseline. Its execution stays."""
    await _found(caller, baseline_id)
    await _baselines(caller).delete_baseline(caller.project.id, baseline_id)
    return nothing()


def _baselines(caller: Caller) -> Baselines:
    return Baselines(caller.state.database)


async def _found(caller: Caller, baseline_id: str) -> Baseline:
    return caller.own(await _baselines(caller).get_baseline(caller.project.id, baseline_id), "Baseline", baseline_id)
