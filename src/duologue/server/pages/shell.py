"""The frame of all pages, and the files that they consist of. They hold nothing of a project, so no token is needed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from duologue.errors import NotFoundError
from duologue.server.origins import cookie_name
from duologue.server.pages.first_requests import first_requests
from duologue.server.state import state_of
from duologue.web import POLICY, STATIC, app_page, static_answer

routes = APIRouter(include_in_schema=False)
MICROPHONE = "camera=(), geolocation=(), microphone=(self)"


@routes.get("/")
async def get_home(request: Request) -> Response:
    """The frame; the page finds out which projects there are."""
    return _frame(request)


@routes.get("/p/{rest:path}")
async def get_page(request: Request, rest: str) -> Response:
    """The frame of any page; which one it is, its address says."""
    return _frame(request)


@routes.get(f"{STATIC}{{name}}")
async def get_static(request: Request, name: str) -> Response:
    """A module, the style sheet or a picture."""
    known = request.headers.get("if-none-match")
    found = static_answer(name, version=request.query_params.get("v"), known=known)
    if found is None:
        raise NotFoundError(f"there is nothing at {STATIC}{name[:100]}")
    return Response(found.content, status_code=found.status, headers=found.headers)


def _frame(request: Request) -> Response:
    signed_in = not state_of(request).token_required or cookie_name(request.headers.get("host", "")) in request.cookies
    data = first_requests(request.scope["raw_path"].decode("latin-1"), request.url.query, signed_in=signed_in)
    # One document has all pages, so that each of them can lead to the playground, in which one may speak.
    headers = {"Content-Security-Policy": POLICY, "Permissions-Policy": MICROPHONE, "Cache-Control": "no-cache"}
    return Response(app_page("serve.js", data), headers=headers, media_type="text/html")
