"""``duologue run FILE.py::function``: its results folder, and what is played again of an earlier one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.runs.store.reader import find_execution, read_execution

AGENTS = '''
import asyncio
import os
import pathlib
import signal

import duologue

HERE = pathlib.Path(__file__).parent


class Clerk(duologue.AgentAdapter):
    """Counts its calls; breaks on 'boom' and is stopped on 'stop', until somebody has mended it."""

    resumable = True

    async def call(self, input):
        said = input.last_new_user_message_str()
        with (HERE / "calls.txt").open("a") as calls:
            calls.write(said + "\\n")
        if said == "boom" and not (HERE / "mended").exists():
            raise ValueError("boom")
        if said == "stop" and not (HERE / "mended").exists():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(600)
        return said


def ready(name, said, end):
    script = [duologue.user(said), duologue.agent(), end]
    return duologue.prepare(name, "somebody speaks", [Clerk(), duologue.ScriptedUser([])], script=script)


def several():
    return [
        ready("good", "hello", duologue.succeed()),
        ready("bad", "hi", duologue.fail("rude")),
        ready("broken", "boom", duologue.succeed()),
    ]


def all_good():
    return [ready("good", "hello", duologue.succeed()), ready("good", "hello", duologue.succeed())]


async def by_itself():
    for number in range(2):
        script = [duologue.user(f"line {number}"), duologue.agent(), duologue.succeed()]
        await duologue.arun(f"number {number}", "d", [Clerk(), duologue.ScriptedUser([])], script=script)
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "clerks.py").write_text(AGENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def calls(here: Path) -> list[str]:
    path = here / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


def only_folder(here: Path, out: str = "out") -> Path:
    [folder] = (here / out).iterdir()
    return folder


def outcomes(folder: Path) -> dict[str, str]:
    return {run.case.scenario: run.outcome for run in read_execution(folder).runs}


def test_a_function_writes_what_a_suite_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "clerks.py::several", "--out", "out", "-q", "--format", "junit,md"]) == 1
    folder = only_folder(here)
    assert {path.name for path in folder.iterdir()} == {
        *("launch.json", "index.json", "runs", "journals", "junit.xml", "report.md"),
    }
    assert outcomes(folder) == {"good": "pass", "bad": "fail", "broken": "error"}
    execution = find_execution(folder).execution
    assert (execution.suite, execution.path) == ("clerks.py::several", "clerks.py::several")
    assert sorted(path.stem for path in (folder / "runs").iterdir()) == sorted(run.run_id for run in execution.runs)
    assert "3 test cases: 1 passed, 1 failed, 1 error" in capsys.readouterr().out
    assert invoke(["show", str(folder)]) == 0
    assert "3 test cases: 1 passed, 1 failed, 1 error" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["clerks.py", "clerks.py/below"])
def test_a_folder_that_cannot_be_made_is_a_wrong_use(
    here: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", "clerks.py::several", "--out", place, "-q"]) == 2
    assert "cannot create the results folder" in capsys.readouterr().err


def test_resuming_a_function_that_came_to_its_end_asks_nothing_again(here: Path) -> None:
    invoke(["run", "clerks.py::several", "--out", "out", "-q"])
    folder, before = only_folder(here), calls(here)
    assert invoke(["run", "clerks.py::several", "--resume", str(folder), "-q"]) == 1
    assert calls(here) == before
    assert outcomes(folder) == {"good": "pass", "bad": "fail", "broken": "error"}


@pytest.mark.parametrize("function", ["several", "by_itself", "all_good"])
def test_a_run_without_its_end_goes_on_where_it_was(here: Path, function: str) -> None:
    invoke(["run", f"clerks.py::{function}", "--out", "out", "-q"])
    folder, before = only_folder(here), calls(here)
    expected = [(run.case.title, run.outcome) for run in read_execution(folder).runs]
    (folder / "index.json").unlink()
    first, *others = sorted((folder / "journals").glob("*.jsonl"))
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-1]))
    others[-1].unlink()
    assert find_execution(folder).execution.interrupted
    invoke(["run", f"clerks.py::{function}", "--resume", str(folder), "-q"])
    assert [(run.case.title, run.outcome) for run in read_execution(folder).runs] == expected
    assert len(calls(here)) == len(before) + 1


def test_failed_in_plays_what_did_not_pass(here: Path) -> None:
    invoke(["run", "clerks.py::several", "--out", "out", "-q"])
    folder = only_folder(here)
    (here / "mended").touch()
    assert invoke(["run", "clerks.py::several", "--failed-in", str(folder), "--out", "second", "-q"]) == 1
    assert outcomes(only_folder(here, "second")) == {"bad": "fail", "broken": "pass"}
    assert calls(here) == ["hello", "hi", "boom", "hi", "boom"]
    assert outcomes(folder) == {"good": "pass", "bad": "fail", "broken": "error"}


def test_failed_in_a_launch_that_passed_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["run", "clerks.py::all_good", "--out", "out", "-q"])
    assert invoke(["run", "clerks.py::all_good", "--failed-in", str(only_folder(here)), "--out", "second", "-q"]) == 2
    assert "every run of clerks.py::all_good had passed" in capsys.readouterr().err
    assert not list((here / "second").iterdir())


def test_a_scenario_that_has_changed_is_played_again(here: Path) -> None:
    invoke(["run", "clerks.py::several", "--out", "out", "-q"])
    folder = only_folder(here)
    (here / "clerks.py").write_text(AGENTS.replace('"somebody speaks"', '"somebody else speaks"'))
    invoke(["run", "clerks.py::several", "--resume", str(folder), "-q"])
    assert calls(here) == ["hello", "hi", "boom"] * 2
    assert len(read_execution(folder).runs) == 3
    assert len(list((folder / "journals").glob("*.jsonl.replaced"))) == 3


def test_retry_plays_errors_again_into_the_same_folder(here: Path) -> None:
    invoke(["run", "clerks.py::several", "--out", "out", "-q", "--format", "md"])
    folder = only_folder(here)
    (here / "mended").touch()
    assert invoke(["retry", str(folder), "-q"]) == 1
    assert outcomes(folder) == {"good": "pass", "bad": "fail", "broken": "pass"}
    assert calls(here) == ["hello", "hi", "boom", "boom"]
    assert "ValueError" not in (folder / "report.md").read_text()
    assert len(list((folder / "runs").glob("*.json"))) == 3


def test_an_interrupted_function_can_be_read_and_resumed(here: Path) -> None:
    source = AGENTS.replace('ready("bad", "hi"', 'ready("bad", "stop"')
    (here / "clerks.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", "clerks.py::several", "--out", "out", "-q"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 130
    assert "--resume" in done.stderr
    folder = only_folder(here)
    assert find_execution(folder).execution.interrupted
    (here / "mended").touch()
    assert invoke(["run", "clerks.py::several", "--resume", str(folder), "-q"]) == 1
    assert outcomes(folder) == {"good": "pass", "bad": "fail", "broken": "pass"}
    assert calls(here).count("hello") == 1


SUITE = {
    "apiVersion": "duologue/v1",
    "kind": "Suite",
    "metadata": {"name": "clerk"},
    "spec": {
        "agents": [{"name": "clerk", "target": "clerks.py:Clerk"}],
        "scenarios": [
            {
                "name": said,
                "turns": [{"role": "user", "content": said}],
                "checks": [{"type": "contains", "params": {"patterns": [said]}}],
            }
            for said in ("hello", "boom")
        ],
    },
}


@pytest.mark.parametrize("options", [[], ["--no-journals"]])
def test_retry_plays_the_errors_of_a_suite_again(here: Path, options: list[str]) -> None:
    (here / "suite.yaml").write_text(json.dumps(SUITE))
    assert invoke(["run", "suite.yaml", "--out", "results", "-q", *options]) == 3
    first = read_execution(here / "results")
    (here / "mended").touch()
    assert invoke(["retry", "results", "-q"]) == 0
    execution = read_execution(here / "results")
    assert {run.case.scenario: run.outcome for run in execution.runs} == {"hello": "pass", "boom": "pass"}
    assert execution.id == first.id
    assert execution.seconds > first.seconds
    assert calls(here) == ["hello", "boom", "boom"]


def test_retry_wants_a_folder_that_can_be_played_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert invoke(["retry", "empty"]) == 2
    assert "holds no execution" in capsys.readouterr().err
    invoke(["run", "clerks.py::all_good", "--out", "out", "-q"])
    recorded = here / "recorded"
    recorded.mkdir()
    for path in (only_folder(here) / "journals").iterdir():
        path.rename(recorded / path.name)
    assert invoke(["retry", "recorded"]) == 2
    assert "only it can play them again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clerks.py::all_good", "--resume", "nowhere"], "nowhere does not exist"),
        (["clerks.py::all_good", "--failed-in", "nowhere"], "holds no journals of runs"),
        (["clerks.py::all_good", "--resume", "FOLDER"], "holds results of clerks.py::several"),
        (["clerks.py::all_good", "--format", "pdf"], "no report format is called 'pdf'"),
    ],
)
def test_what_cannot_be_taken_up_is_refused_before_anything_is_played(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    invoke(["run", "clerks.py::several", "--out", "out", "-q"])
    before = calls(here)
    folder = str(only_folder(here))
    assert invoke(["run", *(folder if item == "FOLDER" else item for item in arguments), "--out", "other"]) == 2
    assert said in capsys.readouterr().err
    assert calls(here) == before


AWAY = """
import asyncio
import os

