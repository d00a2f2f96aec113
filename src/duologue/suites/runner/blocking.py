"""Calling code that blocks from a loop that must not, each call in a thread of its own.

The threads are daemons. A call that never returns is left behind when its run times out or is cancelled, and does not
keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """What the call returns or raises. Cancelling the wait does not stop the call: nothing can."""
    outcome: Future[T] = Future()
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(_settle, call, outcome), name="duologue-agent", daemon=True)
    thread.start()
    return await asyncio.wrap_future(outcome)


def _settle(call: Callable[[], T], outcome: Future[T]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited
        outcome.set_exception(error)
    else:
        outcome.set_result(value)
