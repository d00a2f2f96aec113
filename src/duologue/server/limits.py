"""What surrounds every request: its id, the size of its body, who may ask from where, and headers that protect pages.

One layer of plain ASGI, because each layer is paid by each request.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from duologue.config.access import Access, using
from duologue.context import RandomIds
from duologue.server.origins import SAFE_METHODS, host_name, is_loopback, is_own_origin
from duologue.server.problems import internal_error, problem_response
from duologue.server.settings import ServerSettings
from duologue.server.state import ServerState

logger = logging.getLogger("duologue.server")

SECURITY_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "  # noqa: ISC004
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cache-control", "private, no-cache"),  # what a project holds; whatever may be kept says so
)
_NO_CODE = Access(own_code=False)
"""What is defined may name code; it is not loaded to be looked at here."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestGuard:
    """The layer around the application.

    Args:
        app: the application, whose state is open.
        settings: how the service is run.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._max_body = settings.max_body
        self._door = OpenDoor(settings.hosts)
        self._ids = RandomIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._ids.new("req")
        scope["duologue.request_id"] = request_id
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                sent = MutableHeaders(scope=message)
                sent["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS:
                    sent.setdefault(name, value)
            await send(message)

        refused = self._refused(scope, headers, request_id)
        if refused is not None:
            await refused(scope, receive, sending)
            return
        try:
            with using(_NO_CODE):
                await self._app(scope, self._bounded(receive), sending)
        except ClientDisconnect:  # nobody waits for an answer
            logger.info("request %s: its sender has gone before all of it was sent", request_id)
        except Exception as error:
            if begun:
                raise
            await internal_error(error, request_id)(scope, receive, sending)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, which browsers open for pages of any origin: only those of this service may."""
        headers = Headers(scope=scope)
        request_id = scope["duologue.request_id"] = self._ids.new("req")
        shared: ServerState = scope["app"].state.shared
        problem = None if shared.token_required else self._door.problem("POST", headers)
        origin = headers.get("origin")
        if problem is None and origin is not None and not is_own_origin(origin, headers.get("host", "")):
            problem = 403, "wrong_origin", "a page of another origin may not open a WebSocket of this service"
        if problem is not None:
            status, code, detail = problem
            await problem_response(status, code, detail, request_id=request_id)(scope, receive, send)
            return
        with using(_NO_CODE):
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope, headers: Headers, request_id: str) -> Response | None:
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            closing = {"Connection": "close"}
            return problem_response(413, "too_large", self._too_large, headers=closing, request_id=request_id)
        shared: ServerState = scope["app"].state.shared
        if shared.token_required or (problem := self._door.problem(scope["method"], headers)) is None:
            return None
        status, code, detail = problem
        return problem_response(status, code, detail, request_id=request_id)

    @property
    def _too_large(self) -> str:
        return f"the body is larger than {self._max_body:,} bytes"

    def _bounded(self, receive: Receive) -> Receive:
        """The body, as far as it may go."""
        left = self._max_body

        async def receiving() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise HTTPException(413, self._too_large, headers={"Connection": "close"})
            return message

        return receiving


class OpenDoor:
    """Who may ask a service that requires no token: people on this machine, and no web page that they visit.

    Args:
        hosts: names of the service, beside those of the loopback interface.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = {host.lower() for host in hosts}

    def problem(self, method: str, headers: Headers) -> tuple[int, str, str] | None:
        """Why a request is refused: status, code and detail; None if it is not."""
        host = headers.get("host", "")
        if not self.is_own(host):
            told = f"without tokens the service answers as localhost only, and not as {host[:100]!r}"
            return 421, "wrong_host", told
        origin = headers.get("origin")
        if origin is not None and not is_own_origin(origin, host):
            return 403, "wrong_origin", "without tokens the service answers no page of another origin"
        site = headers.get("sec-fetch-site")
        if site not in {None, "same-origin", "none"} and method not in SAFE_METHODS:
            return 403, "wrong_origin", "without tokens the service answers no page of another origin"
        return None

    def is_own(self, host: str) -> bool:
        """Whether a host, with or without a port, is a name of this service."""
        name = host_name(host)
        return name in self._hosts or is_loopback(name)
