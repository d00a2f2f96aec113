"""Personas: who simulated users are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.runs.store.database.definition_rows import merged, read
from duologue.runs.store.definitions import SavedPersona
from duologue.server.auth import Caller, Reader, Runner
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf
from duologue.server.preconditions import IfMatch, answer, created, nothing
from duologue.server.schemas.definitions import PersonaAnswer, persona_fields
from duologue.server.trust import require_trust
from duologue.specs.agents import Persona

routes = routes_of_group("personas")
_EXAMPLE = {
    "name": "impatient-traveller",
    "description": "Has to catch a train in an hour and writes short messages.",
    "goals": ["change the booking to tomorrow"],
    "style": {"verbosity": "short", "challenge_level": "high"},
}


@routes.get("/personas", operation_id="list_personas", response_model=PageOf[PersonaAnswer])
async def list_personas(request: Request, caller: Reader, wanted: Paging) -> Response:
    """The personas of the project, in the order in which they were created."""
    found = await caller.state.definitions.list_personas(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, persona_fields), request)


@routes.post("/personas", operation_id="create_persona", status_code=201, response_model=PersonaAnswer)
async def create_persona(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=Persona, example=_EXAMPLE)]
) -> Response:
    """Create a persona."""
    require_trust(caller, read(Persona, body, "the persona"))
    made = await caller.state.definitions.create_persona(caller.project.id, body)
    return created(persona_fields(made), f"/api/v1/personas/{made.id}")


@routes.get("/personas/{persona_id}", operation_id="get_persona", response_model=PersonaAnswer)
async def get_persona(request: Request, caller: Reader, persona_id: str) -> Response:
    """A persona."""
    return answer(persona_fields(await _found(caller, persona_id)), request)


@routes.patch("/personas/{persona_id}", operation_id="update_persona", response_model=PersonaAnswer)
async def update_persona(
    caller: Runner,
    persona_id: str,
    matching: IfMatch,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=Persona, partial=True, example={"language": "German"})],
) -> Response:
    """Change the fields that are named; null gives a field its default again."""
    before = await _found(caller, persona_id)
    require_trust(caller, read(Persona, merged(before.spec.written(), body), "the persona"))
    made = await caller.state.definitions.update_persona(
        persona_id, body, expected=lambda saved: matching.require(persona_fields(saved))
    )
    return answer(persona_fields(caller.own(made, "Persona", persona_id)))


@routes.delete("/personas/{persona_id}", operation_id="delete_persona", status_code=204)
async def delete_persona(caller: Runner, persona_id: str, matching: IfMatch) -> Response:
    """Delete a persona that no scenario uses."""
    await _found(caller, persona_id)
    await caller.state.definitions.delete_persona(
        persona_id, expected=lambda saved: matching.require(persona_fields(saved))
    )
    return nothing()


async def _found(caller: Caller, persona_id: str) -> SavedPersona:
    return caller.own(await caller.state.definitions.get_persona(persona_id), "Persona", persona_id)
