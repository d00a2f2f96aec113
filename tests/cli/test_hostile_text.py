"""Whatever agents, files and models say: no command writes control characters, or a line that a CI service obeys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml

import duologue
from duologue.cli.app import invoke
from duologue.cli.commands import doctor as doctor_command
from duologue.config.yaml_writer import yaml_text
from duologue.errors import AgentError, DuologueError
from duologue.models.local import AvailableModel, LocalStatus, RunningServer
from duologue.models.local._weights import WeightsSource
from duologue.terminal_text import barred, continued, json_text, one_line, printable

HOSTILE = {
    "colours": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]52;c;ZXZpbA==\x07 \x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "c1": "a\x9b31m b\x85::error::nel\x90$q\x9c",
    "moves": "up \r\x08\x08\x0b\x0c\rOVERWRITE\r\n::error::after cr",
    "github": "so\n::error::pwned\n  ::add-mask::hello\n\t::stop-commands::tok\n##[add-mask]x\nmiddle ##[error]y\n"
    "::set-output name=a::b",
    "azure": "so\n##vso[task.setvariable variable=x]y\nmiddle ##vso[task.complete result=Succeeded;]\n##[section]s",
    "teamcity": "so ##teamcity[buildProblem description='x']\n##TeamCity[x]",
    "buildkite": "so\n--- group\n+++ open\n~~~ dim\n^^^ +++\n---",
    "gitlab": "so\nsection_start:1560896352:name\r\x1b[0Kheader\nsection_end:1560896353:name\r\x1b[0K",
    "bidi": "safe \u202egnp.exe\u202c \u2066x\u2069 \u200b zero \ufeff \u061c \U000e0041 tag \xad \u180e",
    "lines": "a\u2028::debug::ls\u2029::error::ps\x1c::error::fs\x1d\x1e",
    "dense": "a\n::error::x\n  ::add-mask::b\n##vso[task.y]z ##teamcity[q] ##[c]\n"
    "--- g\n\x1b[2J\x9b\r::notice::\u202e\u2028\x85\xad\x08",
    "twice": "::error::first\n::error::second",
    "surrogate": "half \ud800\n::error::x",
}
SURROGATE = re.compile("[\ud800-\udfff]")

AGENTS = """
import duologue, json
TEXT = json.loads(%s)
CALL = {"id": "c1", "type": "function", "function": {"name": TEXT[:60], "arguments": json.dumps({"a": TEXT}) + TEXT}}
def says(input): return TEXT
def calls(input): return [{"role": "assistant", "content": None, "tool_calls": [CALL]},
                          {"role": "tool", "tool_call_id": "c1", "content": TEXT},
                          {"role": "assistant", "content": TEXT}]
def breaks(input): raise RuntimeError(TEXT)
class Adapter(duologue.AgentAdapter):
    name = property(lambda self: TEXT)
    def __init__(self, f): self.f = f
    async def call(self, input): return self.f(input)
def cast(f): return [Adapter(f), duologue.ScriptedUser([TEXT])]
def script(): return [duologue.user(TEXT), duologue.agent(), duologue.fail("because " + TEXT)]
def scenarios():
    return [duologue.prepare(TEXT, TEXT, cast(f), script=script()) for f in (says, calls, breaks)]
async def asserts():
    def step(state): raise AssertionError(TEXT)
    await duologue.run(TEXT, TEXT, cast(says), script=[duologue.user(TEXT), step])
async def raises(): raise RuntimeError(TEXT)
"""

TESTS = """
import asyncio, pytest, duologue, agents
@pytest.mark.parametrize("f", ["says", "calls", "breaks"])
def test_runs(f):
    r = asyncio.run(duologue.run(agents.TEXT, "d", agents.cast(getattr(agents, f)), script=agents.script(), verbose=2))
    assert r.success, r.reasoning
