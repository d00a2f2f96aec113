"""Sends requests, sends them again where that is safe, follows streams of events, and reads pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar, cast

from duologue.client._events import ServiceEvent, event_of
from duologue.client._request import Request, answer_of, error_of, may_pass
from duologue.client._settings import ClientSettings
from duologue.context import Context
from duologue.errors import ServiceError, ServiceUnavailableError
from duologue.frozen import changed
from duologue.http import (
    HttpClients,
    HttpError,
    HttpRequest,
    HttpResponse,
    ResponseRefusedError,
    ResponseTooLargeError,
    retry_after,
)

T = TypeVar("T")
Item_co = TypeVar("Item_co", covariant=True)

_EXCERPT = 64 * 1024
"""Bytes of an error that are read."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
"""Seconds between two attempts."""
_LONGEST_WAIT = 60.0
"""Seconds that a service may ask to wait before a request is sent again; for longer, its error is raised."""
_MAX_STREAM_BYTES = 64 * 1024 * 1024
"""Of one connection; then the stream is continued on the next."""
_EVENTS = "text/event-stream"
_JSON = "application/json"


class AsyncSender:
    """Sends requests of one client.

    Args:
        settings: where to, with which token.
        context: time and randomness.
    """

    def __init__(self, settings: ClientSettings, context: Context) -> None:
        self.settings = settings
        self._context = context
        self._clients = HttpClients()

    async def close(self) -> None:
        """Close the connections of this event loop."""
        await self._clients.aclose()

    async def send(self, request: Request, wanted: Any, settings: ClientSettings) -> Any:
        """Send a request and read its answer.

        Raises:
            ServiceError: there is none, or it is an error.
        """
        headers = self._headers(request, settings)
        attempt = 0
        while True:
            try:
                return await self._exchange(request, headers, wanted, settings)
            except ServiceError as error:
                attempt += 1
                if attempt > settings.retries or not request.can_repeat or not may_pass(error):
                    raise
                if (error.retry_after or 0.0) > _LONGEST_WAIT:
                    raise
                await self._pause(attempt, error.retry_after)

    async def _exchange(
        self, request: Request, headers: Mapping[str, str], wanted: Any, settings: ClientSettings
    ) -> Any:
        http = self._http(request, {"Accept": _JSON if wanted is not bytes else "*/*", **headers}, settings)
        try:
            async with self._clients.send(http) as response:
                if not response.ok:
                    raise await self._error(response)
                data = await response.read()
        except HttpError as error:
            raise _unreachable(error, settings) from error
        return answer_of(data, response.media_type, wanted, response.headers.get("etag"))

    def _http(
        self, request: Request, headers: Mapping[str, str], settings: ClientSettings, *, streams: bool = False
    ) -> HttpRequest:
        body = request.body
        raw = isinstance(body, bytes) and request.media_type != _JSON
        return HttpRequest(
            url=settings.url + request.address(settings.project),
            method=request.method,
            headers={**headers, **({"Content-Type": request.media_type} if raw else {})},
            json=None if raw else body,
            content=cast("bytes", body) if raw else None,
            timeout=None if streams else settings.timeout,
            idle=settings.idle_timeout if streams else None,
            max_bytes=_MAX_STREAM_BYTES if streams else settings.max_bytes,
        )

    def _headers(self, request: Request, settings: ClientSettings) -> dict[str, str]:
        headers = {name: str(value) for name, value in request.headers.items() if value is not None}
        if settings.token:
            headers["Authorization"] = f"Bearer {settings.token}"
        if request.keyed:
            headers["Idempotency-Key"] = request.key or self._context.ids.new("key")
        return headers

    async def _error(self, response: HttpResponse) -> ServiceError:
        wait = retry_after(response.headers, self._context.clock.now())
        return error_of(response.status, await response.excerpt(_EXCERPT), wait)

    async def _pause(self, attempt: int, wait: float | None) -> None:
        """Wait before the next attempt: what the service asks for, else longer each time, and not with all others."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
        spread = self._context.random("pause", attempt, self._context.ids.new("pause")).uniform(0.5, 1.0)
        await self._context.clock.sleep(longest * spread if wait is None else wait)

    # Streams

    async def follow(
        self, request: Request, last_event_id: str | None, settings: ClientSettings
    ) -> AsyncGenerator[ServiceEvent]:
        """The events of a stream, each once, over as many connections as that takes.

        The stream is over when a connection has ended in good order and brought nothing new: one that a server closed
        because it stops is continued by the next server.

        Raises:
            ServiceError: the stream cannot be read, or could not be continued.
        """
        failed, wait = 0, None
        while True:
            brought = False
            try:
                async with aclosing(self._connection(request, last_event_id, settings)) as events:
                    async for event, retry in events:
                        wait = retry if retry is not None else wait
                        if event is None:
                            continue
                        last_event_id = event.id or last_event_id
                        failed, brought = 0, True
                        yield event
            except ServiceError as error:
                failed += 1
                if failed > settings.retries or not may_pass(error) or (error.retry_after or 0.0) > _LONGEST_WAIT:
                    raise
                await self._pause(failed, error.retry_after or wait)
                continue
            if not brought:
                return
            if wait is not None:
                await self._context.clock.sleep(min(wait, _LONGEST_PAUSE))

    async def _connection(
        self, request: Request, last_event_id: str | None, settings: ClientSettings
    ) -> AsyncGenerator[tuple[ServiceEvent | None, float | None]]:
        headers = {"Accept": _EVENTS, **self._headers(request, settings)}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        http = self._http(request, headers, settings, streams=True)
        brought = False
        try:
            async with self._clients.send(http) as response:
                if not response.ok:
                    raise await self._error(response)
                if response.status == 204:
                    return
                if not response.streams_events:
                    raise ServiceError(
                        f"expected a stream of events, got {response.media_type or 'no media type'}",
                        status=response.status,
                        code="unreadable_answer",
                    )
                async for event in response.whole_events():
                    brought = brought or bool(event.data)
                    yield (event_of(event) if event.data else None), event.retry
        except HttpError as error:
            if isinstance(error, ResponseTooLargeError) and brought:
                return  # enough for one connection
            raise _unreachable(error, settings) from error


def _unreachable(error: HttpError, settings: ClientSettings) -> ServiceError:
    kind = ServiceError if isinstance(error, ResponseRefusedError) else ServiceUnavailableError
    return kind(f"the service at {settings.shown_url} did not answer as it should: {error}", code="no_answer")


class AsyncCaller:
    """What the methods of an asynchronous client are made with."""

    def __init__(self, sender: AsyncSender, settings: ClientSettings) -> None:
        self._sender = sender
        self._settings = settings

    async def _send(self, request: Request, wanted: Any) -> Any:
        return await self._sender.send(request, wanted, self._settings)

    def _events(self, request: Request, last_event_id: str | None) -> AsyncGenerator[ServiceEvent]:
        return self._sender.follow(request, last_event_id, self._settings)


class PageAnswer(Protocol[Item_co]):
    """A part of a list."""

    @property
    def data(self) -> Sequence[Item_co]:
        """The items."""
        ...

    @property
    def next(self) -> str | None:
        """Where the next page begins; None for the last."""
        ...


class AsyncPages(AsyncIterator[T], Generic[T]):
    """A list that is read page by page, as it is iterated over."""

    def __init__(self, caller: AsyncCaller, request: Request, page: type[PageAnswer[T]], cursor: str) -> None:
        self._caller = caller
        self._request = request
        self._page = page
        self._cursor = cursor
        self._items: AsyncGenerator[T] | None = None

    async def page(self, cursor: str | None = None) -> PageAnswer[T]:
        """One page.

        Args:
            cursor: ``next`` of the page before; None for the first.
        """
        request = self._request
        if cursor is not None:
            request = changed(request, query={**request.query, self._cursor: cursor})
        return cast("PageAnswer[T]", await self._caller._send(request, self._page))  # pyright: ignore[reportPrivateUsage]

    async def all(self) -> list[T]:
        """Everything."""
        return [item async for item in self._each()]

    def __aiter__(self) -> AsyncIterator[T]:
        return self._each()

    async def __anext__(self) -> T:
        if self._items is None:
            self._items = self._each()
        return await anext(self._items)

    async def _each(self) -> AsyncGenerator[T]:
        cursor: str | None = None
        while True:
            page = await self.page(cursor)
            for item in page.data:
                yield item
            if page.next is None or page.next == cursor:
                return
            cursor = page.next
