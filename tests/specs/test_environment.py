"""``${NAME}`` and ``${NAME:-default}``: kept while a suite is in memory, filled in when something is used."""

from __future__ import annotations

import pytest

from duologue.config.positions import Position
from duologue.errors import ConfigurationError
from duologue.specs.environment import expand, filled, missing, references
from duologue.specs.participants import Agent, Credential, HttpEndpoint, Model
from duologue.suites.manifests.loading import load

SET = {"HOST": "a.example", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://${HOST}/v1", "https://a.example/v1"),
        ("${PORT:-80}", "80"),
        ("${EMPTY:-none}", "none"),
        ("${PORT:-}", ""),
        ("${HOST}${HOST}", "a.examplea.example"),
        ("$HOST ${1A} ${} $${", "$HOST ${1A} ${} $${"),
        ("${HOST:-${PORT}}", "a.example}"),
    ],
)
def test_references_are_replaced_and_nothing_else(text, expected):
    assert expand(text, SET) == expected


@pytest.mark.parametrize("text", ["${PORT}", "a ${EMPTY} b"])
def test_a_variable_that_is_not_set_is_an_error_that_says_how_to_set_it(text):
    with pytest.raises(
        ConfigurationError, match=r"the environment variable \w+ is not set; set it, or write \${\w+:-default}"
    ):
        expand(text, SET)
    assert missing(text, SET)


def test_filling_in_reaches_specs_within_specs_and_names_the_field():
    agent = Agent(name="a", http=HttpEndpoint(url="${HOST}", headers={"X": "${PORT:-1}"}))
    assert filled(agent, SET).http == HttpEndpoint(url="a.example", headers={"X": "1"})
    assert agent.http.url == "${HOST}"
    with pytest.raises(ConfigurationError, match=r"^api_key: the environment variable KEY"):
        filled(Model(name="m", provider="x", credential=Credential(api_key="${KEY}")), SET)


def test_the_place_of_a_missing_variable_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(
        "apiVersion: duologue/v1\nkind: Model\nmetadata: {name: m}\nspec:\n  provider: x\n  headers:\n    K: ${KEY}\n"
    )
    [model] = load("a.yaml").models
    assert list(references(model)) == [(Position("a.yaml", 7, 8, "spec.headers.K"), "${KEY}")]
    with pytest.raises(ConfigurationError, match=r"^a\.yaml:7:\d+: headers: the environment variable KEY"):
        filled(model, {})


def test_a_key_is_not_shown_when_a_spec_is_printed():
    assert "secret" not in repr(Credential(api_key="secret"))
