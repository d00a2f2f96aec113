"""Requests that wait for models or platforms end in time: before the same request may be sent again with its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from duologue.errors import DuologueError
from duologue.server.idempotency import GIVEN_UP_AFTER

LONGEST = GIVEN_UP_AFTER - 10
"""Seconds that such a request may take."""


@asynccontextmanager
async def ends_in_time(error: DuologueError, seconds: float = LONGEST) -> AsyncGenerator[None]:
    """Raise the error if the block takes longer."""
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            yield
    except TimeoutError:
        if not deadline.expired():
            raise
        raise error from None
