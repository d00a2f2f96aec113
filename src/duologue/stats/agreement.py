"""How far two raters agree beyond what chance alone would give: a judge and the labels, or two judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from random import Random

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.proportion import require_confidence, wilson

_RESAMPLES = 2000


@frozen
class Agreement:
    """Cohen's kappa, with an interval for it.

    Attributes:
        kappa: 1 for full agreement, 0 for what chance gives, below 0 for less than that.
        low, high: ends of the interval.
        confidence: of the interval, such as 0.95.
    """

    kappa: float
    low: float
    high: float
    confidence: float


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement beyond chance, after J. Cohen, Educational and Psychological Measurement 20 (1960), 37-46.

    Args:
        first, second: what each rater said, item by item; any values that can be compared.

    Returns:
        (observed - expected) / (1 - expected), where ``expected`` is the share of items on which two raters would agree
        who give each value as often as these do, but at random. None where that is every item or there is no item:
        then there is nothing to measure.

    Raises:
        ConfigurationError: the two do not have the same length.
    """
    if len(first) != len(second):
        raise ConfigurationError(
            f"cohens_kappa: expected a value of each rater for each item; found {len(first)} and {len(second)}"
        )
    return _kappa(Counter(zip(first, second, strict=True)))


def _kappa(pairs: Mapping[tuple[Hashable, Hashable], int]) -> float | None:
    """Kappa of items that are counted by what both raters said."""
    counts: Counter[Hashable] = Counter()
    others: Counter[Hashable] = Counter()
    for (one, other), times in pairs.items():
        counts[one] += times
        others[other] += times
    total = counts.total()
    # Counted in whole numbers, so that full agreement is exactly 1 and none beyond chance exactly 0.
    by_chance = sum(times * others[value] for value, times in counts.items())
    same = sum(times for (one, other), times in pairs.items() if one == other)
    if by_chance == total * total:
        return None
    return (same * total - by_chance) / (total * total - by_chance)


def kappa_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    groups: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement | None:
    """Cohen's kappa with a percentile bootstrap interval (B. Efron, Annals of Statistics 7 (1979), 1-26).

    Where all draws come out the same, see :func:`ends_of_draws`.

    Args:
        first, second: what each rater said, item by item.
        groups: of each item what it belongs to, such as its conversation. Whole groups are drawn, because items of one
            group are not independent. None: each item is its own.
        confidence: between 0 and 1, both excluded.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        None where kappa itself is not defined. Draws in which it is not are left out.

    Raises:
        ConfigurationError: lengths differ, or the confidence makes no sense.
    """
    require_confidence(confidence, "kappa_interval")
    if groups is not None and len(groups) != len(first):
        raise ConfigurationError(
            f"kappa_interval: expected {len(first)} groups, one for each item; found {len(groups)}"
        )
    kappa = cohens_kappa(first, second)
    if kappa is None:
        return None
    pairs = list(zip(first, second, strict=True))
    members: dict[Hashable, list[tuple[Hashable, Hashable]]] = {}
    for group, pair in zip(groups or range(len(pairs)), pairs, strict=True):
        members.setdefault(group, []).append(pair)
    drawn = _draws(list(members.values()), Random(seed))
    counts, others = Counter(first), Counter(second)
    chance = sum(times * others[value] for value, times in counts.items()) / len(pairs) ** 2
    low, high = ends_of_draws(drawn, kappa, chance=chance, items=len(members), confidence=confidence)
    return Agreement(kappa=kappa, low=low, high=high, confidence=confidence)


def _draws(groups: list[list[tuple[Hashable, Hashable]]], random: Random) -> list[float]:
    # Groups in which the same was said are drawn as one kind: there are few kinds, however many groups there are.
    kinds = Counter(frozenset(Counter(group).items()) for group in groups)
    every, weights = list(kinds), list(kinds.values())
    found: list[float] = []
    for _ in range(_RESAMPLES):
        pairs: Counter[tuple[Hashable, Hashable]] = Counter()
        for kind, times in Counter(random.choices(every, weights, k=len(groups))).items():
            for pair, count in kind:
                pairs[pair] += count * times
        kappa = _kappa(pairs)
        if kappa is not None:
            found.append(kappa)
    return found


def ends_of_draws(
    drawn: Sequence[float], value: float, *, chance: float, items: int, confidence: float
) -> tuple[float, float]:
    """The ends of a percentile interval for an agreement beyond chance.

    Full agreement, and a rater who always says the same, give the same in every draw, however few items there are. Then
    the interval is Wilson's for the share of items on which both agree, less what chance gives.

    Args:
        drawn: what the draws gave.
        value: the estimate, 1 for full agreement and 0 for what chance gives.
        chance: the share of items on which raters would agree by chance.
        items: how many independent ones there are.
        confidence: of the interval.
    """
    ordered, tail = sorted(drawn), (1 - confidence) / 2
    if ordered and ordered[0] < ordered[-1]:
        low, high = (ordered[round(share * (len(ordered) - 1))] for share in (tail, 1 - tail))
        return low, high
    agreed = wilson(round((value + (1 - value) * chance) * items), items, confidence)
    low, high = ((end - chance) / (1 - chance) for end in (agreed.low, agreed.high))
    return max(-1.0, min(low, value)), min(1.0, max(high, value))
