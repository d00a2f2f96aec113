"""Times in suites: a number of seconds and a duration mean the same in every field."""

from typing import Any

import pytest
from pydantic import ValidationError

from duologue.config.durations import parse_duration
from duologue.specs.agents import Agent, Model
from duologue.specs.suite import Defaults


def timeout(value: Any) -> float | None:
    return Agent(name="a", target="a.py:a", timeout=value).timeout


def run_timeout(value: Any) -> float:
    found = Defaults(run_timeout=value).run_timeout
    assert found is not None
    return parse_duration(found)


def request_timeout(value: Any) -> float:
    found = Model(name="m", provider="openai", model="m", request_timeout=value).request_timeout
    assert found is not None
    return parse_duration(found)


FIELDS = [timeout, run_timeout, request_timeout]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("written", "seconds"),
    [(2, 2), (2.5, 2.5), (0.25, 0.25), (1234567, 1234567), ("2s", 2), ("500ms", 0.5), ("5m30s", 330), ("1h", 3600)],
)
def test_a_time_is_seconds_or_a_duration(field: Any, written: Any, seconds: float) -> None:
    assert field(written) == pytest.approx(seconds)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("written", [0, -1, "soon", "2", "", "0s", "-2s", True, [2], float("inf"), float("nan")])
def test_anything_else_is_refused(field: Any, written: Any) -> None:
    with pytest.raises(ValidationError):
        field(written)


@pytest.mark.parametrize("field", FIELDS)
def test_a_word_is_refused_with_what_is_expected(field: Any) -> None:
    with pytest.raises(ValidationError, match="a duration such as 500ms, 30s, 5m30s or 1h"):
        field("soon")
