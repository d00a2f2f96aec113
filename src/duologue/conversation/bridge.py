"""Code that belongs on the event loop that runs share, called from a run that is played on another one.

``duologue.arun`` plays a run on the caller's loop, and under pytest that is a new one for each test. Clients that are
kept in modules break there; so whoever calls code with such clients (see :mod:`duologue.integrations`) has it executed
on the loop of :func:`duologue.run`. A run that is played in a worker thread is on such a loop already.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from duologue.conversation.threads import CANCEL_GRACE, THREAD_NAME, RunHandle, shared_pool

T = TypeVar("T")

Make = Callable[[AsyncExitStack], Awaitable[T]]
"""Opens something, and has it closed by the stack."""

_CLOSE_GRACE = 4.0
"""Seconds that closing may take before it is cancelled."""


def _is_worker() -> bool:
    return threading.current_thread().name == THREAD_NAME


async def on_shared_loop(make: Callable[[], AsyncGenerator[T]]) -> AsyncGenerator[T]:
    """Iterate on the shared loop, with the context variables of the caller; what is yielded arrives here."""
    if _is_worker():
        async with aclosing(make()) as items:
            async for item in items:
                yield item
        return
    here, arrived = asyncio.get_running_loop(), asyncio.Queue[tuple[T] | None]()

    async def pump() -> None:
        async with aclosing(make()) as items:
            async for item in items:
                here.call_soon_threadsafe(arrived.put_nowait, (item,))

    handle: RunHandle[None] = shared_pool().submit(pump, shared=True)
    over = asyncio.wrap_future(handle.future)
    over.add_done_callback(lambda _: arrived.put_nowait(None))
    try:
        while (found := await arrived.get()) is not None:
            yield found[0]
        await over
    finally:
        if not over.done():
            handle.cancel()
            await asyncio.wait({over}, timeout=CANCEL_GRACE)
        over.add_done_callback(lambda done: done.cancelled() or done.exception())


class KeptOpen(Generic[T]):
    """Something that is opened, kept and closed by one task on the shared loop, as task groups demand.

    Args:
        make: opens it.
    """

    def __init__(self, make: Make[T]) -> None:
        self._make = make
        self._ready: Future[T] = Future()
        self._closing: Callable[[], None] | None = None
        self._over: asyncio.Future[None] | None = None
        self._cancel: Callable[[], object] = lambda: None

    async def open(self) -> T:
        """What was made; raises what making it raised."""
        if _is_worker():
            task = asyncio.get_running_loop().create_task(self._live())
            self._over, self._cancel = task, task.cancel
        else:
            handle: RunHandle[None] = shared_pool().submit(self._live, shared=True)
            self._over, self._cancel = asyncio.wrap_future(handle.future), handle.cancel
        ready: asyncio.Future[T] = asyncio.wrap_future(self._ready)
        try:
            await asyncio.wait({ready, self._over}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.close()
            raise
        if not ready.done():
            await self._over
            raise asyncio.CancelledError
        return ready.result()

    async def close(self) -> None:
        """Close it, and raise what that raises."""
        over = self._over
        if over is None:
            return
        if self._closing is None:
            self._cancel()
        else:
            self._closing()
        await asyncio.wait({over}, timeout=_CLOSE_GRACE)
        if not over.done():
            self._cancel()
            await asyncio.wait({over}, timeout=CANCEL_GRACE)
        if over.done() and not over.cancelled() and (error := over.exception()) is not None:
            raise error

    async def _live(self) -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as stack:
            value = await self._make(stack)
            self._closing = lambda: cast("None", loop.call_soon_threadsafe(closing.set))
            self._ready.set_result(value)
            await closing.wait()


@dataclass
class _Lease:
    kept: KeptOpen[Any]
    opening: asyncio.Task[Any]
    holders: int = 0


_leases: dict[tuple[int, int], _Lease] = {}


async def leased(stack: AsyncExitStack, subject: object, make: Make[T]) -> T:
    """Something that runs on this loop share: the first one opens it, the last one closes it.

    Args:
        stack: of the run; gives it back.
        subject: what it is kept for, such as a server that belongs to an agent of a module.
        make: opens it.
    """
    loop = asyncio.get_running_loop()
    key = (id(loop), id(subject))
    lease = _leases.get(key)
    if lease is None:
        kept = KeptOpen(make)
        lease = _leases[key] = _Lease(kept, loop.create_task(kept.open()))
    lease.holders += 1

    async def give_back() -> None:
        lease.holders -= 1
        if not lease.holders:
            _leases.pop(key, None)
            await lease.kept.close()

    stack.push_async_callback(give_back)
    return await asyncio.shield(lease.opening)
