"""Typical slips in a suite: each is told with file, line, field, and what to do."""

from __future__ import annotations

import re

import pytest

from duologue.suites.manifests.loader import load, validate

FIELD = "      criteria: [says when it comes]"
"""Line 36: a field of a scenario, replaced by others."""
CHECK = "          params: {tools: [lookup]}"
"""Line 49: parameters of a check of a conversation."""

MISTAKES = [
    # the frame
    ("apiVersion:", "apiversion:", 1, "apiVersion: the field 'apiVersion' is missing.* 'apiversion' may be meant"),
    ("duologue/v1", "duologue/v2", 1, "apiVersion: found \"duologue/v2\"; .* did you mean 'duologue/v1'"),
    ("kind: Suite", "kind: suite", 2, "kind: found \"suite\"; expected one of Suite, .*did you mean 'Suite'"),
    ("kind: Suite\n", "", 1, "kind: the field 'kind' is missing; expected one of Suite"),
    (
        "metadata:\n  name: shop\n",
        "",
        1,
        "metadata: the field 'metadata' is missing; expected it with the field 'name'",
    ),
    ("  name: shop", "  nme: shop", 4, "metadata.nme: unknown field 'nme'; did you mean 'name'"),
    ("  name: shop", "  name: ''", 4, 'metadata.name: found ""; expected a text that is not empty'),
    ("spec:", "specs:", 5, "specs: unknown field 'specs'; did you mean 'spec'"),
    ("kind: Suite", "kind: Suite\n---\nkind: Suite", 3, "a second document begins here"),
    # fields and their values
    ("model: small\n", "modle: small\n", 8, r"spec.agents\[0\].modle: unknown field 'modle'; did you mean 'model'"),
    ("provider: mock", "provider: 5", 12, r'spec.models\[0\].provider: found 5 \(a number\).*Put it in quotes: "5"'),
    ("      provider: mock\n", "", 11, "the field 'provider' is missing"),
    ('{X-Team: "${TEAM:-none}"}', "[a]", 13, "headers: found a list of 1; expected a mapping"),
    ("default: orders}", "required: yes}", 18, "found yes, which is a text: .* Write true"),
    ("      description: Finds an order.\n", "", 21, r"spec.tools\[0\].description: the field .* is missing"),
    ("mock_result: {status: sent}", "mode: live", 21, "expected a tool with 'mode: live' to have the field 'http'"),
    (
        "mock_result: {status: sent}",
        "mode: mocked",
        23,
        "found \"mocked\"; expected one of mock, .*did you mean 'mock'",
    ),
    ("mock_result:", "mock_template: x\n      mock_result:", 21, "at most one of mock_result, mock_template"),
    ("personas: [anna]", "personas: anna", 35, "found \"anna\"; expected a list. Begin each item with '- '"),
    ("- role: user\n", "- role: users\n", 38, "role: found \"users\"; expected one of user, .*did you mean 'user'"),
    ("          content: Where is my {thing}?\n", "", 38, "expected a turn of the user to have the field 'content'"),
    ("- role: user\n", "- role: user\n          persona: anna\n", 38, "in turns with 'role: simulated_user' only"),
    (
        "- role: user\n",
        "- role: user\n          chaos: {tool_failures: [{tool: lookpu, mode: error}]}\n",
        39,
        r"chaos.tool_failures\[0\].tool: no tool is called 'lookpu'; did you mean 'lookup'",
    ),
    (
        "- role: user\n",
        "- role: user\n          consent: {lookpu: deny}\n",
        39,
        "consent.lookpu: no tool is called 'lookpu'; did you mean 'lookup'",
    ),
    (FIELD, "      criteria: [1.5]", 36, r'criteria\[0\]: found 1.5 \(a number\).*Put it in quotes: "1.5"'),
    (FIELD, "      criteria:", 36, "criteria: found nothing; expected a list. Give it a value, or remove the line"),
    (FIELD, "      criteria: [a]\n      criteria: [b]", 37, "this field is written twice, first in line 36"),
    (FIELD, "      trials: 0", 36, r"trials: found 0 \(a number\); expected greater than or equal to 1"),
    (FIELD, "      trials: 2.5", 36, "expected a whole number"),
    (FIELD, "      trials: three", 36, 'found "three"; expected a whole number'),
    (FIELD, "      trials: .nan", 36, "found .nan; expected a finite number"),
    (FIELD, "      trials: 1000000", 33, "makes 2,000,000 test cases: .* expected at most 1,000,000"),
    (FIELD, "      trials: 1" + "0" * 40, 36, "expected less than or equal to 1000000"),
    (FIELD, "      max_turn: 3", 36, "unknown field 'max_turn'; did you mean 'max_turns'"),
    (FIELD, "      streaming: no", 36, "found no, which is a text.* Write false"),
    (FIELD, "      duplex: {timeout: 10}", 36, "'duplex' is not supported: write 'voice', which says how"),
    (FIELD, "      required_capabilities: [vison]", 36, "did you mean 'vision'"),
    ("[order, parcel]", "[]", 40, "perturbations.thing: found an empty list; expected at least one item"),
    ("[order, parcel]", "[1, parcel]", 40, r"thing\[0\]: found 1 \(a number\)"),
    ("[order, parcel]", "[order, order]", 40, "the same value stands here twice"),
    (
        "model: small\n      prompt: support",
        "model: small\n      http: {url: http://a}",
        7,
        "exactly one of model, http and",
    ),
    ("model: small\n      prompt: support", "target: agent.py", 8, "expected the name of Python code: module:name"),
    # YAML
    ("content: Where is", "content: Where: is", 39, "put a text that contains ': ' in quotes"),
    ("          content: Where is", "\t content: Where is", 39, "never with tabs"),
    ("content: Where is", "content: @where is", 39, "needs quotes"),
    ("{patterns: [sent]}", "{patterns: [sent]", 44, "bracket or brace is not closed"),
    (FIELD, "      criteria:\n      - says\n     - more", 38, "items of one list begin in the same column"),
    (FIELD, "      criteria: *same", 36, r"\*same is not defined; expected &same before it"),
    (FIELD, "      criteria: !!python/object:os.system [x]", 36, "expected a value without a tag"),
    # names
    ("model: small\n      prompt", "model: smal\n      prompt", 8, "no model is called 'smal'; did you mean 'small'"),
    (
        "prompt: support",
        "prompt: suport",
        9,
        r"agents\[0\].prompt: no prompt is called 'suport'; did you mean 'support'",
    ),
    ("      prompt: support\n", "", 32, "the agent 'bot' is made of a model and has no prompt.*Known: support$"),
    (
        "[lookup]\n  tools",
        "[lokup]\n  tools",
        19,
        r"allowed_tools\[0\]: no tool is called 'lokup'; did you mean 'lookup'",
    ),
    (
        "name: anna\n",
        "name: anna\n    - name: anna\n",
        26,
        "two of the personas are called 'anna', the first in .*:25:13",
    ),
    ("personas: [anna]", "personas: [ana]", 35, "no persona is called 'ana'; did you mean 'anna'"),
    ("persona: anna\n", "persona: otto\n", 45, "no persona is called 'otto'. Known: anna"),
    ("simulator: people", "simulator: peple", 46, "no simulator is called 'peple'; did you mean 'people'"),
    ("{judge: strict}", "{judge: strickt}", 31, "no judge is called 'strickt'; did you mean 'strict'"),
    ("people, model: small", "people, model: locl", 28, "no model is called 'locl'; did you mean 'local'"),
    ("people, model: small", "people, model: smal", 28, r"simulators\[0\].model: no model is called 'smal'"),
    ("strict, model: small", "strict, model: smal", 30, r"judges\[0\].model: no model is called 'smal'"),
    (FIELD, "      agents: [bott]", 36, "no agent is called 'bott'; did you mean 'bot'"),
    (FIELD, "      judge: lenient", 36, "no judge is called 'lenient'. Known: strict"),
    (FIELD, "      voice: deep", 36, 'voice: found "deep"; expected a mapping'),
    (FIELD, "      voice: {voice: deep}", 36, "a voice as provider/name, such as 'local/heart'"),
    (FIELD, "      voice: {patience: 0}", 36, r"voice.patience: "),
    (FIELD, "      voice: {interruptions: {delay: [3, 1]}}", 36, r"delay as \[at least, at most\]; found \[3"),
    (FIELD, "      voice: {end_of_turn: vad}", 36, r"voice.end_of_turn: "),
    ("name: bot\n", "name: bot\n      capabilities: [text]\n", 0, ""),
    (FIELD, "      required_capabilities: [vision]", 0, ""),
    ("  judges:", "  workflow: {entry: start, states: {begin: {}}}\n  judges:", 29, "no state is called 'start'"),
    # checks
    ("type: content_includes", "type: content_inclueds", 42, "did you mean 'content_includes'"),
    (
        "{patterns: [sent]}",
        "{text: sent}",
        43,
        "'patterns' is missing; unknown parameter 'text'.*did you mean 'patterns'",
    ),
    ("{patterns: [sent]}", "[sent]", 43, "params: found a list of 1; expected a mapping"),
    (CHECK, f"{CHECK}\n          pass_threshold: 1.5", 50, "found 1.5 .* expected less than or equal to 1"),
    (CHECK, f"{CHECK}\n          when: {{tool_caled: x}}", 50, "did you mean 'tool_called'"),
    (
        "type: tools_called\n",
        "type: content_matches\n",
        49,
        "checks.0..params: check 'content_matches' .*'pattern' is missing",
    ),
    # files and variables
    ("  tools:\n", "  tools:\n    - file: missing.yaml\n", 21, "there is no file 'missing.yaml'"),
    ("  tools:\n", "  tools:\n    - tools/*.yaml\n", 21, "no file matches 'tools/\\*.yaml'"),
    ("  tools:\n", "  tools:\n    - 5\n", 21, "found 5 .* expected a mapping"),
    ("  tools:\n", "  tools:\n    - ${NOWHERE}/t.yaml\n", 21, "the environment variable NOWHERE is not set"),
    ("  tools:\n", "  include: other.yaml\n  tools:\n", 20, 'found "other.yaml"; expected a list of paths'),
    (
        "  tools:\n",
        "  include: [suites.yaml]\n  tools:\n",
        20,
        "there is no file 'suites.yaml'; did you mean 'suite.yaml'",
    ),
    ("  tools:\n", "  pack_file: my.pack.json\n  tools:\n", 20, "there is no file 'my.pack.json'"),
    ("  tools:\n", "  mcp_servers: [{name: files}]\n  tools:\n", 20, "exactly one of command, url and source"),
]

