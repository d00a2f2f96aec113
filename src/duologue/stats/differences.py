"""Intervals for the difference of two shares, and how many trials would tell them apart."""

from __future__ import annotations

import math

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.proportion import Proportion, normal_quantile, wilson


@frozen
class Difference:
    """The second share minus the first.

    Attributes:
        value: None where either has no trials.
        low, high: ends of the interval, from -1 to 1.
        confidence: of the interval, such as 0.95.
    """

    value: float | None
    low: float
    high: float
    confidence: float


def unpaired_difference(first: Proportion, second: Proportion) -> Difference:
    """Of independent trials: method 10 of R. Newcombe, Statistics in Medicine 17 (1998), 873-890.

    Args:
        first, second: with their Wilson intervals of the same confidence.
    """
    return _hybrid(first, second, 0.0)


def paired_difference(
    both: int, only_first: int, only_second: int, neither: int, confidence: float = 0.95
) -> Difference:
    """Of pairs: method 10 of R. Newcombe, Statistics in Medicine 17 (1998), 2635-2650.

    Args:
        both, only_first, only_second, neither: how many pairs have passed on which sides.
        confidence: between 0 and 1, both excluded.
    """
    counts = (both, only_first, only_second, neither)
    if min(counts) < 0:
        raise ConfigurationError(f"paired_difference: expected counts; found {counts}")
    total = sum(counts)
    first = wilson(both + only_first, total, confidence)
    second = wilson(both + only_second, total, confidence)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if not margins:
        return _hybrid(first, second, 0.0)
    product = both * neither - only_first * only_second
    corrected = product if product < 0 else max(0.0, product - total / 2)
    return _hybrid(first, second, corrected / math.sqrt(margins))


def _hybrid(first: Proportion, second: Proportion, correlation: float) -> Difference:
    if first.rate is None or second.rate is None:
        return Difference(value=None, low=-1.0, high=1.0, confidence=first.confidence)
    value = second.rate - first.rate
    down = _together(second.rate - second.low, first.high - first.rate, correlation)
    up = _together(second.high - second.rate, first.rate - first.low, correlation)
    return Difference(value=value, low=max(-1.0, value - down), high=min(1.0, value + up), confidence=first.confidence)


def _together(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))


def trials_to_tell(first: Proportion, second: Proportion, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """How many trials of each would probably tell two shares apart, if they are what they seem to be.

    The normal approximation (J. Fleiss, Statistical Methods for Rates and Proportions (1981), 3.2), with a pass and a
    failure added to either side (A. Agresti, B. Caffo, The American Statistician 54 (2000), 280-288), because 10 of 10
    does not mean that none ever fails.

    Args:
        first, second: what was seen so far.
        alpha: of the test, already divided by the number of tests.
        power: how likely the trials shall tell.

    Returns:
        Of each side, those that there are included; None where both seem the same.
    """
    shares = [(item.successes + 1) / (item.total + 2) for item in (first, second)]
    difference = shares[1] - shares[0]
    if not difference:
        return None
    spread = sum(share * (1 - share) for share in shares)
    z = normal_quantile(1 - alpha / 2) + normal_quantile(power)
    return max(1, math.ceil(z * z * spread / difference**2))
