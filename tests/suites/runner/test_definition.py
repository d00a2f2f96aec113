"""What decides a result: each part of it changes its own digest, and what decides nothing changes none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from duologue.specs.suite import Suite
from duologue.suites.plan.build import TestCase, generate_plan
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import (
    UNKNOWN,
    Definition,
    Definitions,
    RunOptions,
    differences,
    kept_runs_of,
)
from duologue.vocabulary import RunStatus, Verdict

SUITE: dict[str, Any] = {
    "name": "shop",
    "models": [{"name": "m", "provider": "mock", "model": "tiny", "mock_file": "answers.yaml"}],
    "agents": [{"name": "bot", "model": "m"}],
    "prompts": [{"name": "p", "system_template": "You help."}],
    "personas": [{"name": "calm", "description": "Never hurries."}],
    "simulators": [{"name": "sim", "model": "m"}],
    "judges": [{"name": "strict", "model": "m"}],
    "tools": [{"name": "lookup", "description": "Finds.", "mock_result": {"found": 1}}],
    "scenarios": [
        {
            "name": "talk",
            "description": "A customer asks.",
            "prompt": "p",
            "personas": ["calm"],
            "criteria": ["It is polite."],
            "turns": [{"content": "Hello"}, {"role": "simulated_user"}],
            "checks": [{"type": "contains", "params": {"patterns": ["hello"]}}],
        }
    ],
}


def definition(folder: Path, data: dict[str, Any], **options: Any) -> Definition:
    suite = Suite.model_validate(data).within(folder)
    (case, *_) = generate_plan(suite, seed=1).cases
    return Definitions(suite, RunOptions(**options).over(suite.defaults)).of(case)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The suite with one value in another place, such as ``scenarios.0.goal``."""
    data = _copy(SUITE)
    *way, last = path.split(".")
    place: Any = data
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    return data


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("scenarios.0.description", "Somebody else asks.", "scenario"),
        ("scenarios.0.turns", [{"content": "Hi"}, {"role": "simulated_user"}], "scenario"),
        ("scenarios.0.criteria", ["It is short."], "judge"),
        ("judges.0.votes", 3, "judge"),
        ("scenarios.0.checks", [], "checks"),
        ("checks", [{"type": "max_length", "params": {"max": 9}}], "checks"),
        ("agents.0.capabilities", ["text"], None),
        ("prompts.0.system_template", "You help a lot.", "agent prompt"),
        ("prompts.0.description", "For readers.", None),
        ("tools.0.mock_result", {"found": 2}, "tools"),
        ("personas.0.description", "Hurries.", "simulated user"),
        ("models.0.pricing", {"input_cost_per_1k": 1, "output_cost_per_1k": 1}, None),
        ("scenarios.0.labels", {"tier": "gold"}, None),
        ("scenarios.0.trials", 3, None),
        ("scenarios.0.max_turns", 3, "settings"),
        ("defaults", {"stop_on_failed_check": True}, "settings"),
        ("defaults", {"concurrency": 2}, None),
    ],
)
def test_each_part_has_a_digest_of_its_own(tmp_path: Path, path: str, value: Any, part: str | None) -> None:
    before, now = definition(tmp_path, SUITE), definition(tmp_path, changed(path, value))
    assert differences(before, now) == ((part,) if part else ())


def test_a_model_is_part_of_everybody_who_is_played_by_it(tmp_path: Path) -> None:
    now = definition(tmp_path, changed("models.0.model", "large"))
    assert differences(definition(tmp_path, SUITE), now) == ("agent model", "judge", "simulated user")


def test_sampling_options_belong_to_the_model_of_the_agent(tmp_path: Path) -> None:
    now = definition(tmp_path, SUITE, temperature=0.5)
    assert differences(definition(tmp_path, SUITE), now) == ("agent model",)


def test_files_count_with_their_content(tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text("defaultResponse: one\n")
    before = definition(tmp_path, SUITE)
    (tmp_path / "answers.yaml").write_text("defaultResponse: two\n")
    assert differences(before, definition(tmp_path, SUITE)) == ("agent model", "judge", "simulated user")


def test_a_file_with_many_recordings_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "calls.json").write_text("[]")
    replays = [{"name": "old", "recording": "calls.json"}, {"name": "older", "recording": "calls.json"}]
    suite = Suite.model_validate({"name": "shop", "replays": replays}).within(tmp_path)
    definitions = Definitions(suite, RunOptions().over(suite.defaults))
    cases = [
        TestCase(index=number, kind="replay", scenario="old", recording=f"calls.json#{number}", seed=number)
        for number in range(1, 4)
    ]
    first = definitions.of(cases[0])
    assert first["recording"]
    assert all(definitions.of(case) is first for case in cases)
    assert definitions.of(replace(cases[0], recording="other.json#1"))["recording"] != first["recording"]


