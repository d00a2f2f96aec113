"""Signing in to the web pages: a token is posted once, and kept in a cookie that no script can read.

These addresses are for the pages of this service alone, so they are no part of the API and of its document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from duologue.config.problems import PlacedDict
from duologue.config.spec import Spec, Text
from duologue.server.auth import Caller, ForbiddenError, UnauthenticatedError, authenticated, caller_with, projects_of
from duologue.server.origins import cookie_name, is_from_own_page
from duologue.server.placed_body import JSON_BODY, read_body
from duologue.server.preconditions import answer, nothing
from duologue.server.state import state_of

routes = APIRouter(prefix="/api/pages/session", include_in_schema=False)
KEPT_FOR = 30 * 24 * 3600
"""Seconds that a browser keeps the cookie; a token that ends earlier is refused earlier."""
MOST_PROJECTS = 200
"""Projects that are offered to choose from."""


class SignIn(Spec):
    """What somebody signs in with."""

    token: Text
    """A token of the API."""


@routes.get("")
async def get_session(request: Request) -> Response:
    """Who looks at the pages: whether a token is needed, and what the one that is there allows."""
    required = state_of(request).token_required
    try:
        caller = await authenticated(request)
    except UnauthenticatedError:
        return _session({"token_required": required, "signed_in": False})
    return _session({"token_required": required, "signed_in": True, **await _facts(caller)})


@routes.post("")
async def sign_in(request: Request, body: PlacedDict = JSON_BODY) -> Response:
    """Keep a token in a cookie."""
    _require_own_page(request)
    state = state_of(request)
    token = read_body(SignIn, body).token.strip()
    caller = await caller_with(state, token)
    response = _session({"token_required": state.token_required, "signed_in": True, **await _facts(caller)})
    response.set_cookie(_name(request), token, max_age=KEPT_FOR, **_cookie(request))
    return response


@routes.delete("")
async def sign_out(request: Request) -> Response:
    """Forget the token."""
    _require_own_page(request)
    response = nothing()
    response.delete_cookie(_name(request), **_cookie(request))
    return response


def _require_own_page(request: Request) -> None:
    """Refuse to sign anybody in or out who has not asked for it. Raises ForbiddenError."""
    if not is_from_own_page(request.headers):
        raise ForbiddenError("only a page of this service signs somebody in or out")


def _session(fields: Mapping[str, Any]) -> Response:
    return answer(fields, etag=False, headers={"Cache-Control": "no-store"})


async def _facts(caller: Caller) -> Mapping[str, Any]:
    token = caller.token
    return {
        "scope": str(caller.scope),
        "name": token.name if token is not None else None,
        "projects": [{"id": item.id, "name": item.name} for item in await projects_of(caller, MOST_PROJECTS)],
    }


def _name(request: Request) -> str:
    return cookie_name(request.headers.get("host", ""))


def _cookie(request: Request) -> dict[str, Any]:
    return {"path": "/", "httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}