def test_raises(): raise RuntimeError(agents.TEXT)
def test_compares(): assert agents.TEXT + "\\na" == agents.TEXT + "\\nb"
def test_skips(): pytest.skip(agents.TEXT)
"""


def suite(text: str) -> dict[str, object]:
    """A suite with that text in every place that takes free text."""
    names = ["says", "calls", "breaks"]
    return {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": text},
        "spec": {
            "agents": [{"name": f"{name} {text}", "target": f"agents.py:{name}", "group": name} for name in names],
            "scenarios": [
                {
                    "name": f"{text} {name}",
                    "agent_group": name,
                    "description": text,
                    "turns": [{"role": "user", "content": text}],
                    "checks": [{"type": "content_includes", "params": {"patterns": ["NOT"]}, "message": text}],
                }
                for name in names
            ],
        },
    }


def refuse_hostile(out: str, command: object) -> None:
    """Nothing in an output steers a terminal or is a command to a CI service."""
    for line in out.split("\n"):
        assert not re.match(r"\s*(::|##|(---|\+\+\+|~~~|\^\^\^)(\s|$))", line), (command, line)
        assert not re.search(r"##(vso|teamcity)?\[", line, re.IGNORECASE), (command, line)
        for char in line:
            hidden = unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs"} and char not in "\t\u200c\u200d"
            assert not hidden, (command, ascii(line))


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    text = HOSTILE[request.param]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(duologue.ScenarioConfig, "default_config", None)
    Path("agents.py").write_text(AGENTS % repr(json.dumps(text)))
    Path("test_agents.py").write_text(TESTS)
    written = suite(SURROGATE.sub("?", text))
    Path("##vso[x]y.suite.yaml").write_text(yaml.safe_dump(written, allow_unicode=False))
    written["spec"] = {**written["spec"], SURROGATE.sub("?", text): 1, "defaults": {"judge": text[:9]}}  # type: ignore[dict-item]
    Path("wrong.suite.yaml").write_text(json.dumps(written))
    return tmp_path


@pytest.mark.parametrize("folder", ["dense", "twice", "surrogate"], indirect=True)
def test_no_command_passes_on_what_steers(folder, capsys):
    def call(*arguments: object) -> str:
        invoke([str(item) for item in arguments])
        out, err = capsys.readouterr()
        refuse_hostile(out, arguments)
        refuse_hostile(err, arguments)
        assert "Traceback" not in err
        assert not any(line.startswith("Traceback") for line in out.splitlines())  # the data of a run may hold one
        return out + err

    # Relative, so that the name of the file begins a line.
    path, wrong = "##vso[x]y.suite.yaml", "wrong.suite.yaml"
    assert "test case" in call("plan", path)
    call("plan", path, "--json")
    call("validate", path)
    assert "refused" in call("validate", wrong)
    call("validate", wrong, "--json")
    call("run", wrong, "--ci")
    call("inspect", path)
    call("inspect", path, "--json")
    call("inspect", path, "--section", "scenarios")
    call("plan", path, "--scenario", "nobody")
    call("convert", path, "converted")
    assert "3 test cases" in call("run", path, "--ci", "--out", "out", "--format", "html,md,junit")
    call("run", path, "--ci", "-q", "--out", "quiet")
    call("run", path, "--json", "--out", "json")
    call("show", "out")
    call("show", "out", "--json")
    call("show", ".")
    for run in [*Path("out/runs").glob("*.json"), *Path("out/journals").glob("*.jsonl")]:
        call("show", run)
        json.loads(call("show", run, "--json"))
        if run.suffix == ".jsonl":
            events = call("show", run, "--events").strip().split("\n")
            written = run.read_text("utf-8").strip().split("\n")
            assert [json.loads(line) for line in events] == [json.loads(line) for line in written]
    call("report", "out", "--format", "md,junit")
    call("mocks", "generate", "out")
    for function in ("scenarios", "asserts", "raises", "missing"):
        for option in ([], ["-q"], ["--ci"], ["--json"]):
            call("run", f"agents.py::{function}", *option, "--out", "functions")
    # A scenario's name cannot hold half a surrogate.
    assert "ud800" in Path("agents.py").read_text() or len(list(Path("functions").rglob("*.jsonl"))) == 16
    call("show", "functions")
    call("redteam-report", "functions", "--out", "reds")


@pytest.mark.parametrize("folder", ["dense"], indirect=True)
def test_pytest_passes_on_nothing_that_steers(folder):
    for options in (["--tb=long", "-rA", "-l"], ["--tb=native"]):
        # As on a CI service, where pytest shows whole messages in its short summary.
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "test_agents.py"],
            check=False, env={**os.environ, "CI": "1"}, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        assert "5 failed" in done.stdout
        assert "duologue: 3 runs" in done.stdout
        refuse_hostile(done.stdout, options)
        refuse_hostile(done.stderr, options)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_helpers(name):
    text = HOSTILE[name]
    for shown in (barred(text), continued(f"so: {text}"), printable(text), f"x {one_line(text)}"):
        refuse_hostile(shown, name)
        assert printable(shown) == shown, "once is enough"
    assert continued(continued(text)) == continued(text)
    if not SURROGATE.search(text):
        written = json.dumps({text: [text, 1]}, ensure_ascii=False, indent=1)
        refuse_hostile(json_text(written), name)
        assert json.loads(json_text(written)) == {text: [text, 1]}
        written = yaml_text({"a": text, "b": [text, {"c": f"{text} {'word ' * 60}{text}"}]}, for_terminal=True)
        refuse_hostile(written, name)
        assert yaml.safe_load(written) == {"a": text, "b": [text, {"c": f"{text} {'word ' * 60}{text}"}]}


@pytest.mark.parametrize(
    "text",
    ["", "plain", "Grüße aus Köln 🙂", "two\nlines", "a # heading and a -- dash", "see ##5", "if a::b:\n    pass"],
)
def test_ordinary_text_is_left_alone(text):
    assert printable(text) == text
    assert one_line(text) == " ".join(text.split())
    assert continued(text) == text.replace("\n", "\n│ ")


def test_an_error_as_a_text_is_printable():
    for error in (AgentError(HOSTILE["github"] + HOSTILE["colours"]), DuologueError(HOSTILE["azure"])):
        refuse_hostile(str(error), "str")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("columns", ["20", "80"])
def test_what_is_installed_here_is_told_in_harmless_words(name, columns, monkeypatch, capsys, tmp_path):
    text = SURROGATE.sub("?", HOSTILE[name]) + " [red]x[/red] [/]"
    monkeypatch.setenv("COLUMNS", columns)
    model = AvailableModel(name=text, source=WeightsSource.HUB, path=tmp_path / text, size=1, ready=True)
    server = RunningServer(
        name=text, pid=1, port=2, started=None, idle_seconds=None, healthy=True, log=tmp_path / "log" / text
    )
    status = LocalStatus(engine=None, models=(model,), servers=(server,), cache=tmp_path, problem=text)
    monkeypatch.setattr("duologue.models.local.status", lambda: status)
    monkeypatch.setattr("duologue.models.local.stop", lambda _: (server,))
    monkeypatch.setattr(doctor_command.platform, "platform", lambda: text)
    for arguments in (["doctor", "--ask", text], ["models", "list"], ["models", "stop"]):
        invoke(arguments)
        out, err = capsys.readouterr()
        refuse_hostile(out + err, arguments)
        assert "[red]x[/red]" in out
