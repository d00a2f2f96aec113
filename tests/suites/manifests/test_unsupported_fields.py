"""Fields that do nothing are rejected with advice; settings that have no effect together are warned about."""

from __future__ import annotations

import re
from typing import Any

import pytest

from duologue.suites.manifests.loader import validate

HEAD = "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: s}\nspec:\n"
AGENTS = '  agents: [{name: a, target: "module:name"}]\n'
SCENARIO = "  scenarios:\n    - name: hi\n      turns: [{content: Hello}]\n"


def found(folder: Any, body: str) -> Any:
    return validate(folder.put("suite.yaml", HEAD + AGENTS + body))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (SCENARIO + "  defaults: {fail_on: [x]}\n", "spec.defaults.fail_on"),
        (SCENARIO + "  defaults: {verbose: true}\n", "spec.defaults.verbose"),
        (SCENARIO + "  defaults: {output: {options: {html: {dark: true}}}}\n", "spec.defaults.output.options"),
        (SCENARIO + "  state_store: {type: redis}\n", "spec.state_store"),
        (SCENARIO + "      duplex: {timeout: 5m}\n", "spec.scenarios[0].duplex"),
        (SCENARIO.replace("Hello", "Hello, streaming: true"), "spec.scenarios[0].turns[0].streaming"),
        (
            SCENARIO + "  models: [{name: m, provider: openai, include_raw_output: true}]\n",
            "spec.models[0].include_raw_output",
        ),
        (
            SCENARIO + "  prompts: [{name: p, system_template: x, variables: [{name: v, validation: {min: 1}}]}]\n",
            "spec.prompts[0].variables[0].validation",
        ),
        (SCENARIO + "      context_policy: {cache_breakpoints: true}\n", "spec.scenarios[0].context_policy."),
    ],
)
def test_a_field_that_would_do_nothing_is_an_error_that_says_why(folder: Any, body: str, field: str) -> None:
    report = found(folder, body)
    (error,) = report.errors
    assert error.position.field.startswith(field)
    assert error.position.line
    assert re.fullmatch(r"'\w+' is not supported: .{10,}\. Remove it", error.message)


def test_a_suite_without_such_settings_has_no_warnings(folder: Any) -> None:
    assert found(folder, SCENARIO + "  defaults: {seed: 1}\n").problems == ()


def test_a_scenario_of_which_nothing_would_be_played_is_refused(folder: Any) -> None:
    [error, *_] = found(folder, "  scenarios:\n    - name: flow\n      steps: [{input: Hello}]\n").errors
    assert error.position.field == "spec.scenarios[0].steps"
    assert "steps are not played by this version" in error.message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (SCENARIO + "  regions: [uk, us, uk]\n", "spec.regions[2]"),
        (SCENARIO + "      regions: [uk, uk]\n", "spec.scenarios[0].regions[1]"),
        (SCENARIO + "      agents: [a, a]\n", "spec.scenarios[0].agents[1]"),
        (SCENARIO + "      personas: [p, p]\n  personas: [{name: p}]\n", "spec.scenarios[0].personas[1]"),
    ],
)
def test_what_stands_twice_would_be_the_same_case_twice(folder: Any, body: str, field: str) -> None:
    (error,) = found(folder, body).errors
    assert error.position.field == field
    assert "stands here twice" in error.message


def test_a_span_of_no_time_is_refused(folder: Any) -> None:
    (error,) = found(folder, SCENARIO + "  defaults: {run_timeout: 0s}\n").errors
    assert 'found "0s"; expected a duration' in error.message


def test_a_file_of_python_code_must_be_there(folder: Any) -> None:
    folder.put("agent.py", "")
    text = HEAD + '  agents: [{name: a, target: "agnt.py:x"}, {name: b, target: "agent.py:x"}]\n' + SCENARIO
    (error,) = validate(folder.put("suite.yaml", text)).errors
    assert error.position.field == "spec.agents[0].target"
    assert error.message == "there is no file 'agnt.py'; did you mean 'agent.py'?"


def test_checks_that_are_called_alike_and_ask_for_different_shares_are_told(folder: Any) -> None:
    check = "{type: contains, params: {patterns: [x]}, pass_threshold: %s}"
    body = "  trials: 2\n  scenarios:\n    - name: hi\n      turns:\n" + "".join(
        f"        - {{content: Hello, checks: [{check % share}]}}\n" for share in ("0.0", "0.5", "0.5")
    )
    first, second = found(folder, body).warnings
    assert first.position.line == second.position.line - 1
    assert "the higher one holds" in first.message


def test_a_check_may_be_a_function_of_a_module_beside_the_suite(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    folder.put("rules_beside.py", "def kind(state):\n    return True\n")
    assert found(folder, SCENARIO + '      checks: [{type: "rules_beside:kind"}]\n').problems == ()
    sys.modules.pop("rules_beside", None)


def test_a_share_of_a_single_run_is_told_unless_it_is_all_or_nothing(folder: Any) -> None:
    folder.put("r.json", "{}")
    check = "{type: contains_any, params: {patterns: [%s]}, pass_threshold: %s}"
    checks = ", ".join(check % (word, share) for word, share in (("a", "0.0"), ("b", "0.5"), ("c", "1.0")))
    replay = f"  replays: [{{name: r, recording: r.json, checks: [{checks}]}}]\n"
    first, second, third = found(folder, SCENARIO + f"      checks: [{checks}]\n" + replay).warnings
    assert "the scenario runs once" in first.message
    assert "a recording is judged once" in second.message
    assert "a recording is judged once" in third.message
    assert found(folder, "  trials: 2\n" + SCENARIO + f"      checks: [{checks}]\n").warnings == ()


def test_settings_of_relevance_without_effect_are_errors(folder: Any) -> None:
    policy = "      context_policy: {strategy: relevance, relevance: {provider: x, cache_embeddings: true}}\n"
    (error,) = found(folder, SCENARIO + policy).errors
    assert error.position.field == "spec.scenarios[0].context_policy.relevance.cache_embeddings"


@pytest.mark.parametrize("field", ["metric: {name: m, type: gauge}", "groups: [nightly]"])
def test_settings_of_evals_without_effect_are_errors(folder: Any, field: str) -> None:
    evals = f"  pack_evals: [{{id: e, type: contains, trigger: every_turn, params: {{patterns: [x]}}, {field}}}]\n"
    (error,) = found(folder, SCENARIO + evals).errors
    assert error.position.field == f"spec.pack_evals[0].{field.partition(':')[0]}"
