"""A real provider behind the ``Model`` port: requests with limits, retries and their cost.

How a request is put and its answer read is the business of a :class:`ProviderClient`: ``openai_compatible`` for all who
speak OpenAI's format, ``_through_pydantic_ai`` for the others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

from duologue.config.redaction import redacted
from duologue.context import Clock, Context, SystemClock, fresh_seed
from duologue.errors import ModelError, ModelRateLimitError
from duologue.frozen import frozen
from duologue.journal.events import Usage
from duologue.messages import Message, text_of
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.limits import ProviderLimits, limits_of
from duologue.models.prices import Tokens, cost_of, load_prices
from duologue.models.scope import estimate_tokens

REQUEST_TIMEOUT = 600.0
"""Seconds that one request may take where nothing else limits it."""
_ANSWER_TOKENS = 256
"""Tokens that an answer is taken to have when the request does not bound it; for the limit per minute only."""
_LONGEST_DETAIL = 500
"""Characters of a provider's words that an error shows."""


class RequestFailedError(Exception):
    """A request that was not answered.

    Args:
        kind: the error to raise if this is the end of it.
        text: what happened.
        again: whether the same request may succeed later.
        wait: seconds that the provider asked to wait, if it did.
    """

    def __init__(self, kind: type[ModelError], text: str, *, again: bool = False, wait: float | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.again = again
        self.wait = wait


@frozen
class ProviderReply:
    """What came back from one request; see :class:`duologue.models.ModelAnswer` for the fields.

    ``counted``: whether the provider said how many tokens it read and wrote; otherwise the cost is unknown.
    """

    message: Message
    tokens: Tokens
    counted: bool = True
    finish_reason: str | None = None
    refusal: str | None = None


class ProviderClient(Protocol):
    """Sends requests to one model of one provider, on whatever event loop it is asked."""

    async def send(self, request: ModelRequest, options: Mapping[str, Any], now: float) -> ProviderReply:
        """Send one request.

        Args:
            request: what is asked.
            options: of the provider, those of the request included.
            now: seconds since 1970, to understand a date in Retry-After.

        Raises:
            RequestFailedError: there is no answer.
            ModelError: the request cannot be sent.
        """
        ...


@frozen
class RetryPolicy:
    """Exponential backoff with jitter that gives way to what the provider asks for.

    Attributes:
        attempts: requests that are sent at most, the first included.
        first_wait: seconds before the second request; each further wait is twice as long.
        longest_wait: seconds that one wait may take. A provider that asks for a longer one is not asked again: sending
            the request sooner than it said would only be refused.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 60.0

    def wait(self, sent: int, asked: float | None, chance: random.Random) -> float | None:
        """Seconds until the next request, or None to give up.

        Args:
            sent: requests sent so far.
            asked: seconds that the provider asked to wait, if it did.
            chance: spreads the callers, so that they do not all come back at the same moment.
        """
        if sent >= self.attempts:
            return None
        backoff = min(self.first_wait * 2 ** (sent - 1), self.longest_wait)
        if asked is None:
            return backoff * (0.5 + 0.5 * chance.random())
        if asked > self.longest_wait:
            return None
        return min(asked + self.first_wait * chance.random(), self.longest_wait)


class ProviderModel:
    """A model of a real provider.

    Args:
        name: full name, such as ``openai/gpt-5-mini``; the part before the first slash decides limits and price.
        client: sends the requests.
        extra: options of the provider for every request; those of a request come over them.
        limits: shared with all models of the provider; by default those of the process.
        retry: when a failed request is sent again.
        clock: measures and waits.
        chance: spreads the retries; by default seeded afresh.
    """

    def __init__(
        self,
        name: str,
        client: ProviderClient,
        *,
        extra: Mapping[str, Any] | None = None,
        limits: ProviderLimits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._name = name
        self._provider, _, self._reference = name.partition("/")
        self._client = client
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
        options = {**self._extra, **request.extra}
        again = options.pop("max_retries", None)
        retry = self._retry if again is None else replace(self._retry, attempts=1 + max(0, int(again)))
        sent = 0
        while True:
            sent += 1
            try:
                reply, seconds = await self._send(request, options)
            except RequestFailedError as failure:
                wait = retry.wait(sent, failure.wait, self._chance) if failure.again else None
                if wait is None:
                    raise self._final(failure, sent) from failure
            except ModelError as error:
                if error.model:
                    raise
                raise type(error)(f"{self._name}: {error}", model=self._name) from error
            except Exception as error:  # the port raises ModelErrors only
                text = f"{self._name}: {type(error).__name__}: {shortened(str(error))}"
                raise ModelError(text, model=self._name) from error
            else:
                if reply.counted:
                    await load_prices(self._clock)
                return self._answer(reply, seconds, sent)
            await self._clock.sleep(wait)

    def _final(self, failure: RequestFailedError, sent: int) -> ModelError:
        text = f"{self._name}: {failure.text}"
        if failure.kind is ModelRateLimitError and failure.again:
            text += f"; send less with duologue.models.configure_limits('{self._provider}', …)"
        if sent > 1:
            text += f" ({sent} requests were sent)"
        return failure.kind(text, model=self._name, retry_after=failure.wait)

    async def _send(self, request: ModelRequest, options: Mapping[str, Any]) -> tuple[ProviderReply, float]:
        """One request, and the seconds that it took once it was allowed to be sent."""
        async with self._limits.slot(_estimate(request)) as slot:
            started = self._clock.monotonic()
            reply = await self._client.send(request, options, self._clock.now())
            seconds = self._clock.monotonic() - started
            slot.used(reply.tokens.input_tokens + reply.tokens.output_tokens)
        return reply, seconds

    def _answer(self, reply: ProviderReply, seconds: float, sent: int) -> ModelAnswer:
        tokens = reply.tokens
        return ModelAnswer(
            message=reply.message,
            usage=Usage(input_tokens=tokens.input_tokens, output_tokens=tokens.output_tokens),
            cost=cost_of(self._provider, self._reference, tokens, self._clock.now()) if reply.counted else None,
            seconds=seconds,
            model=self._name,
            attempts=sent,
            finish_reason=reply.finish_reason,
            refusal=reply.refusal,
        )


def shortened(text: str) -> str:
    """A provider's words without secrets, as much of them as an error shows."""
    text = redacted(text)
    return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"


def _estimate(request: ModelRequest) -> int:
    read = sum(estimate_tokens(text_of(message)) for message in request.messages)
    return read + (request.max_tokens or _ANSWER_TOKENS)
