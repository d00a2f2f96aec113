"""How numbers are written for people, in reports and on the terminal."""

from __future__ import annotations

import pytest

from duologue.reports.display import duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 ms"),
        (0.3204, "320 ms"),
        (0.9994, "999 ms"),
        (0.99951, "1.0 s"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (60, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_is_rounded_before_its_unit_is_chosen(seconds: float, told: str) -> None:
    assert duration(seconds) == told
