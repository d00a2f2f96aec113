"""A model with a price or a pace of its own, as a suite may write it beside the model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from duologue.context import Clock, SystemClock
from duologue.journal.events import Usage
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.models.deadline import stopped_clock
from duologue.suites.specs.participants import Pricing

_PER = 1000


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


@dataclass(frozen=True, kw_only=True)
class SuiteModel:
    """A model as a suite has it.

    Attributes:
        inner: who answers.
        pricing: in place of the packaged price; None for that.
        pace: how often it may be asked; None for no limit.
    """

    inner: Model
    pricing: Pricing | None = None
    pace: Pace | None = None

    @property
    def name(self) -> str:
        """The inner model's."""
        return self.inner.name

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Wait for the model's turn, ask it, and put a price on the answer."""
        if self.pace:
            await self.pace.wait()
        answer = await self.inner.answer(request)
        return replace(answer, cost=price(answer.usage, self.pricing)) if self.pricing else answer


def price(usage: Usage, pricing: Pricing) -> float:
    """US dollars for these tokens."""
    read = usage.input_tokens * pricing.input_cost_per_1k
    return (read + usage.output_tokens * pricing.output_cost_per_1k) / _PER
