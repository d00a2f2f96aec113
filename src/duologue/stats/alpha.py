"""Agreement beyond chance of any number of raters who need not all have rated everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from random import Random

from duologue.frozen import frozen
from duologue.stats.agreement import ends_of_draws
from duologue.stats.proportion import require_confidence

_RESAMPLES = 2000


@frozen
class Alpha:
    """Krippendorff's alpha, with an interval for it.

    Attributes:
        alpha: 1 for full agreement, 0 for what chance gives, below 0 for less than that.
        low, high: ends of the interval.
        confidence: of the interval, such as 0.95.
        items: how many were rated at least twice.
    """

    alpha: float
    low: float
    high: float
    confidence: float
    items: int


def krippendorff_alpha(items: Sequence[Sequence[Hashable]]) -> float | None:
    """Alpha for values without order, after K. Krippendorff, Content Analysis (2013), chapter 12.

    Args:
        items: what was said of each item, by however many raters. One value alone says nothing and is left out.

    Returns:
        1 - observed disagreement / disagreement by chance. None where all values are the same, or no item was rated
        twice: then there is nothing to measure.
    """
    return _alpha(Counter(frozenset(Counter(values).items()) for values in items if len(values) > 1))


def _alpha(kinds: Mapping[frozenset[tuple[Hashable, int]], int]) -> float | None:
    """Alpha of items that are counted by what was said of them."""
    totals: Counter[Hashable] = Counter()
    observed = 0.0
    for kind, times in kinds.items():
        size = sum(count for _, count in kind)
        observed += times * (size * size - sum(count * count for _, count in kind)) / (size - 1)
        for value, count in kind:
            totals[value] += count * times
    size = totals.total()
    by_chance = size * size - sum(count * count for count in totals.values())
    return 1 - (size - 1) * observed / by_chance if by_chance else None


def alpha_interval(items: Sequence[Sequence[Hashable]], *, confidence: float = 0.95, seed: int = 0) -> Alpha | None:
    """Alpha with a percentile bootstrap interval over items (B. Efron, Annals of Statistics 7 (1979), 1-26).

    Where all draws come out the same, see :func:`duologue.stats.agreement.ends_of_draws`.

    Args:
        items: see :func:`krippendorff_alpha`.
        confidence: between 0 and 1, both excluded.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        None where alpha itself is not defined. Draws in which it is not are left out.

    Raises:
        ConfigurationError: the confidence makes no sense.
    """
    require_confidence(confidence, "alpha_interval")
    rated = [tuple(values) for values in items if len(values) > 1]
    alpha = krippendorff_alpha(rated)
    if alpha is None:
        return None
    random = Random(seed)
    # Items of which the same was said are drawn as one kind: there are few kinds, however many items there are.
    kinds = Counter(frozenset(Counter(values).items()) for values in rated)
    every, weights = list(kinds), list(kinds.values())
    drawn = [
        found
        for _ in range(_RESAMPLES)
        if (found := _alpha(Counter(random.choices(every, weights, k=len(rated))))) is not None
    ]
    totals = Counter(value for values in rated for value in values)
    size = totals.total()
    chance = sum(count * (count - 1) for count in totals.values()) / (size * (size - 1))
    low, high = ends_of_draws(drawn, alpha, chance=chance, items=len(rated), confidence=confidence)
    return Alpha(alpha=alpha, low=low, high=high, confidence=confidence, items=len(rated))
