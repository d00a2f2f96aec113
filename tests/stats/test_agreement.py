"""Agreement beyond chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.agreement import cohens_kappa, kappa_interval
from duologue.stats.alpha import alpha_interval

RATINGS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60)


def raters(table):
    """Two raters from a table of counts: rows are what the first said, columns the second."""
    pairs = [(row, column) for row, line in enumerate(table) for column, times in enumerate(line) for _ in range(times)]
    return [one for one, _ in pairs], [other for _, other in pairs]


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        # Cohen (1960), table 1: shares .25 .13 .12 / .12 .02 .16 / .03 .15 .02 of 200 items.
        ([[50, 26, 24], [24, 4, 32], [6, 30, 4]], -0.092),
        # Worked by hand: observed 35/50, expected 0.5; then observed 0.6 of 100 twice, with other margins.
        ([[20, 5], [10, 15]], 0.4),
        ([[45, 15], [25, 15]], 0.1304),
        ([[25, 35], [5, 35]], 0.2593),
    ],
)
def test_known_tables(table, kappa):
    assert cohens_kappa(*raters(table)) == pytest.approx(kappa, abs=5e-4)


def test_full_agreement_is_one_and_full_disagreement_minus_one():
    assert cohens_kappa([True, False], [True, False]) == 1
    assert cohens_kappa([True, False], [False, True]) == -1


def test_a_rater_that_always_says_the_same_is_no_better_than_chance():
    assert cohens_kappa([True] * 10, [True, False] * 5) == 0


@pytest.mark.parametrize(("first", "second"), [([], []), (["a", "a"], ["a", "a"])])
def test_where_chance_agrees_on_everything_there_is_nothing_to_measure(first, second):
    assert cohens_kappa(first, second) is None
    assert kappa_interval(first, second) is None


@given(RATINGS)
def test_it_does_not_matter_who_is_first_or_what_the_values_are_called(pairs):
    first, second = zip(*pairs, strict=True)
    found = cohens_kappa(first, second)
    assert found == cohens_kappa(second, first)
    assert found == cohens_kappa([ord(value) for value in first], [ord(value) for value in second])
    assert found is None or found <= 1


def test_the_interval_holds_kappa_and_is_the_same_each_time():
    first, second = raters([[20, 5], [10, 15]])
    found = kappa_interval(first, second)
    assert found == kappa_interval(first, second)
    # The large-sample standard error of this table is 0.129 (Fleiss, Cohen, Everitt, 1969).
    assert (found.low, found.kappa, found.high) == pytest.approx((0.4 - 0.253, 0.4, 0.4 + 0.253), abs=0.04)


@pytest.mark.parametrize("items", [2, 4, 10, 40])
@pytest.mark.parametrize("other", [["a", "b"], ["a", "a"]])
def test_draws_that_all_come_out_the_same_do_not_make_it_certain(items, other):
    first, second = ["a", "b"] * (items // 2), other * (items // 2)
    found, more = kappa_interval(first, second), kappa_interval(first * 4, second * 4)
    kappa = 1 if other == ["a", "b"] else 0
    assert found.kappa == more.kappa == kappa
    assert found.low < more.low < 1
    assert found.low <= kappa <= found.high
    assert more.high - more.low < found.high - found.low
    whole = alpha_interval(list(zip(first, first, strict=True)))
    assert (whole.alpha, whole.high) == (1, 1)
    assert whole.low < 1


def test_items_that_come_in_groups_are_less_sure():
    first, second = raters([[20, 5], [10, 15]])
    alone = kappa_interval(first * 4, second * 4)
    grouped = kappa_interval(first * 4, second * 4, groups=[*range(50)] * 4)
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_more_confidence_is_a_wider_interval():
    first, second = raters([[20, 5], [10, 15]])
    narrow, wide = (kappa_interval(first, second, confidence=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low
    assert narrow.high < wide.high


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigurationError, match="found 1 and 2"):
        cohens_kappa(["a"], ["a", "b"])
    with pytest.raises(ConfigurationError, match="one for each item; found 1"):
        kappa_interval(["a", "b"], ["a", "b"], groups=[1])
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        kappa_interval(["a", "b"], ["a", "b"], confidence=1.0)
