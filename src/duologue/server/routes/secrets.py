"""Secrets of a project, by name. Their values go in and never come out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import Spec
from duologue.errors import NotFoundError
from duologue.runs.secrets import MAX_VALUE, SavedSecret, SecretStore
from duologue.server.auth import Admin
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body
from duologue.server.preconditions import answer, nothing
from duologue.server.schemas.definitions import instant_text

routes = routes_of_group("secrets")
_Name = Annotated[str, Path(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="Such as ``RETELL_API_KEY``.")]


class SecretFields(Spec):
    """A secret, as it is saved."""

    value: str = Field(min_length=1, max_length=MAX_VALUE, repr=False)
    """Kept encrypted, and never shown."""
    provider: str = Field(default="", max_length=100)
    """What it is for, such as ``retell``. Default: anything."""


class SecretAnswer(BaseModel):
    """A secret, without its value."""

    name: str
    """Definitions name it as ``${NAME}``."""
    project_id: str
    """The project that it belongs to."""
    provider: str
    """What it is for; '' for anything."""
    created_at: datetime
    """When it was first saved."""
    updated_at: datetime
    """When its value was last saved."""


@routes.get("/secrets", operation_id="list_secrets", response_model=PageOf[SecretAnswer])
async def list_secrets(request: Request, caller: Admin, wanted: Paging) -> Response:
    """The names of the secrets of the project."""
    store = SecretStore(caller.state.database)
    found = await store.list_secrets(caller.project.id, limit=wanted.fetched, after=wanted.place())
    return answer(page_of(found, wanted, by_creation, secret_fields), request)


@routes.put("/secrets/{secret_name}", operation_id="set_secret", response_model=SecretAnswer)
async def set_secret(
    caller: Admin,
    secret_name: _Name,
    body: Annotated[
        PlacedDict, JSON_BODY, BodyOf(model=SecretFields, example={"value": "key_123456", "provider": "retell"})
    ],
) -> Response:
    """Save a secret, in the place of the one of that name."""
    fields = read_body(SecretFields, body)
    store = SecretStore(caller.state.database)
    saved = await store.set_secret(caller.project.id, secret_name, fields.value, provider=fields.provider)
    return answer(secret_fields(saved), etag=False)


@routes.delete("/secrets/{secret_name}", operation_id="delete_secret", status_code=204)
async def delete_secret(caller: Admin, secret_name: _Name) -> Response:
    """Delete a secret. What names it ends in an error from then on."""
    if not await SecretStore(caller.state.database).delete_secret(caller.project.id, secret_name):
        raise NotFoundError(f'Secret with name "{secret_name}" not found')
    return nothing()


def secret_fields(saved: SavedSecret) -> Mapping[str, Any]:
    """A secret as it is answered."""
    return {
        "name": saved.name,
        "project_id": saved.project_id,
        "provider": saved.provider,
        "created_at": instant_text(saved.created_at),
        "updated_at": instant_text(saved.updated_at),
    }
