"""Boschloo's exact test of two shares, as scipy has it (extra ``stats``).

R. D. Boschloo, Statistica Neerlandica 24 (1970), 1-9: exact like Fisher's test, and never weaker. It finds differences
in fewer trials where the number of passes is chance, and takes some milliseconds a test.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from duologue.errors import MissingExtraError
from duologue.stats.exact_tests import fisher


@lru_cache(maxsize=16_384)
def boschloo(passed: int, decided: int, other_passed: int, other_decided: int) -> float:
    """The two-sided p value; at most that of Fisher's test.

    Args:
        passed, decided: trials of the first.
        other_passed, other_decided: trials of the second.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    plain = fisher(passed, decided, other_passed, other_decided)
    if plain == 1 or not decided or not other_decided:
        return plain
    try:
        from scipy.stats import boschloo_exact  # pyright: ignore[reportUnknownVariableType, reportMissingTypeStubs]
    except ImportError as error:
        raise MissingExtraError("Boschloo's exact test", "stats", "scipy") from error
    table = [[passed, other_passed], [decided - passed, other_decided - other_passed]]
    found = cast("Any", boschloo_exact)(table)
    return min(plain, float(found.pvalue))
