"""How often intervals hold the true value, how often verdicts are wrong, and what stopping early saves. By simulation.

    python benchmarks/coverage.py [--repeats 1000] [--seed 1]

Every interval is nominally one of 95 %. ``baseline`` is the interval or rule that a plain program would use: the normal
approximation for shares, a percentile bootstrap over runs in place of scenarios, a fixed number of trials, tests
without Holm's correction. A figure above 95 % means that the interval is wider than it would have to be.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from made_executions import drawn, execution

from duologue.stats.bootstrap import clustered_mean, clustered_share
from duologue.stats.differences import paired_difference, unpaired_difference
from duologue.stats.exact_tests import fisher, holm
from duologue.stats.pass_k import Task, pass_k
from duologue.stats.proportion import wilson
from duologue.stats.sequential import StopRule, confidence_sequence, decided
from duologue.suites.comparison import compare_executions

NOMINAL = 0.95
Ends = tuple[float | None, float | None]


def binomial(random: Random, count: int, rate: float) -> int:
    return sum(random.random() < rate for _ in range(count))


def normal(passed: int, total: int) -> Ends:
    share = passed / total
    half = 1.96 * math.sqrt(share * (1 - share) / total)
    return share - half, share + half


def holds(ends: Ends, truth: float) -> bool:
    low, high = ends
    return low is not None and high is not None and low - 1e-9 <= truth <= high + 1e-9


def coverage(repeats: int, trial: Callable[[], tuple[Ends, Ends, float]]) -> tuple[float, float]:
    """How often an interval and the baseline's hold the truth."""
    ours = theirs = 0
    for _ in range(repeats):
        mine, other, truth = trial()
        ours, theirs = ours + holds(mine, truth), theirs + holds(other, truth)
    return ours / repeats, theirs / repeats


def shares(random: Random, count: int) -> Callable[[], tuple[Ends, Ends, float]]:
    def trial() -> tuple[Ends, Ends, float]:
        truth = random.random()
        passed = binomial(random, count, truth)
        found = wilson(passed, count)
        return (found.low, found.high), normal(passed, count), truth

    return trial


def suites(random: Random, scenarios: int, trials: int, rates: Callable[[], float], mean: float, seed: Iterable[int]):
    seeds = iter(seed)

    def trial() -> tuple[Ends, Ends, float]:
        passed = [binomial(random, trials, rates()) for _ in range(scenarios)]
        found = clustered_share([(item, trials) for item in passed], seed=next(seeds))
        return (found.low, found.high), normal(sum(passed), scenarios * trials), mean

    return trial


def all_of_k(random: Random, scenarios: int, trials: int, k: int) -> Callable[[], tuple[Ends, Ends, float]]:
    truth = math.prod((2 + number) / (4 + number) for number in range(k))  # of Beta(2, 2): E[p^k]

    def trial() -> tuple[Ends, Ends, float]:
        played: list[list[bool]] = []
        for _ in range(scenarios):
            rate = random.betavariate(2, 2)
            played.append([random.random() < rate for _ in range(trials)])
        tasks = [Task(passed=sum(item), decided=trials) for item in played]
        found = pass_k(tasks, k).hat
        all_passed = sum(all(item[:k]) for item in played)
        return (found.low, found.high), normal(all_passed, scenarios), truth

    return trial


def differences(random: Random, pairs: int, *, paired: bool) -> Callable[[], tuple[Ends, Ends, float]]:
    def trial() -> tuple[Ends, Ends, float]:
        first, second, alike = random.random(), random.random(), random.random() if paired else 0.0
        counts = {(one, other): 0 for one in (0, 1) for other in (0, 1)}
        for _ in range(pairs):
            luck = random.random()
            other_luck = luck if random.random() < alike else random.random()
            counts[int(luck < first), int(other_luck < second)] += 1
        both, only_first, only_second = counts[1, 1], counts[1, 0], counts[0, 1]
        one, other = wilson(both + only_first, pairs), wilson(both + only_second, pairs)
        if paired:
            found = paired_difference(both, only_first, only_second, counts[0, 0])
        else:
            found = unpaired_difference(one, other)
        value = (only_second - only_first) / pairs
        spread = sum(share * (1 - share) / pairs for share in (one.rate or 0.0, other.rate or 0.0))
        half = 1.96 * math.sqrt(spread)
        return (found.low, found.high), (value - half, value + half), second - first

    return trial


