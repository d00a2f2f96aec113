"""``duologue runs`` and ``worker``: what is not there, and what the exit code says of queued runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.cli.exit_codes import ExitCode

Call = Callable[..., tuple[int, str]]
SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {{name: orders}}
spec:
  agents: [{{name: bot, target: "agent.py:answer"}}]
  scenarios:
{scenarios}
  defaults: {{seed: 7{defaults}}}
"""
SCENARIO = """\
    - name: "{name}"
      turns: [{{content: "{line}", checks: [{{type: contains, params: {{patterns: [ok]}}{share}}}]}}]
"""
AGENT = """\
COUNT = [0]


def answer(input):
    line = input.last_new_user_message_str()
    if line == "break":
        raise OSError("no route")
    COUNT[0] += 1
    return {"pass": "ok", "fail": "no", "often": "no" if COUNT[0] % 4 == 0 else "ok"}[line]
"""


@pytest.fixture
def duologue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls ``duologue`` in an empty folder; its exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    for name in ("DUOLOGUE_DATABASE_URL", "DUOLOGUE_ARTIFACTS"):
        monkeypatch.setenv(name, "")  # what the command sets goes with the test
        monkeypatch.delenv(name)
    (tmp_path / "agent.py").write_text(AGENT)

    def call(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = invoke([str(item) for item in arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


def suite(*lines: str, defaults: str = "", share: str = "") -> str:
    scenarios = "".join(
        SCENARIO.format(name=f"{index} {line}", line=line, share=share) for index, line in enumerate(lines)
    )
    Path("suite.yaml").write_text(SUITE.format(scenarios=scenarios, defaults=defaults))
    return "suite.yaml"


def ids() -> list[str]:
    with sqlite3.connect(".duologue/duologue.db") as database:
        found = [str(row[0]) for row in database.execute("SELECT id FROM runs ORDER BY number")]
    database.close()
    return found


@pytest.mark.parametrize(
    "command",
    [
        "worker", "workers", "runs list", "runs show x", "runs create nightly", "runs retry x", "runs cancel x",
        "runs process", "runs delete x --yes", "runs export 1 --out out", "schedules list",
        "schedules add nightly @", "schedules enable x", "schedules disable x", "schedules delete x", "db vacuum",
        "db upgrade",
    ],
)  # fmt: skip
def test_a_database_that_does_not_exist_is_refused_and_not_made(duologue: Call, tmp_path: Path, command: str) -> None:
    place = "typo.db" if len(command) % 2 else "no such folder"
    before = sorted(path.name for path in tmp_path.iterdir())
    code, told = duologue(*("0 6 * * *" if word == "@" else word for word in command.split()), "--store", place)
    assert code == ExitCode.UNCERTAIN
    path = tmp_path / place
    assert f"{path if path.suffix else path / 'duologue.db'}: there is no database" in told
    assert "duologue db init --store " in told
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_import_of_nothing_makes_no_database(duologue: Call, tmp_path: Path) -> None:
    code, told = duologue("runs", "import", "typo", "--store", "new.db")
    assert (code, "typo cannot be read" in told) == (ExitCode.USAGE, True)
    assert not (tmp_path / "new.db").exists()


def test_what_can_be_done_is_done_and_the_rest_is_named(duologue: Call) -> None:
    duologue("runs", "submit", suite("break", "pass"), "--in-place", "--trials", "2")
    broken, _, passed, _ = ids()
    assert duologue("runs", "cancel", "nowhere") == (
        ExitCode.USAGE,
        "Error: the project 'default' has no run 'nowhere'\n",
    )
    duologue("runs", "process", "--quiet")
    code, told = duologue("runs", "cancel", broken, "nowhere", passed)
    assert code == ExitCode.USAGE
    assert told.splitlines() == [
        "Error: the project 'default' has no run 'nowhere'",
        f"Error: run '{broken}' was over before: error",
        f"Error: run '{passed}' was over before: completed",
    ]
    code, told = duologue("runs", "retry", "nowhere", passed, broken)
    assert code == ExitCode.USAGE
    assert told.startswith("queued 1 again\nError: the project 'default' has no run 'nowhere'\n")
    assert f"run '{passed}': Cannot retry" in told
    code, told = duologue("runs", "cancel", broken, "nowhere")
    assert code == ExitCode.USAGE
    assert told.startswith("cancelled: 1 waiting, 0 running")
    assert duologue("runs", "cancel", broken)[0] == ExitCode.PASSED  # as was asked for
    code, told = duologue("runs", "delete", broken, "nowhere", passed, "--yes")
    assert (code, told) == (
        ExitCode.USAGE,
        "deleted 2\nError: the project 'default' has no run 'nowhere'\n",
    )
    assert len(ids()) == 2


@pytest.mark.parametrize("command", ["list", "cancel", "retry", "delete"])
def test_an_execution_that_does_not_exist_is_told(duologue: Call, command: str) -> None:
    duologue("runs", "submit", suite("pass"), "--in-place")
    code, told = duologue("runs", command, "--execution", "99", *(["--yes"] if command == "delete" else []))
    assert (code, told) == (ExitCode.USAGE, "Error: the project 'default' has no execution 99\n")


@pytest.mark.parametrize(
    ("lines", "defaults", "share", "code"),
    [
        (["pass", "fail"], "", "", 1),
        (["pass", "fail"], ", pass_rate: 0.5", "", 0),
        (["pass", "fail"], ", pass_rate: 60%", "", 1),
        (["pass", "break"], "", "", 3),
        (["pass", "break"], ", allow_errors: 1", "", 0),
        (["pass", "break", "break"], ", allow_errors: 1", "", 3),
        (["pass", "break", "break"], ", allow_errors: all", "", 0),
        (["pass", "break"], ", allow_errors: all, pass_rate: 0.9", "", 3),
        (["fail", "break"], ", allow_errors: all", "", 1),
        (["often"], "", "", 1),
        (["often"], "", ", pass_threshold: 0.7", 0),
        (["often"], "", ", pass_threshold: 0.8", 1),
    ],
)
def test_the_exit_code_follows_the_thresholds_as_that_of_run_does(
    duologue: Call, lines: list[str], defaults: str, share: str, code: int
) -> None:
    path = suite(*lines, defaults=defaults, share=share)
    assert duologue("run", path, "--trials", "4", "-j", "1", "--quiet")[0] == code
    duologue("runs", "submit", path, "--in-place", "--trials", "4")
    found, told = duologue("runs", "process", "-c", "1", "--json")
    assert found == code
    assert json.loads(told)["executions"] == {"1": code}
    assert duologue("runs", "process")[0] == ExitCode.PASSED  # nothing is left


def test_executions_are_judged_one_by_one_and_as_a_whole(duologue: Call) -> None:
    duologue("runs", "submit", suite("pass", "fail", defaults=", pass_rate: 0.5"), "--in-place")
    duologue("runs", "submit", suite("pass", "break"), "--in-place")
    code, told = duologue("runs", "process", "--quiet")
    assert code == ExitCode.UNCERTAIN
    assert "execution 1: 1 of 2 passed, enough (50% have to pass)\n" in told
    assert "execution 2" not in told
