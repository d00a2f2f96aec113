"""How often a model may be asked, as a suite may write it beside the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from duologue.context import Clock, SystemClock
from duologue.models.deadline import stopped_clock


@dataclass(kw_only=True)
class Pace:
    """So many requests a second, with a few at once after a pause. One for all runs that share a model.

    Attributes:
        rps: requests a second.
        burst: requests at once.
        clock: measures the seconds; shared by all runs, so it is not the clock of one.
    """

    rps: float
    burst: int = 1
    clock: Clock = field(default_factory=SystemClock)
    _free_at: float = 0.0

    async def wait(self) -> None:
        """Until the next request may be sent; the wait does not count against its timeout."""
        now = self.clock.monotonic()
        step = 1 / self.rps
        self._free_at = max(self._free_at, now - self.burst * step) + step
        delay = self._free_at - now
        if delay > 0:
            with stopped_clock():
                await self.clock.sleep(delay)
