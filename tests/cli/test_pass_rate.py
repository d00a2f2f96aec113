"""``--pass-rate``, and errors that many cases share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from duologue.cli.app import invoke

AGENT = """
def answer(input):
    said = input.last_new_user_message_str()
    if said == "break":
        raise KeyError("nope")
    return said
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.joinpath("agent.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, *lines: str, **defaults: object) -> None:
    check = {"type": "contains", "params": {"patterns": ["good"]}}
    scenarios: list[dict[str, Any]] = [
        {"name": f"case {number}", "turns": [{"content": line}], "checks": [check]}
        for number, line in enumerate(lines, 1)
    ]
    spec = {
        "agents": [{"name": "bot", "target": "agent.py:answer"}],
        "scenarios": scenarios,
        **({"defaults": defaults} if defaults else {}),
    }
    whole = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": spec}
    folder.joinpath("suite.yaml").write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("lines", "options", "code"),
    [
        (["good"] * 9 + ["bad"], [], 1),
        (["good"] * 9 + ["bad"], ["--pass-rate", "0.9"], 0),
        (["good"] * 9 + ["bad"], ["--pass-rate", "90%"], 0),
        (["good"] * 9 + ["bad"], ["--pass-rate", "0.91"], 1),
        (["good"] * 7 + ["bad"] * 3, ["--pass-rate", "0.7"], 0),
        (["good"] * 2, ["--pass-rate", "1"], 0),
        (["good", "break"], ["--pass-rate", "0.5"], 3),
        (["good", "break"], ["--pass-rate", "0.5", "--allow-errors", "1"], 0),
        (["good", "break"], ["--pass-rate", "0.6", "--allow-errors", "1"], 3),
        (["good", "bad", "break"], ["--pass-rate", "0.3"], 3),
        (["good"], ["--pass-rate", "nine"], 2),
        (["good"], ["--pass-rate", "90"], 2),
    ],
)
def test_so_many_cases_may_fail(folder: Path, lines: list[str], options: list[str], code: int) -> None:
    write(folder, *lines)

    assert invoke(["run", "suite.yaml", "--out", "out", "-q", "--format", "junit", *options]) == code
    if code != 2:
        index = json.loads(folder.joinpath("out/index.json").read_text())
        assert index["exit_code"] == code
        root = ElementTree.parse(folder / "out/junit.xml").getroot()
        assert (root.get("failures"), root.get("errors")) == ("0", "0") if code == 0 else True


@pytest.mark.parametrize(
    ("written", "options", "code"),
    [
        (0.9, [], 0),
        ("90%", [], 0),
        ("89.5%", [], 0),
        (1, [], 1),
        ("95%", [], 1),
        (0, [], 0),
        (None, [], 1),
        (0.5, ["--pass-rate", "1"], 1),
        ("100%", ["--pass-rate", "0.5"], 0),
        (90, [], 2),
        ("ninety", [], 2),
        ("101%", [], 2),
        (-0.1, [], 2),
        ([0.9], [], 2),
    ],
)
def test_a_suite_says_how_many_must_pass(folder: Path, written: object, options: list[str], code: int) -> None:
    write(folder, *["good"] * 9, "bad", pass_rate=written)
    assert invoke(["run", "suite.yaml", "--out", "out", "-q", *options]) == code
    assert invoke(["validate", "suite.yaml"]) == (2 if code == 2 else 0)


@pytest.mark.parametrize(("rate", "level"), [("50%", "warning"), ("60%", "error")])
def test_failures_that_are_tolerated_are_said_to_be(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rate: str, level: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write(folder, "good", "bad", pass_rate=rate)
    assert invoke(["run", "suite.yaml", "--out", "out", "--ci"]) == (0 if level == "warning" else 1)
    shown = capsys.readouterr().out
    assert ("failed cases are tolerated: 50% had to pass" in shown) is (level == "warning")
    assert f"::{level} file=suite.yaml" in shown
    assert shown.count("::error") == (level == "error")


def test_an_error_of_many_cases_is_explained_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, *["break"] * 7, "good", "bad")

    assert invoke(["run", "suite.yaml", "--out", "out", "--jobs", "1", "--ci"]) == 1

    told = capsys.readouterr()
    assert told.err.count("nope") == 1
    assert told.err.count("the same as of case 1 · bot") == 6
    assert told.out.count("ERROR") == 1
    assert told.out.count("FAIL") == 1
    assert "and 6 more runs with the same error: case 2 · bot, case 3 · bot" in told.out
    assert "case 6 · bot and 1 more" in told.out