import duologue


class Mover(duologue.AgentAdapter):
    async def call(self, input):
        os.chdir(os.environ["AWAY"])
        return "hello"


class Canceller(duologue.AgentAdapter):
    async def call(self, input):
        for task in asyncio.all_tasks():
            task.cancel()
        return "hello"


def run(name, agent, end, play=duologue.arun, **more):
    script = [duologue.user("hi"), duologue.agent(), end]
    return play(name, "d", [agent, duologue.ScriptedUser([])], script=script, **more)


async def moves():
    for name in ("one", "two"):
        await run(name, Mover(), duologue.fail("no") if name == "one" else duologue.succeed())


def prepared():
    return [run(name, Mover(), duologue.succeed(), duologue.prepare) for name in ("one", "two")]


async def elsewhere():
    await run("one", Mover(), duologue.fail("no"), record="kept")
    await run("two", Mover(), duologue.succeed(), record="second.jsonl")


async def cancels():
    await asyncio.gather(*[run(name, Canceller(), duologue.succeed()) for name in ("one", "two")])
"""


@pytest.mark.parametrize(
    ("function", "code", "expected"),
    [
        ("moves", 1, {"one": "fail", "two": "pass"}),
        ("prepared", 0, {"one": "pass", "two": "pass"}),
        ("elsewhere", 1, {"one": "fail", "two": "pass"}),
        ("cancels", 3, {"one": "error"}),
    ],
)
def test_results_are_where_the_command_began_and_all_there(
    tmp_path: Path, function: str, code: int, expected: dict[str, str]
) -> None:
    (here := tmp_path / "here").mkdir()
    (away := tmp_path / "away").mkdir()
    (here / "away.py").write_text(AWAY)
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", f"away.py::{function}", "--out", "out", "--format", "md", "-q"],
        check=False, capture_output=True, text=True, timeout=300, cwd=here, env={**os.environ, "AWAY": str(away)},
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    folder = only_folder(here)
    assert outcomes(folder) == expected
    assert f"results: out/{folder.name}\n" in done.stdout
    assert f"out/{folder.name}/report.md" in done.stdout
    assert ("Runs that had not begun by then have no result." in done.stderr) is (function == "cancels")
    if function != "elsewhere":
        assert not list(away.iterdir())


ENDS = """
import sys

