"""``duologue compare`` and ``duologue baseline``."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from duologue.cli.app import invoke
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import baselines

AGENT = """
def answer(input):
    said = input.last_new_user_message_str()
    return said if said != FAULT else "no idea <b>@here</b>"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, out: str, *, fault: str = "", scenarios: int = 20, trials: int = 10, seed: int = 7) -> None:
    """Play a suite whose agent fails in one scenario."""
    module = f"agent_{fault.replace(' ', '_')}.py"  # another file: Python reads a module once
    folder.joinpath(module).write_text(f"FAULT = {fault!r}\n{AGENT}")
    spec: dict[str, Any] = {
        "agents": [{"name": "bot", "target": f"{module}:answer"}],
        "scenarios": [
            {
                "name": f"case {number}",
                "turns": [{"content": f"good {number}"}],
                "checks": [{"type": "contains", "params": {"patterns": ["good"]}}],
            }
            for number in range(scenarios)
        ],
        "trials": trials,
        "defaults": {"seed": seed},
    }
    whole = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": spec}
    folder.joinpath("suite.yaml").write_text(json.dumps(whole))
    assert invoke(["run", "suite.yaml", "--out", out, "-q", "--overwrite"]) == (1 if fault else 0)


def test_a_planted_fault_is_found_shown_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before")
    run(folder, "after", fault="good 7")
    capsys.readouterr()
    options = ["--fail-on", "worse", "--format", "json,md", "--format", "html", "--out", "reports"]
    assert invoke(["compare", "before", "after", *options]) == 1
    shown = capsys.readouterr().out
    assert "▼ case 7  worse  100% of 10 [72–100%] → 0% of 10 [0–28%] · -100 points [-100 to -60.8]" in shown
    assert "1 worse, 19 tied" in shown
    assert "▼ worse: p = 0.0" in shown
    assert "agent bot: Python code agent_.py:answer → Python code agent_good_7.py:answer" in shown
    assert "pass → fail case 7, trial 1" in shown
    assert "+ assistant: no idea" in shown
    data = json.loads(folder.joinpath("reports/comparison.json").read_text())
    assert [case["title"] for case in data["cases"] if case["verdict"] == "worse"] == ["case 7"]
    assert data["overall"]["verdict"] == "worse"
    markdown = folder.joinpath("reports/comparison.md").read_text()
    assert "▼ case 7" in markdown
    assert "case 8" not in markdown
    page = folder.joinpath("reports/comparison.html").read_text()
    assert "&lt;b&gt;@here&lt;/b&gt;" in page
    assert "<b>@here" not in page
    assert "<script" not in page
    assert invoke(["compare", "before", "after", *options]) == 1  # files of ours are replaced


def test_the_same_agent_is_tied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before", scenarios=3)
    run(folder, "after", scenarios=3)
    assert invoke(["compare", "before", "after", "--fail-on", "worse,undecided,missing"]) == 0
    assert "= tied: the same outcomes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fail_on", "code"), [([], 0), (["worse"], 0), (["undecided"], 3), (["worse", "--fail-on", "undecided"], 3)]
)
def test_what_one_trial_cannot_tell_is_undecided(folder: Path, fail_on: list[str], code: int) -> None:
    run(folder, "before", scenarios=2, trials=1)
    run(folder, "after", scenarios=2, trials=1, fault="good 1")
    options = ["--fail-on", *fail_on] if fail_on else []
    assert invoke(["compare", "before", "after", *options]) == code


def test_cases_that_the_second_lacks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before", scenarios=3, trials=1)
    run(folder, "after", scenarios=2, trials=1)
    assert invoke(["compare", "before", "after", "--fail-on", "missing"]) == 1
    assert "Only in the first: case 2" in capsys.readouterr().out
    assert invoke(["compare", "after", "before", "--fail-on", "missing"]) == 0