def costs(random: Random, scenarios: int) -> Callable[[], tuple[Ends, Ends, float]]:
    """The difference of a cost per run, which is skewed and differs from scenario to scenario."""

    def trial() -> tuple[Ends, Ends, float]:
        values = [
            random.gauss(0.01, 0.01) + random.lognormvariate(-4, 0.5) - math.exp(-4 + 0.125) for _ in range(scenarios)
        ]
        found = clustered_mean([(value, 1) for value in values])
        mean = sum(values) / scenarios
        half = 1.96 * math.sqrt(sum((value - mean) ** 2 for value in values) / (scenarios - 1) / scenarios)
        return (found.low, found.high), (mean - half, mean + half), 0.01

    return trial


def always(random: Random, most: int) -> Callable[[], tuple[Ends, Ends, float]]:
    """An interval that is looked at after every trial, and counts only if it held each time."""

    def trial() -> tuple[Ends, Ends, float]:
        truth, passed = random.random(), 0
        mine = other = True
        for total in range(1, most + 1):
            passed += random.random() < truth
            sequence, once = confidence_sequence(passed, total), wilson(passed, total)
            mine = mine and sequence.low <= truth <= sequence.high
            other = other and once.low <= truth <= once.high
        return ((0, 1) if mine else (2, 2)), ((0, 1) if other else (2, 2)), truth

    return trial


MIXED = [0.99] * 8 + [0.9] * 4 + [0.6] * 3 + [0.2] * 2 + [0.02] * 3
"""Pass rates of the cases of a suite: most work, some are flaky, some are broken."""


def stopping(random: Random, repeats: int, threshold: float, most: int) -> dict[str, float]:
    """What trials until decided cost, and how often they decide otherwise than the truth, or than all trials would."""
    rule = StopRule(threshold=threshold, most=most)
    played = planned = cases = wrong = apart = by_evidence = 0
    for _ in range(repeats):
        for rate in MIXED:
            outcomes = ["pass" if random.random() < rate else "fail" for _ in range(most)]
            found = decided(outcomes, rule)
            assert found is not None
            cases, planned, played = cases + 1, planned + most, played + found.trials
            apart += found.reached != (outcomes.count("pass") >= rule.needed)
            if found.by == "evidence":
                by_evidence += 1
                wrong += found.reached != (rate > threshold)
    return {
        "saved": 1 - played / planned,
        "wrong_by_evidence": wrong / cases,
        "other_than_all_trials": apart / cases,
        "by_evidence": by_evidence / cases,
    }


def at_the_threshold(random: Random, repeats: int, threshold: float, most: int) -> float:
    """How often evidence claims a side where the rate is barely on the other: the worst case."""
    rule = StopRule(threshold=threshold, most=most)
    wrong = 0
    for _ in range(repeats):
        found = decided(["pass" if random.random() < threshold else "fail" for _ in range(most)], rule)
        wrong += found is not None and found.by == "evidence" and found.reached
    return wrong / repeats


def families(random: Random, repeats: int) -> dict[str, float]:
    """How often identical agents are called worse, or anything but the same, in a suite of twenty cases."""
    worse = claimed = plain = 0
    for _ in range(repeats):
        rates = [random.choice(MIXED) for _ in range(20)]
        one, other = drawn(rates, 10, random), drawn(rates, 10, random)
        found = compare_executions(execution(one), execution(other), most_flips=0)
        worse += bool(found.found({"worse"}))
        claimed += bool(found.found({"worse", "better"}))
        values = [fisher(one[name].count("p"), 10, other[name].count("p"), 10) for name in one]
        plain += min(values) <= 0.05
        assert (min(holm(values)) <= 0.05) <= (min(values) <= 0.05)
    return {"worse": worse / repeats, "better_or_worse": claimed / repeats, "without_holm": plain / repeats}


