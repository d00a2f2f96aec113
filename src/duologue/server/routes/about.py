"""What the service is, whether it works, and its OpenAPI document. Nothing of a project, so no token is needed."""

from __future__ import annotations

from typing import Literal

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy import text
from starlette.responses import Response

from duologue.server.idempotency import routes as routes_of_group
from duologue.server.preconditions import answer
from duologue.server.state import state_of
from duologue.version import __version__

routes = routes_of_group("service")


class ServiceHealth(BaseModel):
    """Whether the service works."""

    status: Literal["ok"]
    """Always; a service whose database does not answer has a problem instead."""


class ServiceVersion(BaseModel):
    """What the service is."""

    name: Literal["duologue"]
    """The name of the program."""
    version: str
    """Its version."""
    api: Literal["v1"]
    """The version of the API."""
    token_required: bool
    """Whether requests need a token."""


@routes.get("/health", operation_id="get_health", response_model=ServiceHealth)
async def get_health(request: Request) -> Response:
    """Whether the service and its database answer."""
    await state_of(request).database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
    return answer({"status": "ok"}, etag=False)


@routes.get("/version", operation_id="get_version", response_model=ServiceVersion)
async def get_version(request: Request) -> Response:
    """The version of the service."""
    required = state_of(request).token_required
    return answer({"name": "duologue", "version": __version__, "api": "v1", "token_required": required}, request)


@routes.get("/openapi.json", operation_id="get_openapi", include_in_schema=False)
async def get_openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return answer(request.app.openapi(), request)
