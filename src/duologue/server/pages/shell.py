"""The frame of all pages, and the files that they consist of. They hold nothing of a project, so no token is needed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from duologue.errors import NotFoundError
from duologue.web import POLICY, STATIC, app_page, static_answer

routes = APIRouter(include_in_schema=False)
MICROPHONE = "camera=(), geolocation=(), microphone=(self)"


@routes.get("/")
async def get_home() -> Response:
    """The frame; the page finds out which projects there are."""
    return _frame()


@routes.get("/p/{rest:path}")
async def get_page(rest: str) -> Response:
    """The frame of any page; which one it is, its address says."""
    return _frame()


@routes.get(f"{STATIC}{{name}}")
async def get_static(request: Request, name: str) -> Response:
    """A module, the style sheet or a picture."""
    known = request.headers.get("if-none-match")
    found = static_answer(name, version=request.query_params.get("v"), known=known)
    if found is None:
        raise NotFoundError(f"there is nothing at {STATIC}{name[:100]}")
    return Response(found.content, status_code=found.status, headers=found.headers)


def _frame() -> Response:
    # One document has all pages, so that each of them can lead to the playground, in which one may speak.
    headers = {"Content-Security-Policy": POLICY, "Permissions-Policy": MICROPHONE, "Cache-Control": "no-cache"}
    return Response(app_page("serve.js"), headers=headers, media_type="text/html")
