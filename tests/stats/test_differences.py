"""Exact tests and intervals for the difference of two shares."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.stats.differences import paired_difference, trials_to_tell, unpaired_difference
from duologue.stats.exact_tests import fisher, holm, mcnemar, stratified
from duologue.stats.proportion import wilson

SHARE = st.integers(0, 25).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size)))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, 2635-2650, table II, method 10: first minus second.
    [((36, 12, 2, 0), 0.0569, 0.3404), ((53, 1, 0, 0), -0.0505, 0.0977)],
)
def test_published_intervals_of_pairs(counts, low, high):
    both, only_first, only_second, neither = counts
    found = paired_difference(both, only_first, only_second, neither)
    assert (-found.high, -found.low) == pytest.approx((low, high), abs=0.003)


def test_published_interval_of_independent_shares():
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: 56/70 - 48/80.
    found = unpaired_difference(wilson(48, 80), wilson(56, 70))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=0.0001)


@given(SHARE, SHARE)
def test_the_other_way_round_is_the_negative(first, second):
    one, other = (
        unpaired_difference(wilson(*first), wilson(*second)),
        unpaired_difference(wilson(*second), wilson(*first)),
    )
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@given(st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any))
def test_a_difference_of_pairs_lies_in_its_interval(counts):
    found = paired_difference(*counts)
    assert -1 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


@given(SHARE, SHARE)
@settings(deadline=None)
def test_fishers_test_agrees_with_scipy(first, second):
    stats = pytest.importorskip("scipy.stats")
    table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
    assert fisher(*first, *second) == pytest.approx(stats.fisher_exact(table)[1], abs=1e-9)


@pytest.mark.parametrize("counts", [(7, 12, 1, 10), (10, 10, 6, 10), (3, 3, 0, 3)])
def test_boschloos_test_is_sharper_than_fishers(counts):
    pytest.importorskip("scipy.stats")
    from duologue.stats.boschloo import boschloo

    assert 0 < boschloo(*counts) <= fisher(*counts)
    assert boschloo(5, 5, 5, 5) == 1


@given(st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None)
def test_mcnemars_test_agrees_with_scipy(only_first, only_second):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected)


@given(st.lists(st.tuples(SHARE, SHARE).map(lambda pair: (*pair[0], *pair[1])), min_size=1, max_size=6))
def test_strata_in_which_nothing_could_differ_change_nothing(tables):
    found = stratified(tables)
    assert 0 <= found <= 1
    assert stratified([*tables, (5, 5, 7, 7), (0, 3, 0, 9)]) == found


def test_very_many_trials_are_approximated():
    tables = [(30, 60, 24, 60)] * 40
    exact, approximated = stratified(tables[:33]), stratified([*tables[:33], *[(50, 100, 50, 100)] * 90])
    assert exact < 1e-5
    assert approximated < 1e-2


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holms_values_agree_with_their_definition(values):
    adjusted = holm(values)
    for alpha in (0.01, 0.05, 0.3):
        rejected: set[int] = set()
        for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
            if values[place] * (len(values) - rank) > alpha:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(adjusted) if value <= alpha} == rejected


def test_trials_that_would_tell():
    few, many = trials_to_tell(wilson(10, 10), wilson(2, 10)), trials_to_tell(wilson(10, 10), wilson(8, 10))
    assert few is not None
    assert many is not None
    assert few < 10 < many
    assert trials_to_tell(wilson(3, 10), wilson(3, 10)) is None
