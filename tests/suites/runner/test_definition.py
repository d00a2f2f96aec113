"""What decides a result: each part of it changes its own digest, and what decides nothing changes none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from duologue.specs.suite import Suite
from duologue.suites.plan.build import generate_plan
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import UNKNOWN, Definition, Definitions, RunOptions, differences, kept_runs_of
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
