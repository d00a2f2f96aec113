"""What a response may cost: bytes as they arrive, bytes once unpacked, headers, server-sent events and time.

Every answer from outside passes through :class:`BoundedBody`, also where somebody else's SDK does the reading:
:func:`bound` makes a client of httpx (or of httpx2, which some SDKs use) read all its responses that way. One layer of
gzip or deflate is unpacked, piece by piece; anything else is refused, because decoders in a chain let five kilobytes
become gigabytes before anybody can count them.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import aclosing
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

from duologue.frozen import frozen
from duologue.http._addresses import ForbiddenAddressError, pinned
from duologue.http._errors import BrokenResponseError, HttpError, ResponseRefusedError, ResponseTooLargeError

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Bytes of a body that are read unless the request says otherwise."""
MAX_HEADERS = 256
"""Headers that a response may have."""
MAX_HEADER_BYTES = 64 * 1024
"""Bytes of all headers of a response."""
_PIECE = 64 * 1024
"""Bytes that are unpacked at a time."""
_PACKED = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""Content codings that are read, with zlib's window bits. Some servers leave out the header of "deflate"."""
_LIMITS = "duologue_limits"
_EVENT_STREAM = "text/event-stream"
_BLANK_LINES = (b"\n\n", b"\r\r", b"\r\n\r\n")


@frozen
class Limits:
    """What one response may cost.

    Attributes:
        max_bytes: of the body, as it arrives and once it is unpacked.
        max_stream_bytes: the same for a stream of server-sent events; None for ``max_bytes``.
        max_event_bytes: of one server-sent event; None for ``max_bytes``.
        max_lines: of a stream of server-sent events.
        max_values: values of JSON in a body or in one event, counted by the commas and brackets between them; None for
            bodies that are no text.
        seconds: from sending the request to the last byte; None for no limit.
    """

    max_bytes: int = MAX_BODY_BYTES
    max_stream_bytes: int | None = None
    max_event_bytes: int | None = None
    max_lines: int = 300_000
    max_values: int | None = 500_000
    seconds: float | None = None

    @property
    def extensions(self) -> dict[str, Any]:
        """Extensions that make one request keep to these limits, whatever those of its client are."""
        return {_LIMITS: self}


class _Headers(Protocol):
    def get(self, key: str, default: str) -> str: ...
    def get_list(self, key: str, split_commas: bool = False) -> list[str]: ...


class BoundedBody:
    """Takes a body as it arrives and gives it unpacked, in pieces, as long as it keeps to its limits."""

    def __init__(self, headers: _Headers, limits: Limits) -> None:
        self._refused = _refused(headers)
        self._unpacker = None if self._refused else _unpacker(headers)
        events = headers.get("content-type", "").partition(";")[0].strip().casefold() == _EVENT_STREAM
        self._most = (limits.max_stream_bytes if events else None) or limits.max_bytes
        self._event = _EventSize(limits) if events else None
        self._most_values = limits.max_values
        self._values = 0
        self._arrived = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next pieces.

        Raises:
            BrokenResponseError: it is packed in a way that is not read, or it is too large.
        """
        if self._refused:
            raise ResponseRefusedError(self._refused)
        self._arrived += len(data)
        self._check(self._arrived)
        for piece in self._unpacker.feed(data) if self._unpacker else [data]:
            self._given += len(piece)
            self._check(self._given)
            if self._event and self._event.ends_in(piece):
                self._values = 0
            self._values += _values_in(piece)
            if self._most_values is not None and self._values > self._most_values:
                raise ResponseRefusedError(f"the answer has more than {self._most_values} values")
            yield piece

    def end(self) -> None:
        """Nothing more comes. Raises BrokenResponseError if something is missing."""
        if self._unpacker and not self._unpacker.complete:
            raise BrokenResponseError("the answer broke off: its compressed body has no end")

    def _check(self, size: int) -> None:
        if size > self._most:
            raise ResponseTooLargeError(f"the answer is longer than {self._most} bytes")


class _Unpacker:
    """One layer of gzip or deflate."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._ways = list(_PACKED[coding])
        self._member = zlib.decompressobj(self._ways.pop(0))
        self._begun = False

    @property
    def complete(self) -> bool:
        """Whether the packed data has come to its end, or none has come at all."""
        return self._member.eof or not self._begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        more = False
        while data or more:
            if self._member.eof:  # RFC 1952 §2.2: a file may have several members
                self._member = zlib.decompressobj(_PACKED[self._coding][0])
            piece = self._unpack(data)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            more = len(piece) == _PIECE and not self._member.eof
            if piece:
                yield piece

    def _unpack(self, data: bytes) -> bytes:
        try:
            piece = self._member.decompress(data, _PIECE)
        except zlib.error as error:
            if self._begun or not self._ways:
                raise ResponseRefusedError(
                    f"the answer is not packed with {self._coding}, as its Content-Encoding says: {error}"
                ) from error
            self._member = zlib.decompressobj(self._ways.pop(0))
            return self._unpack(data)
        self._begun = True
        return piece


