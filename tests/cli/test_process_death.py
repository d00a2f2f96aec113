"""Signals, and processes that end without a word: never success, nothing lost, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG, wait_until

from duologue.cli.app import invoke

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

AGENT = """
import asyncio, ctypes, os, signal, time
from pathlib import Path

HERE = Path(__file__).parent
WAYS = {
    "exit": lambda: os._exit(0),
    "libc": lambda: ctypes.CDLL(None)._exit(0),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "segv": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "close": lambda: os.closerange(3, 4096),
}

def answer(input):
    said = input.last_new_user_message_str()
    with HERE.joinpath("calls").open("a") as file:
        file.write(said + "\\n")
    if said in WAYS and not HERE.joinpath("mended").exists():
        WAYS[said]()
    if said == "wait":
        HERE.joinpath("waiting").touch()
        time.sleep(600)
    return "yes"
"""


def suite(folder: Path, *lines: str, **changes: Any) -> None:
    scenarios = [
        {
            "name": f"{line}-{number}",
            "turns": [{"content": line}],
            "checks": [{"type": "contains", "params": {"patterns": ["yes"]}}],
        }
        for number, line in enumerate(lines)
    ]
    spec = {
        "agents": [{"name": "bot", "target": "agent.py:answer"}],
        "scenarios": scenarios,
        "defaults": {"seed": 7, "concurrency": 1},
        **changes,
    }
    written = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "deadly"}, "spec": spec}
    (folder / "suite.yaml").write_text(json.dumps(written))
    (folder / "agent.py").write_text(AGENT)


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "duologue", "run", str(folder / "suite.yaml"), "-q", *options]


def run(folder: Path, *options: str) -> tuple[int, str]:
    done = subprocess.run(command(folder, *options), timeout=LONG, check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join(done.stderr.split())


def outcomes(folder: Path) -> dict[str, str]:
    return {
        line["title"].split()[0]: line["outcome"]
        for line in json.loads((folder / "out/index.json").read_text())["runs"]
    }


@pytest.mark.parametrize(("way", "code", "how"), [
    ("exit", 3, "exit code 0"), ("exec", 3, "exit code 0"), ("segv", 128 + 11, "signal SIGSEGV"),
    ("close", 3, "code that it ran closed all files of the process, as os.closerange does"),
])  # fmt: skip
def test_an_agent_that_ends_the_process_never_looks_like_success(tmp_path: Path, way: str, code: int, how: str) -> None:
    suite(tmp_path, "one", way, "two")
    ended, told = run(tmp_path, "--out", str(tmp_path / "out"))
    assert ended == code
    assert f"ended unexpectedly ({how})" in told
    assert f"Under way and without a result: {way}-1 · bot" in told
    assert f"--resume {tmp_path / 'out'}" in told
    assert outcomes(tmp_path) == {"one-0": "pass", f"{way}-1": "cancelled"}
    if way != "exit":
        return
    (tmp_path / "mended").touch()
    assert run(tmp_path, "--resume", str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "calls").read_text().split() == ["one", way, "two", way]  # what was under way comes last


def test_a_case_that_ends_the_process_again_and_again_does_not_block_the_rest_and_is_given_up(tmp_path: Path) -> None:
    suite(tmp_path, "exit", "one")
    out = str(tmp_path / "out")
    assert run(tmp_path, "--out", out)[0] == 3
    for _ in range(2):
        assert run(tmp_path, "--resume", out)[0] == 3
        assert outcomes(tmp_path) == {"exit-0": "cancelled", "one-1": "pass"}
    code, _ = run(tmp_path, "--resume", out)
    assert (code, outcomes(tmp_path)) == (3, {"exit-0": "error", "one-1": "pass"})
    assert (tmp_path / "calls").read_text().split() == ["exit", "one", "exit", "exit"]
    (tmp_path / "agent.py").write_text(AGENT.replace("os._exit(0)", "None"))
    assert run(tmp_path, "--resume", out)[0] == 0


def test_of_several_that_were_under_way_the_innocent_pass(tmp_path: Path) -> None:
    suite(tmp_path, "wait", "exit", "one", defaults={"concurrency": 3, "seed": 7})
    (tmp_path / "waiting").touch()
    (tmp_path / "agent.py").write_text(AGENT.replace("time.sleep(600)", "time.sleep(0.5)"))
    out = str(tmp_path / "out")
    assert run(tmp_path, "--out", out)[0] == 3
    for _ in range(2):  # with the second, the one that has ended the process twice is the last
        assert run(tmp_path, "--resume", out)[0] == 3
    assert outcomes(tmp_path) == {"wait-0": "pass", "exit-1": "cancelled", "one-2": "pass"}


@pytest.mark.parametrize("lines", [("exit",), ("one", "exit"), ("wait", "exit", "one")])
def test_what_there_is_can_be_shown_and_reported_after_the_process_ended(
    tmp_path: Path, lines: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    suite(tmp_path, *lines, defaults={"concurrency": 2 if "wait" in lines else 1, "seed": 7})
    (tmp_path / "agent.py").write_text(AGENT.replace("time.sleep(600)", "time.sleep(0.5)"))
    out = tmp_path / "out"
    told = run(tmp_path, "--out", str(out))[1]
    finished = sum(outcome == "pass" for outcome in outcomes(tmp_path).values())
    assert f"{finished} of {len(lines)} runs have results" in told
    assert all((out / line["file"]).is_file() for line in json.loads((out / "index.json").read_text())["runs"])
    assert invoke(["show", str(out)]) == 0
    assert "cancelled" in capsys.readouterr().out
    assert invoke(["report", str(out), "--format", "md,junit"]) == 0


@pytest.mark.parametrize("place", ["function", "module"])
def test_a_function_that_ends_the_process_never_looks_like_success(tmp_path: Path, place: str) -> None:
    body = "import ctypes; ctypes.CDLL(None)._exit(0)"
    text = f"def f():\n    {body}\n" if place == "function" else f"{body}\ndef f(): pass\n"
    (tmp_path / "fn.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", f"{tmp_path / 'fn.py'}::f", "--out", str(tmp_path / "out")],
        timeout=LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert "ended unexpectedly (exit code 0)" in done.stderr


def test_exit_codes_pass_through_the_supervising_process(tmp_path: Path) -> None:
    suite(tmp_path, "one")
    assert run(tmp_path, "--out", str(tmp_path / "out"))[0] == 0
    (tmp_path / "agent.py").write_text(AGENT.replace('"yes"', '"no"'))
    assert run(tmp_path, "--out", str(tmp_path / "out2"))[0] == 1


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in found.read_text().split()] if found.exists() else []


@pytest.mark.parametrize(("numbers", "code", "isolation"), [
    ([signal.SIGTERM], 143, "none"), ([signal.SIGHUP], 129, "processes"),
    ([signal.SIGINT, signal.SIGINT], 130, "processes"), ([signal.SIGKILL], -9, "none"),
])  # fmt: skip
def test_a_signal_writes_the_index_and_leaves_no_process(
    tmp_path: Path, numbers: list[int], code: int, isolation: str
) -> None:
    suite(tmp_path, "one", "wait", "two", agents=[{"name": "bot", "target": "agent.py:answer", "isolation": isolation}])
    with subprocess.Popen(
        command(tmp_path, "--out", str(tmp_path / "out")), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        wait_until((tmp_path / "waiting").exists)
        below = [pid for child in children_of(process.pid) for pid in (child, *children_of(child))]
        assert below
        for place, number in enumerate(numbers):
            if place:
                polls = iter(range(80))  # longer than one press of a key takes
                wait_until(lambda: next(polls, None) is None)  # noqa: B023
            process.send_signal(number)
        assert process.wait(timeout=LONG) == code
        assert process.stderr is not None
        if code != -9:
            assert "Traceback" not in process.stderr.read()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() and alive(pid) for pid in below))
    if code != -9:
        index = json.loads((tmp_path / "out/index.json").read_text())
        assert (index["interrupted"], index["totals"]["passed"]) == (True, 1)
    (tmp_path / "agent.py").write_text(AGENT.replace("time.sleep(600)", "pass"))
    assert run(tmp_path, "--resume", str(tmp_path / "out"))[0] == 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_anything_was_run_is_one_line(number: int) -> None:
    code = (
        "import duologue.cli.app as app, time\n"
        "app.invoke = lambda _: (print('ready', flush=True), time.sleep(600))\n"
        "from duologue.cli import main\nmain()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "validate", "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=LONG)
    assert (process.returncode, told) == (128 + number, "Interrupted before anything was run.\n")


def test_ignored_signals_stay_ignored() -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from duologue.cli.interruption import leave_at_once, raise_errors\nleave_at_once(); raise_errors()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_too_many_files_are_told_with_advice(tmp_path: Path) -> None:
    suite(tmp_path, *["one"] * 40)
    limited = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh"]
    done = subprocess.run(
        [*limited, *command(tmp_path, "--out", str(tmp_path / "out"), "-j", "40")],
        timeout=LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    told = " ".join(done.stderr.split())
    assert done.returncode == 3
    assert "Run fewer cases at once (--jobs), or allow more files" in told
    assert "Traceback" not in told
    assert (
        run(tmp_path, "--resume" if (tmp_path / "out/launch.json").exists() else "--out", str(tmp_path / "out"))[0] == 0
    )


def test_kills_and_full_disks_lose_nothing(tmp_path: Path) -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks/resume_kills.py"
    done = subprocess.run(
        [sys.executable, str(benchmark), "--kills", "3", "--runs", "20"],
        cwd=tmp_path, timeout=4 * LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


FUNCTIONS = """
import asyncio, threading
from pathlib import Path
import duologue
from duologue.testing import ScriptedUserAgent

