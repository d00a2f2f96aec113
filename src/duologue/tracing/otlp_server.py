"""The HTTP side of the receiver: bounded bodies, bounded connections, bounded time; one thread per connection."""

from __future__ import annotations

import json
import socket
import threading
import zlib
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO, cast

from duologue.tracing.otlp import PayloadError, read_json, read_protobuf
from duologue.tracing.records import SpanRecord

Keep = Callable[[list[tuple[int, SpanRecord]]], int]

SECONDS = 10.0
"""That a connection may be silent."""
_PATH = "/v1/traces"
_READERS = {"application/x-protobuf": read_protobuf, "application/json": read_json}
_LONGEST_LINE = 1024


class OtlpServer(ThreadingHTTPServer):
    """Listens from when it is made; threads never hold up the end of the process."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], keep: Keep, max_body: int, max_connections: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.keep, self.max_body = keep, max_body
        self._places = threading.BoundedSemaphore(max_connections)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the look-up of this machine's name that ``HTTPServer`` does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: object, client_address: object) -> None:
        """A thread for the connection, if one is free."""
        sock = cast("socket.socket", request)
        if not self._places.acquire(blocking=False):
            self.shutdown_request(sock)
            return
        super().process_request(sock, client_address)  # pyright: ignore[reportArgumentType]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # pyright: ignore[reportArgumentType]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke off is no news."""


class _RefusedError(Exception):
    """A request that is answered with a status other than 200."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "duologue", ""
    timeout = SECONDS
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        try:
            kind, rejected = self._take()
        except _RefusedError as error:
            # Part of the body may be unread, so that the next request could not be found.
            self.close_connection = True
            self._answer(error.status, "text/plain; charset=utf-8", str(error).encode("utf-8", "replace"))
        else:
            self._answer(HTTPStatus.OK, kind, _accepted(kind, rejected))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is refused is told to who sent it."""

    def _take(self) -> tuple[str, int]:
        if self.path.partition("?")[0] != _PATH:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"spans are sent to {_PATH}")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        reader = _READERS.get(kind)
        if reader is None:
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected one of {', '.join(_READERS)}")
        server = cast("OtlpServer", self.server)
        body = _unpacked(self._body(server.max_body), self.headers.get("Content-Encoding", ""), server.max_body)
        try:
            spans = reader(body)
        except PayloadError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        return kind, server.keep(spans)

    def _body(self, limit: int) -> bytes:
        stream = cast("BinaryIO", self.rfile)
        if self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            return _chunked(stream, limit)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if len(length) > 15 or int(length) > limit:
            raise _too_large(limit)
        return stream.read(int(length))

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _accepted(kind: str, rejected: int) -> bytes:
    """The answer of the protocol; it says how many spans were not wanted."""
    if not rejected:
        return b"{}" if kind == "application/json" else b""
    why = "these spans belong to no run that is going on, or there is no room for them"
    if kind == "application/json":
        return json.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}}).encode()
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTracePartialSuccess,
        ExportTraceServiceResponse,
    )

    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=why)
    return ExportTraceServiceResponse(partial_success=partial).SerializeToString()


def _chunked(stream: BinaryIO, limit: int) -> bytes:
    """A body in chunks (RFC 9112, section 7.1)."""
    body = bytearray()
    while size := _chunk_size(stream):
        if len(body) + size > limit:
            raise _too_large(limit)
        body += stream.read(size)
        if stream.readline(_LONGEST_LINE).strip():
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "a chunk is longer than it says")
    while stream.readline(_LONGEST_LINE).strip():
        pass
    return bytes(body)


def _chunk_size(stream: BinaryIO) -> int:
    line = stream.readline(_LONGEST_LINE).partition(b";")[0].strip()
    digits = line.decode("ascii", "replace")
    if not digits or len(digits) > 15 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "a chunk has no size")
    return int(digits, 16)


def _unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its compression, of which there may be gzip and deflate; never longer than the limit."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected gzip, deflate or no compression")
    unpacking = zlib.decompressobj(wbits=47)
    try:
        plain = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the body is no {encoding}: {error}") from error
    if len(plain) > limit:
        raise _too_large(limit)
    if not unpacking.eof:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the body is {encoding} that breaks off")
    return plain


def _too_large(limit: int) -> _RefusedError:
    return _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {limit} bytes, unpacked")
