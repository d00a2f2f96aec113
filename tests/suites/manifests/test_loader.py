"""From a path to a suite: main files, single resources, files that a suite names, suites that it includes."""

from __future__ import annotations

import pytest

from duologue.errors import SuiteError
from duologue.suites.manifests.loader import load, validate


def manifest(kind, name, spec):
    return f"apiVersion: duologue/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


SCENARIO = manifest("Scenario", "order", "{turns: [{content: hi}], agents: [bot]}")
AGENT = "{name: bot, http: {url: 'http://127.0.0.1:1'}}"


@pytest.mark.parametrize("name", ["suite.yaml", "duologue.yaml", "shop.suite.yaml"])
def test_a_folder_is_the_suite_of_its_one_main_file(shop, folder, name):
    folder.put(f"rehearsals/{name}", shop)
    suite = load("rehearsals")
    assert suite.name == "shop"
    assert suite.folder.name == "rehearsals"
    assert suite.scenarios[0].place("description").line == 34


def test_a_folder_with_several_suites_or_none_says_which_there_are(shop, folder):
    assert "the folder has no suite; expected one of suite.yaml" in str(validate("."))
    folder.put("a.suite.yaml", shop)
    folder.put("b.suite.yaml", shop)
    assert "several suites: a.suite.yaml, b.suite.yaml; say which" in str(validate("."))


def test_a_path_that_leads_nowhere_is_an_error(folder):
    with pytest.raises(SuiteError, match=r"there is no file 'nowhere\.yaml'"):
        load("nowhere.yaml")


@pytest.mark.parametrize("text", ["[]", "5", "null", "a", "{}", "{a: 1}"])
def test_what_is_no_manifest_is_told_what_one_begins_with(folder, text):
    folder.put("suite.yaml", text)
    report = validate("suite.yaml")
    assert not report.ok
    assert "expected" in str(report)
    assert ("duologue/v1" in str(report)) == (text not in {"null", "5", "a"})


@pytest.mark.parametrize(
    ("kind", "spec", "section"),
    [
        ("Scenario", "{description: a, agents: [elsewhere], personas: [nobody], judge: else}", "scenarios"),
        ("Persona", "{description: a, fragments: [{name: x, path: elsewhere}]}", "personas"),
        ("Agent", "{model: elsewhere, prompt: elsewhere}", "agents"),
        ("Model", "{provider: mock, mock_file: elsewhere.yaml}", "models"),
        ("Tool", "{description: a}", "tools"),
        ("Prompt", "{system_template: a, allowed_tools: [elsewhere]}", "prompts"),
        ("Judge", "{model: elsewhere}", "judges"),
        ("Replay", "{recording: elsewhere.json}", "replays"),
    ],
)
def test_a_resource_by_itself_is_checked_by_itself(folder, kind, spec, section):
    folder.put("one.yaml", manifest(kind, "it", spec))
    suite = load("one.yaml")
    assert [item.name for item in getattr(suite, section)] == ["it"]
    folder.put("one.yaml", manifest(kind, "it", "{nonsense: 1}"))
    assert "unknown field 'nonsense'" in str(validate("one.yaml"))


def test_resources_stand_in_the_suite_in_files_or_behind_patterns(folder):
    folder.put("scenarios/order.yaml", SCENARIO)
    folder.put("scenarios/b.yaml", "turns: [{content: bare}]\n")
    folder.put("more/c.yaml", SCENARIO.replace("order", "c"))
    folder.put(
        "suite.yaml",
        manifest(
            "Suite",
            "s",
            f"{{agents: [{AGENT}], scenarios: [scenarios/*.yaml, file: more/c.yaml, {{name: d, goal: g}}]}}",
        ),
    )
    assert [item.name for item in load(".").scenarios] == ["b", "order", "c", "d"]


def test_names_of_files_may_come_from_the_environment(folder, monkeypatch):
    folder.put("eu/order.yaml", SCENARIO)
    folder.put("suite.yaml", manifest("Suite", "s", f'{{agents: [{AGENT}], scenarios: ["${{PLACE:-eu}}/order.yaml"]}}'))
    assert [item.name for item in load(".").scenarios] == ["order"]
    monkeypatch.setenv("PLACE", "us")
    assert "suite.yaml:4:" in str(validate("."))
    assert "there is no file 'us/order.yaml'" in str(validate("."))


def test_a_file_of_another_kind_is_refused_where_it_is_named(folder):
    folder.put("order.yaml", SCENARIO)
    folder.put("suite.yaml", manifest("Suite", "s", f"{{agents: [{AGENT}], personas: [order.yaml]}}"))
    assert 'order.yaml:2:7: kind: found "Scenario"; expected Persona' in str(validate("."))