WARNINGS = [
    ('"${TEAM:-none}"', '"${TEAM}"', 13, "the environment variable TEAM is not set.*or write .{TEAM:-default}"),
    (
        "mock_result: {status: sent}",
        "mode: live\n      http: {url: 'http://127.0.0.1', method: GET, headers_from_env: [X-Key=SHOP_KEY_OF_NOBODY]}",
        24,
        "the environment variable SHOP_KEY_OF_NOBODY is not set",
    ),
    ("{{topic}}", "{{topics}}", 16, "says {{topics}}, which nothing gives a value: every run of scenario 'order' will"),
    ("default: orders}", "required: true}", 33, "requires topic, which has no value"),
    ("my {thing}?", "my order?", 40, "the turn does not say {thing}, so its variants are all the same"),
    (
        FIELD,
        "      agent_group: vip",
        36,
        "no group of agents is called 'vip'. Known: default. All agents are rehearsed",
    ),
    (CHECK, f"{CHECK}\n          pass_threshold: 0.5", 50, "pass_threshold has no effect: the scenario runs once"),
]


def with_mistake(shop, right, wrong):
    assert right in shop, f"the suite has no {right!r}"
    return shop.replace(right, wrong, 1)


def test_the_suite_that_the_mistakes_are_made_in_is_right(shop, folder):
    report = validate(folder.put("suite.yaml", shop))
    assert str(report) == ""
    assert report.ok


