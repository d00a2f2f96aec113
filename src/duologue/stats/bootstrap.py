"""Intervals for numbers that come in clusters: trials of a scenario are more alike than trials of different scenarios.

Whole clusters are drawn, with replacement (B. Efron, Annals of Statistics 7 (1979), 1-26; A. Davison, D. Hinkley,
Bootstrap Methods and their Application (1997), 3.8). A percentile interval of few clusters is too narrow: its tails are
widened as T. Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69 (2015), 371-386,
section 5.2, says ("expanded percentile interval"). From some hundred clusters on, the distribution of a mean is normal,
and the interval is computed from its standard error, as the bootstrap would find it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Literal

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.proportion import normal_quantile, require_confidence, wilson_ends
from duologue.stats.quantiles import student_quantile

RESAMPLES = 1000
"""Draws of all clusters. Each costs some 0.1 microseconds a cluster."""
MANY = 200
"""Clusters from which on nothing is drawn."""
_FEW_CLUSTERS = 10
_FEW_CASES = 9
"""Successes, or failures, below which the distribution of drawn shares is too coarse and too short."""

Method = Literal["bootstrap", "normal", "wilson", "none"]


@frozen
class Interval:
    """An estimate and an interval for the true value.

    Attributes:
        value: the estimate; None where there is nothing to estimate from.
        low, high: ends of the interval; None where there is none.
        confidence: of the interval, such as 0.95.
        clusters: how many it rests on.
        method: ``bootstrap``; ``normal`` for many clusters; ``wilson`` where almost all or almost none succeed; or
            ``none``.
    """

    value: float | None
    low: float | None
    high: float | None
    confidence: float
    clusters: int
    method: Method


def clustered_share(clusters: Sequence[tuple[float, float]], *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """A share of successes over all clusters, with an interval for clusters like these.

    Where fewer than ten clusters, about nine effective successes or failures, or clusters that are all alike leave the
    bootstrap too little to draw from, the interval is Wilson's for the effective number of trials (E. Korn,
    B. Graubard, Survey Methodology 24 (1998), 193-201, with Wilson's interval in place of the exact one). It
    covers at least as often as it says.

    Args:
        clusters: of each what has succeeded, and out of how much. Clusters out of nothing are left out.
        confidence: between 0 and 1, both excluded.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        The share of all that succeeded: the sum of the successes divided by the sum of the trials.
    """
    require_confidence(confidence, "clustered_share")
    if any(not 0 <= done <= size for done, size in clusters):
        raise ConfigurationError("clustered_share: expected 0 <= successes <= total in each cluster")
    found = [(done, size) for done, size in clusters if size > 0]
    total = sum(size for _, size in found)
    if not total:
        return Interval(value=None, low=0.0, high=1.0, confidence=confidence, clusters=0, method="none")
    share = sum(done for done, _ in found) / total
    effective = _effective(found, share, total)
    alike = all(math.isclose(done, share * size) for done, size in found)
    if not alike and len(found) >= _FEW_CLUSTERS and effective * min(share, 1 - share) >= _FEW_CASES:
        ends, method = _ends(found, share, confidence, seed)
        low, high = max(0.0, ends[0]), min(1.0, ends[1])
        return Interval(value=share, low=low, high=high, confidence=confidence, clusters=len(found), method=method)
    if len(found) > 1:
        tail = (1 + confidence) / 2
        effective *= (normal_quantile(tail) / student_quantile(tail, len(found) - 1)) ** 2
    low, high = wilson_ends(share, max(effective, 1.0), confidence)
    return Interval(value=share, low=low, high=high, confidence=confidence, clusters=len(found), method="wilson")


def clustered_mean(clusters: Sequence[tuple[float, float]], *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """A mean of any numbers over all clusters, with an interval for clusters like these.

    Args:
        clusters: of each the sum of its numbers, and how many they are. Clusters without any are left out.
        confidence: between 0 and 1, both excluded.
        seed: of the draws.

    Returns:
        Without ends if there are fewer than two clusters: one cannot say how much clusters differ.
    """
    require_confidence(confidence, "clustered_mean")
    found = [(done, size) for done, size in clusters if size > 0]
    total = sum(size for _, size in found)
    mean = sum(done for done, _ in found) / total if total else None
    if mean is None or len(found) < 2:
        return Interval(value=mean, low=None, high=None, confidence=confidence, clusters=len(found), method="none")
    (low, high), method = _ends(found, mean, confidence, seed)
    return Interval(value=mean, low=low, high=high, confidence=confidence, clusters=len(found), method=method)


def _ends(
    clusters: list[tuple[float, float]], mean: float, confidence: float, seed: int
) -> tuple[tuple[float, float], Method]:
    if all(math.isclose(done, mean * size) for done, size in clusters):
        return (mean, mean), "bootstrap"  # whatever is drawn
    tail = (1 + confidence) / 2
    quantile = student_quantile(tail, len(clusters) - 1)
    if len(clusters) >= MANY:
        total = sum(size for _, size in clusters)
        half = quantile * math.sqrt(_variance(clusters, mean, total))
        return (mean - half, mean + half), "normal"
    widened = quantile * math.sqrt(len(clusters) / (len(clusters) - 1))
    outside = _below(-widened)
    drawn = _drawn(clusters, seed)
    return (_at(drawn, outside), _at(drawn, 1 - outside)), "bootstrap"


def _drawn(clusters: list[tuple[float, float]], seed: int) -> list[float]:
    random, count = Random(seed), len(clusters)
    if len({size for _, size in clusters}) == 1:
        means = [done / size for done, size in clusters]
        return sorted(sum(random.choices(means, k=count)) / count for _ in range(RESAMPLES))
    found: list[float] = []
    for _ in range(RESAMPLES):
        sample = random.choices(clusters, k=count)
        found.append(sum([done for done, _ in sample]) / sum([size for _, size in sample]))
    return sorted(found)


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) - 0.5)))]


def _below(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _variance(clusters: list[tuple[float, float]], mean: float, total: float) -> float:
    """Of a ratio of sums over clusters, by linearisation (W. Cochran, Sampling Techniques (1977), 6.4)."""
    count = len(clusters)
    residuals = sum((done - mean * size) ** 2 for done, size in clusters)
    return residuals / total**2 * count / (count - 1)


def _effective(clusters: list[tuple[float, float]], share: float, total: float) -> float:
    """How many independent trials would tell as much; as many as clusters where all or none have succeeded."""
    if len(clusters) == 1:
        return total
    variance = _variance(clusters, share, total)
    return min(total, share * (1 - share) / variance) if variance else float(len(clusters))


def effective_trials(clusters: Sequence[tuple[float, float]]) -> float:
    """How many independent trials would tell as much about a share as these clusters.

    Args:
        clusters: of each what has succeeded, and out of how much. Clusters out of nothing are left out.
    """
    found = [(done, size) for done, size in clusters if size > 0]
    total = sum(size for _, size in found)
    return _effective(found, sum(done for done, _ in found) / total, total) if total else 0.0
