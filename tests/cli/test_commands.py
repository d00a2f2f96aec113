"""The command line: what each command prints and the code that it exits with."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from waiting import LONG

import duologue
from duologue.cli.app import application, invoke
from duologue.cli.catalogue import COMMANDS
from duologue.cli.exit_codes import ExitCode, exit_code_of
from duologue.conversation.result import ScenarioResult
from duologue.vocabulary import RunStatus, Verdict

TARGETS = """
import asyncio
import duologue
from duologue.testing import ScriptedAgent, ScriptedUserAgent

def cast(*lines):
    return [ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(lines or ["hello"], repeat=True)]

async def passes():
    await duologue.run("passes", "b", cast(), script=[duologue.user(), duologue.agent(), duologue.succeed()])

async def fails():
    def step(state):
        assert state.has_tool_call("book"), "nothing was booked"
    await duologue.run("fails", "b", cast(), script=[duologue.user(), step])

async def undecided():
    await duologue.run("undecided", "b", cast(), script=[duologue.user()])

async def breaks():
    await duologue.run("breaks", "b", cast(OSError("no line")), max_turns=1)

def prepared():
    return [duologue.prepare(f"p{i}", "b", cast(), script=[duologue.succeed()]) for i in range(3)]

def plays_nothing():
    pass

def raises():
    raise KeyError("what")

def wants(fixture):
    pass
