"""A run that a worker carries out now, and why somebody ends it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum

from duologue.runs.store.records import ClaimedRun


class EndReason(Enum):
    """Why a run is ended from outside."""

    CANCELLED = "somebody has cancelled it"
    RELEASED = "this worker stops, and another one continues it"
    LOST = "it belongs to another worker"


@dataclass(kw_only=True, eq=False)
class ActiveRun:
    """A run that is under way.

    Attributes:
        last: it has killed its workers so far, or was beside one that did, and this is its last attempt.
    """

    run: ClaimedRun
    last: bool = False
    task: asyncio.Task[None] | None = None
    ended_by: EndReason | None = None
    over: bool = False
    """Its end is being recorded; nobody can change it any more."""

    def end(self, reason: EndReason) -> None:
        """End it. It is cancelled once; that the lease is lost outweighs every other reason."""
        first = self.ended_by is None
        if first or reason is EndReason.LOST:
            self.ended_by = reason
        if first and not self.over and self.task is not None:
            self.task.cancel()
