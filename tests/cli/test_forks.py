"""``duologue fork``, ``localise`` and ``shrink``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import duologue
from duologue.cli.app import invoke
from duologue.runs.store.reader import read_execution

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  agents:
    - {name: clerk, target: "bot.py:answer"}
    - {name: careful, target: "bot.py:careful"}
  scenarios:
    - name: dinner
      agents: [clerk]
      turns:
        - {content: "A table for four, please"}
        - {content: "My son is allergic to nuts"}
        - {content: "Is there parking?"}
        - {content: "Please confirm"}
      checks: [{type: content_excludes, params: {patterns: ["nut cake"]}, message: "no nuts"}]
"""
BOT = """
def said(input):
    return " ".join(m["content"] for m in input.messages if m["role"] == "user")

def answer(input):
    wrong = "allergic" in said(input) and "confirm" in input.messages[-1]["content"]
    return "Confirmed, with nut cake." if wrong else "Fine."

def careful(input):
    return "Confirmed, without nuts."
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "shop.suite.yaml").write_text(SUITE)
    (tmp_path / "bot.py").write_text(BOT)
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", "shop.suite.yaml", "--out", "results", "--quiet"]) == 1
    capsys.readouterr()
    return tmp_path


def data(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def run_id() -> str:
    return next(Path("results/runs").glob("*.json")).stem


@pytest.mark.parametrize("named", ["results", "results/{id}", "results/runs/{id}.json", "results/journals/{id}.jsonl"])
def test_a_run_is_named_by_its_folder_result_or_journal(
    here: Path, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    assert invoke(["fork", named.format(id=run_id()), "--turn", "2", "-k", "3", "--json"]) == 0
    found = data(capsys)
    assert (found["run_id"], found["recorded"], found["turn"]) == (run_id(), "fail", 2)
    assert (found["passed"]["passed"], found["passed"]["decided"], found["passed"]["confidence"]) == (0, 3, 0.95)


def test_another_agent_or_line_changes_the_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--agent", "careful"], ["--agent", "bot.py:careful"], ["--say", "Bye"]):
        assert invoke(["fork", "results", "--turn", "3", "-k", "2", *more]) == 0
        out = capsys.readouterr().out
        assert "Continued 2 times after turn 3" in out
        assert "passed: 2 of 2 (100%, 95% interval 34% to 100%)" in out, more


def test_results_are_kept_where_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["fork", "results", "--turn", "1", "-k", "2", "--out", "forked"]) == 0
    capsys.readouterr()
    execution = read_execution(Path("forked"))
    assert len(execution.runs) == 2
    assert all((Path("forked") / (run.journal or "")).is_file() for run in execution.runs)
    assert invoke(["show", "forked"]) == 0


def test_the_turn_is_reported_with_its_intervals(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["localise", "results", "-k", "2"]) == 3
    out = capsys.readouterr().out
    assert "0 of 2 (0%, 95% interval 0% to 66%)  Please confirm | Confirmed, with nut cake." in out
    assert "The success rate does not drop" in out
    assert invoke(["localise", "results", "-k", "8", "--agent", "careful", "--as-recorded", "--json"]) == 0
    found = data(capsys)
    assert found["drop"] == {"turn": 4, "low": 4, "high": 4, "confidence": 0.95}
    assert [item["passed"]["passed"] for item in found["turns"]] == [8, 8, 8, 8, 0]


def test_a_failure_becomes_a_regression_case(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["shrink", "results", "-k", "2"]) == 0
    out = capsys.readouterr().out
    assert "Turns: 4 → 2. Words: 16 → 2." in out
    assert "\n  allergic\n  confirm\n" in out
    path = Path(f"regressions/{run_id()}.suite.yaml")
    assert f"duologue run {path}" in out
    assert invoke(["run", str(path), "--out", "again", "--quiet"]) == 1
    capsys.readouterr()
    assert invoke(["shrink", "results"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert invoke(["shrink", "results", "-k", "2", "--force", "--no-words", "--json"]) == 0
    assert data(capsys)["lines"] == ["My son is allergic to nuts", "Please confirm"]


class Bot(duologue.AgentAdapter):
    async def call(self, input: duologue.AgentInput) -> str:
        return "No."


async def test_runs_that_code_recorded_need_an_agent_and_criteria(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = [duologue.user("a"), duologue.agent(), duologue.user("b"), duologue.agent(), duologue.succeed()]
    await duologue.arun("ask", "Somebody asks.", [Bot(), duologue.ScriptedUser([])], script=script, record="kept.jsonl")

    def called(*arguments: str) -> int:
        return invoke(list(arguments))

    assert await asyncio.to_thread(called, "fork", "kept.jsonl", "--turn", "1") == 2
    assert "give them with --criterion" in capsys.readouterr().err
    assert await asyncio.to_thread(called, "fork", "kept.jsonl", "--turn", "1", "--criterion", "It is fine.") == 2
    assert "name it with --agent" in capsys.readouterr().err
    given = ["--criterion", "It is fine.", "--agent", "bot.py:careful", "--mock-all", "-k", "1", "--json"]
    code = await asyncio.to_thread(called, "fork", "kept.jsonl", "--turn", "1", *given)
    found = data(capsys)
    assert found["agent"] == "given agent"
    assert code in {0, 3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fork", "nowhere", "--turn", "1"], "nowhere does not exist"),
        (["fork", "results", "--turn", "9"], "the run has 4 turns"),
        (["fork", "results", "--turn", "1", "--agent", "carefull"], "careful"),
        (["fork", "results", "--turn", "1", "--model", "local"], "is not made of a model"),
        (["fork", "results", "--turn", "1", "--suite", "no.yaml"], "no.yaml"),
        (["shrink", "results", "--failure", "x"], "What failed: no nuts"),
        (["shrink", "results", "--out", "x"], "expected a file such as"),
        (["shrink", "results", "--passing", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_done_is_said(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert invoke(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_suite_that_has_moved_is_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop.suite.yaml").rename("moved.suite.yaml")
    assert invoke(["fork", "results", "--turn", "1", "-k", "1"]) == 2
    assert "name the suite with --suite" in capsys.readouterr().err
    assert invoke(["fork", "results", "--turn", "1", "-k", "1", "--suite", "moved.suite.yaml"]) == 0
