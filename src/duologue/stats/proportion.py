"""A share of successes and how sure of it one can be."""

from __future__ import annotations

import math
from functools import cache

from duologue.errors import ConfigurationError
from duologue.frozen import frozen


def percent(rate: float) -> str:
    """A share as text. ``100%`` is said of all and ``0%`` of none: 199 of 200 are ``99.5%``, however near to all."""
    whole = rate * 100
    if 0 < whole < 1 or 99 < whole < 100:
        return f"{min(max(whole, 0.1), 99.9):.1f}%"
    return f"{whole:.0f}%"


@frozen
class Proportion:
    """``successes`` out of ``total``, with an interval for the true share.

    Attributes:
        successes, total: counts.
        low, high: ends of the interval, from 0 to 1.
        confidence: of the interval, such as 0.95.
    """

    successes: int
    total: int
    low: float
    high: float
    confidence: float

    @property
    def rate(self) -> float | None:
        """The share; None out of nothing."""
        return self.successes / self.total if self.total else None


def wilson(successes: int, total: int, confidence: float = 0.95) -> Proportion:
    """The score interval of E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.

    Args:
        successes: how many of ``total``.
        total: how many in all; out of none, the interval is from 0 to 1.
        confidence: between 0 and 1, both excluded.

    Raises:
        ConfigurationError: the counts or the confidence make no sense.
    """
    if not 0 <= successes <= total:
        raise ConfigurationError(f"wilson: expected 0 <= successes <= total; found {successes} of {total}")
    require_confidence(confidence, "wilson")
    if total == 0:
        return Proportion(successes=0, total=0, low=0.0, high=1.0, confidence=confidence)
    low, high = wilson_ends(successes / total, total, confidence)
    return Proportion(successes=successes, total=total, low=low, high=high, confidence=confidence)


def wilson_ends(share: float, trials: float, confidence: float) -> tuple[float, float]:
    """The ends of Wilson's interval for any number of trials, such as 12.3 effective ones."""
    z = normal_quantile((1 + confidence) / 2)
    spread = z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    # At the ends of the scale the formula is exact and only rounding leaves it.
    low = 0.0 if share == 0 else max(0.0, middle - half)
    return low, 1.0 if share == 1 else min(1.0, middle + half)


def require_confidence(confidence: float, who: str) -> None:
    """Raise ConfigurationError unless a confidence lies between 0 and 1, both excluded.

    Args:
        confidence: such as 0.95.
        who: the function that was called, for the error.
    """
    if not 0 < confidence < 1:
        raise ConfigurationError(f"{who}: confidence must be between 0 and 1; found {confidence}")


@cache
def normal_quantile(share: float) -> float:
    """The value below which this share of a standard normal distribution lies."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)
