"""Errors of any length: no secret is kept, not even half of one, and searching them does not take ever longer."""

from __future__ import annotations

import random
import re

import pytest

from duologue import secret_values
from duologue.config import redaction, tracebacks
from duologue.config.redaction import MAX_ERROR, excerpt, redacted
from duologue.errors import RunError
from duologue.journal.events import ErrorInfo
from duologue.secret_values import HIDDEN, hidden_in, remember

SECRET = "Zq8-hush-7Kd93mvX0s"
LONG = 5_000_000


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many characters were searched, call by call."""
    counts: list[int] = []
    search = redaction.text_without_secrets

    def counted(text: str) -> str:
        counts.append(len(text))
        return search(text)

    for module in (redaction, tracebacks):
        monkeypatch.setattr(module, "text_without_secrets", counted)
    return counts


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret that the process knows, and only it."""
    monkeypatch.setattr(secret_values, "_known", {})
    remember(SECRET)
    return SECRET


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001 -- that is what is wanted
        return caught


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError, RunError, OSError])
def test_what_is_kept_of_an_error_and_searched_in_it_does_not_grow_with_it(
    kind: type[Exception], searched: list[int]
) -> None:
    worked: list[int] = []
    for length in (LONG, 2 * LONG):
        searched.clear()
        text = "the kitchen said: " + "token x " * (length // 8) + "and the end"
        told = ErrorInfo.of(raised(kind(text), RuntimeError(text)))
        worked.append(sum(searched))
        for part in (told.message, *told.causes):
            assert len(part) < MAX_ERROR + 100
            assert "the kitchen said" in part
            assert part.endswith("and the end")
            assert re.search(r"\n… [\d,]+ characters left out …\n", part)
        assert len(told.traceback or "") < MAX_ERROR
    assert worked[0] == worked[1] < LONG / 10


def test_how_much_was_left_out_is_told() -> None:
    text = "a" * LONG
    left = re.search(r"… ([\d,]+) characters left out …", redacted(text))
    assert left is not None
    assert int(left[1].replace(",", "")) == LONG - MAX_ERROR
    assert redacted("a" * MAX_ERROR) == "a" * MAX_ERROR


@pytest.mark.parametrize("length", [40_000, 48_001, 100_000])
def test_no_secret_is_shown_by_half_wherever_it_stands(secret: str, length: int) -> None:
    half, margin = MAX_ERROR // 2, 8_000
    places = {half, half + margin, length - half, length - half - margin}
    for place in sorted(place + step for place in places for step in range(-len(secret) - 2, 3)):
        text = "." * place + secret + "." * (length - place - len(secret))
        kept = redacted(text)
        assert len(kept) < MAX_ERROR + 100
        assert set(kept) <= set("*.\n… 0123456789,characters left out")
        assert not any(secret[first : first + 4] in kept for first in range(len(secret) - 3)), place


def test_a_text_of_nothing_but_secrets_shows_none_by_half(secret: str) -> None:
    kept = redacted(secret * 20_000)
    assert not any(secret[first : first + 4] in kept for first in range(len(secret) - 3))


def test_the_end_of_a_short_text_is_not_left_out() -> None:
    assert excerpt("abc", lambda part: part, 4) == "abc"


def test_a_long_text_loses_the_same_secrets_as_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    secrets = [f"key/{chance.randrange(10**12)}+x=", "key/1", "S p a c e d 9", 'quoted"9"', "Ünïcode-9-ß", "abc12345"]
    forms = [form for secret in secrets for form in secret_values._forms(secret)]  # pyright: ignore[reportPrivateUsage]
    for _ in range(50):
        words = [chance.choice([*forms, "word", "\n", chance.choice(forms).upper()]) for _ in range(60)]
        text = " ".join(words)
        monkeypatch.setattr(secret_values, "_LONG", 10**9)
        expected = hidden_in(text, secrets)
        monkeypatch.setattr(secret_values, "_LONG", 0)
        assert hidden_in(text, secrets) == expected
        assert HIDDEN in expected
