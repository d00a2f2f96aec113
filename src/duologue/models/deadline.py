"""The deadline of the model call that is under way, so that standing in line does not count against it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[asyncio.Timeout | None] = ContextVar("duologue_model_deadline", default=None)


@contextmanager
def call_deadline(deadline: asyncio.Timeout) -> Generator[None]:
    """Within this block, ``deadline`` is the one that :func:`stopped_clock` stops."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def stopped_clock() -> Generator[None]:
    """Time spent in this block is added to the deadline of the call, if it has one."""
    deadline = _deadline.get()
    due = deadline.when() if deadline else None
    if deadline is None or due is None or deadline.expired():
        yield
        return
    loop = asyncio.get_running_loop()
    left = due - loop.time()
    deadline.reschedule(None)
    try:
        yield
    finally:
        deadline.reschedule(loop.time() + left)
