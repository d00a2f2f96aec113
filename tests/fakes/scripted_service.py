"""A server on loopback that answers each request as it was told to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedService:
    url: str = ""
    script: list[Behaviour] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when a client has left a stream before its end."""

    def answers(self, *behaviours: Behaviour) -> None:
        """One for each request to come; the last one also for all that follow."""
        self.script[:] = behaviours


def gives(value: Any, status: int = 200, **headers: str) -> Behaviour:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        handler.send_response(status)
        more = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        for name, text in more.items():
            handler.send_header(name, text)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def problem(status: int, code: str, detail: str = "no", problems: Any = (), **headers: str) -> Behaviour:
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "code": code}
    return gives({**body, "problems": list(problems)}, status, content_type="application/problem+json", **headers)


def breaks(handler: BaseHTTPRequestHandler) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True


def streams(*pieces: str, ends: str = "well") -> Behaviour:
    """Server-sent events. ``ends``: ``well``, ``broken`` within the answer, or ``silent`` until the client leaves."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            data = piece.encode()
            handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        handler.wfile.flush()
        if ends == "silent":
            handler.connection.settimeout(60)
            if handler.connection.recv(1) == b"":
                service_of(handler).gone.set()
        if ends == "well":
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True

    return answer


def event(id_: str, type_: str, data: Mapping[str, Any]) -> str:
    return f"id: {id_}\nevent: {type_}\ndata: {json.dumps(data)}\n\n"


def service_of(handler: BaseHTTPRequestHandler) -> ScriptedService:
    return handler.server.service  # type: ignore[attr-defined]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def answer(self) -> None:
        service = service_of(self)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): text for name, text in self.headers.items()}
        service.asked.append(Asked(self.command, self.path, headers, body))
        behaviour = service.script.pop(0) if len(service.script) > 1 else service.script[0]
        behaviour(self)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def scripted_service() -> Generator[ScriptedService]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        service = ScriptedService(url=f"http://127.0.0.1:{server.server_port}")
        server.service = service  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
