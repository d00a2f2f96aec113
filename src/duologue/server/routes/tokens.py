"""Tokens: who may use the API. A token itself is in the answer to the request that makes it, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from duologue.config.placed_json import refused
from duologue.config.problems import PlacedDict
from duologue.config.spec import Name, Spec
from duologue.errors import NotFoundError
from duologue.runs.tokens import ApiToken, TokenScope
from duologue.server.auth import Caller, ServerAdmin
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, by_creation, page_of
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body, references
from duologue.server.preconditions import answer, created, nothing
from duologue.server.schemas.definitions import instant_text, optional_instant

routes = routes_of_group("tokens")
_EXAMPLE = {"name": "ci", "scope": "run", "project": "web-shop", "expires_at": "2099-12-31T00:00:00Z"}


class TokenFields(Spec):
    """A token, as it is asked for."""

    name: Name
    """Who or what uses it, for people."""
    scope: str = Field(default="read", json_schema_extra={"enum": [str(item) for item in TokenScope]})
    """``read``: look. ``run``: define and run as well. ``admin``: everything, tokens and secrets as well."""
    project: str | None = None
    """Name or id of the only project that it opens. Default: the project of the caller's token, else all projects."""
    expires_at: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """When it ends, as ISO 8601 with a time zone. Default: never."""


class TokenAnswer(BaseModel):
    """A token, without the token itself."""

    id: str
    """Unique everywhere."""
    name: str
    """Who or what uses it."""
    scope: TokenScope
    """What it allows."""
    project_id: str | None
    """The only project that it opens; null for all."""
    hint: str
    """Its first characters."""
    expires_at: datetime | None
    """When it ends; null for never."""
    last_used_at: datetime | None
    """To the minute; null for never."""
    created_at: datetime
    """When it was made."""


class NewTokenAnswer(TokenAnswer):
    """A token that was just made."""

    token: str
    """The token. It is not shown again."""


@routes.get("/tokens", operation_id="list_tokens", response_model=PageOf[TokenAnswer])
async def list_tokens(request: Request, caller: ServerAdmin, wanted: Paging) -> Response:
    """The tokens, in the order in which they were made: those of the caller's project, or all."""
    found = await caller.state.tokens.list_tokens(
        project_id=caller.only_project, limit=wanted.fetched, after=wanted.place()
    )
    return answer(page_of(found, wanted, by_creation, token_fields), request)


@routes.post("/tokens", operation_id="create_token", status_code=201, response_model=NewTokenAnswer)
async def create_token(
    caller: ServerAdmin, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=TokenFields, example=_EXAMPLE)]
) -> Response:
    """Make a token. It is in this answer, and is not shown again."""
    fields = read_body(TokenFields, body)
    project_id = await _project_of(caller, fields.project)
    with references(body):
        token, made = await caller.state.tokens.create_token(
            fields.name, fields.scope, project_id=project_id, expires_at=_instant(fields.expires_at)
        )
    return created({**token_fields(made), "token": token}, f"/api/v1/tokens/{made.id}")


@routes.delete("/tokens/{token_id}", operation_id="revoke_token", status_code=204)
async def revoke_token(caller: ServerAdmin, token_id: str) -> Response:
    """Make a token useless, at once."""
    if not await caller.state.tokens.revoke_token(token_id, project_id=caller.only_project):
        raise NotFoundError(f'Token with id "{token_id}" not found')
    return nothing()


def token_fields(saved: ApiToken) -> Mapping[str, Any]:
    """A token as it is answered."""
    return {
        "id": saved.id,
        "name": saved.name,
        "scope": str(saved.scope),
        "project_id": saved.project_id,
        "hint": saved.hint,
        "expires_at": optional_instant(saved.expires_at),
        "last_used_at": optional_instant(saved.last_used_at),
        "created_at": instant_text(saved.created_at),
    }


async def _project_of(caller: Caller, named: str | None) -> str | None:
    """The project of a new token: no token makes one that opens more than itself."""
    if named is None:
        return caller.only_project
    found = await caller.state.definitions.get_project(named)
    if found is None or named not in {found.id, found.name} or caller.only_project not in {None, found.id}:
        raise refused("project", f'Project "{named}" not found')
    return found.id


def _instant(text: str | None) -> float | None:
    """Seconds since 1970."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise refused("expires_at", f"found {text[:40]!r}; expected a time such as 2030-12-31T00:00:00Z") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