def test_mistakes_in_a_named_file_are_told_with_that_file(folder):
    folder.put("parts/order.yaml", SCENARIO.replace("content", "contents"))
    folder.put("suite.yaml", manifest("Suite", "s", f"{{agents: [{AGENT}], scenarios: [parts/order.yaml]}}"))
    [first, *_] = validate(".").errors
    assert str(first).startswith("parts/order.yaml:4:17: spec.turns[0].contents: unknown field 'contents'")


def test_an_included_suite_gives_its_resources_with_paths_that_still_lead_there(folder):
    folder.put("shared/answers.yaml", "defaultResponse: yes")
    folder.put("shared/agent.py", "")
    folder.put(
        "shared/base.suite.yaml",
        manifest(
            "Suite",
            "base",
            "{models: [{name: m, provider: mock, mock_file: answers.yaml}], "
            "agents: [{name: bot, target: 'agent.py:bot'}, {name: other, target: 'module:bot'}], trials: 9}",
        ),
    )
    folder.put("order.yaml", SCENARIO)
    folder.put("suite.yaml", manifest("Suite", "s", "{include: [shared/*.suite.yaml], scenarios: [order.yaml]}"))
    suite = load("suite.yaml")
    assert suite.models[0].mock_file == "shared/answers.yaml"
    assert [agent.target for agent in suite.agents] == ["shared/agent.py:bot", "module:bot"]
    assert suite.trials == 1  # only resources are included
    assert suite.include == ()


def test_a_suite_that_is_included_twice_counts_once(folder):
    folder.put("base.yaml", manifest("Suite", "base", f"{{agents: [{AGENT}]}}"))
    folder.put("a.yaml", manifest("Suite", "a", "{include: [base.yaml], scenarios: [{name: x, goal: g}]}"))
    folder.put("suite.yaml", manifest("Suite", "s", "{include: [a.yaml, base.yaml, ./base.yaml]}"))
    assert [agent.name for agent in load("suite.yaml").agents] == ["bot"]


@pytest.mark.parametrize("links", [["suite.yaml"], ["a.yaml", "suite.yaml"], ["a.yaml", "b.yaml", "a.yaml"]])
def test_suites_that_include_each_other_are_told_the_circle(folder, links):
    names = ["suite.yaml", *links]
    for name, following in zip(names, links, strict=False):
        folder.put(name, manifest("Suite", "s", f"{{include: [{following}], agents: [{AGENT}]}}"))
    report = validate("suite.yaml")
    assert "this suite includes itself: " in str(report)
    assert "→" in str(report)


def test_an_unset_variable_is_a_warning_until_it_is_used(folder):
    folder.put(
        "suite.yaml",
        manifest("Suite", "s", "{agents: [{name: a, http: {url: '${NOWHERE}'}}], scenarios: [{name: x, goal: g}]}"),
    )
    report = validate(".")
    assert report.ok
    [warning] = map(str, report.warnings)
    assert "spec.agents[0].http.url: the environment variable NOWHERE is not set" in warning


def test_a_pack_brings_its_evals_and_its_mistakes_are_told(folder):
    folder.put(
        "my.pack.json",
        '{"evals": [{"id": "a", "type": "contains", "trigger": "every_turn", "params": {"patterns": ["x"]}}]}',
    )
    spec = f"{{agents: [{AGENT}], scenarios: [{{name: x, goal: g}}], pack_file: my.pack.json}}"
    folder.put("suite.yaml", manifest("Suite", "s", spec))
    assert [item.id for item in load(".").pack_evals] == ["a"]
    folder.put(
        "my.pack.json",
        '{"evals": [{"id": "a", "type": "contains", "trigger": "every_turn", "params": {"patterns": ["x"]}, '
        '"groups": ["nightly"], "metric": {"name": "m"}}]}',
    )
    report = validate(".")
    assert report.ok
    assert [item.position.field for item in report.warnings] == ["evals[0].groups", "evals[0].metric"]
    folder.put("my.pack.json", '{"evals": [{"id": "a", "type": "contains", "trigger": "sometimes"}, 5]}')
    text = str(validate("."))
    assert 'my.pack.json:1:55: evals[0].trigger: found "sometimes"; expected one of every_turn' in text
    assert "evals[1]: found 5 (a number); expected an eval" in text


def test_values_of_prompts_that_refer_to_each_other_in_a_circle_are_an_error(folder):
    prompt = "{name: p, system_template: '{{a}}', values: {a: '{{b}}', b: '{{a}}'}}"
    spec = (
        f"{{agents: [{{name: bot, model: mock, prompt: p}}], prompts: [{prompt}], scenarios: [{{name: x, goal: g}}]}}"
    )
    folder.put("suite.yaml", manifest("Suite", "s", spec))
    assert "values refer to each other in a circle: a → b → a" in str(validate("."))