def test_the_code_of_an_agent_counts(tmp_path: Path) -> None:
    data = changed("agents", [{"name": "bot", "target": "bot.py:answer"}])
    (tmp_path / "bot.py").write_text("def answer(input): return 'one'\n")
    before = definition(tmp_path, data)
    (tmp_path / "bot.py").write_text("def answer(input): return 'two'\n")
    assert differences(before, definition(tmp_path, data)) == ("agent",)


def test_what_was_kept_and_what_was_not_is_counted_with_the_reasons(tmp_path: Path) -> None:
    suite = Suite.model_validate(changed("scenarios.0.trials", 5)).within(tmp_path)
    cases = generate_plan(suite, seed=1).cases
    definitions = Definitions(suite, RunOptions().over(suite.defaults))
    now = definitions.of(cases[0])
    one = RunResult(case=cases[0], run_id="r0", status=RunStatus.COMPLETED, verdict=Verdict.PASS, definition=now)
    runs = [
        one,
        replace(one, case=cases[1], run_id="r1", definition={**now, "agent prompt": "other"}),
        replace(one, case=cases[2], run_id="r2", definition={**now, "checks": "other", "judge": "other"}),
        replace(one, case=cases[3], run_id="r3", definition={}),
    ]
    kept = kept_runs_of(cases, runs, definitions)
    assert [run.run_id for run in kept.runs] == ["r0"]
    assert kept.changed == {"r1": ("agent prompt",), "r2": ("checks", "judge"), "r3": (UNKNOWN,)}
    assert str(kept) == (
        "kept 1, played again 3: agent prompt changed (1), checks and judge changed (1), "
        "its definition was not recorded (1); 1 was not finished"
    )


def _with_code(**parts: Any) -> dict[str, Any]:
    data = _copy(SUITE)
    data["scenarios"][0].update(parts.pop("scenario", {}))
    return {**data, **parts}


@pytest.mark.parametrize(
    ("data", "file", "part"),
    [
        (_with_code(scenario={"checks": [{"type": "MODULE:ok"}]}), "{}.py", "checks"),
        (_with_code(scenario={"turns": [{"content": "Hi", "checks": [{"type": "MODULE:ok"}]}]}), "{}.py", "checks"),
        (_with_code(checks=[{"type": "MODULE:ok"}]), "{}.py", "checks"),
        (_with_code(checks=[{"type": "MODULE:ok"}]), "{}/__init__.py", "checks"),
        (_with_code(checks=[{"type": "MODULE.inner:ok"}]), "{}/inner.py", "checks"),
        (_with_code(agents=[{"name": "bot", "target": "MODULE:ok"}]), "{}.py", "agent"),
        (_with_code(agents=[{"name": "bot", "target": "MODULE.inner:ok"}]), "{}/inner.py", "agent"),
        (_with_code(agents=[{"name": "bot", "target": "MODULE.py:ok"}]), "{}.py", "agent"),
        (_with_code(mcp_servers=[{"name": "s", "command": "python", "args": ["-u", "MODULE.py"]}]), "{}.py", "tools"),
        (
            _with_code(tools=[{"name": "t", "description": "d", "mode": "exec", "exec": {"command": "./MODULE.py"}}]),
            "{}.py",
            "tools",
        ),
        (_with_code(prompts=[{"name": "p", "system_template": "Help.", "guardrails": [{"type": "MODULE:ok"}]}]),
         "{}.py", "agent prompt"),
    ],
)  # fmt: skip
def test_code_counts_with_the_file_that_it_is_in(
    tmp_path: Path, data: dict[str, Any], file: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"code_{abs(hash(str(tmp_path)))}"  # modules of other tests stay loaded
    monkeypatch.syspath_prepend(tmp_path)
    data = json.loads(json.dumps(data).replace("MODULE", module))
    path = tmp_path / file.format(module)
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text("def ok(input): return True\n")
    before = definition(tmp_path, data)
    assert differences(before, definition(tmp_path, data)) == ()
    path.write_text("def ok(input): return False\n")
    assert differences(before, definition(tmp_path, data)) == (part,)


def test_a_package_that_passes_a_check_on_counts_with_the_module_that_defines_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"checks_{abs(hash(str(tmp_path)))}"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("from .inner import ok as ok\n")
    inner = tmp_path / package / "inner.py"
    inner.write_text("def ok(input): return True\n")
    data = changed("scenarios.0.checks", [{"type": f"{package}:ok"}])
    before = definition(tmp_path, data)
    inner.write_text("def ok(input): return False\n")
    assert differences(before, definition(tmp_path, data)) == ("checks",)


def test_looking_for_the_code_of_an_agent_runs_none_of_it(tmp_path: Path) -> None:
    package = tmp_path / "never_imported_here"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit\n")
    (package / "bot.py").write_text("raise SystemExit\n")
    data = _with_code(agents=[{"name": "bot", "target": "never_imported_here.bot:answer"}])
    assert definition(tmp_path, data)["agent"]