class Agent(duologue.AgentAdapter):
    def __init__(self, blocks):
        self.blocks = blocks
    async def call(self, input):
        if self.blocks:
            Path(__file__).with_name("waiting").touch()
            threading.Event().wait()
        return "ok"

def prepared():
    script = [duologue.user(), duologue.agent(), duologue.succeed()]
    return [
        duologue.prepare(f"r{n}", "d", [ScriptedUserAgent(["hi"]), Agent(n == 1)], script=script, agent_timeout=0.5)
        for n in range(3)
    ]

async def on_its_own_loop():
    return prepared()

async def at_once():
    await asyncio.gather(*[item.perform() for item in prepared()])

def never_leaves():
    import atexit
    atexit.register(threading.Event().wait)
    return prepared()[0]

def in_the_main_thread():
    Path(__file__).with_name("waiting").touch()
    while True:
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
"""
IMPATIENT = """
import sys
from duologue.cli import main, supervision
supervision._SECONDS_TO_END = supervision._SECONDS_TO_LEAVE = 0.5
sys.exit(main())
"""


def test_an_agent_of_a_function_that_blocks_for_ever_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    options = ["functions.py::prepared", "--json", "--out", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", *options],
        cwd=tmp_path, timeout=LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert [item["verdict"] for item in json.loads(done.stdout)["runs"]] == ["pass", None, "pass"]


@pytest.mark.parametrize(("function", "runs"), [("on_its_own_loop", 2), ("at_once", 2)])
def test_an_agent_of_an_async_function_that_blocks_for_ever_is_an_error(
    tmp_path: Path, function: str, runs: int
) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", f"functions.py::{function}", "--json", "--out", "out"],
        cwd=tmp_path, timeout=LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    found = {item["scenario"]: item for item in json.loads(done.stdout)["runs"]}
    assert len(found) == runs
    assert found["r1"]["termination"] == "timeout"
    assert "functions.py:" in found["r1"]["reasoning"]
    others = {item["reasoning"] for name, item in found.items() if name != "r1" and item["verdict"] != "pass"}
    assert all("another run blocks the thread at" in reason for reason in others)
    assert "was left there" in done.stderr


def test_sigterm_ends_a_process_whose_main_thread_is_blocked(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    running = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "run", "functions.py::in_the_main_thread", "-q", "--out", "out"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until((tmp_path / "waiting").exists)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=LONG)
    finally:
        running.kill()
    assert running.returncode == 143
    assert "SIGTERM did not stop it within" in told


def test_a_process_that_never_leaves_is_ended_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "run", "functions.py::never_leaves", "-q", "--out", "out"],
        cwd=tmp_path, timeout=LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_results_stay_in_their_folder_when_an_agent_changes_the_current_one(tmp_path: Path) -> None:
    work, away = tmp_path / "work", tmp_path / "away"
    work.mkdir()
    away.mkdir()
    suite(work, "one", "two")
    agent = f"    os.chdir({str(away)!r})\n    said = input"
    (work / "agent.py").write_text(AGENT.replace("    said = input", agent))
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", "suite.yaml", "--out", "out", "--format", "html,md"],
        cwd=work, timeout=LONG, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(away.iterdir()) == []
    assert "results: out\n" in done.stdout
    for name in ("index.json", "launch.json", "report.html", "report.md"):
        assert (work / "out" / name).is_file()
    assert [len(list((work / "out" / name).iterdir())) for name in ("runs", "journals")] == [2, 2]
