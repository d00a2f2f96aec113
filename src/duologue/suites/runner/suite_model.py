"""A model as a suite describes it: with a price, a pace, a patience and a way of writing of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from duologue.journal.events import Usage
from duologue.models.base import Completion, CompletionModel, Model, ModelAnswer, ModelRequest, can_complete
from duologue.models.prices import cost_beforehand
from duologue.specs.participants import Model as ModelSpec
from duologue.specs.participants import Pricing
from duologue.specs.spec import seconds_of
from duologue.suites.runner.pace import Pace

_PER = 1000
_SAMPLING = ("temperature", "max_tokens", "seed", "stop")
"""Fields of a request that a model may refuse; whatever else it refuses is among the options of the provider."""
_UNSET: dict[str, Any] = {"stop": ()}


def suite_model(inner: Model, spec: ModelSpec) -> Model:
    """The model with what the suite says of it; the model itself if that is nothing."""
    pace = Pace(rps=spec.rate_limit.rps, burst=spec.rate_limit.burst) if spec.rate_limit else None
    sampling = _options(spec)
    refused = frozenset(spec.unsupported_params)
    timeout = seconds_of(spec.request_timeout) if spec.request_timeout else None
    if not (spec.pricing or pace or sampling or refused or timeout):
        return inner
    kind = SuiteCompletionModel if can_complete(inner) else SuiteModel
    return kind(inner=inner, pricing=spec.pricing, pace=pace, sampling=sampling, refused=refused, timeout=timeout)


def _options(spec: ModelSpec) -> dict[str, Any]:
    given = {name: getattr(spec.sampling, name, None) for name in ("temperature", "max_tokens", "top_p")}
    return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class SuiteModel:
    """A model as a suite has it.

    Attributes:
        inner: who answers.
        pricing: in place of the packaged price; None for that.
        pace: how often it may be asked; None for no limit.
        sampling: how it writes where nobody says it.
        refused: options that it must not be sent.
        timeout: seconds that one request may take, for whoever asks; None for the run's ``model_timeout``.
    """

    inner: Model
    pricing: Pricing | None = None
    pace: Pace | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refused: frozenset[str] = frozenset()
    timeout: float | None = None

    @property
    def name(self) -> str:
        """The inner model's."""
        return self.inner.name

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Wait for the model's turn, ask it, and put a price on the answer."""
        if self.pace:
            await self.pace.wait()
        answer = await self.inner.answer(self._completed(request))
        return replace(answer, cost=price(answer.usage, self.pricing)) if self.pricing else answer

    def cost_of(self, usage: Usage, now: float) -> float | None:
        """US dollars for these tokens; None where no price is known."""
        return price(usage, self.pricing) if self.pricing else cost_beforehand(self.inner, usage, now)

    def _completed(self, request: ModelRequest) -> ModelRequest:
        """The request with the model's own way of writing, and without what it refuses."""
        changes: dict[str, Any] = {}
        extra = dict(request.extra)
        for name, value in self.sampling.items():
            if name not in _SAMPLING:
                extra.setdefault(name, value)
            elif getattr(request, name) is None:
                changes[name] = value
        changes.update({name: _UNSET.get(name) for name in _SAMPLING if name in self.refused})
        changes["extra"] = {name: value for name, value in extra.items() if name not in self.refused}
        return replace(request, **changes)


@dataclass(frozen=True, kw_only=True)
class SuiteCompletionModel(SuiteModel):
    """The same for a model that can also continue a text."""

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...] = (),
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int | None = None,
        logprobs: int = 0,
    ) -> Completion:
        """Wait for the model's turn, and let it go on."""
        inner = self.inner
        assert isinstance(inner, CompletionModel)
        if self.pace:
            await self.pace.wait()
        return await inner.complete(
            prompt, stop=stop, max_tokens=max_tokens, temperature=temperature, seed=seed, logprobs=logprobs
        )


def price(usage: Usage, pricing: Pricing) -> float:
    """US dollars for these tokens."""
    read = usage.input_tokens * pricing.input_cost_per_1k
    return (read + usage.output_tokens * pricing.output_cost_per_1k) / _PER
