"""The frame of all pages, and the files that they consist of. They hold nothing of a project, so no token is needed."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from duologue.errors import NotFoundError
from duologue.web import POLICY, STATIC, static_file, template

routes = APIRouter(include_in_schema=False)
_ENTRY = "serve.js"


@routes.get("/")
async def get_home() -> Response:
    """The frame; the page finds out which projects there are."""
    return _frame()


@routes.get("/p/{rest:path}")
async def get_page(rest: str) -> Response:
    """The frame of any page; which one it is, its address says."""
    return _frame()


@routes.get("/favicon.ico")
async def get_icon() -> Response:
    """Browsers ask for it by themselves."""
    return RedirectResponse(f"{STATIC}icon.svg", status_code=301)


@routes.get("/static/{name}")
async def get_static(request: Request, name: str) -> Response:
    """A module, the style sheet or a picture. Browsers ask whether it has changed, because an update may change it."""
    found = _file(name)
    if found is None:
        raise NotFoundError(f"there is nothing at {STATIC}{name[:100]}")
    content, media_type, tag = found
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


@cache
def _file(name: str) -> tuple[bytes, str, str] | None:
    found = static_file(name)
    if found is None:
        return None
    return found.content, found.media_type, f'"{sha256(found.content).hexdigest()[:32]}"'


def _frame() -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(
        template("service.html", {"entry": f"{STATIC}{_ENTRY}".encode()}), headers=headers, media_type="text/html"
    )
