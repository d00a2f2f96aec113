"""Exact tests of whether two shares differ, and what many of them together may claim.

p values are two-sided. All are exact for any number of trials, and therefore err less often than they say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from duologue.errors import ConfigurationError

_ROUNDED = 1e-9
"""Outcomes as likely as the one that was seen count as extreme, in spite of rounding."""
_MOST = 4000
"""Outcomes up to which a distribution over strata is computed exactly."""

Table = tuple[int, int, int, int]
"""Passed and decided trials of the first, then of the second."""


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact test of Q. McNemar, Psychometrika 12 (1947), 153-157: pairs that differ are as likely either way.

    Args:
        only_first, only_second: pairs of which only the one, or only the other, has passed.
    """
    if min(only_first, only_second) < 0:
        raise ConfigurationError(f"mcnemar: expected counts; found {only_first} and {only_second}")
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total > _MOST:
        z = (abs(only_first - only_second) - 1) / math.sqrt(total)
        return math.erfc(max(0.0, z) / math.sqrt(2))
    return min(1.0, 2 * sum(math.comb(total, count) for count in range(fewer + 1)) / 2**total)


def fisher(passed: int, decided: int, other_passed: int, other_decided: int) -> float:
    """R. A. Fisher's exact test of a table of two shares (Statistical Methods for Research Workers, 1934, 21.02)."""
    return stratified([(passed, decided, other_passed, other_decided)])


def stratified(tables: Sequence[Table]) -> float:
    """The exact test of a common difference over strata (J. Gart, Biometrika 57 (1970), 471-475).

    Given how many of all trials of a stratum have passed, which of the two they belong to is chance. With one table it
    is Fisher's test; with very many trials the normal approximation of N. Mantel, W. Haenszel (1959) takes its place.

    Args:
        tables: of each stratum, such as a test case, passed and decided trials of both.
    """
    for passed, decided, other, other_decided in tables:
        if not (0 <= passed <= decided and 0 <= other <= other_decided):
            raise ConfigurationError(
                f"exact test: expected 0 <= passed <= decided; found {passed} of {decided}, {other} of {other_decided}"
            )
    telling = [table for table in tables if _telling(table)]
    seen = sum(table[0] for table in telling)
    if sum(_most(table) - _least(table) for table in telling) > _MOST:
        return _approximated(telling, seen)
    least, chances = 0, [1.0]
    for table in telling:
        least += _least(table)
        chances = _convolved(chances, _hypergeometric(table))
    at = chances[seen - least] if telling else 1.0
    return min(1.0, sum(chance for chance in chances if chance <= at * (1 + _ROUNDED)))


def _telling(table: Table) -> bool:
    """Whether a stratum could have come out in more than one way."""
    return _most(table) > _least(table)


def _least(table: Table) -> int:
    passed, _, other, other_decided = table
    return max(0, passed + other - other_decided)


def _most(table: Table) -> int:
    passed, decided, other, _ = table
    return min(decided, passed + other)


def _hypergeometric(table: Table) -> list[float]:
    passed, decided, other, other_decided = table
    both = passed + other
    ways = [
        math.comb(decided, count) * math.comb(other_decided, both - count)
        for count in range(_least(table), _most(table) + 1)
    ]
    total = sum(ways)
    return [way / total for way in ways]


def _convolved(first: list[float], second: list[float]) -> list[float]:
    found = [0.0] * (len(first) + len(second) - 1)
    for place, one in enumerate(first):
        for further, other in enumerate(second):
            found[place + further] += one * other
    return found


def _approximated(tables: Sequence[Table], seen: int) -> float:
    mean = variance = 0.0
    for passed, decided, other, other_decided in tables:
        total, both = decided + other_decided, passed + other
        mean += decided * both / total
        variance += decided * other_decided * both * (total - both) / (total**2 * (total - 1))
    z = max(0.0, abs(seen - mean) - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p values: those at most alpha have, together, at most alpha for a single false claim among them.

    S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Statistics 6 (1979), 65-70.

    Args:
        values: p values, in any order; the result is in the same order.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, least = [1.0] * len(values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = least
    return adjusted
