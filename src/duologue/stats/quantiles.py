"""Quantiles of samples and of Student's distribution, without scipy. Those of the normal one are in ``proportion``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

from duologue.stats.proportion import normal_quantile


@cache
def student_quantile(share: float, freedom: int) -> float:
    """The value below which this share of Student's t distribution lies.

    M. Abramowitz, I. Stegun, Handbook of Mathematical Functions (1964), 26.7.5: off by less than 0.2 % from three
    degrees of freedom on, for shares from 0.005 to 0.995. One and two degrees have a closed form.

    Args:
        share: between 0 and 1, both excluded.
        freedom: degrees of freedom, at least 1.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = normal_quantile(share)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def sample_quantile(values: Iterable[float], share: float) -> float:
    """The value below which this share of a sample lies, between two of it where none is there.

    R. J. Hyndman, Y. Fan, The American Statistician 50 (1996), definition 7.

    Args:
        values: at least one.
        share: from 0 to 1.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
