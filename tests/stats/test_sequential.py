"""When trials may stop."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.proportion import wilson
from duologue.stats.sequential import (
    StopRule,
    confidence_sequence,
    decided,
    evidence_above,
    evidence_below,
    least_further,
    uncertainty,
)

OUTCOMES = st.lists(st.sampled_from(["pass", "fail", "open"]), max_size=40)
RULES = st.builds(StopRule, threshold=st.sampled_from([0.1, 0.5, 0.7, 0.8, 0.9, 1.0]), most=st.integers(1, 40))


@given(OUTCOMES, RULES)
def test_a_decision_by_count_is_that_of_all_trials(outcomes, rule):
    outcomes = outcomes[: rule.most]
    found = decided(outcomes, rule)
    if found is None or found.by != "count":
        return
    left = rule.most - len(outcomes)
    for rest in ("pass", "fail"):
        passed = outcomes.count("pass") + (left if rest == "pass" else 0)
        passed += outcomes.count("open") if rest == "pass" else 0
        assert (passed >= rule.needed) is found.reached


@given(OUTCOMES, RULES)
def test_what_comes_after_a_decision_changes_nothing(outcomes, rule):
    found = decided(outcomes, rule)
    if found is not None:
        assert decided([*outcomes, "fail", "pass"], rule) == found
        assert decided(outcomes[: found.trials], rule) == found
        assert decided(outcomes[: found.trials - 1], rule) is None


@given(OUTCOMES, RULES)
def test_all_trials_without_open_ones_always_decide(outcomes, rule):
    every = [item for item in outcomes if item != "open"]
    every += ["pass"] * (rule.most - len(every))
    assert decided(every, rule) is not None


@given(st.integers(0, 20), st.integers(0, 20), RULES)
def test_fewer_trials_than_the_least_decide_nothing(passed, failed, rule):
    if passed + failed > rule.most or decided(["pass"] * passed + ["fail"] * failed, rule):
        return
    least = least_further(passed, failed, 0, rule)
    before = ["pass"] * passed + ["fail"] * failed
    assert 1 <= least <= rule.most - passed - failed
    for outcome in ("pass", "fail"):
        assert decided([*before, *[outcome] * (least - 1)], rule) is None


def test_a_threshold_of_all_is_decided_by_the_first_failure_and_by_nothing_less_than_all():
    rule = StopRule(threshold=1.0, most=10)
    assert decided(["pass", "fail"], rule).trials == 2
    assert decided(["pass"] * 9, rule) is None
    assert decided(["pass"] * 10, rule).reached


def test_clear_cases_need_few_trials():
    rule = StopRule(threshold=0.8, most=30)
    bad, good = decided(["fail"] * 30, rule), decided(["pass"] * 30, rule)
    assert (bad.reached, bad.by, bad.trials) == (False, "evidence", 3)
    assert good.reached
    assert good.by == "evidence"
    assert good.trials < 20


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([0.2, 0.5, 0.75, 0.9]))
def test_the_bets_are_fair(passed, failed, threshold):
    """At the threshold itself, the next trial changes neither bet on average."""
    for bet in (evidence_above, evidence_below):
        up, down = bet(passed + 1, failed, threshold), bet(passed, failed + 1, threshold)
        assert threshold * up + (1 - threshold) * down == pytest.approx(bet(passed, failed, threshold), rel=1e-6)


def test_looking_after_each_trial_is_wrong_as_seldom_as_it_says():
    random, wrong = Random(5), 0
    for _ in range(1000):
        outcomes = ["pass" if random.random() < 0.8 else "fail" for _ in range(100)]
        passed = failed = 0
        for outcome in outcomes:
            passed, failed = passed + (outcome == "pass"), failed + (outcome == "fail")
            if evidence_above(passed, failed, 0.8) >= 20:
                wrong += 1
                break
    assert wrong <= 50


def test_the_interval_holds_at_all_times_at_once():
    random, missed = Random(7), 0
    for _ in range(200):
        passed = 0
        for total in range(1, 61):
            passed += random.random() < 0.7
            found = confidence_sequence(passed, total)
            if not found.low <= 0.7 <= found.high:
                missed += 1
                break
    assert missed <= 10


@given(st.integers(1, 200).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_is_wider_than_one_for_a_fixed_number(counts):
    always, once = confidence_sequence(*counts), wilson(*counts)
    assert always.low <= always.rate <= always.high
    assert always.high - always.low >= (once.high - once.low) * 0.99


def test_the_least_decided_case_is_the_one_at_the_threshold():
    assert uncertainty(8, 2, 0.8) > uncertainty(10, 0, 0.8) > uncertainty(20, 0, 0.8)
    assert uncertainty(0, 5, 0.8) < 0.01


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": 1.1}, {"most": 0}, {"confidence": 1.0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigurationError):
        StopRule(**{"threshold": 0.8, "most": 10, **wrong})
