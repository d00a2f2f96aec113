"""A share of successes and how sure of it one can be."""

from __future__ import annotations

import math

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.quantiles import normal_quantile, require_confidence


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
    z = normal_quantile((1 + confidence) / 2)
    share, spread = successes / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    # At the ends of the scale the formula is exact and only rounding leaves it.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == total else min(1.0, middle + half)
    return Proportion(successes=successes, total=total, low=low, high=high, confidence=confidence)
