"""How much of a provider one process may use at a time: calls under way, requests and tokens a minute.

The limits of a provider are shared by all conversations of the process, on whatever event loop or thread they run, and
serve them in the order in which they ask. :func:`configure_limits` sets them; without it a provider gets
``DEFAULT_CONCURRENCY`` calls at a time and no limit per minute. The wait for a provider does not count against the
timeout of a call: see :func:`~duologue.models.scope.stopped_clock`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duologue.context import Clock, SystemClock
from duologue.errors import ConfigurationError
from duologue.models.scope import stopped_clock

if TYPE_CHECKING:
    import asyncio

DEFAULT_CONCURRENCY = 64
"""Calls of one provider that may be under way at the same time."""
_MINUTE = 60.0


@dataclass(eq=False, slots=True)
class _Booking:
    at: float
    amount: float


class MinuteWindow:
    """At most ``limit`` in any 60 seconds. Not locked: its owner does that.

    Bookings are made in the order of asking and get the earliest time that keeps to the limit, never before an earlier
    booking's.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._bookings: deque[_Booking] = deque()
        self._total = 0.0

    def book(self, now: float, amount: float) -> _Booking:
        """A booking; ``at`` says when it may be used. More than the limit at once counts as the limit."""
        booking = _Booking(at=now, amount=min(amount, self.limit))
        if self._bookings:
            booking.at = max(now, self._bookings[-1].at)
        self._forget(booking.at)
        while self._total + booking.amount > self.limit and self._bookings:
            booking.at = self._bookings[0].at + _MINUTE
            self._forget(booking.at)
        self._bookings.append(booking)
        self._total += booking.amount
        return booking

    def settle(self, booking: _Booking, amount: float) -> None:
        """Replace the estimate by the amount that was used; 0 gives the booking back."""
        if booking in self._bookings:
            self._total += amount - booking.amount
            booking.amount = amount

    def _forget(self, at: float) -> None:
        while self._bookings and self._bookings[0].at + _MINUTE <= at:
            self._total -= self._bookings.popleft().amount
        if not self._bookings:
            self._total = 0.0


class Slot:
    """The permission to send one request."""

    def __init__(self, limits: ProviderLimits) -> None:
        self._limits = limits
        self.requests: Reservation | None = None
        self.tokens: Reservation | None = None

    @property
    def ready_at(self) -> float:
        """When the request may be sent."""
        return max((booking.at for _, booking in filter(None, (self.requests, self.tokens))), default=0.0)

    def used(self, tokens: int) -> None:
        """Correct the estimate that the slot was taken with."""
        self._limits.settle(self.tokens, tokens)


Reservation = tuple[MinuteWindow, _Booking]


