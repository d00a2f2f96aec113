"""Secrets are found by their values, in whatever form somebody repeats them."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue import secret_values
from duologue.config.templates import expand, expand_url
from duologue.errors import AgentError, ModelError
from duologue.secret_values import hidden, hidden_in, remember

KEY = 'k"e\\y/+=9 ü~'


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_values, "_known", {})


FORMS = {
    "as it is": KEY,
    "upper case": KEY.upper(),
    "in a URL": quote(KEY, safe=""),
    "in a query": urlencode({"q": KEY}),
    "in a form": quote_plus(KEY),
    "in JSON": json.dumps({"key": KEY}),
    "in JSON with umlauts": json.dumps({"key": KEY}, ensure_ascii=False),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    text = f"<<{FORMS[form]}>>"
    found = hidden_in(text, [KEY])
    assert "***" in found
    assert "9" not in found
    assert found.startswith("<<")


@given(
    st.binary(max_size=5),
    st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=12),
    st.binary(max_size=5),
)
def test_base64_hides_nothing_wherever_the_secret_stands(before: bytes, key: str, after: bytes) -> None:
    for encode in (b64encode, urlsafe_b64encode):
        text = encode(before + key.encode() + after).decode()
        left = hidden_in(text, [key])
        assert "***" in left
        assert len(left) <= len(text) - (len(key) * 8 // 6 - 2) + 3


def test_what_a_process_knows_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "localhost:8080")
    monkeypatch.setenv("TENANT", "tenant-4711-x")
    monkeypatch.setenv("SERVICE_PASSWORD", "hunter2-hunter2")
    assert expand_url("http://${HOST}/${TENANT}/chat?q=1&sig=abcdefgh1") == (
        "http://localhost:8080/tenant-4711-x/chat?q=1&sig=abcdefgh1"
    )
    expand("${SERVICE_PASSWORD}")
    error = ModelError("localhost:8080 refused tenant-4711-x with hunter2-hunter2 and Hunter2-HUNTER2")
    assert str(error) == "localhost:8080 refused *** with *** and ***"
    assert str(AgentError("aHVudGVyMi1odW50ZXIy", who="a")).startswith("***")


def test_of_a_bearer_token_the_token_is_secret() -> None:
    remember("Bearer abc-12345", None, "", "short1", "justaword")
    assert hidden("abc-12345, Bearer abc-12345; short1 justaword") == "***, ***; short1 justaword"


def test_the_number_of_secrets_is_bounded() -> None:
    for number in range(1500):
        remember(f"secret-number-{number}")
    assert len(secret_values._known) == 1000
    assert hidden("secret-number-1499 secret-number-3") == "*** secret-number-3"


@pytest.mark.parametrize("url", ["https://a.example/hook/${TOKEN_OF_HOOK}", "https://a.example/?q=${PLACE}"])
@pytest.mark.parametrize("value", ["qwzrtp", "QWERTZUIOPLKJHG", "q9w8e7", "пароль"])
def test_what_fills_a_path_is_secret_also_if_it_is_letters(
    monkeypatch: pytest.MonkeyPatch, url: str, value: str
) -> None:
    for name in ("TOKEN_OF_HOOK", "PLACE"):
        monkeypatch.setenv(name, value)
    forms = [expand_url(url), value, "".join(f"\\u{ord(letter):04x}" for letter in value)]
    forms.append("".join(f"%{byte:02X}" for byte in value.encode()))
    assert [hidden(form).count("***") for form in forms] == [1, 1, 1, 1]


@pytest.mark.parametrize("word", ["staging", "Production", "short", "tiny"])
def test_a_word_of_every_text_stays(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("STAGE", word)
    expand_url("https://a.example/${STAGE}")
    assert hidden(f"on {word}") == f"on {word}"
