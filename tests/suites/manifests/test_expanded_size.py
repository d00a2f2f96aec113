"""A small suite never becomes a large one: what files stand for is counted in bytes, before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.config import templates, yaml_reader
from duologue.config.problems import Problems
from duologue.config.templates import Template, render
from duologue.config.yaml_reader import parse, read
from duologue.errors import ConfigurationError, SuiteError
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load, validate
from duologue.suites.runner import case_setup

HEAD = (
    "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: s}\nspec:\n  agents: [{name: b, target: 'bot.py:answer'}]\n"
)
LONG = "x" * 1_000_000


def suite(folder: Path, text: str) -> Path:
    (folder / "bot.py").write_text("def answer(input): return 'ok'\n")
    (folder / "suite.yaml").write_text(HEAD + text)
    return folder / "suite.yaml"


@pytest.mark.parametrize(
    "text",
    [
        f"  description: &a {LONG}\n  scenarios: [{{name: t, turns: [{','.join(['{content: *a}'] * 2000)}]}}]\n",
        f"  description: &a {LONG}\n  scenarios: [{{name: t, criteria: [{','.join(['*a'] * 30)}]}}]\n",
        f"  extensions:\n    a: &a [{LONG}, {LONG}]\n    b: &b [*a, *a, *a]\n    c: &c [*b, *b, *b]\n    d: [*c, *c]\n",
        f"  extensions:\n    a: &a {{k: {LONG}}}\n" + "".join(f"    m{number}: {{<<: *a}}\n" for number in range(30)),
        f"  extensions:\n    ? &a {LONG}\n    : 1\n    b: [{','.join(['*a'] * 30)}]\n",
        f"  extensions:\n    a: &a {'é' * 600_000}\n    b: [{','.join(['*a'] * 20)}]\n",
    ],
    ids=["turns", "criteria", "nested", "merged", "key", "accents"],
)
def test_aliases_count_as_the_bytes_that_they_stand_for(tmp_path, text):
    path = suite(tmp_path, text)
    [problem] = [item for item in validate(path).errors if "bytes" in item.message]
    assert "suite.yaml' holds more than 20,000,000 bytes, aliases counted as what they stand for" in problem.message
    assert (problem.position.file, problem.position.line > 5) == (str(path), True)


def test_aliases_below_the_limit_are_fine(tmp_path):
    path = suite(
        tmp_path, f"  description: &a {LONG}\n  scenarios: [{{name: t, turns: [{','.join(['{content: *a}'] * 15)}]}}]\n"
    )
    assert len(load(path).scenarios[0].turns) == 15


def test_the_files_of_a_suite_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_reader, "MAX_TOGETHER", 10_000)
    for number in range(30):
        (tmp_path / f"{number}.yaml").write_text(
            f"apiVersion: duologue/v1\nkind: Scenario\nmetadata: {{name: s{number}}}\n"
            f"spec: {{turns: [{{content: {'y' * 1000}}}]}}\n"
        )
    path = suite(tmp_path, f"  scenarios: [{','.join(f'{number}.yaml' for number in range(30))}]\n")
    with pytest.raises(SuiteError, match=r"is not read: the files read until here hold more than 10,000 bytes"):
        load(path)


def test_a_file_is_counted_once_for_each_time_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_reader, "MAX_TOGETHER", 100)
    (tmp_path / "a.json").write_text(json.dumps({"a": "x" * 60}))
    problems = Problems()
    found = [read(tmp_path / "a.json", problems) is not None for _ in range(4)]
    assert found == [True, True, False, False]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("variants", [None, {"v": LONG}])
def test_placeholders_are_counted_before_they_are_filled_in(nested, variants):
    text = "{{v}}" * 100_000 if variants is None or nested else "{v}" * 100_000
    with pytest.raises(ConfigurationError, match="more than 20,000,000 characters when its placeholders are filled in"):
        render(text, {"v": LONG}, variants=variants, nested=nested)


def test_a_template_is_counted_too(monkeypatch):
    monkeypatch.setattr(templates, "MAX_RENDERED", 100)
    assert Template("{{a}}" * 9, where="x").render({"a": "y" * 10}) == "y" * 90
    with pytest.raises(ConfigurationError, match="more than 100 characters"):
        Template("{{a}}" * 11, where="x").render({"a": "y" * 10})


async def test_the_lines_of_a_scenario_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr(case_setup, "MAX_SAID", 5_000)
    turns = ",".join(["{content: 'Say {{v}}'}"] * 100)
    path = suite(tmp_path, f"  scenarios: [{{name: t, variables: {{v: {'z' * 100}}}, turns: [{turns}]}}]\n")
    async with Engine.from_file(path) as engine:
        [run] = (await engine.execute()).runs
    assert run.outcome == "error"
    assert run.error
    assert "the lines of the scenario 't' have more than 5,000 characters" in run.error.message
    assert "turns[48]" in run.error.message


def test_parsing_stops_where_the_limit_is_reached():
    problems = Problems()
    assert parse("- &a " + "x" * 1_000_000 + "\n" + "- *a\n" * 190_000, "f.yaml", problems) is None
    [problem] = problems
    assert problem.position.line == 21
