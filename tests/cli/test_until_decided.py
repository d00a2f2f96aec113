"""``--until-decided`` and ``trials: auto``: trials end when they decide about their case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from waiting import LONG

from duologue.cli.app import invoke
from duologue.runs.store.reader import find_execution

AGENT = """
import os, signal
from pathlib import Path
HERE = Path(__file__).parent

def answer(input):
    said = input.last_new_user_message_str()
    with HERE.joinpath("calls").open("a") as file:
        file.write(said + "\\n")
    calls = HERE.joinpath("calls").read_text().split()
    if HERE.joinpath("kill").exists() and len(calls) == 6:
        HERE.joinpath("kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if said == "broken":
        raise KeyError("nope")
    if said == "half":
        return "good" if calls.count("half") % 2 else "bad"
    return said
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.joinpath("agent.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, *lines: str, trials: Any = "auto", checks: Any = None, **defaults: object) -> None:
    check = checks or [{"type": "contains", "params": {"patterns": ["good"]}}]
    scenarios = [{"name": line, "turns": [{"content": line}], "checks": check} for line in lines]
    spec = {
        "agents": [{"name": "bot", "target": "agent.py:answer"}],
        "scenarios": scenarios,
        "trials": trials,
        "defaults": {"seed": 7, **defaults},
    }
    whole = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": spec}
    folder.joinpath("suite.yaml").write_text(json.dumps(whole))


def trials(folder: Path) -> dict[str, tuple[str, int]]:
    execution = find_execution(folder / "out").execution
    return {group.case.scenario: (group.outcome, len(group.runs)) for group in execution.groups}


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_trials_end_when_they_decide(folder: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    write(folder, "good", "bad", "half", pass_threshold="80%")
    assert invoke(["run", "suite.yaml", "--out", "out", "-j", jobs, "--format", "junit", "--ci"]) == 1
    found = trials(folder)
    assert found["bad"] == ("fail", 3)
    assert found["good"][0] == "pass"
    assert found["good"][1] < 20
    assert found["half"][0] == "fail"
    assert 4 <= found["half"][1] <= 12
    execution = find_execution(folder / "out").execution
    assert execution.totals.not_run == 0
    assert execution.spared == 60 - len(execution.runs) > 20
    assert len(folder.joinpath("calls").read_text().split()) == len(execution.runs)
    shown = capsys.readouterr().out
    assert f"{execution.spared} of 60 runs were not needed" in shown
    root = ElementTree.parse(folder / "out/junit.xml").getroot()
    skipped = [item.get("message") for item in root.iter("skipped")]
    assert len([text for text in skipped if "not needed: decided after 3" in (text or "")]) == 17


def test_all_must_pass_unless_a_share_is_given(folder: Path) -> None:
    write(folder, "good", "half", trials=5)
    assert invoke(["run", "suite.yaml", "--out", "out", "-q", "--until-decided", "-j", "1"]) == 1
    assert trials(folder) == {"good": ("pass", 5), "half": ("fail", 2)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--pass-threshold", "0.5"], {"half": ("pass", 9)}),
        (["--pass-rate", "0.5"], {"half": ("pass", 9)}),
        (["--pass-rate", "0.1", "--pass-threshold", "100%"], {"half": ("fail", 2)}),
    ],
)
def test_the_share_is_that_of_the_option_or_the_pass_rate(
    folder: Path, options: list[str], expected: dict[str, tuple[str, int]]
) -> None:
    write(folder, "half", trials=1)
    code = invoke(["run", "suite.yaml", "--out", "out", "-q", "--until-decided", "--trials", "10", "-j", "1", *options])
    assert trials(folder) == expected
    assert code == (0 if expected["half"][0] == "pass" else 1)


def test_errors_are_no_verdict(folder: Path) -> None:
    write(folder, "broken", max_trials=4, pass_threshold=0.5)
    assert invoke(["run", "suite.yaml", "--out", "out", "-q"]) == 3
    assert trials(folder) == {"broken": ("error", 4)}


def test_a_check_with_a_share_of_its_own_is_decided_by_its_own_share(folder: Path) -> None:
    write(
        folder, "half", max_trials=10,
        checks=[{"type": "contains", "params": {"patterns": ["good"]}, "pass_threshold": 0.4}],
    )  # fmt: skip
    assert invoke(["run", "suite.yaml", "--out", "out", "-q", "-j", "1"]) == 0
    assert trials(folder)["half"] == ("pass", 10)  # all trials must do the rest


def test_other_processes_play_round_by_round(folder: Path) -> None:
    write(folder, "good", "bad", pass_threshold=0.8)
    options = ["--executor", "processes", "--workers", "1"]
    assert invoke(["run", "suite.yaml", "--out", "out", "-q", *options]) == 1
    found = trials(folder)
    assert found["bad"] == ("fail", 3)
    assert found["good"][1] < 20


def test_a_killed_execution_means_the_same_when_it_is_resumed(folder: Path) -> None:
    write(folder, "good", "bad", "half", trials=1)
    folder.joinpath("kill").touch()
    run = ["run", "suite.yaml", "-q", "-j", "1"]
    asked = [*run, "--out", "out", "--until-decided", "--pass-threshold", "0.8", "--trials", "12"]
    done = subprocess.run(
        [sys.executable, "-m", "duologue", *asked],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        timeout=LONG,
        check=False,
        capture_output=True,
    )
    assert done.returncode not in {0, 1}
    before = len(list(folder.glob("out/runs/*.json")))
    assert before >= 4
    assert invoke([*run, "--resume", "out", "--pass-threshold", "0.5"]) == 2  # it is what it was
    assert invoke([*run, "--resume", "out"]) == 1
    execution = find_execution(folder / "out").execution
    assert execution.allowance.pass_threshold == 0.8
    assert {group.case.scenario: group.outcome for group in execution.groups} == {
        "good": "pass", "bad": "fail", "half": "fail",
    }  # fmt: skip
    assert trials(folder)["bad"][1] == 3
    assert execution.totals.not_run == 0
    assert invoke([*run, "--resume", "out"]) == 1
    assert find_execution(folder / "out").execution.spared == execution.spared


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--pass-threshold", "0"], "a share above 0"), (["--pass-threshold", "many"], "--pass-threshold: found 'many'")],
)
def test_a_share_that_is_none_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    write(folder, "good")
    assert invoke(["run", "suite.yaml", *options]) == 2
    assert told in capsys.readouterr().err
