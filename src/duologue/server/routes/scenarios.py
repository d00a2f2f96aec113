"""Scenarios: what is rehearsed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.runs.store.database.definition_rows import merged, read
from duologue.runs.store.definitions import SavedScenario
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, named_ids, references
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.definitions import ScenarioAnswer, ScenarioFields, scenario_fields
from duologue.server.trust import require_trust
from duologue.specs.scenario import Scenario

routes = routes_of_group("scenarios")
_EXAMPLE = {
    "name": "refund-after-30-days",
    "description": "The customer bought shoes 45 days ago and wants the money back.",
    "criteria": ["The agent explains that refunds end after 30 days", "The agent offers an exchange"],
    "max_turns": 6,
}


@routes.get("/scenarios", operation_id="list_scenarios", response_model=PageOf[ScenarioAnswer])
async def list_scenarios(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The scenarios of the project, in the order in which they were created."""
    found = await caller.state.definitions.list_scenarios(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, scenario_fields), request)


@routes.post("/scenarios", operation_id="create_scenario", status_code=201, response_model=ScenarioAnswer)
async def create_scenario(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ScenarioFields, example=_EXAMPLE)]
) -> Response:
    """Create a scenario, with personas of the project by name (``personas``) or by id (``persona_ids``)."""
    ids, fields = named_ids(body, "persona_ids"), body.without("persona_ids")
    require_trust(caller, read(Scenario, fields, "the scenario"))
    with references(body):
        made = await caller.state.definitions.create_scenario(caller.project.id, fields, persona_ids=ids)
    return created(scenario_fields(made), f"/api/v1/scenarios/{made.id}")


@routes.get("/scenarios/{scenario_id}", operation_id="get_scenario", response_model=ScenarioAnswer)
async def get_scenario(request: Request, caller: Reader, scenario_id: str) -> Response:
    """A scenario."""
    return answer(scenario_fields(await _found(caller, scenario_id)), request)


@routes.patch("/scenarios/{scenario_id}", operation_id="update_scenario", response_model=ScenarioAnswer)
async def update_scenario(
    caller: Runner,
    scenario_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=ScenarioFields, partial=True, example={"max_turns": 8})],
) -> Response:
    """Change the fields that are named; null gives a field its default again. Runs that exist stay as they are."""
    before = await _found(caller, scenario_id)
    ids = named_ids(body, "persona_ids")
    fields = body.without("persona_ids")
    require_trust(caller, read(Scenario, merged(before.spec.written(), fields), "the scenario"))
    changes = {**fields, **({"persona_ids": ids or []} if "persona_ids" in body else {})}
    with references(body):
        made = await caller.state.definitions.update_scenario(
            scenario_id, changes, expected=lambda saved: matching.require(scenario_fields(saved))
        )
    return answer(scenario_fields(caller.own(made, "Scenario", scenario_id)))


@routes.delete("/scenarios/{scenario_id}", operation_id="delete_scenario", status_code=204)
async def delete_scenario(caller: Runner, scenario_id: str, matching: IfMatch) -> Response:
    """Delete a scenario that no eval uses."""
    await _found(caller, scenario_id)
    await caller.state.definitions.delete_scenario(
        scenario_id, expected=lambda saved: matching.require(scenario_fields(saved))
    )
    return nothing()


async def _found(caller: Caller, scenario_id: str) -> SavedScenario:
    return caller.own(await caller.state.definitions.get_scenario(scenario_id), "Scenario", scenario_id)