def test_json_is_all_that_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before", scenarios=1, trials=2)
    capsys.readouterr()
    assert invoke(["compare", "before", "before", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["overall"]["first"]["decided"] == 2
    assert "both are the same execution" in data["notes"]


def test_baselines_have_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "runs/before", scenarios=2)
    run(folder, "after", scenarios=2, fault="good 1")
    assert invoke(["baseline", "show"]) == 0
    assert "no baselines" in capsys.readouterr().out
    assert invoke(["baseline", "set", "runs/before"]) == 0
    assert invoke(["baseline", "set", "runs/before", "--name", "release-1"]) == 0
    capsys.readouterr()
    assert invoke(["baseline", "show", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert [(item["name"], item["folder"]) for item in held] == [
        ("default", "runs/before"),
        ("release-1", "runs/before"),
    ]
    for arguments in (["after"], ["release-1", "after"], ["after", "--baseline", "release-1"]):
        assert invoke(["compare", *arguments, "--fail-on", "worse"]) == 1
    assert invoke(["compare", "after", "release-1", "--fail-on", "worse"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare", "before", "relase"], "no folder and no baseline 'relase'"),
        (["compare", "before"], "no baseline 'default'"),
        (["compare", "before", "before", "--baseline", "x"], "--baseline stands for FIRST"),
        (["compare", "before", "before", "--fail-on", "bad"], "--fail-on: found 'bad'; expected worse"),
        (["compare", "before", "before", "--exact-test", "t"], "--exact-test: found 't'; expected fisher or boschloo"),
        (["compare", "before", "before", "--format", "pdf"], "no format of comparisons is called 'pdf'"),
        (["compare", "before", "before", "--confidence", "95"], "confidence must be between 0 and 1"),
        (["compare", "before", "before", "--first-agent", "bott"], "no runs of the agent 'bott'; it has runs of bot"),
        (["baseline", "set", "nowhere"], "nowhere"),
        (["baseline", "show", "x"], "no baseline 'x'"),
    ],
)
def test_what_cannot_be_compared_is_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    run(folder, "before", scenarios=1, trials=1)
    capsys.readouterr()
    assert invoke(arguments) == 2
    assert told in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_a_baseline_that_was_overwritten_is_noticed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before", scenarios=1, trials=1)
    assert invoke(["baseline", "set", "before"]) == 0
    run(folder, "before", scenarios=1, trials=1)
    assert invoke(["compare", "before"]) == 2
    assert "there is another one now" in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_a_file_of_somebody_else_stays(folder: Path) -> None:
    run(folder, "before", scenarios=1, trials=1)
    folder.joinpath("comparison.md").write_text("mine")
    assert invoke(["compare", "before", "before", "--format", "md"]) == 2
    assert folder.joinpath("comparison.md").read_text() == "mine"


def test_executions_of_a_database(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before", scenarios=2)
    run(folder, "after", scenarios=2, fault="good 1")
    for name in ("before", "after"):
        assert invoke(["runs", "import", name, "--project", "shop", "--database", "db"]) == 0
    capsys.readouterr()
    assert invoke(["compare", "1", "2", "--database", "db", "--fail-on", "worse"]) == 1
    assert "▼ case 1  worse" in capsys.readouterr().out


def test_a_baseline_of_a_database(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "before", scenarios=2)
    run(folder, "after", scenarios=2, fault="good 1")
    for name in ("before", "after"):
        assert invoke(["runs", "import", name, "--project", "shop", "--database", "db"]) == 0
    mark(folder / "db", "nightly", 1)
    capsys.readouterr()
    for arguments in (["compare", "v1", "2"], ["compare", "2", "--baseline", "v1"]):
        assert invoke([*arguments, "--database", "db", "--fail-on", "worse"]) == 1
        assert "▼ case 1  worse" in capsys.readouterr().out
    mark(folder / "db", "weekly", 2)
    assert invoke(["compare", "v1", "2", "--database", "db"]) == 2
    assert "'v1' is the baseline of several evals or agents: name one of 1, 2" in capsys.readouterr().err
    assert invoke(["compare", "v2", "2", "--database", "db"]) == 2
    assert "no execution and no baseline 'v2'" in capsys.readouterr().err


def mark(store: Path, name: str, execution: int) -> None:
    """Make an execution the baseline ``v1`` of a new eval."""

    async def work() -> None:
        async with Database.open(store, create=False) as database:
            saved = SavedDefinitions(database)
            [project] = await saved.list_projects()
            scenario = await saved.create_scenario(project.id, {"name": name, "description": "x", "criteria": ["x"]})
            connector = await saved.create_connector(project.id, name=name, type="http", base_url="https://a.invalid")
            made = await saved.create_eval(project.id, name=name, scenario_ids=[scenario.id], connector_id=connector.id)
            row = {"id": name, "project_id": project.id, "eval_id": made.id, "agent_id": "", "name": "v1"}
            more = {"agent_version": None, "execution_id": execution, "created_at": 0.0, "updated_at": 0.0}
            await database.write(lambda connection: connection.execute(insert(baselines).values(**row, **more)))

    asyncio.run(work())