class ProviderLimits:
    """The limits of one provider.

    Args:
        concurrency: calls under way at the same time; None for no limit.
        requests_per_minute, tokens_per_minute: in any 60 seconds; None for no limit.
        clock: measures the minutes. Shared by everybody who uses these limits, so it is not the clock of a run.
    """

    def __init__(
        self,
        *,
        concurrency: int | None = DEFAULT_CONCURRENCY,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._semaphore = CrossLoopSemaphore(concurrency)
        self._requests: MinuteWindow | None = None
        self._tokens: MinuteWindow | None = None
        self.change(concurrency, requests_per_minute, tokens_per_minute)

    def change(
        self, concurrency: int | None, requests_per_minute: float | None, tokens_per_minute: float | None
    ) -> None:
        """Other limits from now on. Raises ConfigurationError where one is not above 0."""
        given = {"requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute}
        for name, value in {"concurrency": concurrency, **given}.items():
            if value is not None and value <= 0:
                raise ConfigurationError(f"{name} is {value}; it must be above 0, or None for no limit")
        with self._lock:
            self._requests = _window(self._requests, requests_per_minute)
            self._tokens = _window(self._tokens, tokens_per_minute)
        self._semaphore.resize(concurrency)

    @property
    def under_way(self) -> int:
        """Slots that are taken now."""
        return self._semaphore.holders

    @asynccontextmanager
    async def slot(self, tokens: int = 0) -> AsyncGenerator[Slot]:
        """Wait for the permission to send one request of about so many tokens, and hold it for the block.

        The wait does not count against the timeout of the call: see :func:`stopped_clock`.
        """
        slot = Slot(self)
        with stopped_clock():
            await self._semaphore.acquire()
            try:
                await self._wait_for_minute(slot, tokens)
            except BaseException:
                self._semaphore.release()
                raise
        try:
            yield slot
        finally:
            self._semaphore.release()

    def settle(self, reservation: Reservation | None, amount: float) -> None:
        """Correct a reservation; 0 gives it back."""
        if reservation:
            window, booking = reservation
            with self._lock:
                window.settle(booking, amount)

    async def _wait_for_minute(self, slot: Slot, tokens: int) -> None:
        now = self._clock.monotonic()
        with self._lock:
            slot.requests = _reserve(self._requests, now, 1)
            slot.tokens = _reserve(self._tokens, now, tokens)
        if slot.ready_at <= now:
            return
        try:
            await self._clock.sleep(slot.ready_at - now)
        except BaseException:
            self.settle(slot.requests, 0)
            self.settle(slot.tokens, 0)
            raise


def _reserve(window: MinuteWindow | None, now: float, amount: float) -> Reservation | None:
    return (window, window.book(now, amount)) if window and amount else None


def _window(old: MinuteWindow | None, limit: float | None) -> MinuteWindow | None:
    if limit is None:
        return None
    if old is None:
        return MinuteWindow(limit)
    old.limit = limit
    return old


_limits: dict[str, ProviderLimits] = {}
_registry_lock = threading.Lock()


def limits_of(provider: str) -> ProviderLimits:
    """The limits of that provider; the same object for the whole process."""
    with _registry_lock:
        return _limits.setdefault(provider, ProviderLimits())


def configure_limits(
    provider: str,
    *,
    concurrency: int | None = DEFAULT_CONCURRENCY,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> None:
    """Set the limits of a provider for the whole process, in place of those that it had.

    Args:
        provider: the first part of a model name, such as ``openai``.
        concurrency: calls under way at the same time; None for no limit.
        requests_per_minute: requests in any 60 seconds, retries included; None for no limit.
        tokens_per_minute: tokens read and written in any 60 seconds. Estimated before a call (four characters to a
            token, and ``max_tokens`` for the answer) and corrected after it. None for no limit.

    Raises:
        ConfigurationError: a limit that is not above 0.
    """
    limits_of(provider).change(concurrency, requests_per_minute, tokens_per_minute)


# Waiting


@dataclass(eq=False, slots=True)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    arrived: asyncio.Future[None]
    admitted: bool = False
    gone: bool = False


class CrossLoopSemaphore:
    """Lets at most ``limit`` tasks in at a time, of any event loop and any thread, in the order in which they came.

    The locks of asyncio belong to one event loop; conversations run on several (see ``duologue.run``). A task that has
    to wait costs one future on its own loop, no thread. A waiter that is cancelled gives its place back, whenever that
    happens.

    Args:
        limit: how many; None lets everybody in.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._inside = 0
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    @property
    def holders(self) -> int:
        """How many hold a place now."""
        with self._lock:
            return self._inside

    def resize(self, limit: int | None) -> None:
        """Set another limit; nobody who is in is thrown out."""
        with self._lock:
            self._limit = limit
            self._admit()

    async def acquire(self) -> None:
        """Wait for a place. Whoever returns from here must call :meth:`release` once."""
        from asyncio import get_running_loop

        with self._lock:
            if self._has_room() and not self._waiting:
                self._inside += 1
                return
            loop = get_running_loop()
            waiter = _Waiter(loop, loop.create_future())
            self._waiting.append(waiter)
        try:
            await waiter.arrived
        except BaseException:
            self._withdraw(waiter)
            raise

    def release(self) -> None:
        """Give the place to the next in line."""
        with self._lock:
            self._inside -= 1
            self._admit()

    def _has_room(self) -> bool:
        return self._limit is None or self._inside < self._limit

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            waiter = self._waiting.popleft()
            if waiter.gone:
                continue
            try:
                waiter.loop.call_soon_threadsafe(_arrive, waiter.arrived)
            except RuntimeError:  # its loop is closed: nobody will ever come
                continue
            waiter.admitted = True
            self._inside += 1

    def _withdraw(self, waiter: _Waiter) -> None:
        with self._lock:
            waiter.gone = True
            if waiter.admitted:
                self._inside -= 1
            self._admit()


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)
