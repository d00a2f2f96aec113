"""``duologue run --executor …``: the same folder as with one process, and nothing lost or done twice whatever dies."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from suites_on_workers import calls, outcomes, pids, run, start, suite
from waiting import LONG, wait_until

from duologue.cli.app import invoke

EXECUTORS = ["processes", "dask"]


def contents(folder: Path) -> dict[str, object]:
    """Everything in the folder of an execution, without what two runs of the same thing do not have in common."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = re.sub(r"-[0-9a-f]{16}", "", path.relative_to(folder).as_posix())
        data = path.read_bytes()
        found[name] = data if path.parent.name == "media" else _comparable(data.decode())
    return found


def _comparable(text: str) -> object:
    text = re.sub(r"\d{8}T\d{6}Z-\w{8}|-[0-9a-f]{16}|(run|thread|batch)_\w+", "ID", text)
    text = re.sub(
        r'("(seconds|at|started_at|session_at|elapsed|agent_seconds|agent_time|total_time)":)("[^"]*"|[\d.e-]+)',
        r"\1 0",
        text,
    )
    text = re.sub(r'("(command|cpu|path)":)"[^"]*"', r"\1 0", text)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_folder_is_the_same_as_with_one_process(tmp_path: Path, executor: str):
    suite(tmp_path, ("one", "two"), ("picture",), ("bad",), ("four",))
    local, _ = run(tmp_path, "--out", str(tmp_path / "local"))
    code, told = run(tmp_path, "--executor", executor, "-w", "2", "--out", str(tmp_path / "out"))
    assert (local, code) == (1, 1)
    assert "4 test cases: 3 passed, 1 failed" in told
    assert contents(tmp_path / "out") == contents(tmp_path / "local")
    assert len(pids(tmp_path)) >= 2
    assert os.getpid() not in pids(tmp_path)


def test_a_killed_worker_costs_no_call_that_was_answered(tmp_path: Path):
    suite(tmp_path, ("one", "wait", "three"), ("two",))
    process = start(tmp_path, "--executor", "processes", "-w", "2", "--out", str(tmp_path / "out"))
    wait_until(lambda: "wait" in calls(tmp_path) and any((tmp_path / "out" / "runs").glob("two*")))
    held = next(int(line.split()[1]) for line in (tmp_path / "calls").read_text().splitlines() if "wait" in line)
    os.kill(held, signal.SIGKILL)
    wait_until(lambda: calls(tmp_path).count("wait") == 2)
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=LONG)
    assert process.returncode == 0, out
    assert sorted(calls(tmp_path)) == ["one", "three", "two", "wait", "wait"]  # it went on in its middle
    assert outcomes(tmp_path) == {"one": "pass", "two": "pass"}


def test_an_agent_that_ends_its_worker_is_an_error_of_its_case_alone(tmp_path: Path):
    suite(tmp_path, ("die",), *((f"line {number}",) for number in range(4)))
    code, told = run(tmp_path, "--executor", "processes", "-w", "2", "--out", str(tmp_path / "out"))
    assert code == 3
    assert "poison: 3 workers ended" in told
    assert "exit code 7" in told
    found = outcomes(tmp_path)
    assert found.pop("die") == "error"
    assert set(found.values()) == {"pass"}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_everything_can_be_killed_and_resumed(tmp_path: Path, executor: str):
    out = str(tmp_path / "out")
    suite(tmp_path, ("one",), ("two",), ("wait",), ("wait long", "after"), ("three",))
    process = start(tmp_path, "--executor", executor, "-w", "2", "-j", "2", "--out", out)
    wait_until(lambda: {"wait", "wait long"} <= set(calls(tmp_path)))
    workers = pids(tmp_path)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))  # the workers end with it
    before = sorted(calls(tmp_path))
    (tmp_path / "go").touch()
    code, told = run(tmp_path, "--executor", executor, "-w", "2", "--resume", out)
    assert code == 0, told
    assert outcomes(tmp_path) == dict.fromkeys(["one", "two", "wait", "wait long", "three"], "pass")
    again = sorted(calls(tmp_path))
    for line in before:
        again.remove(line)
    finished = {"one", "two"} & set(before)
    assert not finished & set(again)  # what had finished is not played again
    assert {"wait", "wait long", "after"} <= set(again)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_stops_and_cancels(tmp_path: Path, presses: int):
    out = str(tmp_path / "out")
    suite(tmp_path, ("wait",), ("two",), ("three",))
    process = start(tmp_path, "--executor", "processes", "-w", "1", "-j", "1", "--out", out)
    wait_until(lambda: "wait" in calls(tmp_path))
    process.send_signal(signal.SIGINT)
    if presses == 2:
        process.send_signal(signal.SIGTERM)  # SIGTERM is as good as two presses
    else:
        (tmp_path / "go").touch()
    told, _ = process.communicate(timeout=LONG)
    assert process.returncode in {130, 143}, told
    assert outcomes(tmp_path) == {"wait": "cancelled" if presses == 2 else "pass"}
    (tmp_path / "go").touch()
    code, _ = run(tmp_path, "--executor", "processes", "-w", "1", "--resume", out)
    assert code == 0
    assert calls(tmp_path).count("wait") == presses
    assert outcomes(tmp_path) == {"wait": "pass", "two": "pass", "three": "pass"}


