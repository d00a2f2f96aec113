"""Agreement of any number of raters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.agreement import cohens_kappa
from duologue.stats.alpha import alpha_interval, krippendorff_alpha

# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): four observers, twelve units, with gaps.
PUBLISHED = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]
ITEMS = st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=12)


def units(lines):
    return [[value for value in column if value != "."] for column in zip(*map(str.split, lines), strict=True)]


@pytest.mark.parametrize(
    ("items", "alpha"),
    [
        (units(PUBLISHED), 0.743),
        # The same source, two observers and binary data: 10 units, alpha 0.095.
        (units(["0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"]), 0.095),
        # The same source, two observers and nominal data: 12 units of which one is unpaired, alpha 0.692.
        (units(["a a b b d c c c e d d a", "b a b b b c c c e d d d"]), 0.692),
    ],
)
def test_published_examples(items, alpha):
    assert krippendorff_alpha(items) == pytest.approx(alpha, abs=5e-4)


def test_full_agreement_is_one_and_one_rating_says_nothing():
    assert krippendorff_alpha([["a", "a"], ["b", "b", "b"], ["a"]]) == 1
    for items in ([], [["a"], ["b"]], [["a", "a"], ["a", "a"]]):
        assert krippendorff_alpha(items) is None
        assert alpha_interval(items) is None


@given(ITEMS)
def test_the_order_of_raters_and_items_and_names_of_values_do_not_matter(items):
    found = krippendorff_alpha(items)
    assert found == krippendorff_alpha([item[::-1] for item in items[::-1]]) or found == pytest.approx(
        krippendorff_alpha([item[::-1] for item in items[::-1]])
    )
    assert found is None or found <= 1


def test_with_two_raters_and_many_items_it_comes_near_kappa():
    first, second = list("aab" * 200), list("abb" * 200)
    assert krippendorff_alpha(list(zip(first, second, strict=True))) == pytest.approx(
        cohens_kappa(first, second), abs=0.1
    )


def test_the_interval_holds_alpha_and_is_the_same_each_time():
    found = alpha_interval(units(PUBLISHED) * 3)
    assert found == alpha_interval(units(PUBLISHED) * 3)
    assert found.low < found.alpha < found.high
    assert found.items == 33
    with pytest.raises(ConfigurationError, match="confidence"):
        alpha_interval([], confidence=1)