def planted(random: Random, repeats: int) -> dict[str, float]:
    """How often a fault in one of twenty scenarios is found at ten trials, and nothing else is claimed."""
    found = other = tied = 0
    for _ in range(repeats):
        rates = [1.0] * 20
        compared = compare_executions(
            execution(drawn(rates, 10, random)), execution(drawn([*rates[:-1], 0.1], 10, random)), most_flips=0
        )
        verdicts = {case.title: case.verdict for case in compared.cases}
        found += verdicts.pop("s19") == "worse"
        other += any(word in {"worse", "better"} for word in verdicts.values())
        tied += all(word == "tied" for word in verdicts.values())
    return {"found": found / repeats, "others_claimed": other / repeats, "others_tied": tied / repeats}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random, repeats = Random(given.seed), given.repeats
    beta = lambda a, b: lambda: random.betavariate(a, b)  # noqa: E731
    seeds = range(10**9)
    simulations = {
        "Wilson, 10 trials": shares(random, 10),
        "Wilson, 50 trials": shares(random, 50),
        "suite, 5 scenarios x 10": suites(random, 5, 10, beta(4, 1), 0.8, seeds),
        "suite, 20 scenarios x 5": suites(random, 20, 5, beta(2, 2), 0.5, seeds),
        "suite, 50 scenarios x 4": suites(random, 50, 4, beta(0.5, 0.5), 0.5, seeds),
        "suite, 50 scenarios x 4, 95 % pass": suites(random, 50, 4, beta(9.5, 0.5), 0.95, seeds),
        "suite, 300 scenarios x 1": suites(random, 300, 1, beta(4, 1), 0.8, seeds),
        "pass^2, 50 tasks x 4": all_of_k(random, 50, 4, 2),
        "pass^4, 50 tasks x 4": all_of_k(random, 50, 4, 4),
        "difference, 10 pairs": differences(random, 10, paired=True),
        "difference, 100 pairs": differences(random, 100, paired=True),
        "difference, 20 against 20": differences(random, 20, paired=False),
        "cost, 20 scenarios": costs(random, 20),
        "at all times, up to 50 trials": always(random, 50),
    }
    print(f"{'interval of 95 %':<38}{'holds':>8}{'baseline':>10}")
    intervals: dict[str, dict[str, float]] = {}
    for name, trial in simulations.items():
        ours, theirs = coverage(repeats, trial)
        intervals[name] = {"holds": ours, "baseline": theirs}
        print(f"{name:<38}{ours:>8.1%}{theirs:>10.1%}")
    stops = stopping(random, max(1, repeats // 10), 0.8, 30)
    stops["wrong_at_the_threshold"] = at_the_threshold(random, repeats, 0.8, 30)
    print(f"\ntrials until decided, 80 % of 30: {stops['saved']:.0%} of the trials saved")
    print(f"  decided by evidence {stops['by_evidence']:.0%}, wrongly {stops['wrong_by_evidence']:.2%}")
    print(f"  at the threshold itself, wrongly above {stops['wrong_at_the_threshold']:.2%} (at most 5 %)")
    print(f"  other than all trials would have {stops['other_than_all_trials']:.2%}")
    same = families(random, repeats)
    print(f"\nidentical agents, 20 cases x 10 trials: called worse {same['worse']:.1%}")
    print(f"  better or worse {same['better_or_worse']:.1%}; a plain test of each case {same['without_holm']:.1%}")
    fault = planted(random, max(1, repeats // 10))
    print(f"\none fault in 20 cases, 10 trials: found {fault['found']:.1%}, others tied {fault['others_tied']:.1%}")
    print(json.dumps({"repeats": repeats, "intervals": intervals, "stopping": stops, "same": same, "fault": fault}))


if __name__ == "__main__":
    main()
