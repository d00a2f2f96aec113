"""Arenas as they are found in the wild: all are read, and what is wrong with two of them is told exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.suites.manifests.loader import load, validate
from duologue.suites.plan.build import agents_of

CASES = Path(__file__).parents[2] / "cases"
REFUSED = {"e16_bad_params", "e4_typo"}
EVERY = sorted(path.parent for path in CASES.glob("*/*/config.arena.yaml"))


def named(items):
    return [item.name for item in items]


@pytest.mark.parametrize("folder", EVERY, ids=lambda folder: folder.name)
def test_every_arena_is_read_or_refused_for_what_is_wrong_with_it(folder):
    report = validate(folder)
    assert report.ok == (folder.name not in REFUSED), str(report)
    if not report.ok:
        return
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    runs = expected.get("runs") or expected["observed_v1_2_0"]["runs"]
    suite = load(folder)
    assert {run["scenario"] for run in runs} <= {*named(suite.scenarios), *named(suite.replays)} or suite.replays
    for scenario in suite.scenarios:
        assert agents_of(suite, scenario)
    assert suite.defaults.stop_on_failed_check
    assert suite.defaults.allow_undecided == "all"
    assert suite.defaults.allow_errors == 0


def test_all_wrong_parameters_are_told_with_file_line_and_field(monkeypatch):
    monkeypatch.chdir(CASES / "probes" / "e16_bad_params")
    found = [str(problem) for problem in validate(".").errors]
    assert len(found) == 5
    expected = {
        "s1_wrong_param": (
            15,
            9,
            "spec.turns[0].assertions[0].params",
            "unknown parameter 'text' (found \"zzz\"); did you mean 'patterns'?",
        ),
        "s7_bad_regex": (
            15,
            9,
            "spec.turns[0].assertions[0].params",
            "parameter 'pattern': found \"(\"; expected: a regular expression",
        ),
        "s8_conv_wrong_param": (15, 7, "spec.conversation_assertions[0].params", "the parameter 'patterns' is missing"),
        "s9_conv_unknown": (
            13,
            11,
            "spec.conversation_assertions[0].type",
            "unknown check type 'content_not_inclueds'; did you mean 'content_not_includes'?",
        ),
        "s10_excludes_wrong_param": (
            15,
            9,
            "spec.turns[0].assertions[0].params",
            "unknown parameter 'words_list' (found [\"One\"]); did you mean 'words'?",
        ),
    }
    for name, (line, column, field, message) in expected.items():
        [text] = [text for text in found if f"/{name}.yaml:" in text]
        assert text.startswith(f"scenarios/{name}.yaml:{line}:{column}: {field}: ")
        assert message in text


def test_a_misspelt_assertion_is_told_with_the_name_that_is_meant(monkeypatch):
    monkeypatch.chdir(CASES / "probes" / "e4_typo")
    [problem] = validate(".").errors
    assert str(problem).startswith(
        "scenarios/s.yaml:13:13: spec.turns[0].assertions[0].type: "
        "unknown check type 'content_inclueds'; did you mean 'content_includes'?"
    )


def test_a_prompt_that_cannot_be_filled_is_told_before_anything_runs():
    found = [str(problem) for problem in validate(CASES / "probes" / "e13_vars").warnings]
    assert any(
        "requires name, which has no value: every run of scenario 's' will end with an error" in text for text in found
    )
    assert any("says {{missing}}, which nothing gives a value" in text for text in found)


def test_variables_personas_and_groups_of_an_arena_are_those_of_the_suite():
    suite = load(CASES / "arena" / "01_variables_demo")
    assert named(suite.agents) == named(suite.models)
    assert suite.defaults.seed == 42
    assert suite.defaults.output.formats == ("json", "html")
    assert suite.defaults.output.files == {"html": "report.html"}
    assert any(prompt.values for prompt in suite.prompts)
    personas = {turn.persona for scenario in suite.scenarios for turn in scenario.turns} - {None}
    assert personas <= set(named(suite.personas))
    simulated = [turn for scenario in suite.scenarios for turn in scenario.turns if turn.role == "simulated_user"]
    assert simulated
    assert {turn.simulator for turn in simulated} <= set(named(suite.simulators))


def test_judges_tools_workflows_recordings_and_media_of_arenas_are_read():
    judged = load(CASES / "arena" / "04_llm_judge")
    assert judged.judges
    assert judged.judge_defaults.prompt
    assert {judge.model for judge in judged.judges} <= set(named(judged.models))
    tools = load(CASES / "arena" / "02_assertions_test").tools
    assert {tool.mode for tool in tools} == {"mock"}
    workflow = load(CASES / "arena" / "11_workflow_support").workflow
    assert workflow.entry in workflow.states
    assert {to for state in workflow.states.values() for to in state.on_event.values()} <= set(workflow.states)
    [replay] = load(CASES / "arena" / "06_eval_recording").replays
    assert replay.recording.startswith("recordings/")
    seen = load(CASES / "arena" / "09_multimodal_basics")
    assert {prompt.media.enabled for prompt in seen.prompts} == {True}
    assert any(prompt.media.image and prompt.media.image.allowed_formats for prompt in seen.prompts)
