"""A small server for platforms that call back: HTTP requests and WebSockets on one port.

The library ``websockets`` serves the WebSockets, with its limits; it refuses requests with a body, so that those are
read by ``h11``, which HTTP clients bring along. That is lighter than a web framework, and needs no further package.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import h11

from duologue.errors import MissingExtraError
from duologue.frozen import frozen

try:
    from websockets.asyncio.server import ServerConnection, serve

    from duologue.voice.adapters.bounded_connection import BoundedConnection
except ImportError as missing:
    raise MissingExtraError("Voice agents on the telephone", "voice", "websockets") from missing

from duologue.voice.adapters.sockets import socket_logger

if TYPE_CHECKING:
    from websockets.asyncio.server import Server
    from websockets.http11 import Request, Response

_MOST_HEAD = 16_384
"""Bytes of the head of a request."""
_MOST_BODY = 65_536
_OPEN_TIMEOUT = 10.0
"""Seconds until a request must have come, or a WebSocket be open."""
_MOST_CONNECTIONS = 64
"""At once, requests and WebSockets: a platform opens a few. Others are cut at once."""
_CLOSE_TIMEOUT = 1.0
_KEEP_ALIVE = 20.0
_MOST_BYTES = 2**20
_MOST_WAITING = 4


@frozen
class WebhookRequest:
    """A request that is no WebSocket.

    Attributes:
        target: path and query.
        headers: their names in lower case.
        form: fields of the body, in order.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    form: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]


@frozen
class WebhookResponse:
    """What it is answered."""

    status: int = 200
    body: str = ""
    media_type: str = "text/plain"


OnRequest = Callable[[WebhookRequest], Awaitable[WebhookResponse]]
OnSocket = Callable[[ServerConnection], Awaitable[None]]


class SocketServer:
    """Listens until it is closed.

    Args:
        host, port: where; port 0 for any that is free.
        socket_path: of WebSockets; others are refused.
        on_request: answers a request.
        on_socket: talks over a WebSocket, which is closed when it returns.
    """

    def __init__(self, host: str, port: int, *, socket_path: str, on_request: OnRequest, on_socket: OnSocket) -> None:
        self._host, self._port, self._path = host, port, socket_path
        self._on_request, self._on_socket = on_request, on_socket
        self._server: Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            return self._port
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        on_request = self._on_request

        def made(*args: Any, **options: Any) -> _Connection:
            return _Connection(*args, on_request=on_request, others=self._connections, **options)

        self._server = await serve(
            self._on_socket,
            self._host,
            self._port,
            create_connection=made,  # pyright: ignore[reportArgumentType] - called as the class is
            process_request=self._check_path,
            compression=None,
            open_timeout=_OPEN_TIMEOUT,
            ping_interval=_KEEP_ALIVE,
            ping_timeout=None,
            close_timeout=_CLOSE_TIMEOUT,
            max_size=_MOST_BYTES,
            max_queue=_MOST_WAITING,
            logger=socket_logger(),
        )

    async def close(self) -> None:
        """Close all connections, and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()

    def _check_path(self, connection: ServerConnection, request: Request) -> Response | None:
        return None if request.path.partition("?")[0] == self._path else connection.respond(404, "Not found\n")


class _Connection(BoundedConnection, ServerConnection):
    """A connection that may turn out to be a plain request."""

    def __init__(self, *args: Any, on_request: OnRequest, others: set[_Connection], **options: Any) -> None:
        super().__init__(*args, **options)
        self._others = others
        self._on_request = on_request
        self._head: bytearray | None = bytearray()
        self._http: h11.Connection | None = None
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._others) >= _MOST_CONNECTIONS:
            self.transport.abort()
        else:
            self._others.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._others.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._feed(data)
        elif self._head is None:
            super().data_received(data)
        else:
            self._head += data
            head, ended, _ = bytes(self._head).partition(b"\r\n\r\n")
            if not ended and len(self._head) <= _MOST_HEAD:
                return
            begun, self._head = bytes(self._head), None
            if ended and len(head) <= _MOST_HEAD and _opens_a_socket(head):
                super().data_received(begun)
            else:
                self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
                if len(head) > _MOST_HEAD:
                    self._answer(WebhookResponse(status=431, body="Too large\n"))
                else:
                    self._feed(begun)

    def eof_received(self) -> None:
        if self._http is not None:
            return  # the answer may still be on its way
        super().eof_received()

    def _feed(self, data: bytes) -> None:
        assert self._http is not None
        if self._answering is not None or self.transport.is_closing():
            return
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > _MOST_BODY:
                        self._answer(WebhookResponse(status=413, body="Too large\n"))
                        return
                elif isinstance(event, h11.EndOfMessage):
                    self._answering = asyncio.get_running_loop().create_task(self._handle())
                    return
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._answer(WebhookResponse(status=error.error_status_hint, body="Bad request\n"))

    async def _handle(self) -> None:
        assert self._request is not None
        try:
            response = await self._on_request(_as_webhook(self._request, bytes(self._body)))
        except Exception:
            logging.getLogger("duologue.voice").exception("a webhook could not be answered")
            response = WebhookResponse(status=500, body="Error\n")
        self._answer(response)

    def _answer(self, response: WebhookResponse) -> None:
        if self.transport.is_closing():
            return
        body = response.body.encode()
        head = (
            f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Error')}\r\n"
            f"Content-Type: {response.media_type}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
}


def _opens_a_socket(head: bytes) -> bool:
    lines = head.split(b"\r\n")
    return lines[0].startswith(b"GET ") and any(
        name.strip().lower() == b"upgrade" and b"websocket" in value.lower()
        for name, _, value in (line.partition(b":") for line in lines[1:])
    )


def _as_webhook(request: h11.Request, body: bytes) -> WebhookRequest:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
    form = tuple(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500))
    return WebhookRequest(
        method=request.method.decode("latin-1"), target=request.target.decode("latin-1"), headers=headers, form=form
    )
