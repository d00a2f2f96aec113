"""Runs that Python code has recorded, read as the results of a suite are."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import duologue
from duologue.cli.app import invoke
from duologue.runs.store.from_journals import execution_of, recorded_runs
from duologue.runs.store.reader import find_execution, read_execution


class Echo(duologue.AgentAdapter):
    async def call(self, input: duologue.AgentInput) -> str:
        return input.last_new_user_message_str()


class Other(Echo):
    pass


def play(folder: Path, name: str, end: duologue.ScriptStep, agent: duologue.AgentAdapter | None = None) -> None:
    script = [duologue.user("hello"), duologue.agent(), end]
    agents = [agent or Echo(), duologue.ScriptedUser([])]
    asyncio.run(duologue.arun(name, "somebody says hello", agents, script=script, record=folder))


def test_a_folder_of_journals_is_read_like_results(tmp_path: Path) -> None:
    folder = tmp_path / "rehearsals"
    play(folder, "greeting", duologue.succeed())
    play(folder, "greeting", duologue.fail("too short"))
    play(folder, "greeting", duologue.succeed(), Other())
    play(folder, "goodbye", duologue.succeed())
    execution = find_execution(folder).execution
    assert [(run.case.title, run.outcome) for run in execution.runs] == [
        ("greeting · Echo #1", "pass"),
        ("greeting · Echo #2", "fail"),
        ("greeting · Other", "pass"),
        ("goodbye · Echo", "pass"),
    ]
    totals = execution.totals
    assert (totals.cases, totals.runs, totals.passed, totals.failed) == (3, 4, 2, 1)
    assert execution.exit_code == 1
    assert not execution.interrupted
    assert [message.message.get("content") for message in execution.runs[0].messages] == ["hello", "hello"]


def test_what_is_shown_of_journals_names_files_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(tmp_path, "greeting", duologue.fail("too short"))
    capsys.readouterr()
    assert invoke(["show", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (path,) = [line.split()[-1] for line in lines if "duologue show " in line]
    assert invoke(["show", path]) == 0
    assert not any("again:" in line for line in lines)  # no suite and no function is known that could run again


def test_every_report_can_be_written_and_written_again_when_there_are_more_runs(tmp_path: Path) -> None:
    play(tmp_path, "greeting", duologue.succeed())
    assert invoke(["report", str(tmp_path), "--format", "json,junit,md,html"]) == 0
    assert read_execution(tmp_path).totals.runs == 1
    play(tmp_path, "goodbye", duologue.fail())
    assert find_execution(tmp_path).execution.totals.runs == 2
    assert invoke(["report", str(tmp_path), "--format", "json"]) == 0
    assert read_execution(tmp_path).totals.failed == 1


def test_a_run_that_was_killed_is_there_and_not_passed(tmp_path: Path) -> None:
    play(tmp_path, "greeting", duologue.succeed())
    [path] = tmp_path.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    (tmp_path / "run_zz.jsonl").write_bytes(b"".join(lines[:-1]).replace(path.stem.encode(), b"run_zz"))
    execution, problems = execution_of(tmp_path)
    assert [run.outcome for run in execution.runs] == ["pass", "cancelled"]
    assert execution.interrupted
    assert execution.exit_code == 130
    assert problems == ()


def test_other_files_are_passed_over_and_damaged_journals_are_named(tmp_path: Path) -> None:
    play(tmp_path, "greeting", duologue.succeed())
    (tmp_path / "tape.jsonl").write_text('{"key": "x", "answer": 1}\n')
    (tmp_path / "run_empty.jsonl").write_text("")
    [whole] = tmp_path.glob("run_0*.jsonl")
    (tmp_path / "run_broken.jsonl").write_bytes(whole.read_bytes().replace(b'{"seq":1', b"{nonsense", 1))
    found = recorded_runs(tmp_path)
    assert len(found.runs) == 1
    named = [name for name in ("run_broken", "run_empty", "tape") if name in " ".join(found.problems)]
    assert named == ["run_broken", "run_empty"]


def test_time_between_launches_does_not_count(tmp_path: Path) -> None:
    play(tmp_path, "greeting", duologue.succeed())
    [path] = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["at"] += 3600
    later = "".join(json.dumps(line) + "\n" for line in lines).replace(path.stem, "run_zz")
    (tmp_path / "run_zz.jsonl").write_text(later)
    assert find_execution(tmp_path).execution.seconds < 60


TESTS = """
import duologue, pytest
class Echo(duologue.AgentAdapter):
    async def call(self, input):
        return "hello"
@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(3))
async def test_greeting(number):
    script = [duologue.user("hi"), duologue.agent(), duologue.fail("odd") if number == 1 else duologue.succeed()]
    result = await duologue.arun("greeting", "d", [Echo(), duologue.ScriptedUser([])], script=script)
    assert result.success
"""


def test_what_pytest_records_in_two_processes_is_one_execution(tmp_path: Path) -> None:
    (tmp_path / "test_greeting.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n2", "--duologue-record=kept", "-p", "no:cacheprovider"],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    execution = find_execution(tmp_path / "kept").execution
    assert sorted(run.outcome for run in execution.runs) == ["fail", "pass", "pass"]
    assert [group.outcome for group in execution.groups] == ["fail"]
