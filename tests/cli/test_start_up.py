"""What ``duologue`` imports to answer, and what it knows of commands that it does not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer import _adapters

from duologue.cli.app import application, invoke
from duologue.cli.catalogue import COMMANDS, page
from duologue.version import __version__

RUN = "import sys; from duologue.cli import main; sys.argv[0] = 'duologue'; main()"


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["--version"], f"duologue {__version__}\n"),
        (["--help"], "Usage: duologue COMMAND"),
        (["-h"], "Usage: duologue COMMAND"),
    ],
)
def test_version_and_help_import_no_command_and_nothing_heavy(arguments, begins) -> None:
    script = f"""
import atexit, sys
def look():
    found = [name for name in sys.modules if name.startswith("duologue.cli.commands") or name in HEAVY]
    print("imported", found, file=sys.stderr)
HEAVY = {{"typer", "click", "pydantic", "asyncio", "rich", "yaml", "dataclasses", "duologue.cli.app"}}
atexit.register(look)
from duologue.cli import main
sys.argv = ["duologue", *{arguments!r}]
main()
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "imported []\n")
    assert done.stdout.startswith(begins)


SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: small}
spec:
  agents: [{name: echo, target: "agent.py:reply"}]
  scenarios:
    - name: hello
      turns: [{role: user, content: hello}]
      checks: [{type: contains, params: {patterns: [hello]}}]
"""


def test_validate_imports_nothing_that_only_runs_need(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "agent.py").write_text("def reply(input):\n    return 'hello'\n")
    script = """
import atexit, sys
HEAVY = {"rich", "asyncio", "ssl", "logging", "duologue.journal.journal", "duologue.conversation", "duologue.agents"}
atexit.register(lambda: print("imported", sorted(HEAVY & sys.modules.keys()), file=sys.stderr))
from duologue.cli import main
sys.argv = ["duologue", "validate", "suite.yaml"]
main()
"""
    environment = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TTY_COMPATIBLE"}}

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )

    assert (done.returncode, done.stdout) == (0, "suite.yaml: ok (1 agent, 1 scenario)\n")
    assert done.stderr == "imported []\n"


def test_options_that_nobody_gave_get_no_schema(tmp_path: Path, monkeypatch, capsys) -> None:
    built: list[object] = []
    build = _adapters.try_build_adapter

    def watched(annotation: object, parameter_info: object) -> object:
        built.append(annotation)
        return build(annotation, parameter_info)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(_adapters, "try_build_adapter", watched)
    monkeypatch.chdir(tmp_path)

    code = invoke(["run", "missing.yaml", "--trials", "2", "--tag", "new"])

    assert code == 2
    assert "missing.yaml" in capsys.readouterr().err
    assert built.count(list[str]) == 1
    assert Path not in built
    assert float not in built


def test_options_are_converted_where_they_are_given(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)

    assert invoke(["run", "missing.yaml", "--trials", "0"]) == 2
    assert "'--trials': Input should be greater than or equal to 1" in capsys.readouterr().err


def test_modules_that_judge_failures_users_and_texts_compile_no_pattern_on_import() -> None:
    script = """
import re, sys
made = []
compile = re.compile
def watched(*args, **more):
    made.append(sys._getframe(1).f_globals["__name__"])
    return compile(*args, **more)
re.compile = watched
import duologue.agents.users.in_role, duologue.checks.text, duologue.models.names, duologue.suites.results.blame
LATE = {"role_rules", "blame", "fidelity", "text", "names", "prices", "registry", "json_path"}
print(sorted(LATE & {name.rpartition(".")[2] for name in made if name.startswith("duologue.")}))
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_a_command_the_help_page_is_shown_and_the_exit_code_is_2(capsys) -> None:
    assert invoke([]) == 2
    assert capsys.readouterr().out.startswith("Usage: duologue COMMAND")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_the_help_page_begins_the_help_of_the_command(name) -> None:
    command = typer.main.get_command(application(name)).commands[name]  # pyright: ignore[reportAttributeAccessIssue]

    text = " ".join((command.help or "").split())

    assert text.startswith(COMMANDS[name].line)
    assert COMMANDS[name].line.endswith(".")


@pytest.mark.parametrize("width", [60, 80, 110])
def test_the_help_page_fits_the_terminal_and_names_every_command_once(width) -> None:
    lines = page(width=width, styled=False).splitlines()

    assert max(map(len, lines)) <= width
    named = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert named[: len(COMMANDS)] == list(COMMANDS)


def test_headings_are_bold_where_a_terminal_shows_it() -> None:
    assert "\x1b[1mSuites:\x1b[0m" in page(width=80, styled=True)
    assert "\x1b" not in page(width=80, styled=False)


@pytest.mark.parametrize(("typed", "meant"), [("rum", "'run'"), ("validat", "'validate'"), ("redteam", "report'")])
def test_a_slip_in_the_name_of_a_command_is_answered_with_the_name(typed, meant, capsys) -> None:
    assert invoke([typed]) == 2
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered", "not_offered"),
    [
        ("duologue ru", {"run"}, {"show"}),
        ("duologue re", {"report", "redteam-report"}, {"run"}),
        ("duologue run suite.yaml --fail", {"--failed-in", "--fail-fast"}, {"--out"}),
        ("duologue models pu", {"pull"}, {"list"}),
    ],
)
def test_the_shell_completes_commands_and_options(words, offered, not_offered) -> None:
    place = str(len(words.split()) - 1)
    completing = {"COMP_WORDS": words, "COMP_CWORD": place, "_DUOLOGUE_COMPLETE": "complete_bash"}

    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, check=False, env={**os.environ, **completing}
    )

    answers = set(done.stdout.split())
    assert offered <= answers, done.stderr
    assert not not_offered & answers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_calls_duologue(shell, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "_DUOLOGUE_COMPLETE": f"source_{shell}", "HOME": str(tmp_path)},
    )

    assert "_DUOLOGUE_COMPLETE=complete_" in done.stdout, done.stderr
