"""A suite that includes others runs their scenarios as they would: the same people, the same checks, the same packs."""

from __future__ import annotations

import json
from typing import Any

from duologue.suites.manifests.loader import load, validate
from duologue.suites.manifests.writer import write_suite

EVAL = {"id": "a", "type": "contains", "trigger": "every_turn", "params": {"patterns": ["x"]}}


def manifest(**spec: Any) -> str:
    return json.dumps({"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}, "spec": spec})


def said(word: str) -> dict[str, Any]:
    return {"type": "contains_any", "params": {"patterns": [word]}}


BASE: dict[str, Any] = {
    "agents": [{"name": "bot", "target": "module:bot"}],
    "models": [{"name": "m", "provider": "mock"}],
    "simulators": [{"name": "sim", "model": "m"}],
    "judges": [{"name": "j", "model": "m"}],
    "judge_defaults": {"judge": "j"},
    "mcp_servers": [{"name": "files", "command": "serve", "working_dir": "data"}],
    "checks": [said("hello")],
    "scenarios": [
        {"name": "free", "goal": "g"},
        {"name": "talk", "turns": [{"role": "simulated_user", "simulator": "sim"}], "checks": [said("yes")]},
    ],
}


def words(scenario: Any) -> list[str]:
    return [check.params["patterns"][0] for check in scenario.checks]


def test_everything_with_a_name_is_there_and_paths_still_lead_to_it(folder: Any) -> None:
    folder.put("shared/data/x", "")
    folder.put("shared/base.yaml", manifest(**BASE))
    folder.put("suite.yaml", manifest(include=["shared/base.yaml"], trials=5))
    suite = load("suite.yaml")
    assert [item.name for item in (*suite.simulators, *suite.mcp_servers)] == ["sim", "files"]
    assert suite.mcp_servers[0].working_dir == "shared/data"
    assert suite.judge_defaults is not None
    assert suite.judge_defaults.judge == "j"
    assert suite.trials == 5


def test_checks_of_an_included_suite_hold_for_its_scenarios_and_for_no_others(folder: Any) -> None:
    folder.put("shared/data/x", "")
    folder.put("shared/base.yaml", manifest(**BASE))
    folder.put("middle.yaml", manifest(include=["shared/base.yaml"], checks=[said("middle")]))
    own = {"name": "own", "goal": "g"}
    folder.put("suite.yaml", manifest(include=["middle.yaml"], checks=[said("top")], scenarios=[own]))
    suite = load("suite.yaml")
    assert {item.name: words(item) for item in suite.scenarios} == {
        "own": [],
        "free": ["hello", "middle"],
        "talk": ["yes", "hello", "middle"],
    }
    assert words(suite) == ["top"]


def test_the_including_suite_has_the_last_word_about_judges_and_evals(folder: Any) -> None:
    folder.put("base.yaml", manifest(**{**BASE, "mcp_servers": []}, pack_evals=[EVAL, {**EVAL, "id": "b"}]))
    judges = [{"name": "mine", "model": "m"}]
    folder.put(
        "suite.yaml",
        manifest(
            include=["base.yaml"],
            judges=judges,
            judge_defaults={"judge": "mine"},
            pack_evals=[{**EVAL, "params": {"patterns": ["y"]}}],
        ),
    )
    suite = load("suite.yaml")
    assert suite.judge_defaults is not None
    assert suite.judge_defaults.judge == "mine"
    assert [(item.id, item.params["patterns"]) for item in suite.pack_evals] == [("a", ["y"]), ("b", ["x"])]


def test_a_pack_is_found_where_the_suite_that_names_it_is(folder: Any) -> None:
    folder.put("deep/er/my.pack.json", json.dumps({"evals": [EVAL]}))
    folder.put("deep/er/base.yaml", manifest(**{**BASE, "mcp_servers": []}, pack_file="my.pack.json"))
    folder.put("deep/middle.yaml", manifest(include=["er/base.yaml"]))
    folder.put("suite.yaml", manifest(include=["deep/middle.yaml"]))
    suite = load("suite.yaml")
    assert suite.pack_file == "deep/er/my.pack.json"
    assert [item.id for item in suite.pack_evals] == ["a"]


def test_a_mistake_in_a_check_of_an_included_suite_is_told_once_and_there(folder: Any) -> None:
    broken = [{"type": "contains_any", "paramz": {}}]
    folder.put("base.yaml", manifest(**{**BASE, "mcp_servers": [], "checks": broken}))
    folder.put("suite.yaml", manifest(include=["base.yaml"]))
    (error,) = validate("suite.yaml").errors
    assert (error.position.file, error.position.field) == ("base.yaml", "spec.checks[0].paramz")


def test_a_schema_that_a_check_names_is_found_where_the_suite_is(folder: Any, monkeypatch: Any) -> None:
    schema = {"type": "json_schema", "params": {"schema_file": "schemas/order.json"}}
    scenario = {"name": "x", "goal": "g", "checks": [schema]}
    folder.put("shared/schemas/order.json", '{"type": "object"}')
    folder.put("shared/base.yaml", manifest(agents=BASE["agents"], scenarios=[scenario]))
    folder.put("suite.yaml", manifest(include=["shared/base.yaml"]))
    monkeypatch.chdir("/")
    assert validate(folder.path / "shared/base.yaml").problems == ()
    suite = load(folder.path / "suite.yaml")
    assert suite.scenarios[0].checks[0].params == {"schema_file": "shared/schemas/order.json"}
    (folder.path / "shared/schemas/order.json").unlink()
    (error,) = validate(folder.path / "suite.yaml").errors
    assert error.position.field == "spec.scenarios[0].checks[0].params"
    assert "expected: a file with a JSON Schema" in error.message


def test_a_converted_suite_has_the_schemas_of_its_checks(folder: Any) -> None:
    schema = {"type": "json_schema", "params": {"schema_file": "order.json"}}
    folder.put("a/order.json", '{"type": "object"}')
    folder.put(
        "a/suite.yaml", manifest(agents=BASE["agents"], scenarios=[{"name": "x", "goal": "g", "checks": [schema]}])
    )
    write_suite(load("a/suite.yaml"), folder.path / "b")
    assert validate("b").problems == ()
    assert (folder.path / "b/order.json").is_file()