@pytest.mark.parametrize(("right", "wrong", "line", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_to_do(shop, folder, right, wrong, line, message):
    folder.put("suite.yaml", with_mistake(shop, right, wrong))
    report = validate("suite.yaml")
    found = [str(problem) for problem in report.errors]
    if not message:  # an agent that says nothing of its capabilities gets the benefit of the doubt
        assert report.ok, found
        return
    assert not report.ok
    assert any(re.match(rf"suite\.yaml:{line}:\d+: .*{message}", text) for text in found), found
    assert len(found) <= 2, "one slip is one mistake, not a shower of them"
    for problem in report.errors:
        assert problem.position.column >= 1


@pytest.mark.parametrize(("right", "wrong", "line", "message"), WARNINGS)
def test_what_is_likely_not_meant_is_a_warning(shop, folder, right, wrong, line, message):
    folder.put("suite.yaml", with_mistake(shop, right, wrong))
    report = validate("suite.yaml")
    assert report.ok
    [found] = map(str, report.warnings)
    assert re.match(rf"suite\.yaml:{line}:\d+: warning: .*{message}", found), found
    assert load("suite.yaml").name == "shop"


def test_all_mistakes_are_told_at_once(shop, folder):
    wrong = shop
    for right, instead in [
        ("model: small\n      prompt", "model: smal\n      prompt"),
        ("provider: mock", "provider: 5"),
        ("[lookup]\n  tools", "[lokup]\n  tools"),
        ("persona: anna\n", "persona: otto\n"),
        ("type: content_includes", "type: content_inclueds"),
        ("{tools: [lookup]}", "{tols: [lookup]}"),
    ]:
        wrong = with_mistake(wrong, right, instead)
    folder.put("suite.yaml", wrong)
    lines = [problem.position.line for problem in validate("suite.yaml").errors]
    assert lines == [8, 12, 19, 42, 45, 49]


def test_who_refers_to_something_that_was_refused_is_not_blamed(shop, folder):
    folder.put("suite.yaml", with_mistake(shop, "      description: In a hurry.", "      descrption: In a hurry."))
    [problem] = validate("suite.yaml").errors
    assert "unknown field 'descrption'" in problem.message