class _EventSize:
    """Counts the lines, and what has come since the last blank one."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_event_bytes or limits.max_bytes
        self._most_lines = limits.max_lines
        self._lines = 0
        self._size = 0
        self._tail = b""

    def ends_in(self, piece: bytes) -> bool:
        """Count a piece; whether an event ends in it."""
        self._lines += max(piece.count(b"\n"), piece.count(b"\r"))
        if self._lines > self._most_lines:
            raise ResponseRefusedError(f"the stream of the answer has more than {self._most_lines} lines")
        seen = self._tail + piece
        end = max(seen.rfind(blank) + len(blank) if blank in seen else -1 for blank in _BLANK_LINES)
        self._size = self._size + len(piece) if end < 0 else len(seen) - end
        self._tail = seen[-3:]
        if self._size > self._most:
            raise ResponseRefusedError(f"an event of the answer is longer than {self._most} bytes")
        return end >= 0


def _values_in(piece: bytes) -> int:
    return piece.count(b",") + piece.count(b"[") + piece.count(b"{")


def _codings(headers: _Headers) -> list[str]:
    written = headers.get_list("content-encoding", split_commas=True)
    return [coding for one in written if (coding := one.strip().casefold()) not in {"", "identity"}]


def _refused(headers: _Headers) -> str | None:
    """Why the body is not read at all."""
    codings = _codings(headers)
    if len(codings) > 1 or (codings and codings[0] not in _PACKED):
        shown = ", ".join(codings)[:100]
        return f"the answer has the Content-Encoding '{shown}'; expected none, or gzip or deflate once"
    return None


def _unpacker(headers: _Headers) -> _Unpacker | None:
    codings = _codings(headers)
    return _Unpacker(codings[0]) if codings else None


# Clients

Client = TypeVar("Client")


def bound(client: Client, limits: Limits) -> Client:
    """Make a client of httpx or httpx2 keep to the limits, in every response that it reads.

    Args:
        client: synchronous or asynchronous. It is changed: its transports, those of proxies included, are wrapped.
        limits: of each response. A request whose extensions hold others keeps to those.

    Returns:
        the same client.
    """
    library = next(sys.modules[base.__module__.partition(".")[0]] for base in type(client).__mro__ if _is_client(base))
    kind = _async_transport(library) if hasattr(client, "__aenter__") else _sync_transport(library)
    inner = cast("Any", client)  # nothing public leads to the transports that the environment's proxies need
    inner._transport = kind(inner._transport, limits)
    inner._mounts = {
        pattern: None if transport is None else kind(transport, limits) for pattern, transport in inner._mounts.items()
    }
    inner.headers["Accept-Encoding"] = "gzip, deflate"
    return client


def _is_client(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in {"httpx", "httpx2"} and kind.__name__ in {"Client", "AsyncClient"}


def failure_in(error: BaseException | None) -> HttpError | None:
    """The limit that a response broke, in whatever an SDK made of it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, HttpError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _admit(response: Any, limits: Limits) -> BoundedBody:
    """Check the head of a response, and prepare the reading of its body: whoever reads it finds it unpacked."""
    size = sum(len(name) + len(value) for name, value in response.headers.raw)
    if len(response.headers.raw) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise ResponseRefusedError(
            f"the answer has {len(response.headers.raw)} headers of {size} bytes in all; "
            f"at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes are read"
        )
    body = BoundedBody(response.headers, limits)
    if "content-encoding" in response.headers:
        del response.headers["content-encoding"]
        response.headers.pop("content-length", None)
    return body


def _limits_for(request: Any, usual: Limits) -> Limits:
    return request.extensions.get(_LIMITS, usual)


