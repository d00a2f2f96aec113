"""What a request may use of this machine when it calls an agent: as much as a run of the project, and no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from duologue.config.access import using
from duologue.server.auth import Caller


@asynccontextmanager
async def within_policy(caller: Caller) -> AsyncGenerator[None]:
    """Call an agent of the caller's project in this block."""
    values = await caller.state.access.of(caller.project.id)
    with using(values.access):
        yield
