"""Shares corrected for the errors of a judge."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.corrected import rogan_gladen
from duologue.stats.proportion import wilson

COUNTS = st.integers(0, 40).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def test_the_formula_of_rogan_and_gladen():
    found = rogan_gladen(0.60, 100, wilson(90, 100), wilson(80, 100))
    assert found.value == pytest.approx((0.60 + 0.80 - 1) / (0.90 + 0.80 - 1))
    assert found.low < found.value < found.high


def test_a_perfect_judge_changes_nothing_but_is_not_certain():
    found = rogan_gladen(0.7, 1000, wilson(500, 500), wilson(500, 500))
    assert found.value == pytest.approx(0.7)
    assert found.low == pytest.approx(0.67, abs=0.01)
    assert found.high == pytest.approx(0.73, abs=0.01)


def test_few_labels_make_a_wide_interval():
    wide, narrow = (rogan_gladen(0.6, 500, wilson(9 * n, 10 * n), wilson(8 * n, 10 * n)) for n in (1, 50))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize(
    ("trials", "sensitivity", "specificity"),
    [
        (0, (9, 10), (9, 10)),
        (10, (0, 0), (9, 10)),
        (10, (9, 10), (0, 0)),
        (10, (5, 10), (5, 10)),
        (10, (2, 10), (3, 10)),
    ],
)
def test_what_cannot_be_corrected_is_not(trials, sensitivity, specificity):
    assert rogan_gladen(0.5, trials, wilson(*sensitivity), wilson(*specificity)) is None


@given(st.floats(0, 1), st.floats(0, 1000), COUNTS, COUNTS)
def test_any_numbers_give_an_interval_within_the_scale(counted, trials, sensitivity, specificity):
    found = rogan_gladen(counted, trials, wilson(*sensitivity), wilson(*specificity))
    if found is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("true", "sensitivity", "specificity"), [(0.8, 0.9, 0.7), (0.3, 0.75, 0.9), (0.05, 0.9, 0.95)])
def test_the_true_rate_of_simulated_judges_is_recovered(true, sensitivity, specificity):
    """Of 400 simulated judges with 60 labels, the interval holds the true rate as often as it says."""
    random, held = Random(7), 0
    for _ in range(400):
        truth = [random.random() < true for _ in range(120)]
        passed = sum(random.random() < (sensitivity if item else 1 - specificity) for item in truth)
        right = sum(random.random() < sensitivity for _ in range(30))
        refused = sum(random.random() < specificity for _ in range(30))
        found = rogan_gladen(passed / 120, 120, wilson(right, 30), wilson(refused, 30))
        held += found is None or found.low <= true <= found.high
    assert held / 400 >= 0.93


def test_numbers_that_make_no_sense_are_refused():
    for counted, trials in ((1.1, 10), (-0.1, 10), (0.5, -1)):
        with pytest.raises(ConfigurationError, match="rogan_gladen"):
            rogan_gladen(counted, trials, wilson(1, 1), wilson(1, 1))
