"""The same for programs without an event loop: requests are sent on a loop in a thread of the client."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Collection, Coroutine, Generator, Iterator
from typing import Any, Generic, TypeVar, cast

from duologue.client._async import AsyncSender, PageAnswer
from duologue.client._events import ServiceEvent
from duologue.client._request import Request
from duologue.client._settings import ClientSettings
from duologue.errors import ServiceError
from duologue.frozen import changed

T = TypeVar("T")


class LoopThread:
    """A thread with an event loop, which ends with its owner."""

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name="duologue-client", daemon=True)
        self._loop = loop
        thread.start()
        self._end = weakref.finalize(self, _stop, loop, thread)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop and wait for it; whoever is interrupted meanwhile cancels it."""
        if not self._end.alive:
            work.close()
            raise ServiceError("the client is closed; make another", code="closed")
        done = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return done.result()
        except BaseException:
            done.cancel()
            raise

    def stop(self) -> None:
        """End the thread. Harmless when it has ended."""
        self._end()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_cancelled(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()


class Caller:
    """What the methods of a client are made with."""

    def __init__(self, sender: AsyncSender, thread: LoopThread, settings: ClientSettings) -> None:
        self._sender = sender
        self._thread = thread
        self._settings = settings

    def _send(self, request: Request, wanted: Any) -> Any:
        return self._thread.wait(self._sender.send(request, wanted, self._settings))

    def _events(self, request: Request, last_event_id: str | None) -> Generator[ServiceEvent]:
        events = self._sender.follow(request, last_event_id, self._settings)
        try:
            while (event := self._thread.wait(_next(events))) is not None:
                yield event
        finally:
            self._thread.wait(events.aclose())


async def _next(events: AsyncGenerator[T]) -> T | None:
    return await anext(events, None)


class Pages(Iterator[T], Generic[T]):
    """A list that is read page by page, as it is iterated over."""

    def __init__(self, caller: Caller, request: Request, page: type[PageAnswer[T]], cursor: str) -> None:
        self._caller = caller
        self._request = request
        self._page = page
        self._cursor = cursor
        self._items: Iterator[T] | None = None

    def page(self, cursor: str | None = None) -> PageAnswer[T]:
        """One page.

        Args:
            cursor: ``next`` of the page before; None for the first.
        """
        request = self._request
        if cursor is not None:
            request = changed(request, query={**request.query, self._cursor: cursor})
        return cast("PageAnswer[T]", self._caller._send(request, self._page))  # pyright: ignore[reportPrivateUsage]

    def all(self) -> list[T]:
        """Everything."""
        return list(self._each())

    def __iter__(self) -> Iterator[T]:
        return self._each()

    def __next__(self) -> T:
        if self._items is None:
            self._items = self._each()
        return next(self._items)

    def _each(self) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self.page(cursor)
            yield from page.data
            if page.next is None or page.next == cursor:
                return
            cursor = page.next