def test_fail_fast_and_failed_in_work_as_with_one_process(tmp_path: Path):
    suite(tmp_path, ("bad",), ("two",), ("three",), defaults={"seed": 7, "concurrency": 1})
    options = ("--executor", "processes", "-w", "1")
    code, _ = run(tmp_path, *options, "--fail-fast", "--out", str(tmp_path / "out"))
    assert code == 1
    assert calls(tmp_path) == ["bad"]
    code, _ = run(tmp_path, *options, "--resume", str(tmp_path / "out"))
    assert (code, calls(tmp_path)) == (1, ["bad", "two", "three"])
    code, _ = run(tmp_path, *options, "--failed-in", str(tmp_path / "out"), "--out", str(tmp_path / "again"))
    assert (code, calls(tmp_path)) == (1, ["bad", "two", "three", "bad"])


def test_errors_are_retried_on_workers(tmp_path: Path):
    suite(tmp_path, ("one",), ("break",), ("three",))
    agent = (tmp_path / "agent.py").read_text()
    (tmp_path / "agent.py").write_text(agent.replace('        return "no"', RAISE + '        return "no"'))
    out = str(tmp_path / "out")
    code, _ = run(tmp_path, "--out", out)
    assert (code, outcomes(tmp_path)["break"]) == (3, "error")
    (tmp_path / "mended").touch()
    assert invoke(["retry", out, "--executor", "processes", "-w", "1", "--quiet"]) == 0
    assert outcomes(tmp_path) == {"one": "pass", "break": "pass", "three": "pass"}
    assert sorted(calls(tmp_path)) == ["break", "break", "one", "three"]
    assert len(pids(tmp_path)) == 2


RAISE = """
        if said == "break" and not HERE.joinpath("mended").exists():
            raise OSError("no route")
"""


def test_a_budget_for_all_runs_is_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    suite(tmp_path, ("one",), defaults={"seed": 7, "budget": {"money": 1}})
    options = ["--executor", "processes", "--out", str(tmp_path / "out")]
    assert invoke(["run", str(tmp_path / "suite.yaml"), *options]) == 2
    told = " ".join(capsys.readouterr().err.split())
    for words in ("a budget for all runs together", "--executor local", "run_budget", "duologue runs submit"):
        assert words in told
    assert calls(tmp_path) == []


@pytest.mark.parametrize(("options", "told"), [
    (["--executor", "ray"], "--executor: found 'ray'; expected one of local, processes, dask"),
    (["-w", "2"], "--workers needs other processes; add --executor processes, or dask"),
    (["--executor", "processes", "--address", "tcp://a:1"], "--address is for a Dask cluster; add --executor dask"),
    (["--tls-ca", "ca.pem"], "--tls-ca is for a Dask cluster; add --executor dask"),
    (["--executor", "dask", "--address", "tcp://a:1", "-w", "2"], "tcp://a:1 has the workers that were started there"),
    (["--executor", "dask", "--address", "tls://a:1", "--tls-ca", "ca.pem"], "all of --tls-ca, --tls-cert"),
    (["--executor", "dask", "--address", "a:1"], "found 'a:1' as the address of a Dask scheduler; expected tcp://"),
    (["--executor", "dask", "--address", "tls://a:1"], "tls://a:1 needs --tls-ca, --tls-cert and --tls-key"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
):
    suite(tmp_path, ("one",))
    assert invoke(["run", str(tmp_path / "suite.yaml"), "--out", str(tmp_path / "out"), *options]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
    assert calls(tmp_path) == []
