"""Who may ask: pages of this server, on this machine, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from duologue import web

_PORT = re.compile(r":[0-9]*$")
_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS = {
    "Content-Security-Policy": web.POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def refusal(headers: Mapping[str, str], method: str) -> str | None:
    """Why a request is refused; None if it is not.

    A name that leads here by a trick (DNS rebinding) is not one of this machine's, and a page of another site says
    where it comes from.
    """
    host = headers.get("host", "").lower()
    name = _PORT.sub("", host)
    if name not in _NAMES:
        return f"asked as {name[:100]!r}; this server answers to localhost and 127.0.0.1 only"
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in {f"http://{host}", f"https://{host}"}:
        return "a page of another origin has asked"
    site = headers.get("sec-fetch-site")
    fetched = headers.get("sec-fetch-mode") != "navigate"
    if site not in {None, "same-origin", "none"} and (fetched or method != "GET"):
        return "a page of another site has asked"
    if method not in {"GET", "HEAD"} and origin is None and site != "same-origin":
        return "changes are taken from the pages of this server only"
    return None


class LocalOnly:
    """Refuses requests of others, and says of every answer what a browser may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = refusal(Headers(scope=scope), scope["method"])
        if problem is not None:
            await JSONResponse({"detail": problem}, status_code=403)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)
