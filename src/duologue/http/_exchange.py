"""One request and its response: bounded in time and size, whatever the other side does."""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import field
from functools import lru_cache, partial
from math import inf
from typing import TYPE_CHECKING, Any, cast

from duologue.config.patterns import late
from duologue.config.redaction import remember_proxies
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.http._addresses import OWN_SERVER, ForbiddenAddressError, Target, parse_url, public_target
from duologue.http._bounded import MAX_BODY_BYTES, Limits, bound, failure_in
from duologue.http._errors import BrokenResponseError, HttpTimeoutError, NoResponseError
from duologue.http._loops import PerLoop
from duologue.secret_values import hide_in_logs

if TYPE_CHECKING:
    import ssl

    import httpx
    from httpx_sse import EventSource

_KEPT_ALIVE = 100
"""Idle connections that a client keeps."""
_CONNECT_SECONDS = 30.0
"""Seconds that a connection may take: an address where nobody answers is found out before the exchange is over."""
_EVENT_STREAM = "text/event-stream"


@frozen
class HttpRequest:
    """What is sent where.

    Attributes:
        method, url, headers: of the request.
        json: the body, as plain JSON data; None for no body, or for another one.
        content: the body as bytes, in place of ``json``; its type is a header.
        timeout: seconds for the whole exchange, from connecting to the last byte; None for no limit.
        idle: seconds between two pieces of the body; None for no limit.
        max_bytes: size of the response's body, as it arrives and once it is unpacked, that is read at most.
    """

    url: str = field(repr=False)  # it and the headers may hold keys, and pytest shows the arguments of each frame
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    json: object = None
    content: bytes | None = field(default=None, repr=False)
    timeout: float | None = None
    idle: float | None = None
    max_bytes: int = MAX_BODY_BYTES


@frozen(slots=True)
class ServerSentEvent:
    """One event of a stream.

    Attributes:
        id: of the last event that had one, this included; '' before the first.
        type: ``message`` where the stream names none.
        retry: seconds to wait before connecting again; None where the event does not say.
    """

    id: str
    type: str
    data: str
    retry: float | None = None


class HttpResponse:
    """A response whose body has not been read yet."""

    def __init__(self, response: httpx.Response, body: _Body) -> None:
        self._response = response
        self._body = body

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status_code

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return self._response.is_success

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; their names are found in any case."""
        return self._response.headers

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().casefold()

    @property
    def streams_events(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return self.media_type == _EVENT_STREAM

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            BrokenResponseError, HttpTimeoutError: it did not come, or is too large.
        """
        data = bytearray()
        async for chunk in self._body:
            data += chunk
        return bytes(data)

    async def text(self) -> str:
        """The whole body as text, in the charset that it declares, else UTF-8; what is no text is replaced.

        Raises as :meth:`read`.
        """
        return decoded(await self.read(), self.headers.get("content-type", ""))

    async def excerpt(self, size: int) -> str:
        """The beginning of the body, of at least ``size`` bytes if there are so many, for an error that quotes it.

        A body that breaks off or cannot be read ends with the reason.

        Raises:
            HttpTimeoutError: it did not come in time.
        """
        data = bytearray()
        reason = ""
        try:
            async with aclosing(aiter(self._body)) as chunks:
                async for chunk in chunks:
                    data += chunk
                    if len(data) >= size:
                        break
        except BrokenResponseError as error:
            reason = f"({error})"
        return decoded(bytes(data), self.headers.get("content-type", "")) + reason

    async def events(self) -> AsyncGenerator[str]:
        """The data of each server-sent event. Comments and events without data are skipped.

        Raises:
            BrokenResponseError, HttpTimeoutError: the stream did not end, or is too large.
        """
        async with aclosing(_source_of(self._body).aiter_sse()) as events:
            async for event in events:
                if event.data:
                    yield event.data

    async def named_events(self) -> AsyncGenerator[tuple[str, str]]:
        """Name and data of each server-sent event, ``message`` where it has no name; else as :meth:`events`."""
        async with aclosing(_source_of(self._body).aiter_sse()) as events:
            async for event in events:
                if event.data:
                    yield event.event, event.data

    async def whole_events(self) -> AsyncGenerator[ServerSentEvent]:
        """Each server-sent event with its id; else as :meth:`events`. Events without data may bring ``retry``."""
        async with aclosing(_source_of(self._body).aiter_sse()) as events:
            async for event in events:
                retry = None if event.retry is None else event.retry / 1000
                if event.data or retry is not None:
                    yield ServerSentEvent(id=event.id, type=event.event, data=event.data, retry=retry)

    async def pieces(self) -> AsyncGenerator[str]:
        """The body as text, in pieces as they arrive, for streams of words. Raises as :meth:`read`."""
        async for chunk in _decoded(self._body, self.headers.get("content-type", "")):
            yield chunk

    async def lines(self) -> AsyncGenerator[str]:
        """The lines of the body that are not empty, as they arrive, for streams of JSON. Raises as :meth:`read`."""
        begun = list[str]()
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                *ended, rest = piece.split("\n")
                for line in ended:
                    if (whole := "".join((*begun, line)).strip()) != "":
                        yield whole
                    begun.clear()
                begun.append(rest)
        if (whole := "".join(begun).strip()) != "":
            yield whole