"""


@pytest.fixture
def targets(tmp_path, monkeypatch):
    monkeypatch.setattr(duologue.ScenarioConfig, "default_config", None)
    path = tmp_path / "targets.py"
    path.write_text(TARGETS)
    return path


@pytest.mark.parametrize(
    ("name", "code"), [("passes", 0), ("fails", 1), ("undecided", 3), ("breaks", 3), ("prepared", 0)]
)
def test_run_exits_with_what_the_runs_came_to(targets, tmp_path, capsys, name, code):
    assert invoke(["run", f"{targets}::{name}", "--out", str(tmp_path / "out"), "-q"]) == code
    out = capsys.readouterr().out
    assert {"passes": "pass", "fails": "fail", "undecided": "undecided", "breaks": "error", "prepared": "p2"}[
        name
    ] in out
    journals = list((tmp_path / "out").rglob("*.jsonl"))
    assert len(journals) == (3 if name == "prepared" else 1)


def test_run_prints_json_and_nothing_else(targets, tmp_path, capsys):
    assert invoke(["run", f"{targets}::fails", "--out", str(tmp_path), "--json", "--seed", "5"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["totals"] == {"runs": 1, "pass": 0, "fail": 1, "undecided": 0, "error": 0, "cancelled": 0}
    [run] = report["runs"]
    assert run["seed"] == 5
    assert run["failed_criteria"][0].startswith("nothing was booked")
    assert Path(run["journal"]).exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.py::f", "nowhere.py does not exist"),
        ("{}::pases", "Did you mean 'passes'?"),
        ("{}", "name a function of"),
        ("{}::plays_nothing", "ran no scenario"),
        ("{}::raises", "the function raised KeyError: 'what'"),
        ("{}::wants", "takes arguments (fixture)"),
    ],
)
def test_a_wrong_target_is_one_paragraph_that_says_what_to_do(targets, tmp_path, capsys, target, message):
    assert invoke(["run", target.format(targets), "--out", str(tmp_path / "out")]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert message in error.replace("\n", " ")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("content", "message"),
    [("def broken(:\n", "line 1: "), ("import duologue\n1/0\n", "line 2, cannot be imported: Zero")],
)
def test_a_file_that_cannot_be_imported_names_the_line(tmp_path, capsys, content, message):
    path = tmp_path / "bad.py"
    path.write_text(content)
    assert invoke(["run", f"{path}::f"]) == ExitCode.USAGE
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_show_prints_transcript_checks_and_verdict(targets, tmp_path, capsys):
    invoke(["run", f"{targets}::fails", "--out", str(tmp_path / "out"), "-q"])
    [journal] = (tmp_path / "out").rglob("*.jsonl")
    capsys.readouterr()
    assert invoke(["show", str(journal)]) == 0
    out = capsys.readouterr().out
    assert "User m1\n│ hi" in out
    assert "FAIL" in out
    assert f"seed {json.loads(journal.read_text().splitlines()[0])['events'][0]['seed']}" in out
    assert invoke(["show", str(journal), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "fail"
    assert invoke(["show", str(journal), "--events"]) == 0
    assert capsys.readouterr().out == journal.read_text()
    assert invoke(["show", str(tmp_path / "out")]) == 0
    assert "fails" in capsys.readouterr().out


def test_show_prints_a_journal_as_it_prints_the_run(targets, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.py").write_text("def answer(input):\n    return 'yes'\n")
    turns = [{"content": "really?", "checks": [{"type": "contains", "params": {"patterns": ["no"]}}]}]
    spec = {"agents": [{"name": "a", "target": "agent.py:answer"}], "scenarios": [{"name": "s", "turns": turns}]}
    suite = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": spec}
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    assert invoke(["run", "suite.yaml", "--out", "out", "-q"]) == 1
    shown = []
    for path in [*(tmp_path / "out").rglob("runs/*.json"), *(tmp_path / "out").rglob("*.jsonl")]:
        capsys.readouterr()
        assert invoke(["show", str(path)]) == 0
        shown.append(capsys.readouterr().out)
    assert len(shown) == 2
    assert shown[0] == shown[1]
    assert "FAIL" in shown[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "resluts"], "did you mean 'results'?"),
        (["report", "resluts"], "did you mean 'results'?"),
        (["retry", "resluts"], "did you mean 'results'?"),
        (["validate", "agnet.py"], "did you mean 'agent.py'?"),
        (["run", "agnet.py::x"], "did you mean 'agent.py'?"),
        (["run", "siute.yml"], "did you mean 'suite.yaml'?"),
        (["validate", "agent.py"], "this is Python; expected a suite in YAML"),
        (["show"], "Missing argument 'PATH'"),
    ],
)
def test_a_name_that_is_misspelt_is_suggested(tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    for name in ("agent.py", "suite.yaml", "other.txt"):
        (tmp_path / name).touch()
    (tmp_path / "results").mkdir()
    assert invoke(arguments) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert said in " ".join((shown.err + shown.out).split())


def test_show_reports_a_torn_journal(targets, tmp_path, capsys):
    invoke(["run", f"{targets}::passes", "--out", str(tmp_path / "out"), "-q"])
    [journal] = (tmp_path / "out").rglob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-9])
    assert invoke(["show", str(journal)]) == 0
    assert "incomplete" in capsys.readouterr().out


def test_show_refuses_what_is_no_journal(tmp_path, capsys):
    assert invoke(["show", str(tmp_path)]) == ExitCode.USAGE
    assert "holds no journal" in capsys.readouterr().err
    assert invoke(["show", str(tmp_path / "x.jsonl")]) == ExitCode.USAGE


def test_init_writes_a_suite_that_passes_and_never_replaces_files(tmp_path, capsys):
    folder = tmp_path / "rehearsals"
    assert invoke(["init", str(folder)]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(folder)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    (folder / "README.md").write_text("mine")
    assert invoke(["init", str(folder)]) == ExitCode.USAGE
    assert (folder / "README.md").read_text() == "mine"
    assert "nothing written: " in capsys.readouterr().err
    assert invoke(["init", str(folder), "--force"]) == 0
    assert (folder / "README.md").read_text() != "mine"


def test_doctor_says_what_is_installed_and_asks_the_models_that_are_named(capsys, monkeypatch):
    monkeypatch.setattr("duologue.models.local.status", _no_engine)
    assert invoke(["doctor", "--ask", "mock/echo", "--json"]) == 0
    findings = {(item["area"], item["name"]): item for item in json.loads(capsys.readouterr().out)}
    assert findings["model", "mock/echo"]["ok"] is True
    assert findings["model", "local"]["ok"] is None
    assert findings["duologue", "version"]["detail"] == duologue.__version__
    extras = {name for area, name in findings if area == "extra"}
    assert extras == {extra for extra, packages in _extras().items() if packages and extra != "all"}
    assert invoke(["doctor", "--ask", "nobody/knows"]) == ExitCode.UNCERTAIN
    assert "nobody" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "demo", "probe", "chat", "show"])
def test_help_breaks_lines_where_the_terminal_ends_and_not_where_the_source_does(command, capsys):
    app = application(command)
    (only,) = app.registered_commands
    assert only.help
    assert not any("\n" in paragraph for paragraph in only.help.split("\n\n"))
    assert invoke([command, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert " ".join(only.help.split()) in told


def _extras():
    """The extras that the package declares, with what each installs."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    return tomllib.loads(text)["project"]["optional-dependencies"]


