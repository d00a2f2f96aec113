"""Folders of results: one execution at a time, no mixing, nothing that was asked for is silently left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.runs.store.folder import claimed
from duologue.settings import ScenarioConfig

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: NAME}
spec:
  agents: [{name: bot, target: "bot.py:answer"}]
  pack_evals:
    - {id: polite, type: contains, trigger: every_turn, params: {patterns: [please]}}
  scenarios:
    - name: hi
      turns: [{content: Hello}]
      checks: [{type: contains_any, params: {patterns: [heard]}}]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return suite_in(tmp_path / "shop", "shop")


def suite_in(folder: Path, name: str) -> Path:
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE.replace("NAME", name))
    (folder / "bot.py").write_text("def answer(input): return 'heard, please'\n")
    return folder


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_a_folder_that_is_being_written_is_left_alone(
    shop: Path, extra: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    with claimed(Path("out")):
        assert invoke(["run", str(shop), "--out", "out", "-q", *extra]) == 2
    assert "out is being written by another 'duologue run'" in told(capsys)
    assert list(Path("out").iterdir()) == []
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 0


def test_an_execution_that_is_going_on_is_not_taken_up_a_second_time(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 0
    with claimed(Path("out")):
        assert invoke(["run", str(shop), "--resume", "out", "-q"]) == 2
    assert "another 'duologue run'" in told(capsys)
    assert invoke(["run", str(shop), "--resume", "out", "-q"]) == 0


def test_of_two_processes_that_begin_together_one_gets_the_folder(shop: Path) -> None:
    (shop / "bot.py").write_text(
        "import asyncio\nasync def answer(i):\n    await asyncio.sleep(1)\n    return 'heard'\n"
    )
    command = [sys.executable, "-m", "duologue.cli", "run", str(shop), "--out", "out", "-q", "--no-pack-evals"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    for process in both:
        process.communicate(timeout=LONG)
    assert sorted(process.returncode for process in both) == [0, 2]
    assert len(list(Path("out/runs").iterdir())) == 1


def test_a_folder_is_given_back_by_a_process_that_ends(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\nfrom duologue.runs.store.folder import claimed\n"
        "claimed(pathlib.Path(sys.argv[1])).__enter__()\nos._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    with claimed(tmp_path), pytest.raises(ConfigurationError, match="another 'duologue run'"):
        claimed(tmp_path).__enter__()


def test_another_suite_does_not_go_on_with_an_execution(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 0
    other = suite_in(tmp_path / "bar", "bar")
    assert invoke(["run", str(other), "--resume", "out", "-q"]) == 2
    assert "holds an execution of the suite 'shop'" in told(capsys)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--scenario", "hi"], "filters"),
        (["--trials", "2"], "--trials"),
        (["--seed", "0"], "--seed"),
        (["--out", "b"], "--out"),
        (["--overwrite"], "--overwrite"),
        (["--failed-in", "b"], "--failed-in"),
    ],
)
def test_what_is_gone_on_with_is_not_planned_anew(
    shop: Path, option: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q"]) == 0
    before = (Path("out") / "index.json").read_text()
    assert invoke(["run", str(shop), "--resume", "out", "-q", *option]) == 2
    assert f"remove {name}" in told(capsys)
    assert (Path("out") / "index.json").read_text() == before


@pytest.mark.parametrize("place", ["shop/suite.yaml", "shop/suite.yaml/below"])
def test_a_folder_that_cannot_be_made_is_a_wrong_use(
    shop: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", str(shop), "--out", place, "-q"]) == 2
    assert "cannot create the results folder" in told(capsys)


def test_a_wrong_format_is_told_before_anything_is_run(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q", "--format", "jnit"]) == 2
    assert "no report format is called 'jnit'" in told(capsys)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("option", "names"),
    [([], {"polite"}), (["--eval-type", "contains"], {"polite"}), (["--no-pack-evals"], set[str]())],
)
def test_evals_of_packs_run_as_far_as_they_are_asked_for(shop: Path, option: list[str], names: set[str]) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q", *option]) == 0
    (line,) = json.loads((Path("out") / "index.json").read_text())["runs"]
    run: dict[str, Any] = json.loads((Path("out") / line["file"]).read_text())
    assert {check["name"] for check in run["checks"] if check["kind"].startswith("pack_eval:")} == names


def test_a_type_of_evals_that_the_suite_has_not_is_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", str(shop), "--out", "out", "-q", "--eval-type", "contans"]) == 2
    assert "the suite 'shop' has no eval of type 'contans'; did you mean 'contains'?" in told(capsys)


@pytest.mark.parametrize("body", ["import sys\nsys.exit(0)\n", "import sys\ndef play():\n    sys.exit(0)\n"])
def test_a_file_or_function_that_ends_the_process_is_no_success(
    tmp_path: Path, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ends.py").write_text(body)
    assert invoke(["run", "ends.py::play", "-q"]) == 2


def test_suites_of_a_folder_keep_their_results_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        (suite_in(tmp_path / name, name) / "suite.yaml").rename(tmp_path / name / "shop.suite.yaml")
    assert invoke(["run", ".", "--out", "out", "-q"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["shop.suite", "shop.suite-2", "shop.suite-3"]


def test_suites_of_a_folder_are_one_json_document_and_the_worst_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    suite_in(tmp_path / "a", "a")
    (suite_in(tmp_path / "b", "b") / "bot.py").write_text("def answer(input): return 'no'\n")
    assert invoke(["run", ".", "--out", "out", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(item["suite"], item["exit_code"], item["folder"]) for item in told] == [
        ("a", 0, str(Path("out/a"))),
        ("b", 1, str(Path("out/b"))),
    ]


def test_nothing_of_a_folder_is_run_if_one_of_its_suites_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    suite_in(tmp_path / "a", "a")
    (suite_in(tmp_path / "b", "b") / "suite.yaml").write_text("apiVersion: duologue/v1\nkind: Suit\n")
    assert invoke(["run", ".", "--out", "out", "-q"]) == 2
    assert "did you mean 'Suite'" in told(capsys)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--trials", "3"], "--trials"),
        (["--fail-fast"], "--fail-fast"),
        (["--mock", "m.yaml"], "--mock"),
        (["--tag", "t"], "--tag"),
        (["--overwrite"], "--overwrite"),
    ],
)
def test_an_option_of_suites_does_not_go_with_a_function(
    shop: Path, option: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", "bot.py::answer", *option]) == 2
    assert f"{name} applies to suites" in told(capsys)
