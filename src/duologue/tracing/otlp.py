"""Spans that OpenTelemetry exporters send over HTTP, protobuf or JSON, from anyone. Needs ``opentelemetry-proto``.

The server bounds bodies, spans, connections and time, and has one thread per connection. A request must name this
machine as its ``Host``, so that no web page reaches the server through a name of its own that leads here. Source:
OpenTelemetry protocol specification 1.x, ``ExportTraceServiceRequest``. Its JSON has hexadecimal ids, where protobuf's
own mapping of bytes is base 64.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import ipaddress
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from duologue.context import SystemClock
from duologue.frozen import frozen
from duologue.messages import JsonValue
from duologue.tracing.collector import SpanRecord, cut, plain_attributes

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

Keep = Callable[[list[tuple[int, SpanRecord]]], int]

_CLOCK = SystemClock()
_PATH = "/v1/traces"
_LONGEST_LINE = 1024
_SECOND = 1_000_000_000
_TRACE_ID_BYTES, _SPAN_ID_BYTES = 16, 8
_ERROR = 2
"""``STATUS_CODE_ERROR``."""
_PATIENCE = 1.0
"""Seconds after which an unfinished request gives way when every place is taken."""


@frozen
class OtlpLimits:
    """What the server takes.

    Attributes:
        body: bytes of one request, unpacked.
        spans: of one request.
        connections: at the same time.
        seconds: that a request may take from its first byte to its last, and that a connection may be silent.
        token: that each request shows as ``Authorization: Bearer …``; None to ask for none.
    """

    body: int
    spans: int
    connections: int
    seconds: float
    token: str | None = None


class OtlpServer(ThreadingHTTPServer):
    """Listens from when it is made; threads never hold up the end of the process."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], keep: Keep, limits: OtlpLimits) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.keep, self.limits = keep, limits
        self._places = threading.BoundedSemaphore(limits.connections)
        self._unfinished: dict[socket.socket, float] = {}
        """Connections whose request has not arrived as a whole, by when it began; the oldest first."""
        self._lock = threading.Lock()
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
        if not self._places.acquire(blocking=False) and not self._take_a_place():
            self.shutdown_request(sock)
            return
        self.begin(sock)
        super().process_request(sock, client_address)  # pyright: ignore[reportArgumentType]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # pyright: ignore[reportArgumentType]
        finally:
            self.arrived(cast("socket.socket", request))
            self._places.release()

    def begin(self, sock: socket.socket) -> None:
        """A request begins on that connection."""
        with self._lock:
            self._unfinished.setdefault(sock, _CLOCK.monotonic())

    def arrived(self, sock: socket.socket) -> None:
        """The request has arrived, or will not."""
        with self._lock:
            self._unfinished.pop(sock, None)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke off is no news."""

    def _take_a_place(self) -> bool:
        """The place of the request that has been on its way the longest, so that slow clients hold up nobody."""
        with self._lock:
            sock, began = next(iter(self._unfinished.items()), (None, 0.0))
            if sock is None or _CLOCK.monotonic() - began < _PATIENCE:
                return False
            del self._unfinished[sock]
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return self._places.acquire(timeout=_PATIENCE)


class _Arriving(io.RawIOBase):
    """What comes in over a connection: the whole of a request within some seconds, however it is spread over them."""

    def __init__(self, sock: socket.socket, seconds: float, began: Callable[[], None]) -> None:
        self._sock, self._seconds, self._began = sock, seconds, began
        self._deadline: float | None = None

    def readable(self) -> bool:
        return True

    def next_request(self) -> None:
        """The time runs again from the next byte on."""
        self._deadline = None
        self._sock.settimeout(self._seconds)

    def readinto(self, buffer: Any) -> int:
        first = self._deadline is None
        if self._deadline is not None:
            left = self._deadline - _CLOCK.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        size = self._sock.recv_into(buffer)
        if first:
            self._deadline = _CLOCK.monotonic() + self._seconds
            self._began()
        return size


class _RefusedError(Exception):
    """A request that is answered with a status other than 200."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class PayloadError(ValueError):
    """The body is not an export of spans."""