def _no_engine():
    from duologue.models.local import LocalStatus

    return LocalStatus(engine=None, models=(), servers=(), cache=Path(), problem="The engine is not installed.")


def test_version_help_and_unknown_commands(capsys):
    assert invoke(["--version"]) == 0
    assert duologue.__version__ in capsys.readouterr().out
    assert invoke(["--help"]) == 0
    assert "demo" in capsys.readouterr().out
    assert invoke(["rehearse"]) == ExitCode.USAGE


def _commands(group, path=()):
    for name, command in group.commands.items():
        yield [*path, name]
        yield from _commands(command, (*path, name)) if hasattr(command, "commands") else ()


def _every_command():
    for name in COMMANDS:
        yield from _commands(typer.main.get_command(application(name)))


@pytest.mark.parametrize("command", list(_every_command()), ids=" ".join)
def test_every_command_has_help(command, capsys):
    assert invoke([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage:" in shown
    assert " ".join(command) in shown


def _result(verdict=None, status=RunStatus.COMPLETED):
    return ScenarioResult(success=verdict is Verdict.PASS, verdict=verdict, status=status)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([_result(Verdict.PASS)], 0),
        ([_result(Verdict.PASS), _result(Verdict.FAIL), _result(status=RunStatus.ERROR)], 1),
        ([_result(Verdict.PASS), _result(Verdict.UNDECIDED)], 3),
        ([_result(Verdict.PASS), _result(status=RunStatus.ERROR)], 3),
        ([_result(Verdict.FAIL), _result(status=RunStatus.CANCELLED)], 130),
    ],
)
def test_exit_codes(results, code):
    assert exit_code_of(results) == code


@pytest.mark.timeout(180)
def test_the_demo_plays_all_conversations_and_catches_the_fault(tmp_path, capsys):
    assert invoke(["demo", "--agenda", "--json", "--out", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["totals"]["pass"] == 4
    assert report["totals"]["fail"] == 1
    [failed] = [run for run in report["runs"] if run["verdict"] == "fail"]
    assert "party_size in the book is 4; the guest asked for 6" in failed["reasoning"]


@pytest.mark.parametrize(("written", "code"), [
    ("3s", 0), ("3", 0), ("2.5", 0), ("1m30s", 0), ("500ms", 0),
    ("0", 2), ("-1", 2), ("nan", 2), ("inf", 2), ("0s", 2), ("3 parsecs", 2), ("", 2),
])  # fmt: skip
def test_a_time_limit_is_written_as_in_a_suite(written, code, tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(
        "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: s}\nspec:\n"
        "  models: [{name: m, provider: mock}]\n  prompts: [{name: p, system_template: Help.}]\n"
        "  agents: [{name: a, model: m, prompt: p}]\n"
        "  scenarios: [{name: x, turns: [{content: hi, checks: [{type: contains, params: {patterns: [x]}}]}]}]\n"
    )
    arguments = ["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), "-q", f"--run-timeout={written}"]
    assert invoke(arguments) in ({2} if code else {0, 1, 3})
    assert not code or "seconds" in capsys.readouterr().err


def test_events_are_those_of_a_journal(tmp_path, capsys):
    journal = tmp_path / "out" / "journals" / "r-1.jsonl"
    run = tmp_path / "out" / "runs" / "r-1.json"
    for path in (journal, run):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    for path in (run, tmp_path / "out", journal.parent):
        assert invoke(["show", str(path), "--events"]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "--events prints a journal (.jsonl)" in told
        assert f"such as {journal}" in told.replace(" ", "") or str(journal) in told.replace(" ", "")
