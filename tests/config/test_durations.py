"""Durations as people write them."""

from __future__ import annotations

import pytest

from duologue.config.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("5m30s", 330.0), ("1h", 3600.0), ("1.5m", 90.0), ("1h1m1s1ms", 3661.001)],
)
def test_every_unit_counts_alone_and_together(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "0s", "0h0m", "-1s", "1 s", "1d", "5m 30s", "1s\n", "٣s"])
def test_anything_else_says_what_is_expected(text):
    with pytest.raises(ValueError, match="a duration such as 500ms, 30s, 5m30s or 1h"):
        parse_duration(text)
