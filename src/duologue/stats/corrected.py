"""A share that a judge has counted, corrected for the errors that the judge is known to make."""

from __future__ import annotations

from math import sqrt

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.proportion import Proportion, normal_quantile, require_confidence


@frozen
class CorrectedShare:
    """An estimate of the true share behind a counted one.

    Attributes:
        counted: the share that the judge counted.
        value: the corrected share.
        low, high: ends of the interval, which also counts how uncertain sensitivity and specificity are.
        confidence: of the interval, such as 0.95.
    """

    counted: float
    value: float
    low: float
    high: float
    confidence: float


def rogan_gladen(
    counted: float,
    trials: float,
    sensitivity: Proportion,
    specificity: Proportion,
    *,
    confidence: float = 0.95,
) -> CorrectedShare | None:
    """The estimate of W. J. Rogan and B. Gladen, American Journal of Epidemiology 107 (1978), 71-76.

    The interval is that of Z. Lang and J. Reiczigel, Preventive Veterinary Medicine 113 (2014), 13-22.

    Args:
        counted: the share of trials that the judge passed.
        trials: how many; for trials that depend on each other, the number of independent ones that tell as much.
        sensitivity: of the cases that are true, how many the judge passed.
        specificity: of the cases that are not, how many it failed.
        confidence: between 0 and 1, both excluded.

    Returns:
        None where nothing can be corrected: there are no trials, no true or no untrue cases to know the judge by, or
        the judge tells true from untrue no better than chance.

    Raises:
        ConfigurationError: the numbers make no sense.
    """
    require_confidence(confidence, "rogan_gladen")
    if not 0 <= counted <= 1 or trials < 0:
        raise ConfigurationError(f"rogan_gladen: expected a share of 0 or more trials; found {counted} of {trials}")
    if not trials or sensitivity.rate is None or specificity.rate is None:
        return None
    power = sensitivity.rate + specificity.rate - 1
    z = normal_quantile((1 + confidence) / 2)
    se, se_n = _shrunk(sensitivity)
    sp, sp_n = _shrunk(specificity)
    youden = se + sp - 1
    if power <= 0 or youden <= 0:
        return None
    value = (counted + specificity.rate - 1) / power
    n = trials + z * z
    p = (trials * counted + z * z / 2) / n
    true = (p + sp - 1) / youden
    se_part, sp_part = se * (1 - se) / se_n, sp * (1 - sp) / sp_n
    shift = 2 * z * z * (true * se_part - (1 - true) * sp_part)
    half = z * sqrt(p * (1 - p) / n + true**2 * se_part + (1 - true) ** 2 * sp_part) / youden
    return CorrectedShare(
        counted=counted,
        value=_within(value),
        low=min(_within(value), _within(true + shift - half)),
        high=max(_within(value), _within(true + shift + half)),
        confidence=confidence,
    )


def _shrunk(found: Proportion) -> tuple[float, int]:
    """A share and its number of cases, with one success and one failure more."""
    return (found.successes + 1) / (found.total + 2), found.total + 2


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))
