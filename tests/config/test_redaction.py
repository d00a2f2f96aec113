"""What looks like a secret: by its name, and in the texts of a request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.config.redaction import HIDDEN, secrets_of_headers, without_secrets, without_values
from duologue.models.cassette import Cassette

LONG = "s3cr3t-and-long-enough"


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "api-key",
        "apiKey",
        "X-Goog-Api-Key",
        "xi-api-key",
        "Authorization",
        "Proxy-Authorization",
        "X-Auth-Token",
        "token",
        "sessionToken",
        "refresh_token",
        "client_secret",
        "private-key",
        "Set-Cookie",
        "credentials",
    ],
)
def test_a_telling_name_hides_its_value_and_every_value_of_its_list(name):
    assert without_secrets({name: LONG, "x": [{name: [LONG]}]}) == {name: HIDDEN, "x": [{name: [HIDDEN]}]}


@pytest.mark.parametrize("name", ["max_tokens", "next_page_token", "key", "author", "tokens", "keyword", "monkey"])
def test_a_harmless_name_keeps_its_value(name):
    assert without_secrets({name: LONG}) == {name: LONG}


def test_a_short_word_called_token_is_a_word_of_a_text():
    assert without_secrets({"token": " Hello"}) == {"token": " Hello"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"api_key": LONG, "q": 1}),
        json.dumps({"inner": json.dumps({"password": LONG})}),
        f"https://host/path?q=1&api_key={LONG}&z=2",
        f"https://host/path?key={LONG}",
        f"https://user:{LONG}@host/path",
        f"Authorization: Bearer {LONG}",
    ],
)
def test_a_secret_in_a_text_of_a_request_is_hidden(text):
    clean = without_secrets({"messages": [{"content": text}]}, in_texts=True)["messages"][0]["content"]
    assert LONG not in clean
    assert HIDDEN in clean


def test_texts_without_a_secret_stay_as_they_are():
    texts = ["The key is under the mat.", '{"q": "token"}', "https://host/?q=1", "a basic bearer of news"]
    assert without_secrets(texts, in_texts=True) == texts


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text):
    once = without_secrets(text, in_texts=True)
    assert without_secrets(once, in_texts=True) == once


async def test_a_cassette_keeps_no_key_of_a_query_or_of_tool_arguments(tmp_path):
    path = tmp_path / "tape.jsonl"
    call = {"function": {"name": "f", "arguments": json.dumps({"api_key": LONG})}}

    async def live():
        return "ok"

    request = {"url": f"https://h/?token={LONG}", "headers": {"api-key": LONG}, "messages": [{"tool_calls": [call]}]}
    await Cassette(path, "record").play("http", request, live)
    assert LONG not in path.read_text()


async def test_what_an_agent_gives_away_reaches_the_checks(tmp_path):
    async def live():
        return {"content": f"Sure: Bearer {LONG}"}

    assert await Cassette(tmp_path / "t.jsonl", "record").play("http", {}, live) == {"content": f"Sure: Bearer {LONG}"}


def test_known_values_are_hidden_in_texts_and_bytes_the_longest_first():
    secrets = [*secrets_of_headers(["Bearer abcd-1234"]), "abcd", "1"]
    assert without_values("Bearer abcd-1234, then abcd-1234, abcd and 1", secrets) == "***, then ***, *** and 1"
    assert without_values(b"k=abcd-1234", secrets) == b"k=***"


def test_a_reference_to_a_variable_is_no_secret():
    held = {
        "api_key": "abc",
        "headers": {"Authorization": "x", "X-Api-Key": "${KEY}", "Accept": "y"},
        "a": [{"password": "p"}],
    }
    assert without_secrets(held, keep_references=True) == {
        "api_key": "***",
        "headers": {"Authorization": "***", "X-Api-Key": "${KEY}", "Accept": "y"},
        "a": [{"password": "***"}],
    }
