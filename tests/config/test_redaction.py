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


@pytest.mark.parametrize(
    "text",
    [
        "My password is {}.", "the password for admin is {}, thanks", "password: {}", "Password = '{}'",
        "DB_PASSWORD={}", "passwd was `{}`", "PIN: {}", "Das Passwort lautet {}", "mein Kennwort ist {}",
        "la contraseña es {}",
        "mot de passe : {}", "le mot de passe est {}", "a senha é {}", "пароль: {}",
        "密码是{}", "パスワードは{}", "密码：{}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("secret", ["hunter2", "swordfish", "Tr0ub4dor&3", "correct-horse"])
def test_a_password_that_a_sentence_gives_away_is_hidden(text, secret):
    clean = without_secrets(text.format(secret), in_texts=True)
    assert secret not in clean
    assert HIDDEN in clean
    assert without_secrets(clean, in_texts=True) == clean


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcd1234", "sk-proj-AbC1-d2_eF3gH4iJ5kL6", "sk-ant-api03-abcDEF123456", "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "gho_abcdefghijklmnop1234",
        "github_pat_11ABCDEFG0_abcdefgh", "glpat-abcdefghij0123456789", "xoxb-123456789-abcdef",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv", "hf_abcdefghijklmnopqrst", "sk_live_abcdefgh1234",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["{}", "Use {}, please.", "key={}", '{{"q": "take {}"}}', "x\n{}\ny", "({})"])
def test_a_key_of_a_known_form_is_hidden_wherever_it_stands(text, secret):
    clean = without_secrets({"messages": [{"content": text.format(secret)}]}, in_texts=True)
    assert secret not in json.dumps(clean)
    assert without_secrets(clean, in_texts=True) == clean


@pytest.mark.parametrize(
    "text",
    [
        "Cookie: sid={}; theme=dark", "set-cookie: a={}", "GET / HTTP/1.1\r\nCookie: a=1; b={}\r\nAccept: x",
        "X-Api-Key: {}", "Authorization: Token {}", "Authorization: {}", "the API key is {}", "access key = '{}'",
        "our token: {}", '{{"auth": "{}"}}', '{{"keys": ["{}", "{}"]}}', '{{"x": "{{\\"keys\\": [\\"{}\\"]}}"}}',
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n{}",
    ],
)  # fmt: skip
def test_headers_and_fields_in_a_text_are_hidden(text):
    clean = without_secrets(text.replace("{}", LONG).replace("{{", "{").replace("}}", "}"), in_texts=True)
    assert LONG not in clean
    assert HIDDEN in clean
    assert without_secrets(clean, in_texts=True) == clean


def test_what_else_a_request_calls_a_secret_is_hidden():
    held = {"auth": LONG, "keys": [LONG, "k1-2"], "credentials": {"user": "a", "pass": "b", "key": "c"},
            "x": {"auth": {"pass": "short", "kind": "basic"}}}  # fmt: skip
    assert without_secrets(held) == {
        "auth": HIDDEN, "keys": [HIDDEN, HIDDEN], "credentials": {"user": "a", "pass": HIDDEN, "key": HIDDEN},
        "x": {"auth": {"pass": HIDDEN, "kind": "basic"}},
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        "The password is incorrect.", "your password is required", "password: ${PASSWORD}", "the token is expired",
        "API key is missing", "The secret is patience.", "Cookie: I like them", "a cookie for you", "max_tokens: 4096",
        "keyboard: qwerty", "Authorization: required", "task-force-2000", "sk-learn", "the pin: red", "compass: north",
        {"auth": "basic"}, {"keys": ["name", "price"]}, {"pass": "yes"}, {"verdict": "pass", "value": "long enough"},
        {"properties": {"password": {"type": "string", "description": "The password of the user."}}},
    ],
)  # fmt: skip
def test_words_about_secrets_stay(value):
    assert without_secrets(value, in_texts=True) == value


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
