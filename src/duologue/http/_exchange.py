"""One request and its response: bounded in time and size, whatever the other side does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import field
from functools import lru_cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, cast

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.http._addresses import ForbiddenAddressError, Target, parse_url, public_target
from duologue.http._loops import PerLoop

if TYPE_CHECKING:
    import ssl

    import httpx

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Bytes of a body that are read unless the request says otherwise."""
_KEPT_ALIVE = 100
"""Idle connections that a client keeps."""
_CONNECT_SECONDS = 30.0
"""Seconds that a connection may take: an address where nobody answers is found out before the exchange is over."""
_EVENT_STREAM = "text/event-stream"


class HttpError(Exception):
    """An exchange that failed. The text says how, without saying where."""


class NoResponseError(HttpError):
    """The request could not be sent, or nothing came back."""


class BrokenResponseError(HttpError):
    """The response began and broke off."""


class ResponseTooLargeError(BrokenResponseError):
    """The body is larger than the request allows."""


class HttpTimeoutError(HttpError):
    """The exchange did not end in time."""


@frozen
class HttpRequest:
    """What is sent where.

    Attributes:
        method, url, headers: of the request.
        json: the body, as plain JSON data; None for no body.
        timeout: seconds for the whole exchange, from connecting to the last byte; None for no limit.
        max_bytes: size of the response's body, decompressed, that is read at most.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    json: object = None
    timeout: float | None = None
    max_bytes: int = MAX_BODY_BYTES


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
        return b"".join([chunk async for chunk in self._body])

    async def text(self) -> str:
        """The whole body as UTF-8 text; what is no UTF-8 is replaced. Raises as :meth:`read`."""
        return (await self.read()).decode(errors="replace")

    async def excerpt(self, size: int) -> str:
        """The beginning of the body, of at least ``size`` bytes if there are so many. Raises as :meth:`read`."""
        data = b""
        async with aclosing(aiter(self._body)) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) >= size:
                    break
        return data.decode(errors="replace")

    async def events(self) -> AsyncGenerator[str]:
        """The data of each server-sent event. Comments and events without data are skipped.

        Raises:
            BrokenResponseError, HttpTimeoutError: the stream did not end, or is too large.
        """
        import httpx
        from httpx_sse import EventSource

        stream = httpx.Response(200, headers={"content-type": _EVENT_STREAM}, stream=_event_bytes(self._body))
        async with aclosing(EventSource(stream).aiter_sse()) as events:
            async for event in events:
                if event.data:
                    yield event.data


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
        response = await self._response(request, deadline)
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
                return await client.send(_built(client, request, target), stream=True)
        except (ForbiddenAddressError, ConfigurationError):
            raise
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, TypeError) as error:
            if limit.expired():
                raise _too_late(request) from error
            raise NoResponseError(_described(error)) from error

    async def _target(self, url: str) -> Target:
        parts = parse_url(url, "a URL", credentials=True)
        return Target(url=url) if self._trust_private else await public_target(parts)


def _new_client(trust_environment: bool) -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(
        verify=_certificates(trust_environment),
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        trust_env=trust_environment,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_ALIVE),
    )


@lru_cache
def _certificates(trust_environment: bool) -> ssl.SSLContext:
    """Loaded once: that takes longer than everything else about a client."""
    import httpx

    return httpx.create_ssl_context(trust_env=trust_environment)


class _Body:
    """The decompressed body in pieces, as long as it keeps to the limits of its request."""

    def __init__(self, response: httpx.Response, request: HttpRequest, deadline: float | None) -> None:
        self._response = response
        self._request = request
        self._deadline = deadline

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        size = 0
        async with aclosing(cast("AsyncGenerator[bytes]", self._response.aiter_bytes())) as chunks:
            while (chunk := await self._next(chunks)) is not None:
                size += len(chunk)
                if size > self._request.max_bytes:
                    raise ResponseTooLargeError(f"the answer is longer than {self._request.max_bytes} bytes")
                yield chunk

    async def _next(self, chunks: AsyncGenerator[bytes]) -> bytes | None:
        import httpx

        limit = asyncio.timeout_at(self._deadline)
        try:
            async with limit:
                return await anext(chunks, None)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            if limit.expired():
                raise _too_late(self._request) from error
            raise BrokenResponseError(f"the answer broke off: {_described(error)}") from error


def _built(client: httpx.AsyncClient, request: HttpRequest, target: Target) -> httpx.Request:
    import httpx

    # As ASCII: an agent may say half a surrogate pair, which has no UTF-8.
    content = None if request.json is None else json.dumps(request.json, allow_nan=False).encode()
    headers = httpx.Headers({"Accept-Encoding": "identity", **target.headers})
    if content is not None:
        headers["Content-Type"] = "application/json"
    headers.update(request.headers)
    extensions: dict[str, Any] = dict(target.extensions)
    return client.build_request(request.method, target.url, headers=headers, content=content, extensions=extensions)


def _event_bytes(body: _Body) -> httpx.AsyncByteStream:
    import httpx

    class Events(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for chunk in body:
                yield chunk
            # Servers leave out the empty line after their last event.
            yield b"\n\n"

    return Events()


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _too_late(request: HttpRequest) -> HttpTimeoutError:
    return HttpTimeoutError(f"no full answer within {request.timeout:g} s")
