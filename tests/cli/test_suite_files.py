"""The commands about a suite's files: validate, inspect, convert, schema, init; what they print and exit with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LONG

from duologue.cli.app import invoke
from duologue.cli.exit_codes import ExitCode
from duologue.suites.manifests.loader import load
from duologue.suites.manifests.schemas import names, packaged

TESTS = Path(__file__).parents[1]
SHOP = (TESTS / "suites" / "manifests" / "shop.suite.yaml").read_text("utf-8")
ARENA = TESTS / "cases" / "arena" / "01_variables_demo"
PROBES = TESTS / "cases" / "probes"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "suite.yaml"
    path.write_text(SHOP)
    return path


def said(capsys):
    return capsys.readouterr().out


def test_validate_says_what_a_good_suite_holds(shop, capsys):
    assert invoke(["validate", "."]) == 0
    assert said(capsys) == ("suite.yaml: ok (1 agent, 1 scenario, 1 persona, 1 judge, 1 model, 1 prompt, 1 tool)\n")


def test_validate_prints_every_problem_on_one_line_that_an_editor_can_follow(shop, capsys):
    shop.write_text(SHOP.replace("[anna]", "[ana]").replace("{{topic}}", "{{topics}}"))
    assert invoke(["validate", "suite.yaml"]) == ExitCode.USAGE
    first, second, last = said(capsys).splitlines()
    assert first.startswith(
        "suite.yaml:16:24: warning: spec.prompts[0].system_template: the prompt 'support' says {{topics}}, which"
    )
    assert second.startswith(
        "suite.yaml:35:18: error: spec.scenarios[0].personas[0]: no persona is called 'ana'; did you mean 'anna'?"
    )
    assert last == "suite.yaml: refused (1 error, 1 warning)"


def test_validate_takes_several_suites_and_warnings_count_only_if_asked(shop, capsys):
    assert invoke(["validate", "suite.yaml", str(ARENA)]) == 0
    assert invoke(["validate", "suite.yaml", str(ARENA), "--strict"]) == ExitCode.USAGE
    assert invoke(["validate", "suite.yaml", str(PROBES / "e4_typo")]) == ExitCode.USAGE
    out = said(capsys)
    assert "config.arena.yaml: ok (1 warning)" in out
    assert "did you mean 'content_includes'?" in out


def test_validate_prints_json_and_nothing_else(shop, capsys):
    assert invoke(["validate", str(PROBES / "e16_bad_params"), "suite.yaml", "--json"]) == ExitCode.USAGE
    report = json.loads(said(capsys))
    assert report["ok"] is False
    refused, fine = report["suites"]
    assert (refused["errors"], fine["ok"], fine["suite"]) == (5, True, "shop")
    [problem] = [
        item
        for item in refused["problems"]
        if item["file"].endswith("s9_conv_unknown.yaml") and item["severity"] == "error"
    ]
    assert (problem["line"], problem["column"], problem["field"]) == (13, 11, "spec.conversation_assertions[0].type")


def test_validate_needs_a_path_and_tells_of_one_that_leads_nowhere(shop, capsys):
    assert invoke(["validate"]) == ExitCode.USAGE
    assert invoke(["validate", "nowhere.yaml"]) == ExitCode.USAGE
    assert "there is no file 'nowhere.yaml'" in said(capsys)


def test_text_of_a_suite_cannot_move_the_cursor(shop, capsys):
    shop.write_text(SHOP.replace("[anna]", '["\\e[2Jana"]'))
    assert invoke(["validate", "suite.yaml"]) == ExitCode.USAGE
    assert "\x1b" not in said(capsys)


def test_inspect_shows_what_there_is_and_what_combines(shop, capsys):
    assert invoke(["inspect", "."]) == 0
    out = said(capsys)
    for line in ("agents      bot (small)", "models      small (mock)", "tools       lookup (mock)", "2 test cases"):
        assert line in out
    assert "1 fixed line" in out
    assert "simulated: anna" in out
    assert "2 checks, 1 criterion" in out
    assert "2 variants" in out


def test_inspect_says_that_guardrails_decide_too(tmp_path, capsys):
    path = tmp_path / "suite.yaml"
    path.write_text("""\
apiVersion: duologue/v1
kind: Suite
metadata: {name: guarded}
spec:
  agents: [{name: bot, model: mock, prompt: p}]
  prompts: [{name: p, system_template: x, guardrails: [{type: banned_words, params: {words: [stale]}}]}]
  scenarios: [{name: s, turns: [{content: Hello!}]}]
