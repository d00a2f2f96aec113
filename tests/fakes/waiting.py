"""Waiting for what other threads and processes do: until it has happened, however busy the machine is.

There is no stopwatch here. What never happens is ended by the timeout that pytest has for every test.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

LONG = 600.0
"""Seconds, for what needs a number: longer than anything takes, shorter than pytest's own timeout."""


async def until(condition: Callable[[], object]) -> None:
    """Wait until the condition is true; the event loop goes on meanwhile."""
    while not condition():
        await asyncio.sleep(0.005)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition is true, in a thread that may wait."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.005)


def longer_and_longer(first: float) -> Iterator[float]:
    """Timeouts for a test of a timeout, within which something has to happen first: where it did not, try the next.

    A process that is to be timed out has to be running by then, and on a busy machine that takes its time.
    """
    timeout = first
    while timeout < LONG:
        yield timeout
        timeout *= 4
    raise AssertionError(f"it did not happen within {timeout / 4:g} s")
