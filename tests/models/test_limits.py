from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import LONG

from duologue.errors import ConfigurationError
from duologue.models.limits import CrossLoopSemaphore, MinuteWindow, ProviderLimits, configure_limits, limits_of
from duologue.testing import VirtualClock, run_virtual


class Census:
    """Counts who is inside, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.holders = self.most = self.visits = 0

    def enter(self) -> None:
        with self._lock:
            self.holders += 1
            self.visits += 1
            self.most = max(self.most, self.holders)

    def leave(self) -> None:
        with self._lock:
            self.holders -= 1


@settings(max_examples=15, deadline=None)
@given(width=st.integers(1, 7), seed=st.integers(0, 2**16))
def test_never_more_than_the_width_from_three_loops_with_cancellations(width: int, seed: int) -> None:
    limits, census = ProviderLimits(concurrency=width), Census()

    async def visit(steps: int) -> None:
        async with limits.slot():
            census.enter()
            try:
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                census.leave()

    async def crowd(chance: random.Random) -> None:
        tasks = [asyncio.ensure_future(visit(chance.randrange(4))) for _ in range(67)]
        for task in chance.sample(tasks, 20):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=asyncio.run, args=(crowd(random.Random(seed + i)),)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "somebody waits for a place that was lost"
    assert 0 < census.most <= width
    assert census.visits >= 3 * 47
    assert limits.under_way == 0


async def test_first_come_first_served() -> None:
    gate, order = CrossLoopSemaphore(1), []
    await gate.acquire()

    async def visit(number: int) -> None:
        await gate.acquire()
        order.append(number)
        gate.release()

    tasks = [asyncio.ensure_future(visit(number)) for number in range(10)]
    await asyncio.sleep(0)
    gate.release()
    await gate.acquire()  # comes last
    order.append(99)
    await asyncio.gather(*tasks)
    assert order == [*range(10), 99]


async def test_a_waiter_cancelled_at_the_moment_of_its_admission_passes_the_place_on() -> None:
    gate = CrossLoopSemaphore(1)
    await gate.acquire()
    first, second = asyncio.ensure_future(gate.acquire()), asyncio.ensure_future(gate.acquire())
    await asyncio.sleep(0)
    gate.release()
    first.cancel()
    await asyncio.wait_for(second, LONG)
    assert first.cancelled()
    assert gate.holders == 1


async def test_a_waiter_whose_loop_is_closed_is_passed_over() -> None:
    gate = CrossLoopSemaphore(1)
    await gate.acquire()
    loop = asyncio.new_event_loop()
    lost = gate.acquire()

    def wait_and_die() -> None:
        task = loop.create_task(lost)
        loop.call_soon(loop.stop)
        loop.run_forever()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    await asyncio.to_thread(wait_and_die)
    gate.release()
    await asyncio.wait_for(gate.acquire(), LONG)
    assert gate.holders == 1


async def test_a_wider_gate_lets_waiters_in_at_once() -> None:
    gate = CrossLoopSemaphore(1)
    await gate.acquire()
    waiter = asyncio.ensure_future(gate.acquire())
    await asyncio.sleep(0)
    gate.resize(2)
    await asyncio.wait_for(waiter, LONG)
    assert gate.holders == 2


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 3)), max_size=40),
)
def test_no_sixty_seconds_hold_more_than_the_limit(limit: int, steps: list[tuple[float, int]]) -> None:
    window, now, booked = MinuteWindow(limit), 0.0, deque[tuple[float, float]]()
    for passed, amount in steps:
        now += passed
        booking = window.book(now, amount)
        assert booking.at >= now
        assert not booked or booking.at >= booked[-1][0], "later callers are not served earlier"
        booked.append((booking.at, booking.amount))
    for start, _ in booked:
        assert sum(amount for at, amount in booked if start <= at and at < start + 60) <= limit


def test_requests_wait_for_the_next_minute() -> None:
    async def main() -> list[float]:
        limits = ProviderLimits(requests_per_minute=2, clock=VirtualClock())
        times: list[float] = []

        async def request() -> None:
            async with limits.slot():
                times.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(request() for _ in range(5)))
        return times

    assert [round(time) for time in run_virtual(main())] == [0, 0, 60, 60, 120]


def test_tokens_are_corrected_by_what_was_used() -> None:
    async def main() -> float:
        limits = ProviderLimits(tokens_per_minute=100, clock=VirtualClock())
        async with limits.slot(90) as slot:
            slot.used(10)
        async with limits.slot(90):
            return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0


def test_more_tokens_than_the_limit_are_sent_alone_and_not_never() -> None:
    async def main() -> list[float]:
        limits, times = ProviderLimits(tokens_per_minute=100, clock=VirtualClock()), []
        for _ in range(2):
            async with limits.slot(5000):
                times.append(asyncio.get_running_loop().time())
        return times

    assert run_virtual(main()) == [0, 60]


def test_who_gives_up_waiting_for_the_minute_gives_everything_back() -> None:
    async def main() -> tuple[float, int]:
        limits = ProviderLimits(requests_per_minute=1, clock=VirtualClock())
        async with limits.slot():
            pass
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), limits.slot():
                raise AssertionError("came through")
        async with limits.slot():
            return asyncio.get_running_loop().time(), limits.under_way

    time, under_way = run_virtual(main())
    assert round(time) == 60
    assert under_way == 1


def test_limits_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duologue.models.limits._limits", {})
    assert limits_of("a") is limits_of("a") is not limits_of("b")
    before = limits_of("a")
    configure_limits("a", concurrency=1)
    assert limits_of("a") is before


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"requests_per_minute": -1}, {"tokens_per_minute": 0}])
def test_a_limit_must_let_something_through(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        configure_limits("a", **wrong)
