"""The catalogue of checks: their types, each with the JSON schema of its parameters."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from duologue.checks.registry import CheckInfo, find, registered
from duologue.errors import ConfigurationError, NotFoundError
from duologue.server.auth import ServerReader
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.preconditions import answer

routes = routes_of_group("checks")


class CheckTypeAnswer(BaseModel):
    """A type of checks."""

    type: str
    """Its name, as scenarios write it."""
    family: str
    """Under which the catalogue lists it."""
    summary: str
    """What it checks, in a line."""
    aliases: list[str]
    """Alternative names."""
    scopes: list[str]
    """Where it can be evaluated: ``turn``, ``conversation``."""
    parameters: dict[str, Any]
    """JSON schema of its parameters."""


class CheckTypes(BaseModel):
    """The catalogue."""

    data: list[CheckTypeAnswer]
    """All types, in the order of the catalogue."""


@routes.get("/check-types", operation_id="list_check_types", response_model=CheckTypes)
async def list_check_types(request: Request, caller: ServerReader) -> Response:
    """The types of checks that there are."""
    found = await asyncio.to_thread(lambda: [_fields(item) for item in registered()])
    return answer({"data": found}, request)


@routes.get("/check-types/{check_type}", operation_id="get_check_type", response_model=CheckTypeAnswer)
async def get_check_type(request: Request, caller: ServerReader, check_type: str) -> Response:
    """A type of checks, by its name or an alias."""
    if ":" in check_type:  # code that a suite names is not loaded here
        raise NotFoundError(f'Check type "{check_type}" not found')
    try:
        info, _ = await asyncio.to_thread(find, check_type)
    except ConfigurationError as error:
        raise NotFoundError(str(error)) from error
    return answer(_fields(info), request)


def _fields(info: CheckInfo) -> dict[str, Any]:
    return {
        "type": info.kind,
        "family": info.family,
        "summary": info.summary,
        "aliases": [alias.name for alias in info.aliases],
        "scopes": [str(scope) for scope in info.scopes],
        "parameters": info.parameters.model_json_schema(),
    }
