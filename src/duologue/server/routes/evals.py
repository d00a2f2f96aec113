"""Evals: scenarios, and the connector or agent that they are run against."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from starlette.responses import Response

from duologue.config.placed_json import require_fields
from duologue.config.problems import PlacedDict
from duologue.runs.store.database.definition_rows import merged, read
from duologue.runs.store.definitions import Eval, EvalSpec
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, named_ids, read_body, references
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.definitions import EvalAnswer, EvalFields, eval_fields
from duologue.server.trust import require_trust

routes = routes_of_group("evals")
_OWN = ("name", "scenario_ids", "connector_id")
_KNOWN = tuple(EvalFields.model_fields)
_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
_EXAMPLE = {
    "name": "refunds",
    "description": "Refunds after the end of the term.",
    "scenario_ids": [_ID],
    "connector_id": _ID,
    "trials": 3,
}


@routes.get("/evals", operation_id="list_evals", response_model=PageOf[EvalAnswer])
async def list_evals(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The evals of the project, in the order in which they were created."""
    found = await caller.state.definitions.list_evals(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, eval_fields), request)


@routes.post("/evals", operation_id="create_eval", status_code=201, response_model=EvalAnswer)
async def create_eval(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=EvalFields, example=_EXAMPLE)]
) -> Response:
    """Create an eval. Its runtime is validated with the agent that it names."""
    fields = read_body(EvalFields, body)
    require_trust(caller, fields)
    with references(body):
        made = await caller.state.definitions.create_eval(
            caller.project.id,
            name=fields.name,
            scenario_ids=named_ids(body, "scenario_ids") or [],
            connector_id=fields.connector_id,
            **body.without(*_OWN),
        )
    return created(eval_fields(made), f"/api/v1/evals/{made.id}")


@routes.get("/evals/{eval_id}", operation_id="get_eval", response_model=EvalAnswer)
async def get_eval(request: Request, caller: Reader, eval_id: str) -> Response:
    """An eval."""
    return answer(eval_fields(await _found(caller, eval_id)), request)


@routes.patch("/evals/{eval_id}", operation_id="update_eval", response_model=EvalAnswer)
async def update_eval(
    caller: Runner,
    eval_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=EvalFields, partial=True, example={"trials": 5})],
) -> Response:
    """Change the fields that are named; null gives a field its default again. Runs that exist stay as they are."""
    before = await _found(caller, eval_id)
    require_fields(body, _KNOWN)
    require_trust(caller, read(EvalSpec, merged(before.spec.written(), body.without(*_OWN)), "the eval"))
    with references(body):
        made = await caller.state.definitions.update_eval(
            eval_id, body, expected=lambda saved: matching.require(eval_fields(saved))
        )
    return answer(eval_fields(caller.own(made, "Eval", eval_id)))


@routes.delete("/evals/{eval_id}", operation_id="delete_eval", status_code=204)
async def delete_eval(caller: Runner, eval_id: str, matching: IfMatch) -> Response:
    """Delete an eval with all its executions and runs."""
    await _found(caller, eval_id)
    await caller.state.definitions.delete_eval(eval_id, expected=lambda saved: matching.require(eval_fields(saved)))
    return nothing()


async def _found(caller: Caller, eval_id: str) -> Eval:
    return caller.own(await caller.state.definitions.get_eval(eval_id), "Eval", eval_id)
