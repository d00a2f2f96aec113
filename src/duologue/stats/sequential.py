"""When trials of a test case may stop, because whether its pass rate reaches a threshold is decided.

Two ways to be sure, however often one looks:

*By count.* The trials that are left, whatever they come to, cannot move the number of passes across the threshold. The
decision is that of all trials (curtailed sampling: H. Dodge, H. Romig, Bell System Tech. J. 8 (1929), 613-631).

*By evidence.* A test martingale has grown to 1 / alpha: a bet against "the rate is at most the threshold" (or "at
least") that was fair if that was true. By J. Ville's inequality (1939) it is wrong with probability at most alpha,
whenever one stops. The bet is a mixture of the rates above the threshold, in the way of H. Robbins, Annals of
Mathematical Statistics 41 (1970), 1397-1409: half on the rate 1, half spread evenly; and mirrored below.

The interval that goes with it is :func:`confidence_sequence`: a uniform mixture, valid at all times at once
(D. Darling, H. Robbins, PNAS 58 (1967), 66-68; S. Howard et al., Annals of Statistics 49 (2021), 1055-1080).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Literal

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.proportion import Proportion, require_confidence

_ROUNDED = 1e-9
"""Trials by which a share may be missed: 0.7 of 10 is a little more than 7."""

Outcome = Literal["pass", "fail", "open"]
"""Of a trial; ``open`` for one that is over and has no verdict either way."""


@frozen(slots=True)
class StopRule:
    """What is to be decided, and how sure.

    Attributes:
        threshold: the share of trials that must pass, 0 to 1.
        most: trials at most.
        confidence: 1 - alpha of the decision by evidence, such as 0.95.
    """

    threshold: float
    most: int
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigurationError(f"threshold must be above 0 and at most 1; found {self.threshold}")
        if self.most < 1:
            raise ConfigurationError(f"trials at most: expected 1 or more; found {self.most}")
        require_confidence(self.confidence, "StopRule")

    @property
    def needed(self) -> int:
        """How many of all trials must pass."""
        return math.ceil(self.threshold * self.most - _ROUNDED)


@frozen(slots=True)
class StopDecision:
    """That a test case is decided.

    Attributes:
        reached: whether its pass rate reaches the threshold.
        by: ``count`` or ``evidence``.
        trials: after how many.
    """

    reached: bool
    by: Literal["count", "evidence"]
    trials: int


def decided(outcomes: Iterable[Outcome], rule: StopRule) -> StopDecision | None:
    """The first moment at which the outcomes, in the order of their trials, decide; None if they do not.

    Trials without a verdict count as trials that might have been either. What comes after the decision changes nothing.
    """
    passed = failed = open_ = 0
    for outcome in outcomes:
        passed, failed, open_ = passed + (outcome == "pass"), failed + (outcome == "fail"), open_ + (outcome == "open")
        found = _decided(passed, failed, open_, rule)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=16_384)
def _decided(passed: int, failed: int, open_: int, rule: StopRule) -> StopDecision | None:
    trials = passed + failed + open_
    if passed >= rule.needed:
        return StopDecision(reached=True, by="count", trials=trials)
    if failed > rule.most - rule.needed:
        return StopDecision(reached=False, by="count", trials=trials)
    enough = 1 / (1 - rule.confidence)
    if evidence_above(passed, failed, rule.threshold) >= enough:
        return StopDecision(reached=True, by="evidence", trials=trials)
    if evidence_below(passed, failed, rule.threshold) >= enough:
        return StopDecision(reached=False, by="evidence", trials=trials)
    return None


@lru_cache(maxsize=16_384)
def least_further(passed: int, failed: int, open_: int, rule: StopRule) -> int:
    """How many further trials it takes at least to decide: so many can be under way at once without one too many.

    0 where it is decided; as many as there are left where nothing can decide any more.
    """
    if _decided(passed, failed, open_, rule) is not None:
        return 0
    left = rule.most - passed - failed - open_
    for count in range(1, left + 1):
        if _decided(passed + count, failed, open_, rule) or _decided(passed, failed + count, open_, rule):
            return count
    return max(left, 0)


def uncertainty(passed: int, failed: int, threshold: float) -> float:
    """How open it is whether the rate reaches the threshold: 0.5 for not at all decided, 0 for certain.

    The smaller of the two probabilities, given the trials and any rate as likely as another beforehand.
    """
    above = _share_above(passed, failed, threshold)
    return min(above, 1 - above)


@lru_cache(maxsize=16_384)
def evidence_above(passed: int, failed: int, threshold: float) -> float:
    """The bet against "the rate is at most the threshold": what it has grown to, from 1."""
    if threshold >= 1:
        return 0.0  # no rate is above
    usual = _log_likelihood(passed, failed, threshold)
    sure = 0.0 if failed else math.exp(min(700.0, -usual))
    spread = _log_beta(passed, failed) + math.log(max(_share_above(passed, failed, threshold), 1e-300))
    return (sure + math.exp(min(700.0, spread - math.log(1 - threshold) - usual))) / 2


def evidence_below(passed: int, failed: int, threshold: float) -> float:
    """The bet against "the rate is at least the threshold"."""
    if threshold >= 1:
        return math.inf if failed else 0.0
    return evidence_above(failed, passed, 1 - threshold)


def _log_likelihood(passed: int, failed: int, rate: float) -> float:
    return passed * math.log(rate) + (failed * math.log1p(-rate) if failed else 0.0)


def _log_beta(passed: int, failed: int) -> float:
    return math.lgamma(passed + 1) + math.lgamma(failed + 1) - math.lgamma(passed + failed + 2)


def _share_above(passed: int, failed: int, threshold: float) -> float:
    """Of the Beta(passed + 1, failed + 1) distribution; a sum of binomial terms."""
    if threshold >= 1:
        return 0.0
    trials = passed + failed + 1
    logs = (math.log(threshold), math.log1p(-threshold))
    terms = (
        math.exp(_log_choose(trials, count) + count * logs[0] + (trials - count) * logs[1])
        for count in range(passed + 1)
    )
    return min(1.0, math.fsum(terms))


def _log_choose(total: int, count: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)


def confidence_sequence(successes: int, total: int, confidence: float = 0.95) -> Proportion:
    """An interval for a share that holds however often one has looked before stopping.

    All rates that a uniform bet has not grown to 1 / alpha against. Wider than Wilson's, which holds for a number of
    trials that was fixed beforehand.

    Raises:
        ConfigurationError: the counts or the confidence make no sense.
    """
    if not 0 <= successes <= total:
        raise ConfigurationError(f"confidence_sequence: expected 0 <= successes <= total; found {successes} of {total}")
    require_confidence(confidence, "confidence_sequence")
    failures = total - successes
    limit = _log_beta(successes, failures) + math.log(1 - confidence)

    def inside(rate: float) -> bool:
        return limit <= _log_likelihood(successes, failures, rate)

    share = successes / total if total else 0.5
    low = 0.0 if successes == 0 else _edge(inside, 0.0, share)
    high = 1.0 if failures == 0 else _edge(inside, 1.0, share)
    return Proportion(successes=successes, total=total, low=low, high=high, confidence=confidence)


def _edge(inside: Callable[[float], bool], outside: float, within: float) -> float:
    """Where an interval ends, by halving."""
    for _ in range(60):
        middle = (outside + within) / 2
        if middle not in {0.0, 1.0} and inside(middle):
            within = middle
        else:
            outside = middle
    return within
