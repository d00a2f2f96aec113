"""Intervals for a share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ConfigurationError
from duologue.stats.proportion import percent, wilson

COUNTS = st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3; and the rule z²/(n+z²) for none of n.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_intervals(successes, total, low, high):
    found = wilson(successes, total)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(COUNTS, st.floats(0.01, 0.999))
def test_the_share_lies_in_its_interval_and_the_interval_on_the_scale(counts, confidence):
    found = wilson(*counts, confidence)
    assert 0 <= found.low <= found.rate <= found.high <= 1


@given(COUNTS)
def test_failures_mirror_successes(counts):
    successes, total = counts
    found, mirrored = wilson(successes, total), wilson(total - successes, total)
    assert found.low == pytest.approx(1 - mirrored.high)


@given(COUNTS)
def test_more_confidence_is_a_wider_interval(counts):
    narrow, wide = wilson(*counts, 0.8), wilson(*counts, 0.99)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_nothing_tells_nothing():
    found = wilson(0, 0)
    assert (found.rate, found.low, found.high) == (None, 0.0, 1.0)


@pytest.mark.parametrize(("successes", "total", "confidence"), [(2, 1, 0.95), (-1, 1, 0.95), (1, 2, 0.0), (1, 2, 1.0)])
def test_what_makes_no_sense_is_refused(successes, total, confidence):
    with pytest.raises(ConfigurationError):
        wilson(successes, total, confidence)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 200, "0%"),
        (1, 200, "0.5%"),
        (1, 100_000, "0.1%"),
        (1, 3, "33%"),
        (99, 100, "99%"),
        (199, 200, "99.5%"),
        (99_999, 100_000, "99.9%"),
        (200, 200, "100%"),
    ],
)
def test_a_hundred_percent_is_all_and_zero_is_none(part: int, whole: int, text: str) -> None:
    assert percent(part / whole) == text
