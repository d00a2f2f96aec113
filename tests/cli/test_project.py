"""``.env``, ``[tool.duologue]`` and logs: what is read, what comes first, and that no secret is shown."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.cli.project import project_folder, read_env_file
from duologue.errors import ConfigurationError
from duologue.settings import ScenarioConfig

ROOT = Path(__file__).parents[2]
AGENT = """
import logging, os

def answer(input):
    logging.getLogger("of.the.agent").info("it has %s", os.environ.get("SHOP_API_KEY"))
    if os.environ.get("PLACE") == "broken":
        raise ValueError("refused: " + os.environ["SHOP_API_KEY"])
    return os.environ.get("PLACE", "none")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A project with a suite in a folder of its own, which is the current one."""
    folder = tmp_path / "outer" / "project"
    inner = folder / "rehearsals"
    inner.mkdir(parents=True)
    folder.joinpath("pyproject.toml").write_text("[project]\nname = 'x'\n")
    inner.joinpath("agent.py").write_text(AGENT)
    checks = [{"type": "contains", "params": {"patterns": ["there"]}}]
    spec = {
        "agents": [{"name": "bot", "target": "agent.py:answer"}],
        "scenarios": [{"name": name, "turns": [{"content": "Hello"}], "checks": checks} for name in ("a", "b")],
    }
    whole = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": spec}
    inner.joinpath("suite.yaml").write_text(json.dumps(whole))
    monkeypatch.chdir(inner)
    before, config = dict(os.environ), ScenarioConfig.default_config
    handlers, level = logging.root.handlers[:], logging.root.level
    yield folder
    ScenarioConfig.default_config = config
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name in set(os.environ) - set(before):
        del os.environ[name]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("export NAME=value", "value"),
        ("  NAME = value  ", "value"),
        ("NAME=", ""),
        ("NAME='one # two'", "one # two"),
        ('NAME="one\\ntwo \\"x\\""', 'one\ntwo "x"'),
        ("NAME=value # a comment", "value"),
        ("NAME=value#no-comment", "value#no-comment"),
        ("NAME=two words # a comment", "two words"),
        ("NAME=#a-comment", ""),
        ("NAME='value' # a comment", "value"),
        ("NAME=a=b", "a=b"),
        ("NAME=${OTHER}", "${OTHER}"),
        ("NAME=grüße", "grüße"),
        ("\ufeffNAME=value", "value"),
    ],
)
def test_lines_of_an_env_file(line: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{line}\n\n# a comment\n", encoding="utf-8")

    assert read_env_file(path) == {"NAME": value}


@pytest.mark.parametrize(
    "line", ["just words", "1NAME=x", "NAME='open", "=x", 'NAME="a" b', "NAME=a\0b", 'NAME="a\0b"']
)
def test_a_line_that_is_none_is_told_without_what_it_holds(line: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"A=1\n{line}\n")

    with pytest.raises(ConfigurationError, match=re.escape(f"{path}:2: expected NAME=value")) as caught:
        read_env_file(path)
    assert line not in str(caught.value)


def test_variables_come_from_the_project_and_from_nowhere_above_it(project: Path) -> None:
    project.parent.joinpath(".env").write_text("PLACE=there\n")
    assert invoke(["run", "suite.yaml", "--out", "a", "-q"]) == 1
    project.joinpath(".env").write_text("PLACE=there\n")
    assert invoke(["run", "suite.yaml", "--out", "b", "-q"]) == 0


@pytest.mark.parametrize("above", ["pyproject.toml", ".git"])
def test_the_project_is_the_nearest_one_or_the_folder_alone(above: str, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    if above == ".git":
        tmp_path.joinpath("a", ".git").mkdir()
    else:
        tmp_path.joinpath("a", above).touch()
    assert project_folder(inner) == tmp_path / "a"
    assert project_folder(inner / "no") == tmp_path / "a"


def test_what_is_set_stays_and_the_nearest_file_counts(project: Path) -> None:
    project.joinpath(".env").write_text("PLACE=project\n")
    project.joinpath("rehearsals", ".env").write_text("PLACE=there\n")
    assert invoke(["run", "suite.yaml", "--out", "a", "-q"]) == 0
    os.environ["PLACE"] = "elsewhere"
    assert invoke(["run", "suite.yaml", "--out", "b", "-q"]) == 1


def test_another_file_can_be_named_or_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.joinpath(".env").write_text("PLACE=there\n")
    monkeypatch.setenv("DUOLOGUE_ENV_FILE", "")
    assert invoke(["run", "suite.yaml", "--out", "a", "-q"]) == 1
    monkeypatch.setenv("DUOLOGUE_ENV_FILE", "nosuch.env")
    assert invoke(["run", "suite.yaml", "--out", "b", "-q"]) == 2
    monkeypatch.delenv("DUOLOGUE_ENV_FILE")
    project.joinpath("pyproject.toml").write_text("[tool.duologue]\nenv-file = 'test.env'\n")
    project.joinpath("test.env").write_text("PLACE=there too\n")
    assert invoke(["run", "suite.yaml", "--out", "c", "-q"]) == 0


def test_secrets_of_the_file_are_hidden_by_value(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "quaint-zebra-71x93k"
    project.joinpath(".env").write_text(f"SHOP_API_KEY={secret}\nPLACE=broken\n")

    assert invoke(["run", "suite.yaml", "--out", "out", "-v", "--format", "html,junit,md"]) == 3

    told = capsys.readouterr()
    assert "it has" in told.err  # the log of the agent
    assert "refused: " in told.out
    assert secret not in told.out + told.err
    for path in Path("out").rglob("*.*"):
        if path.is_file():
            assert secret not in path.read_text(encoding="utf-8"), path


def test_options_of_run_are_as_if_they_were_typed(project: Path) -> None:
    table = "[tool.duologue.run]\nscenario = ['a']\nformat = ['junit']\nout = 'from-the-file'\nquiet = true\n"
    project.joinpath("pyproject.toml").write_text(table)
    assert invoke(["run", "suite.yaml"]) == 1
    assert len(list(Path("from-the-file/runs").iterdir())) == 1
    assert Path("from-the-file/junit.xml").exists()
    assert invoke(["run", "suite.yaml", "--out", "typed", "--scenario", "b"]) == 1
    assert [path.name[0] for path in Path("typed/runs").iterdir()] == ["b"]
    assert invoke(["validate", "suite.yaml"]) == 0


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("[tool.duologue]\nlog-levl = 'info'", "unknown field 'log-levl'; did you mean 'log-level'?"),
        ("[tool.duologue]\nlog-level = 3", "log-level: expected a string, got 3"),
        ("[tool.duologue]\nlog-level = 'loud'", "found 'loud'; expected debug, info, warning, error"),
        ("[tool.duologue.run]\njbs = 3", "no option of 'run' is called 'jbs'; did you mean 'jobs'?"),
        ("[tool.duologue.run]\nresume = 'x'", "no option of 'run' is called 'resume'"),
        ("[tool]\nduologue = 3", "expected a table"),
        ("[tool.duologue\n", "is no TOML"),
        ("[tool.duologue]\nx = " + "[" * 5000, "is no TOML"),
        ("[tool.duologue]\nx = " + "9" * 5000, "is no TOML"),
        ("[tool.duologue]\nenv-file = 'nosuch'", "there is no file"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(
    table: str, told: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.joinpath("pyproject.toml").write_text(table)
    assert invoke(["run", "suite.yaml"]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("name", ["pyproject.toml", ".env"])
def test_a_file_without_an_end_does_not_keep_the_command(
    name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in (project / name, Path(name)):
        other.unlink(missing_ok=True)
    os.mkfifo(project / name)
    project.joinpath(".git").mkdir()
    assert invoke(["validate", "suite.yaml"]) == (0 if name == ".env" else 2)
    assert "Traceback" not in capsys.readouterr().err


def test_the_default_model_of_a_project_plays_and_judges(project: Path) -> None:
    project.joinpath("pyproject.toml").write_text("[tool.duologue]\ndefault-model = 'mock/fixed:there'\n")
    project.joinpath(".env").write_text("PLACE=there\n")
    suite = json.loads(Path("suite.yaml").read_text())
    suite["spec"]["scenarios"][0]["turns"] = [{"role": "simulated_user", "exchanges": 1}]
    Path("suite.yaml").write_text(json.dumps(suite))
    assert invoke(["run", "suite.yaml", "--out", "out", "-q"]) == 0


@pytest.mark.parametrize(
    ("option", "shown"), [("-v", True), ("-vv", True), ("--log-level=info", True), ("--ci", False)]
)
def test_logs_are_shown_if_they_are_asked_for(
    option: str, shown: bool, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.joinpath(".env").write_text("PLACE=there\n")
    assert invoke(["run", "suite.yaml", "--out", "out", option]) == 0
    told = capsys.readouterr()
    assert ("INFO of.the.agent: it has None" in told.err) is shown
    assert "of.the.agent" not in told.out


def test_every_variable_of_the_source_is_on_the_page() -> None:
    page = (ROOT / "docs/reference/environment.md").read_text("utf-8")
    named = set[str]()
    for path in (ROOT / "src").rglob("*.py"):
        named |= set(re.findall(r"\bDUOLOGUE_[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    assert [name for name in sorted(named - {"DUOLOGUE_COMPLETE"}) if name not in page] == []
