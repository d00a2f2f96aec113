from __future__ import annotations

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.http import retry_after
from duologue.models.provider import RetryPolicy

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (None, None),
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": formatdate(NOW + 12, usegmt=True)}, 12),
        ({"retry-after": formatdate(NOW - 12, usegmt=True)}, 0),
        ({"retry-after": "Tue Nov 14 22:13:25 2023"}, 5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_what_a_provider_asks_for(headers: dict[str, str] | None, seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.text(max_size=40))
def test_no_header_breaks_the_reader(text: str) -> None:
    seconds = retry_after({"retry-after": text}, NOW)
    assert seconds is None or seconds >= 0


@given(sent=st.integers(1, 12), asked=st.none() | st.floats(0, 1e6), seed=st.integers(0, 99))
def test_waits_keep_to_the_policy_and_to_the_provider(sent: int, asked: float | None, seed: int) -> None:
    policy = RetryPolicy(attempts=10)
    wait = policy.wait(sent, asked, random.Random(seed))
    if sent >= 10 or (asked or 0) > policy.longest_wait:
        assert wait is None
        return
    assert wait is not None
    assert (asked or 0) <= wait <= policy.longest_wait


def test_waits_double_and_differ() -> None:
    policy = RetryPolicy(attempts=99, first_wait=1, longest_wait=1e9)
    waits = [policy.wait(sent, None, random.Random(sent)) or 0 for sent in range(1, 9)]
    assert all(2 ** (n - 1) / 2 <= wait <= 2 ** (n - 1) for n, wait in enumerate(waits, 1))
    assert policy.wait(1, None, random.Random(1)) != policy.wait(1, None, random.Random(2))