class TooManySpansError(PayloadError):
    """The body has more spans than are read at once."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "duologue", ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        server, sock = self._server, self.connection
        self._arriving = _Arriving(sock, server.limits.seconds, lambda: server.begin(sock))
        self.rfile.close()
        self.rfile = io.BufferedReader(self._arriving)

    def handle_one_request(self) -> None:
        self._arriving.next_request()
        super().handle_one_request()

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

    @property
    def _server(self) -> OtlpServer:
        return cast("OtlpServer", self.server)

    def _take(self) -> tuple[str, int]:
        limits = self._server.limits
        self._check_sender(limits.token)
        if self.path.partition("?")[0] != _PATH:
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"spans are sent to {_PATH}")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        reader = _READERS.get(kind)
        if reader is None:
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected one of {', '.join(_READERS)}")
        try:
            body = self._body(limits.body)
        except TimeoutError as error:
            late = f"the request did not arrive within {limits.seconds:g} s"
            raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT, late) from error
        self._server.arrived(self.connection)
        body = _unpacked(body, self.headers.get("Content-Encoding", ""), limits.body)
        try:
            spans = reader(body, limits.spans)
        except TooManySpansError as error:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
        except PayloadError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        return kind, self._server.keep(spans)

    def _check_sender(self, token: str | None) -> None:
        hosts: list[str] = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _names_this_machine(hosts[0]):
            found = ", ".join(hosts)[:100] or "none"
            raise _RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"found the Host {found!r}; expected a loopback address such as 127.0.0.1, or localhost",
            )
        shown = self.headers.get("Authorization", "")
        if token is not None and not hmac.compare_digest(shown.encode("utf-8", "replace"), f"Bearer {token}".encode()):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "expected the receiver's token as 'Authorization: Bearer …'")

    def _body(self, limit: int) -> bytes:
        stream = cast("BinaryIO", self.rfile)
        lengths: list[str] = self.headers.get_all("Content-Length", [])
        codings: list[str] = self.headers.get_all("Transfer-Encoding", [])
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            # RFC 9112, section 6.3: where the body ends is not clear.
            raise _RefusedError(
                HTTPStatus.BAD_REQUEST, "expected one Content-Length or one Transfer-Encoding, not both"
            )
        if codings:
            if codings[0].strip().lower() != "chunked":
                raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED, "the only Transfer-Encoding that is read is 'chunked'")
            return _chunked(stream, limit)
        length = lengths[0].strip() if lengths else ""
        if not (length.isascii() and length.isdigit()):
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if len(length) > 15 or int(length) > limit:
            raise _too_large(limit)
        return _exactly(stream, int(length))

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._server.arrived(self.connection)
        self.connection.settimeout(self._server.limits.seconds)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host.strip()}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _accepted(kind: str, rejected: int) -> bytes:
    """The answer of the protocol; it says how many spans were not wanted."""
    if not rejected:
        return b"{}" if kind == "application/json" else b""
    why = "these spans belong to no run that is going on, or there is no room for them"
    if kind == "application/json":
        return json.dumps({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}}).encode()
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=why)
    return ExportTraceServiceResponse(partial_success=partial).SerializeToString()


def _chunked(stream: BinaryIO, limit: int) -> bytes:
    """A body in chunks (RFC 9112, section 7.1)."""
    body = bytearray()
    while size := _chunk_size(stream):
        if len(body) + size > limit:
            raise _too_large(limit)
        body += _exactly(stream, size)
        if stream.readline(_LONGEST_LINE).strip():
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "a chunk is longer than it says")
    while stream.readline(_LONGEST_LINE).strip():
        pass
    return bytes(body)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"the body broke off after {len(data)} of {size} bytes")
    return data


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


def read_protobuf(data: bytes, most: int | None = None) -> list[tuple[int, SpanRecord]]:
    """The spans of a binary request, each with the number of its trace.

    Raises:
        PayloadError: it is none, or has more spans than ``most``.
    """
    try:
        request = ExportTraceServiceRequest.FromString(data)
    except DecodeError as error:
        raise PayloadError(f"the body is no ExportTraceServiceRequest: {error}") from error
    _check_count(sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans), most)
    return list(_spans(request))


def read_json(data: bytes, most: int | None = None) -> list[tuple[int, SpanRecord]]:
    """The spans of a request in JSON, each with the number of its trace.

    Raises:
        PayloadError: it is none, or has more spans than ``most``.
    """
    try:
        found = json.loads(data)
        spans = list(_json_spans(found))
        _check_count(len(spans), most)
        for span in spans:
            for name in ("traceId", "spanId", "parentSpanId"):
                span[name] = _base64(span.get(name, ""))
        return list(_spans(ParseDict(found, ExportTraceServiceRequest(), ignore_unknown_fields=True)))
    except PayloadError:
        raise
    except (ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise PayloadError(f"the body is no ExportTraceServiceRequest in JSON: {error}") from error


def _check_count(count: int, most: int | None) -> None:
    if most is not None and count > most:
        raise TooManySpansError(f"found {count} spans; expected at most {most} in one request")


def _json_spans(request: object) -> Iterator[dict[str, Any]]:
    for resource in _parts(request, "resourceSpans"):
        for scope in _parts(resource, "scopeSpans"):
            yield from _parts(scope, "spans")


def _parts(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        raise PayloadError(f"found a {type(value).__name__} around '{name}'; expected an object")
    parts: object = cast("dict[str, Any]", value).get(name) or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast("list[object]", parts)):
        raise PayloadError(f"'{name}' must be a list of objects")
    return cast("list[dict[str, Any]]", parts)


def _base64(text: object) -> str:
    if not isinstance(text, str):
        raise PayloadError(f"found the id {text!r:.60}; expected hexadecimal digits")
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode()
    except binascii.Error as error:
        raise PayloadError(f"found the id {text!r:.60}; expected hexadecimal digits") from error


def _spans(request: ExportTraceServiceRequest) -> Iterator[tuple[int, SpanRecord]]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != _TRACE_ID_BYTES or len(span.span_id) != _SPAN_ID_BYTES:
                    raise PayloadError("a span has ids of the wrong length; expected 16 bytes of trace and 8 of span")
                yield int.from_bytes(span.trace_id, "big"), _record(span)


def _record(span: Span) -> SpanRecord:
    failed = span.status.code == _ERROR
    return SpanRecord(
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        name=cut(span.name),
        start=span.start_time_unix_nano / _SECOND,
        seconds=max(0, span.end_time_unix_nano - span.start_time_unix_nano) / _SECOND,
        error=cut(span.status.message or "failed") if failed else None,
        attributes=plain_attributes(_mapping(span.attributes)),
    )


def _mapping(pairs: Sequence[KeyValue]) -> Mapping[str, JsonValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> JsonValue:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return dict(_mapping(value.kvlist_value.values))
    if kind == "bytes_value":
        return f"[{len(value.bytes_value)} bytes]"
    return getattr(value, kind)


_READERS = {"application/x-protobuf": read_protobuf, "application/json": read_json}
