"""Where in a sequence a share of successes falls."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, lgamma, log

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.proportion import require_confidence

_ROUNDED = 1e-9


@frozen
class ChangePoint:
    """Where the share of successes falls, if it does.

    Attributes:
        place: the most probable last place before the fall; None if that there is none is more probable than not.
        low, high: the ends of the smallest range that holds the place with the given confidence, if there is one.
        probability: that there is a fall at all.
        confidence: of the range, such as 0.95.
    """

    place: int | None
    low: int | None
    high: int | None
    probability: float
    confidence: float


def fall(counts: Sequence[tuple[int, int]], confidence: float = 0.95) -> ChangePoint:
    """The place after which a share of successes is lower than before, after A. F. M. Smith, Biometrika 62 (1975), 407.

    Every share has a uniform prior; that there is one fall, and that there is none, are equally probable beforehand,
    and so are all places of it.

    Args:
        counts: successes and trials of each place, in order.
        confidence: between 0 and 1, both excluded.

    Raises:
        ConfigurationError: the counts or the confidence make no sense.
    """
    require_confidence(confidence, "fall")
    if any(not 0 <= passed <= total for passed, total in counts):
        raise ConfigurationError(f"fall: expected 0 <= successes <= trials; found {list(counts)}")
    nowhere = ChangePoint(place=None, low=None, high=None, probability=0.0, confidence=confidence)
    if len(counts) < 2:
        return nowhere
    weights = _weights(counts)
    most = max(weights)
    same = _log_beta(*_sums(counts))
    scale = max(most, same)
    likelihoods = [exp(weight - scale) for weight in weights]
    change, none = fsum(likelihoods) / len(likelihoods), exp(same - scale)
    probability = change / (change + none)
    if probability <= 0.5 + _ROUNDED:
        return ChangePoint(place=None, low=None, high=None, probability=probability, confidence=confidence)
    total = fsum(likelihoods)
    shares = [value / total for value in likelihoods]
    low, high = _range(shares, confidence)
    return ChangePoint(
        place=shares.index(max(shares)), low=low, high=high, probability=probability, confidence=confidence
    )


def _weights(counts: Sequence[tuple[int, int]]) -> list[float]:
    """For each place, the logarithm of how well it explains the counts as the last one before a fall."""
    weights: list[float] = []
    for place in range(len(counts) - 1):
        before, after = _sums(counts[: place + 1]), _sums(counts[place + 1 :])
        greater = probability_greater(before, after)
        # Twice, because the prior is about falls only, which are half of all changes.
        weights.append(_log_beta(*before) + _log_beta(*after) + (log(2 * greater) if greater > 0 else -1e300))
    return weights


def _sums(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The parameters of the distribution of a share: successes and failures, each with one more."""
    passed = sum(one for one, _ in counts)
    return passed + 1, sum(total for _, total in counts) - passed + 1


def _log_beta(one: float, other: float) -> float:
    return lgamma(one) + lgamma(other) - lgamma(one + other)


def probability_greater(first: tuple[int, int], second: tuple[int, int]) -> float:
    """How probable it is that a share with the first Beta distribution is greater than one with the second.

    The sum of beta functions that J. D. Cook, "Exact calculation of beta inequalities" (2005), gives for whole numbers.
    """
    (a1, b1), (a2, b2) = first, second
    terms = [
        exp(_log_beta(a2 + step, b1 + b2) - log(b1 + step) - _log_beta(1 + step, b1) - _log_beta(a2, b2))
        for step in range(a1)
    ]
    return min(1.0, fsum(terms))


def _range(shares: Sequence[float], confidence: float) -> tuple[int, int]:
    """The ends of the shortest range with so large a share; of several, that with the largest."""
    for width in range(1, len(shares) + 1):
        ranges = [(fsum(shares[start : start + width]), start) for start in range(len(shares) - width + 1)]
        share, start = max(ranges, key=lambda item: (item[0], -item[1]))
        if share >= confidence:
            return start, start + width - 1
    return 0, len(shares) - 1
