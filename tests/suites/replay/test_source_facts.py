"""What a source says about a recording is shown wherever its run is; what it cost then is nobody's spending now."""

import asyncio
import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from duologue.reports.html.page import render_html
from duologue.reports.junit import render_junit
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_execution, print_run
from duologue.runs.store.encoding import decoded_run, encoded_run, index_of
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load
from duologue.suites.results.execution import ExecutionResult


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant"), texts, strict=False)]


RUNS = [
    {
        "task_id": 7,
        "trial": 0,
        "reward": 1.0,
        "info": {"user_cost": 0.25},
        "traj": said("refund", "done"),
        "total_cost": 1.5,
    },
    {"task_id": 7, "trial": 1, "reward": 0.0, "info": {"error": "boom"}, "traj": []},
    {
        "task_id": 8,
        "trial": 0,
        "reward": 0.5,
        "info": {},
        "traj": [*said("hi", "no"), {"role": "user", "content": "x", "timestamp": "soon"}],
    },
]


@pytest.fixture(scope="module")
def execution(tmp_path_factory: pytest.TempPathFactory) -> ExecutionResult:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "runs.json").write_text(json.dumps(RUNS), "utf-8")
    suite = {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": "tau"},
        "spec": {
            "replays": [
                {
                    "name": "airline",
                    "recording": "runs.json",
                    "checks": [{"type": "content_includes", "params": {"patterns": ["done"]}}],
                }
            ],
            "defaults": {"run_budget": {"money": 0.01}},
        },
    }
    (folder / "suite.json").write_text(json.dumps(suite), "utf-8")
    (folder / "suite.yaml").write_text(json.dumps(suite), "utf-8")
    return asyncio.run(Engine(suite=load(folder / "suite.yaml")).execute())


def printed(show: Any, value: Any) -> str:
    console = Console(file=StringIO(), width=300, highlight=False)
    show(value, console=console)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_a_run_without_messages_is_one_error_and_the_others_are_judged(execution: ExecutionResult) -> None:
    assert [run.outcome for run in execution.runs] == ["pass", "error", "fail"]
    error = execution.runs[1].error
    assert error is not None
    assert "nothing was said in this run (boom)" in error.message


def test_cases_are_called_as_in_the_source(execution: ExecutionResult) -> None:
    titles = [run.case.title for run in execution.runs]
    assert titles[0] == "airline · runs.json#1 (task 7, trial 0)"
    assert titles[1] == "airline · runs.json#2 (task 7, trial 1)"
    assert titles[2] == "airline · runs.json#3 (task 8, trial 0)"


def test_results_hold_what_the_source_says_and_read_back_equal(execution: ExecutionResult) -> None:
    run = execution.runs[0]
    data = json.loads(encoded_run(run))
    assert data["recording"]["facts"]["reward"] == 1.0
    assert (data["recording"]["facts"]["task_id"], data["recording"]["facts"]["trial"]) == (7, 0)
    assert decoded_run(data, "a file") == run
    line = index_of(execution)["runs"][0]
    assert (line["recording"]["reward"], line["recording"]["name"]) == (1.0, "task 7, trial 0")


def test_what_was_recorded_is_not_what_the_execution_spent(execution: ExecutionResult) -> None:
    assert (execution.spent.cost, execution.runs[0].spent.cost) == (0.0, 0.0)
    assert execution.recorded.cost == pytest.approx(1.75)
    index = index_of(execution)
    assert (index["spent"]["total"]["cost"], index["recorded"]["cost"]) == (0.0, pytest.approx(1.75))
    summary = printed(print_execution, execution)
    assert "$1.7500 recorded" in summary
    assert "$1.75" not in summary.replace("$1.7500 recorded", "")


def test_every_report_shows_the_reward(execution: ExecutionResult) -> None:
    told = printed(print_run, execution.runs[2])
    assert "recording: task 8, trial 0 · task_id 8 · trial 0 · reward 0.5" in told
    assert 'warning [2].traj[2].timestamp: left out "soon"' in told
    assert '<property name="recorded.reward" value="0.5"/>' in render_junit(execution)
    assert "recording: task_id 8 · trial 0 · reward 0.5" in render_markdown(execution).replace("\\_", "_").replace(
        "\\", ""
    )
    page = render_html(execution)
    assert '["reward","0.5"]' in page
    assert '["recorded cost","$1.7500 recorded"]' in page
