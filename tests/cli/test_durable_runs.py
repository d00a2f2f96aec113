"""``duologue runs``, ``worker`` and ``schedules``, with real processes and real signals."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from queued_suites import SUITE
from waiting import wait_until

AGENT = """\
import asyncio
from pathlib import Path

HERE = Path(__file__).parent



async def answer(input):
    line = input.last_new_user_message_str()
    with (HERE / "calls").open("a") as calls:
        calls.write(f"{input.thread_id} {line}\\n")
    while line == "wait" and not (HERE / "go").exists():
        await asyncio.sleep(0.01)
    if line == "break":
        raise OSError("no route")
    return "ok " + line
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.py").write_text(AGENT)
    return tmp_path


def suite(folder: Path, *lines: str, pattern: str = "ok") -> str:
    turns = "\n".join(
        f"        - {{content: {line}, checks: [{{type: contains, params: {{patterns: [{pattern}]}}}}]}}"
        for line in lines
    )
    (folder / "suite.yaml").write_text(SUITE.format(target="agent.py:answer", turns=turns))
    return "suite.yaml"


def duologue(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "duologue.cli", *arguments],
        cwd=folder,
        env={**os.environ, "DUOLOGUE_DATABASE_URL": str(folder / "runs.db")},
        capture_output=True,
        text=True,
        check=False,
    )


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    """What the database holds, asked without a process of our own."""
    connection = sqlite3.connect(folder / "runs.db", isolation_level=None)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def runs_of(folder: Path) -> list[tuple[object, ...]]:
    """Status, outcome and attempts of all runs."""
    return rows(folder, "SELECT status, outcome, attempts FROM runs ORDER BY number")


@pytest.fixture
def workers(folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Workers that a test starts; none is left."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def begin(folder: Path, workers: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "duologue.cli", "worker", "-c", "2", "--grace", "600"],
        cwd=folder,
        env={**os.environ, "DUOLOGUE_DATABASE_URL": str(folder / "runs.db")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    workers.append(process)
    return process


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return [line.split(" ", 1)[1] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("line", "pattern", "code", "outcome"),
    [("hello", "ok", 0, "pass"), ("hello", "never", 1, "fail"), ("break", "ok", 3, "error")],
)
def test_process_exits_as_run_does(folder: Path, line: str, pattern: str, code: int, outcome: str) -> None:
    path = suite(folder, line, pattern=pattern)
    submitted = duologue(folder, "runs", "submit", path, "--in-place", "--trials", "2")
    assert (submitted.returncode, submitted.stdout) == (0, "queued 2 runs as execution 1\n")
    done = duologue(folder, "runs", "process", "--json")
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)[outcome] == 2
    assert [run[1] for run in runs_of(folder)] == [outcome, outcome]


def test_runs_are_listed_and_shown(folder: Path) -> None:
    duologue(folder, "runs", "submit", suite(folder, "hello"), "--in-place")
    assert duologue(folder, "runs", "process").stdout.endswith("1 pass\n")
    assert duologue(folder, "runs", "process").stdout == "no run was carried out\n"
    [run] = json.loads(duologue(folder, "runs", "list", "--status", "completed", "--json").stdout)
    assert (run["outcome"], run["case"]["scenario"]) == ("pass", "order")
    assert "user: hello" in duologue(folder, "runs", "show", run["id"]).stdout
    missing = duologue(folder, "runs", "show", "none")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "has no run 'none'" in missing.stderr


def test_runs_are_retried_cancelled_deleted_and_exported(folder: Path) -> None:
    duologue(folder, "runs", "submit", suite(folder, "break"), "--in-place", "--trials", "2")
    duologue(folder, "runs", "process", "--quiet")
    assert duologue(folder, "runs", "retry", "--execution", "1").stdout == "queued 2 again\n"
    first, second = (str(run[0]) for run in rows(folder, "SELECT id FROM runs ORDER BY number"))
    assert duologue(folder, "runs", "cancel", first).stdout.startswith("cancelled: 1 waiting")
    assert duologue(folder, "runs", "retry", first).returncode == 2
    assert [run[0] for run in runs_of(folder)] == ["cancelled", "queued"]
    assert duologue(folder, "runs", "export", "1", "--out", "out").returncode == 0
    assert duologue(folder, "runs", "delete").returncode == 2
    with sqlite3.connect(folder / "runs.db") as database:  # as if somebody had put it back by hand
        database.execute("UPDATE runs SET completed_at = 1 WHERE id = ?", [second])
    assert duologue(folder, "runs", "delete", "--older-than", "1d", "--yes").stdout == "deleted 0\n"
    assert duologue(folder, "runs", "delete", "--execution", "1", "--yes").stdout == "deleted 1\n"
    assert rows(folder, "SELECT id FROM runs") == [(second,)]
    imported = duologue(folder, "runs", "import", "out", "--project", "other")
    assert imported.returncode == 0, imported.stderr


def test_code_of_a_suite_stays_where_it_is_unless_that_is_asked_for(folder: Path) -> None:
    refused = duologue(folder, "runs", "submit", suite(folder, "hello"))
    assert refused.returncode == 2
    assert "agent.py" in refused.stderr
    assert "--in-place" in refused.stderr


def test_a_worker_lets_its_runs_finish_when_it_is_terminated(
    folder: Path, workers: list[subprocess.Popen[str]]
) -> None:
    duologue(folder, "runs", "submit", suite(folder, "wait"), "--in-place", "--trials", "3")
    worker = begin(folder, workers)
    wait_until(lambda: len(calls(folder)) == 2)
    [record] = json.loads(duologue(folder, "workers", "--json").stdout)
    assert (record["pid"], record["capacity"], record["state"]) == (worker.pid, 2, "running")
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: rows(folder, "SELECT state FROM workers") == [("stopping",)])
    (folder / "go").touch()
    told, _ = worker.communicate()
    assert worker.returncode == 0, told
    assert "has stopped: 2 pass" in told
    assert [run[0] for run in runs_of(folder)] == ["completed", "completed", "queued"]


def test_a_second_signal_gives_runs_back(folder: Path, workers: list[subprocess.Popen[str]]) -> None:
    duologue(folder, "runs", "submit", suite(folder, "wait"), "--in-place")
    worker = begin(folder, workers)
    wait_until(lambda: calls(folder))
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: rows(folder, "SELECT state FROM workers") == [("stopping",)])
    worker.send_signal(signal.SIGTERM)
    told, _ = worker.communicate()
    assert worker.returncode == 0, told
    assert runs_of(folder) == [("queued", None, 0)]


def test_runs_of_a_killed_worker_are_continued_by_another(folder: Path, workers: list[subprocess.Popen[str]]) -> None:
    duologue(folder, "runs", "submit", suite(folder, "hello", "wait", "bye"), "--in-place", "--trials", "2")
    worker = begin(folder, workers)
    wait_until(lambda: calls(folder).count("wait") == 2)
    worker.kill()
    worker.communicate()
    rows(folder, "UPDATE workers SET lease_until = 0")  # as if it had been silent for as long as a lease lasts
    (folder / "go").touch()
    done = duologue(folder, "runs", "process", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pass"] == 2
    assert runs_of(folder) == [("completed", "pass", 2)] * 2


def test_schedules(folder: Path) -> None:
    duologue(folder, "runs", "submit", suite(folder, "hello"), "--in-place")
    missing = duologue(folder, "schedules", "add", "nightly", "0 6 * * *")
    assert missing.returncode == 2
    assert "no eval 'nightly'" in missing.stderr
