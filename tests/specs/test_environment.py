"""``${NAME}`` and ``${NAME:-default}``: kept while a suite is in memory, filled in when something is used."""

from __future__ import annotations

import pytest

from duologue.errors import ConfigurationError, Position
from duologue.specs.agents import Agent, Credential, HttpEndpoint, Model
from duologue.suites.manifests.loader import load

SET = {"HOST": "a.example", "EMPTY": ""}


def test_filling_in_reaches_specs_within_specs_and_names_the_field():
    agent = Agent(name="a", http=HttpEndpoint(url="${HOST}", headers={"X": "${PORT:-1}"}))
    assert agent.expanded(SET).http == HttpEndpoint(url="a.example", headers={"X": "1"})
    assert agent.http.url == "${HOST}"
    with pytest.raises(ConfigurationError, match=r"^api_key: the environment variable KEY"):
        Model(name="m", provider="x", credential=Credential(api_key="${KEY}")).expanded(SET)


def test_the_place_of_a_missing_variable_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(
        "apiVersion: duologue/v1\nkind: Model\nmetadata: {name: m}\nspec:\n  provider: x\n  headers:\n    K: ${KEY}\n"
    )
    [model] = load("a.yaml").models
    assert list(model.environment_texts()) == [(Position("a.yaml", 7, 8, "spec.headers.K"), "${KEY}")]
    with pytest.raises(ConfigurationError, match=r"^a\.yaml:7:\d+: headers: the environment variable KEY"):
        model.expanded({})


def test_a_key_is_not_shown_when_a_spec_is_printed():
    assert "secret" not in repr(Credential(api_key="secret"))
