"""What an answer cost, from the price list that ships with ``genai-prices``. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

from duologue.config.patterns import late
from duologue.context import Clock, SystemClock
from duologue.frozen import frozen
from duologue.journal.events import Usage
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
_TOTALS = {"input_tokens", "output_tokens"}


@frozen
class Tokens:
    """Tokens of one answer, as far as they have prices of their own; the details are parts of the two totals."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    cache_audio_read_tokens: int = 0
    output_audio_tokens: int = 0


_loaded = False


def _load() -> None:
    global _loaded  # noqa: PLW0603 - one list of prices per process
    import genai_prices  # noqa: F401 # pyright: ignore[reportUnusedImport]

    _loaded = True


async def load_prices(clock: Clock) -> None:
    """Import the list of prices beside the event loop: it takes up to seconds, in which no conversation would go on.

    Args:
        clock: of the run. One that does not follow the real time does not wait for threads.
    """
    if not _loaded and isinstance(clock, SystemClock):
        import asyncio

        await asyncio.to_thread(_load)


def cost_of(provider: str, model: str, tokens: Tokens, now: float) -> float | None:
    """US dollars for that usage, or None where no price is known.

    Args:
        provider: the first part of the model's name. It decides the price even when the model is reached through
            your own gateway.
        model: the rest of the name.
        tokens: that were read and written.
        now: when the call was made, in seconds since 1970: prices change.
    """
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    usage = {name: count for name, count in asdict(tokens).items() if count or name in _TOTALS}
    try:
        price = calc_price(
            PricedUsage(**usage),
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
    return cost_of(provider, model, Tokens(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens), now)


_FAMILIES = {
    "openai": ("gpt-", "chatgpt-", "o1", "o3", "o4"),
    "anthropic": ("claude-",),
    "google": ("gemini-",),
    "xai": ("grok-",),
    "cohere": ("command-",),
    "mistral": ("mistral-", "ministral-", "magistral-", "codestral-"),
    "deepseek": ("deepseek-",),
}
"""How the names of models begin that their makers sell, so that the name alone says whose price it is."""
_OPEN_WEIGHTS = late(r":|\d+b\b|gpt-oss")
"""In names of models that anybody may host, at a price of their own: ``qwen2.5:7b``, ``gpt-oss-20b``."""


def cost_by_model(name: str, usage: Usage, now: float) -> float | None:
    """US dollars for a call of the model that some service names in its answer, or None where no price is known.

    The name may be bare, as in ``gpt-5-mini-2025-08-07``: then its maker's price counts.
    """
    provider, _, model = name.replace(":", "/", 1).partition("/")
    if model and (provider in FREE or provider in _FAMILIES):
        return estimated_cost(name, usage, now)
    bare = name.rpartition("/")[2].casefold()
    if _OPEN_WEIGHTS.search(bare):
        return None
    maker = next((maker for maker, begins in _FAMILIES.items() if bare.startswith(begins)), None)
    return None if maker is None else estimated_cost(f"{maker}/{bare}", usage, now)