import duologue


class Clerk(duologue.AgentAdapter):
    async def call(self, input):
        return "hello"


async def passes():
    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    return await duologue.run("x", "d", [Clerk(), duologue.ScriptedUser([])], script=script)


async def asserts():
    result = await passes()
    assert result.turns > 3, "too short"


async def breaks():
    await passes()
    raise KeyError("boom")


async def refuses():
    await passes()
    raise duologue.errors.AgentError("no kitchen")


async def leaves():
    await passes()
    sys.exit(0)
"""


@pytest.mark.parametrize(
    ("function", "code", "told"),
    [
        ("asserts", 1, "Error: the function ended with AssertionError: too short, at ends.py:19 in asserts"),
        ("breaks", 2, "Error: the function raised KeyError: 'boom'"),
        ("refuses", 3, "Error: the function ended with AgentError: no kitchen, at ends.py:29 in refuses"),
        ("leaves", 2, "Error: the function raised SystemExit: sys.exit(0) was called, at ends.py:34 in leaves"),
    ],
)
def test_a_function_that_breaks_after_its_runs_keeps_their_results_and_is_no_success(
    here: Path, capsys: pytest.CaptureFixture[str], function: str, code: int, told: str
) -> None:
    (here / "ends.py").write_text(ENDS)
    assert invoke(["run", f"ends.py::{function}", "--out", "out", "-q"]) == code
    shown = capsys.readouterr()
    assert told in shown.err
    assert "1 test case: 1 passed" in shown.out
    assert outcomes(only_folder(here)) == {"x": "pass"}


@pytest.mark.parametrize("content", [b"", b'{"seq":0,"at":1.0,"events":[{"type":"run_started","sch', b"\0" * 40])
def test_a_journal_that_holds_nothing_costs_its_run_only(here: Path, content: bytes) -> None:
    invoke(["run", "clerks.py::several", "--out", "out", "-q"])
    folder = only_folder(here)
    first = min((folder / "journals").glob("*.jsonl"))
    first.write_bytes(content)
    (folder / "journals" / "tape.jsonl").write_text('{"cassette": 1}\n')
    assert invoke(["run", "clerks.py::several", "--resume", str(folder), "-q"]) == 1
    assert outcomes(folder) == {"good": "pass", "bad": "fail", "broken": "error"}
    assert len(calls(here)) == 4
    assert len(read_execution(folder).runs) == 3
    assert (folder / "journals" / "tape.jsonl").exists()