@lru_cache
def _async_body(library: Any) -> Any:
    class Body(library.AsyncByteStream):
        def __init__(self, stream: Any, body: BoundedBody, limits: Limits, deadline: float | None) -> None:
            self.stream = stream
            self.body = body
            self.limits = limits
            self.deadline = deadline

        async def __aiter__(self) -> AsyncGenerator[bytes]:
            async with aclosing(_pieces(self.stream)) as chunks:
                try:
                    while (chunk := await self.next(chunks)) is not None:
                        for piece in self.body.feed(chunk):
                            yield piece
                    self.body.end()
                except HttpError as error:
                    raise library.RemoteProtocolError(str(error)) from error

        async def next(self, chunks: AsyncGenerator[bytes]) -> bytes | None:
            try:
                async with asyncio.timeout_at(self.deadline):
                    return await anext(chunks, None)
            except TimeoutError as error:
                raise _too_late(library, self.limits) from error

        async def aclose(self) -> None:
            await self.stream.aclose()

    return Body


@lru_cache
def _async_transport(library: Any) -> Any:
    make_body = _async_body(library)

    class Transport(library.AsyncBaseTransport):
        def __init__(self, inner: Any, limits: Limits) -> None:
            self.inner = inner
            self.limits = limits

        async def handle_async_request(self, request: Any) -> Any:
            limits = _limits_for(request, self.limits)
            deadline = None if limits.seconds is None else asyncio.get_running_loop().time() + limits.seconds
            try:
                async with asyncio.timeout_at(deadline):
                    response = await self.inner.handle_async_request(await pinned(request, library))
            except TimeoutError as error:
                raise _too_late(library, limits) from error
            except (ForbiddenAddressError, socket.gaierror) as error:
                raise library.ConnectError(str(error)) from error
            try:
                response.stream = make_body(response.stream, _admit(response, limits), limits, deadline)
            except HttpError as error:
                await response.aclose()
                raise library.RemoteProtocolError(str(error)) from error
            return response

        async def __aenter__(self) -> Any:
            await self.inner.__aenter__()
            return self

        async def __aexit__(self, *failure: Any) -> None:
            await self.inner.__aexit__(*failure)

        async def aclose(self) -> None:
            await self.inner.aclose()

    return Transport


@lru_cache
def _sync_body(library: Any) -> Any:
    class Body(library.SyncByteStream):
        def __init__(self, stream: Any, body: BoundedBody, alarm: _Alarm) -> None:
            self.stream = stream
            self.body = body
            self.alarm = alarm

        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self.stream:
                    yield from self.body.feed(chunk)
                self.body.end()
            except HttpError as error:
                raise library.RemoteProtocolError(str(error)) from error
            except library.TransportError as error:
                raise self.alarm.reason(library) or error from error

        def close(self) -> None:
            self.alarm.off()
            self.stream.close()

    return Body


@lru_cache
def _sync_transport(library: Any) -> Any:
    make_body = _sync_body(library)

    class Transport(library.BaseTransport):
        def __init__(self, inner: Any, limits: Limits) -> None:
            self.inner = inner
            self.limits = limits

        def handle_request(self, request: Any) -> Any:
            limits = _limits_for(request, self.limits)
            alarm = _Alarm(self.inner, limits)
            try:
                response = self.inner.handle_request(request)
            except library.TransportError as error:
                alarm.off()
                raise alarm.reason(library) or error from error
            try:
                response.stream = make_body(response.stream, _admit(response, limits), alarm)
            except HttpError as error:
                alarm.off()
                response.close()
                raise library.RemoteProtocolError(str(error)) from error
            return response

        def __enter__(self) -> Any:
            self.inner.__enter__()
            return self

        def __exit__(self, *failure: Any) -> None:
            self.inner.__exit__(*failure)

        def close(self) -> None:
            self.inner.close()

    return Transport


class _Alarm:
    """Closes the connections of a synchronous transport when the time is over: nothing else ends a slow answer."""

    def __init__(self, transport: Any, limits: Limits) -> None:
        self._limits = limits
        self._rang = False
        self._transport = transport
        self._timer: threading.Timer | None = None
        if limits.seconds is not None:
            self._timer = threading.Timer(limits.seconds, self._ring)
            self._timer.daemon = True
            self._timer.start()

    def off(self) -> None:
        """The answer is there, or has failed."""
        if self._timer:
            self._timer.cancel()

    def reason(self, library: ModuleType) -> Exception | None:
        """Why the connection was closed, if this closed it."""
        return _too_late(library, self._limits) if self._rang else None

    def _ring(self) -> None:
        self._rang = True
        self._transport.close()


async def _pieces(stream: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The pieces of a stream whose iterator need not be a generator."""
    async for piece in stream:
        yield piece


def _too_late(library: ModuleType, limits: Limits) -> Exception:
    return library.ReadTimeout(f"no full answer within {limits.seconds:g} s")
