"""What an answer cost, from the price list that ships with ``genai-prices``. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from duologue.journal.events import Usage

if TYPE_CHECKING:
    from genai_prices.types import AbstractUsage

    from duologue.models.base import Model

_PRICE_LIST_NAMES = {
    "azure-responses": "azure",
    "bedrock": "aws",
    "bedrock-mantle": "aws",
    "fireworks": "fireworks",
    "google-cloud": "google",
    "openai-chat": "openai",
    "openai-responses": "openai",
    "xai": "x-ai",
}
"""Providers that the price list knows under another name."""


def cost_of(provider: str, model: str, usage: AbstractUsage, now: float) -> float | None:
    """US dollars for that usage, or None where no price is known.

    Args:
        provider: the first part of the model's name. It decides the price even when the model is reached through a
            gateway of one's own.
        model: the rest of the name.
        usage: tokens; cached and audio tokens have prices of their own.
        now: when the call was made, in seconds since 1970: prices change.
    """
    from genai_prices import calc_price

    try:
        price = calc_price(
            usage,
            model,
            provider_id=_PRICE_LIST_NAMES.get(provider, provider),
            genai_request_timestamp=datetime.fromtimestamp(now, UTC),
        )
    except (LookupError, ValueError):
        return None
    return float(price.total_price)


FREE = ("local", "mock", "scripted")
"""Providers that cost nothing."""


def cost_beforehand(model: Model, usage: Usage, now: float) -> float | None:
    """US dollars that a call with these tokens would cost, or None where nobody knows.

    A model that knows its own price has ``cost_of(usage, now)``; of others the packaged list of prices says it.
    """
    own: Callable[[Usage, float], float | None] | None = getattr(model, "cost_of", None)
    return own(usage, now) if own else estimated_cost(model.name, usage, now)


def estimated_cost(name: str, usage: Usage, now: float) -> float | None:
    """US dollars that a call of the model of that full name would cost, or None where no price is known."""
    provider, _, model = name.replace(":", "/", 1).partition("/")
    if provider in FREE:
        return 0.0
    from genai_prices import Usage as PricedUsage

    return cost_of(
        provider, model, PricedUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens), now
    )