class HttpClients:
    """Sends requests: one pool of connections per event loop, closed when the loop shuts down.

    No redirects are followed and no cookies kept.

    Args:
        trust_private: whether a request may go to loopback and private addresses, or through the proxy that the
            environment names. Say False for URLs that come from somebody else.
        use_proxy: whether the proxy that the environment names is used. Say False for servers on this machine.
    """

    def __init__(self, *, trust_private: bool = True, use_proxy: bool = True) -> None:
        self._trust_private = trust_private
        self._own_server = not use_proxy
        self._clients = PerLoop(partial(_new_client, trust_private and use_proxy))

    @asynccontextmanager
    async def send(self, request: HttpRequest) -> AsyncGenerator[HttpResponse]:
        """Send a request and hold its response open for the block.

        Raises:
            ForbiddenAddressError: ``trust_private`` is False, and the host is not on the public internet.
            ConfigurationError: the URL cannot be used.
            NoResponseError, HttpTimeoutError: there is no response.
        """
        loop = asyncio.get_running_loop()
        deadline = None if request.timeout is None else loop.time() + request.timeout
        begins = deadline if request.idle is None else min(deadline or inf, loop.time() + request.idle)
        response = await self._response(request, begins)
        try:
            yield HttpResponse(response, _Body(response, request, deadline))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running event loop. Requests can be sent again."""
        await self._clients.aclose()

    async def _response(self, request: HttpRequest, deadline: float | None) -> httpx.Response:
        import httpx

        client = await self._clients.get()
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                target = await self._target(request.url)
                extensions = OWN_SERVER if self._own_server else {}
                return await client.send(_built(client, request, target, extensions), stream=True)
        except (ForbiddenAddressError, ConfigurationError):
            raise
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TypeError) as error:
            if limit.expired():
                raise _too_late(request) from error
            if failure := failure_in(error):
                raise failure from error
            raise NoResponseError(_described(error)) from error

    async def _target(self, url: str) -> Target:
        parts = parse_url(url, "a URL", credentials=True)
        return Target(url=url) if self._trust_private else await public_target(parts)


def _new_client(trust_environment: bool) -> httpx.AsyncClient:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    if trust_environment:
        remember_proxies()
    hide_in_logs("httpx")  # it logs the URL of each request
    client = httpx.AsyncClient(
        verify=_certificates(trust_environment),
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        trust_env=trust_environment,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE),
    )
    return bound(client, Limits())


@lru_cache
def _certificates(trust_environment: bool) -> ssl.SSLContext:
    """Loaded once: that takes longer than everything else about a client."""
    import httpx

    return httpx.create_ssl_context(trust_env=trust_environment)


class _Body:
    """The body in pieces, unpacked, as long as it keeps to the limits of its request."""

    def __init__(self, response: httpx.Response, request: HttpRequest, deadline: float | None) -> None:
        self._response = response
        self._request = request
        self._deadline = deadline

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        async with aclosing(cast("AsyncGenerator[bytes]", self._response.aiter_raw())) as chunks:
            while (chunk := await self._next(chunks)) is not None:
                yield chunk

    async def _next(self, chunks: AsyncGenerator[bytes]) -> bytes | None:
        import httpx

        limit = asyncio.timeout_at(self._latest())
        try:
            async with limit:
                return await anext(chunks, None)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            if limit.expired():
                raise _too_late(self._request) from error
            if failure := failure_in(error):
                raise failure from error
            raise BrokenResponseError(f"the answer broke off: {_described(error)}") from error

    def _latest(self) -> float | None:
        """When the next piece must be there."""
        if (idle := self._request.idle) is None:
            return self._deadline
        soon = asyncio.get_running_loop().time() + idle
        return soon if self._deadline is None else min(soon, self._deadline)


def _built(client: httpx.AsyncClient, request: HttpRequest, target: Target, more: Mapping[str, Any]) -> httpx.Request:
    import httpx

    # As ASCII: an agent may say half a surrogate pair, which has no UTF-8.
    content = request.content
    if content is None and request.json is not None:
        content = json.dumps(request.json, allow_nan=False).encode()
    headers = httpx.Headers({"Accept-Encoding": "identity", **target.headers})
    if request.json is not None:
        headers["Content-Type"] = "application/json"
    headers.update(request.headers)
    extensions: dict[str, Any] = {**target.extensions, **Limits(max_bytes=request.max_bytes).extensions, **more}
    return client.build_request(request.method, target.url, headers=headers, content=content, extensions=extensions)


def _source_of(body: _Body) -> EventSource:
    import httpx
    from httpx_sse import EventSource

    stream = httpx.Response(200, headers={"content-type": _EVENT_STREAM}, stream=_event_bytes(body))
    return EventSource(stream)


async def _decoded(body: _Body, content_type: str) -> AsyncGenerator[str]:
    decoder = decoder_of(content_type)
    async with aclosing(aiter(body)) as chunks:
        async for chunk in chunks:
            if text := decoder.decode(chunk):
                yield text
    if text := decoder.decode(b"", final=True):
        yield text


def _event_bytes(body: _Body) -> httpx.AsyncByteStream:
    import httpx

    class Events(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            start: bytes | None = b""
            async for chunk in body:
                if start is None:
                    yield chunk
                elif len(start := start + chunk) >= len(BOM_UTF8):
                    yield start.removeprefix(BOM_UTF8)
                    start = None
            if start:
                yield start
            # Servers leave out the empty line after their last event.
            yield b"\n\n"

    return Events()


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _too_late(request: HttpRequest) -> HttpTimeoutError:
    if request.timeout is None:
        return HttpTimeoutError(f"nothing came for {request.idle:g} s")
    return HttpTimeoutError(f"no full answer within {request.timeout:g} s")


# --- text ---------------------------------------------------------------------------------------------------------

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = late(r";\s*charset\s*=\s*[\"']?([\w.:+-]{1,40})", re.IGNORECASE)
_TEXT = late(
    r"ascii|utf-?8|utf-?(16|32)(-?[bl]e)?|iso8859-\d+|cp\d+|koi8-\w|gb(2312|k|18030)|big5\w*|hz|shift_jis\w*|euc_\w+|"
    r"iso2022_\w+|mac[-_]\w+|johab|tis-620|viscii",
    re.IGNORECASE,
)
"""Codecs that read texts of the web. Python knows others, some of which take hours for a short text."""


def decoded(data: bytes, content_type: str = "") -> str:
    """The text: by its byte order mark, else in the declared charset, else as UTF-8. What is no text is replaced.

    Args:
        data: the bytes.
        content_type: as a header has it, such as ``text/plain; charset=iso-8859-1``.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    return data.decode(_charset(content_type), errors="replace")


def decoder_of(content_type: str) -> codecs.IncrementalDecoder:
    """What reads such a text piece by piece."""
    name = _charset(content_type)
    return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)(errors="replace")


def _charset(content_type: str) -> str:
    declared = _CHARSET.search(content_type)
    if declared is None:
        return "utf-8"
    try:
        name = codecs.lookup(declared[1]).name
    except LookupError:
        return "utf-8"
    return name if _TEXT.fullmatch(name) else "utf-8"