""")
    assert invoke(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 guardrail" in out
    assert out.endswith("1 test case of scenarios\n")
    path.write_text(path.read_text().replace("{type: banned_words,", "{type: banned_words, enabled: false,"))
    assert invoke(["inspect", str(path)]) == 0
    assert "nothing" in capsys.readouterr().out


def test_inspect_counts_test_cases_as_they_will_be_planned(capsys):
    assert invoke(["inspect", str(ARENA), "--json"]) == 0
    shown = json.loads(said(capsys))
    expected = json.loads((ARENA / "expected.json").read_text("utf-8"))
    assert sum(item["test_cases"] for item in shown["combinations"]) == expected["planned_combinations"]
    assert shown["suite"]["name"] == "variables-demo-arena"


def test_inspect_shows_one_section_in_full(shop, capsys):
    assert invoke(["inspect", ".", "--section", "tools"]) == 0
    assert said(capsys) == "- name: lookup\n  description: Finds an order.\n  mock_result:\n    status: sent\n"
    assert invoke(["inspect", ".", "--section", "personas", "--json"]) == 0
    assert json.loads(said(capsys)) == [{"name": "anna", "description": "In a hurry."}]
    assert invoke(["inspect", ".", "--section", "replays"]) == 0
    assert said(capsys) == "none\n"
    assert invoke(["inspect", ".", "--section", "tool"]) == ExitCode.USAGE
    assert "unknown section 'tool'; did you mean 'tools'?" in capsys.readouterr().err


def test_inspect_of_a_broken_suite_says_what_is_wrong(shop, capsys):
    shop.write_text(SHOP.replace("[anna]", "[ana]"))
    assert invoke(["inspect", "."]) == ExitCode.USAGE
    assert "suite.yaml:35:18: spec.scenarios[0].personas[0]: no persona" in capsys.readouterr().err


def test_convert_writes_an_arena_in_our_dialect(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert invoke(["convert", str(ARENA), "out"]) == 0
    out = said(capsys)
    assert "wrote out/suite.yaml" in out
    assert "copied out/mock-config.yaml" in out
    assert "'openai-gpt-4o-mini' is not used: metadata.name is 'openai-gpt4o-mini'" in out
    assert out.endswith("Run it:  duologue run out/suite.yaml\n")
    assert load("out") == load(ARENA)
    assert invoke(["convert", str(ARENA), "out"]) == ExitCode.USAGE
    assert "there already; nothing was written. Choose another name, or replace with --force" in capsys.readouterr().err
    assert invoke(["convert", str(ARENA), "out", "--force"]) == 0


def test_convert_into_one_file_says_which_paths_lead_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert invoke(["convert", str(ARENA), "one.suite.yaml"]) == 0
    out = said(capsys)
    assert "These paths still refer to the original location:" in out
    assert "01_variables_demo/mock-config.yaml" in out
    assert load("one.suite.yaml").agents == load(ARENA).agents


def test_convert_of_a_broken_arena_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert invoke(["convert", str(PROBES / "e4_typo"), "out"]) == ExitCode.USAGE
    assert "did you mean 'content_includes'?" in capsys.readouterr().err
    assert not Path("out").exists()


def test_convert_says_what_has_no_counterpart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("config.arena.yaml").write_text(
        "apiVersion: promptkit.altairalabs.ai/v1alpha1\nkind: Arena\nmetadata: {name: a}\nspec:\n"
        "  provider_specs: {m: {type: mock}}\n  prompt_specs: {p: {task_type: t, system_template: Hi}}\n"
        "  scenario_specs: {s: {task_type: t, mode: chat, turns: [{role: user, content: hi}]}}\n"
        "  deploy: {provider: x}\n"
    )
    assert invoke(["convert", ".", "out"]) == 0
    out = said(capsys)
    assert "spec.scenario_specs.s.mode: has no effect in PromptKit, and none here" in out
    assert "spec.deploy: is kept, but not used" in out
    assert "Kept under 'extensions', with no effect: deploy" in out


def test_schema_prints_one_or_writes_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert invoke(["schema", "Scenario"]) == 0
    assert said(capsys) == packaged("scenario")
    assert invoke(["schema"]) == 0
    assert json.loads(said(capsys))["title"] == "A manifest of a Duologue suite"
    assert invoke(["schema", "--write", "deep/schemas"]) == 0
    assert sorted(path.stem for path in Path("deep/schemas").iterdir()) == sorted(names())
    assert invoke(["schema", "scenaro"]) == ExitCode.USAGE
    assert "no kind is called 'scenaro'; did you mean 'scenario'?" in capsys.readouterr().err


def test_init_writes_a_suite_of_files_that_is_right_and_passes_without_any_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "shop", "--template", "suite"]) == 0
    assert "Run it:  duologue run shop " in said(capsys)
    assert invoke(["validate", "shop", "--strict"]) == 0
    assert invoke(["run", "shop", "--ci", "--out", "out"]) == 0
    shown = said(capsys)
    assert "3 test cases: 3 passed" in shown
    assert "Skipped checks" not in shown
    agent = Path("shop/pizza_agent.py")
    text = agent.read_text()
    for number, (right, wrong) in enumerate(
        [('m["role"] == "tool"', "False"), ('"pizza": pizza', '"pizza": "diavola"'), ("address is None", "False")]
    ):
        assert right in text
        agent.write_text(text.replace(right, wrong))
        command = [sys.executable, "-m", "duologue", "run", "shop", "--out", f"out{number}", "-q"]
        assert subprocess.run(command, capture_output=True, check=False, timeout=LONG).returncode != 0, wrong
    agent.write_text(text)
    Path("shop/README.md").write_text("mine")
    assert invoke(["init", "shop", "--template", "suite"]) == ExitCode.USAGE
    assert Path("shop/README.md").read_text() == "mine"


def test_the_schemas_that_the_suite_of_init_names_are_those_that_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "shop", "--template", "suite"]) == 0
    assert invoke(["schema", "--write", "shop/schemas"]) == 0
    hint = "# yaml-language-server: $schema="
    named = 0
    for path in Path("shop").rglob("*.yaml"):
        first = path.read_text().splitlines()[0]
        if first.startswith(hint):
            named += 1
            assert (path.parent / first.removeprefix(hint)).is_file()
    assert named == 4
    load("shop")


def test_init_refuses_a_template_that_does_not_exist(tmp_path, capsys):
    assert invoke(["init", str(tmp_path / "x"), "--template", "toml"]) == ExitCode.USAGE
    assert not (tmp_path / "x").exists()
