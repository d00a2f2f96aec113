"""What the trials of a plan will buy: how wide the intervals of its pass rates will probably be.

The width over all runs depends on how alike the trials of a scenario come out. Earlier runs say it; without them the
two extremes are given: trials that are independent, and trials of a scenario that all come out the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from random import Random

from duologue.frozen import frozen
from duologue.stats.proportion import normal_quantile, wilson
from duologue.stats.quantiles import student_quantile
from duologue.stats.sequential import StopRule, decided
from duologue.suites.plan.build import Plan, TestCase

CONFIDENCE = 0.95
USUAL = 0.8
"""The pass rate that is assumed where no earlier run says one."""
_DRAWS = 200

Earlier = Mapping[str, tuple[int, int]]
"""By group of a test case, its passed and decided runs."""


@frozen
class Precision:
    """How sure a plan will make its numbers.

    Attributes:
        confidence: of the intervals.
        rate: the pass rate that is assumed.
        trials: of a test case, the usual number.
        case_half: half the width of a test case's interval, as a share.
        scenarios: how many there are.
        all_low, all_high: half the width of the interval over all runs, at best and at worst; the same where earlier
            runs say how alike trials are. None for a single scenario.
        expected_runs: of a plan whose trials end when they decide; None for others.
        known: how many test cases have earlier runs.
    """

    confidence: float
    rate: float
    trials: int
    case_half: float
    scenarios: int
    all_low: float | None
    all_high: float | None
    expected_runs: int | None
    known: int


def precision_of(plan: Plan, earlier: Earlier, pass_threshold: float = 1.0) -> Precision:
    """What a plan will buy.

    Args:
        plan: at least one test case.
        earlier: what earlier runs of its test cases have come to.
        pass_threshold: the share of trials that must pass where trials end when they decide.
    """
    groups: dict[str, TestCase] = {case.group: case for case in plan.cases}
    known = {group: earlier[group] for group in groups if earlier.get(group, (0, 0))[1]}
    passed, total = (sum(found[place] for found in known.values()) for place in (0, 1))
    rate = (passed + 1) / (total + 2) if total else USUAL
    trials = Counter(case.trials for case in groups.values()).most_common(1)[0][0]
    found = wilson(round(rate * trials), trials, CONFIDENCE)
    scenarios = len({case.scenario if case.kind == "scenario" else case.group for case in groups.values()})
    low, high = _all_runs(plan, known, groups, rate, scenarios)
    return Precision(
        confidence=CONFIDENCE,
        rate=rate,
        trials=trials,
        case_half=(found.high - found.low) / 2,
        scenarios=scenarios,
        all_low=low,
        all_high=high,
        expected_runs=_expected(groups, known, pass_threshold),
        known=len(known),
    )


def _all_runs(
    plan: Plan, known: Earlier, groups: Mapping[str, TestCase], rate: float, scenarios: int
) -> tuple[float | None, float | None]:
    if scenarios < 2:
        return None, None
    spread, runs = rate * (1 - rate), len(plan)
    quantile = student_quantile((1 + CONFIDENCE) / 2, scenarios - 1)
    alike = _alike(known, groups, spread)
    if alike is None:
        return normal_quantile((1 + CONFIDENCE) / 2) * math.sqrt(spread / runs), quantile * math.sqrt(
            spread / scenarios
        )
    of_each = runs / scenarios
    half = quantile * math.sqrt(spread * (alike + (1 - alike) / of_each) / scenarios)
    return half, half


def _alike(known: Earlier, groups: Mapping[str, TestCase], spread: float) -> float | None:
    """How alike trials of a scenario are: 0 for not at all, 1 for the same; None if too little is known.

    The intraclass correlation by analysis of variance (A. Donner, International Statistical Review 54 (1986), 67-82).
    """
    clusters: dict[str, list[int]] = {}
    for group, (passed, decided_) in known.items():
        counted = clusters.setdefault(groups[group].scenario, [0, 0])
        counted[0] += passed
        counted[1] += decided_
    total = sum(size for _, size in clusters.values())
    if len(clusters) < 2 or total <= len(clusters):
        return None
    mean = sum(passed for passed, _ in clusters.values()) / total
    between = sum(size * (passed / size - mean) ** 2 for passed, size in clusters.values()) / (len(clusters) - 1)
    within = sum(passed * (1 - passed / size) for passed, size in clusters.values()) / (total - len(clusters))
    usual = (total - sum(size**2 for _, size in clusters.values()) / total) / (len(clusters) - 1)
    whole = between + (usual - 1) * within
    return min(1.0, max(0.0, (between - within) / whole)) if whole > 0 else 0.0


def _expected(groups: Mapping[str, TestCase], known: Earlier, threshold: float) -> int | None:
    """How many runs it will probably take to decide all cases."""
    if not any(case.until_decided for case in groups.values()):
        return None
    draws: dict[tuple[float, int], float] = {}
    runs = 0.0
    for group, case in groups.items():
        if not case.until_decided:
            runs += case.trials
            continue
        passed, total = known.get(group, (0, 0))
        rate = (passed + 1) / (total + 2) if total else USUAL
        key = (round(rate, 2), case.trials)
        if key not in draws:
            draws[key] = _mean_trials(*key, threshold)
        runs += draws[key]
    return round(runs)


def _mean_trials(rate: float, most: int, threshold: float) -> float:
    random, rule = Random(0), StopRule(threshold=threshold, most=most)
    taken = 0
    for _ in range(_DRAWS):
        found = decided(("pass" if random.random() < rate else "fail" for _ in range(most)), rule)
        taken += found.trials if found else most
    return taken / _DRAWS
