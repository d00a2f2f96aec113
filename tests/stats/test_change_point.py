"""Where a share of successes falls."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.change_point import fall, probability_greater

COUNTS = st.lists(st.integers(0, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=9)


@pytest.mark.parametrize(
    ("counts", "place", "between"),
    [
        ([(10, 10), (10, 10), (0, 10), (0, 10)], 1, (1, 1)),
        ([(10, 10), (0, 10)], 0, (0, 0)),
        ([(8, 10), (9, 10), (8, 10), (1, 10), (2, 10), (0, 10)], 2, (2, 2)),
    ],
)
def test_a_clear_fall_is_found_where_it_is(counts, place, between):
    found = fall(counts)
    assert (found.place, (found.low, found.high)) == (place, between)
    assert found.probability > 0.95


@pytest.mark.parametrize(
    "counts",
    [[], [(3, 5)], [(0, 10)] * 8, [(10, 10)] * 8, [(5, 10)] * 8, [(0, 10), (0, 10), (10, 10)], [(0, 0)] * 5],
)
def test_no_fall_is_found_where_there_is_none_or_where_the_share_rises(counts):
    found = fall(counts)
    assert (found.place, found.low, found.high) == (None, None, None)
    assert found.probability < 0.5 + 1e-6


@given(COUNTS)
def test_any_counts_give_a_probability_and_a_place_within_its_range(counts):
    found = fall(counts)
    assert 0 <= found.probability <= 1
    if found.place is not None:
        assert 0 <= found.low <= found.high < len(counts) - 1


def test_the_range_holds_the_true_place_as_often_as_it_says():
    random, held, found_at_all = Random(1), 0, 0
    for _ in range(200):
        place = random.randrange(7)
        shares = [0.8 if index <= place else 0.2 for index in range(8)]
        found = fall([(sum(random.random() < share for _ in range(10)), 10) for share in shares])
        if found.place is not None:
            found_at_all += 1
            held += found.low <= place <= found.high
    assert found_at_all > 190
    assert held / found_at_all >= 0.93


@given(*[st.integers(1, 30)] * 4)
def test_one_of_two_shares_is_the_greater(a1, b1, a2, b2):
    one, other = probability_greater((a1, b1), (a2, b2)), probability_greater((a2, b2), (a1, b1))
    assert one + other == pytest.approx(1, abs=1e-9)


def test_equal_distributions_are_as_often_greater_as_less():
    assert probability_greater((3, 4), (3, 4)) == pytest.approx(0.5)
    assert probability_greater((1, 1), (2, 1)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("counts", "confidence"), [([(2, 1)], 0.9), ([(-1, 1)], 0.9), ([(1, 1)], 1.0)])
def test_counts_that_make_no_sense_are_refused(counts, confidence):
    with pytest.raises(ConfigurationError, match="fall:"):
        fall(counts, confidence)
