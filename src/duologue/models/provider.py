"""A real provider behind the ``Model`` port: a request to a pydantic-ai model, with limits, retries and its cost."""

from __future__ import annotations

import random
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from duologue.context import Clock, Context, SystemClock, fresh_seed
from duologue.errors import ModelAnswerError, ModelError
from duologue.journal.events import Usage
from duologue.messages import text_of
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.clients import LoopClients, SharedClient
from duologue.models.limits import ProviderLimits, limits_of
from duologue.models.prices import cost_of
from duologue.models.retry import RetryPolicy
from duologue.models.tokens import estimate_tokens

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse

_ANSWER_TOKENS = 256
"""Tokens that an answer is taken to have when the request does not bound it; for the limit per minute only."""
_FINISH_REASONS = {"stop": "stop", "length": "length", "tool_call": "tool_calls", "content_filter": "content_filter"}


class ProviderModel:
    """A model of a real provider.

    Args:
        name: full name, such as ``openai/gpt-5-mini``; the part before the first slash decides limits and price.
        clients: the pydantic-ai models to send requests with.
        extra: options of the provider for every request; those of a request come over them.
        limits: shared with all models of the provider; by default those of the process.
        retry: when a failed request is sent again.
        clock: measures and waits.
        chance: spreads the retries; by default seeded afresh.
    """

    def __init__(
        self,
        name: str,
        clients: LoopClients | SharedClient,
        *,
        extra: Mapping[str, Any] | None = None,
        limits: ProviderLimits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._name = name
        self._provider, _, self._reference = name.partition("/")
        self._clients = clients
        self._extra = dict(extra or {})
        self._limits = limits or limits_of(self._provider)
        self._retry = retry or RetryPolicy()
        self._clock = clock or SystemClock()
        self._chance = chance or Context(seed=fresh_seed()).random("models", "retry")

    @property
    def name(self) -> str:
        """Full name."""
        return self._name

    def with_extra(self, extra: Mapping[str, Any]) -> ProviderModel:
        """The same model, clients and limits with further options of the provider."""
        other = copy(self)
        other._extra = {**self._extra, **extra}
        return other

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Send the request until it is answered, as often as the retry policy allows.

        Raises:
            ModelError: the subclass says what happened.
        """
        from duologue.models.failures import failure_of

        sent = 0
        while True:
            sent += 1
            try:
                response, seconds = await self._send(request)
                return self._answer(response, seconds, sent)
            except Exception as error:  # the port raises ModelErrors only; failure_of sorts all others
                failure = failure_of(error, self._provider, self._clock.now())
                wait = self._retry.wait(sent, failure.asked, self._chance) if failure.again else None
                if wait is None:
                    raise self._final(error, failure.error(self._name, sent)) from error
            await self._clock.sleep(wait)

    def _final(self, error: Exception, sorted_error: ModelError) -> ModelError:
        return error if isinstance(error, ModelError) and error.model else sorted_error

    async def _send(self, request: ModelRequest) -> tuple[ModelResponse, float]:
        """One request, and the seconds that it took once it was allowed to be sent."""
        from pydantic_ai.direct import model_request

        from duologue.models.convert import to_provider
        from duologue.models.options import parameters_of, settings_of

        messages = to_provider(request.messages)
        async with self._limits.slot(_estimate(request)) as slot:
            client = await self._clients.get()
            started = self._clock.monotonic()
            response = await model_request(
                client,
                messages,
                model_settings=settings_of(request, {**self._extra, **request.extra}, client),
                model_request_parameters=parameters_of(request, client),
                instrument=False,
            )
            seconds = self._clock.monotonic() - started
            slot.used(response.usage.input_tokens + response.usage.output_tokens)
        return response, seconds

    def _answer(self, response: ModelResponse, seconds: float, sent: int) -> ModelAnswer:
        from duologue.models.convert import from_provider

        if response.finish_reason == "error":
            raise ModelAnswerError(f"{self._name}: the provider broke off its answer", model=self._name)
        usage = response.usage
        refusal = (response.provider_details or {}).get("refusal")
        return ModelAnswer(
            message=from_provider(response),
            usage=Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens),
            cost=cost_of(self._provider, self._reference, usage, self._clock.now()),
            seconds=seconds,
            model=self._name,
            attempts=sent,
            finish_reason=_FINISH_REASONS.get(response.finish_reason or ""),
            refusal=cast("str | None", refusal),
        )


def _estimate(request: ModelRequest) -> int:
    read = sum(estimate_tokens(text_of(message)) for message in request.messages)
    return read + (request.max_tokens or _ANSWER_TOKENS)
