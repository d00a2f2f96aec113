"""Every subcommand: its line on the help page, how it is imported when it is called, and the help page itself.

Neither ``typer`` nor a command is imported here, so that ``duologue --help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from duologue.version import __version__

if TYPE_CHECKING:
    import typer


class _Adder(Protocol):
    def __call__(self, app: typer.Typer, /) -> object:
        """Import the subcommand and add it to the command."""
        ...


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        section: the heading of the help page that it is listed under.
        line: what it does, in one sentence; the first of its own help.
        add: imports it and adds it.
    """

    section: str
    line: str
    add: _Adder


def _demo(app: typer.Typer) -> None:
    from duologue.cli.commands.demo import demo

    app.command()(demo)


def _init(app: typer.Typer) -> None:
    from duologue.cli.commands.init import init

    app.command()(init)


def _doctor(app: typer.Typer) -> None:
    from duologue.cli.commands.doctor import doctor

    app.command()(doctor)


def _probe(app: typer.Typer) -> None:
    from duologue.cli.commands.probe import probe

    app.command()(probe)


def _run(app: typer.Typer) -> None:
    from duologue.cli.commands.run import run

    app.command()(run)


def _retry(app: typer.Typer) -> None:
    from duologue.cli.commands.retry import retry

    app.command()(retry)


def _chat(app: typer.Typer) -> None:
    from duologue.cli.commands.chat import chat

    app.command()(chat)


def _generate(app: typer.Typer) -> None:
    from duologue.cli.commands.generate import generate

    app.add_typer(generate, name="generate")


def _plan(app: typer.Typer) -> None:
    from duologue.cli.commands.plan import plan

    app.command()(plan)


def _validate(app: typer.Typer) -> None:
    from duologue.cli.commands.suite_files import validate

    app.command()(validate)


def _inspect(app: typer.Typer) -> None:
    from duologue.cli.commands.inspect import inspect

    app.command()(inspect)


def _convert(app: typer.Typer) -> None:
    from duologue.cli.commands.suite_files import convert

    app.command()(convert)


def _schema(app: typer.Typer) -> None:
    from duologue.cli.commands.suite_files import schema

    app.command()(schema)


def _show(app: typer.Typer) -> None:
    from duologue.cli.commands.show import show

    app.command()(show)


def _report(app: typer.Typer) -> None:
    from duologue.cli.commands.report import report

    app.command()(report)


def _compare(app: typer.Typer) -> None:
    from duologue.cli.commands.compare import compare

    app.command()(compare)


def _baseline(app: typer.Typer) -> None:
    from duologue.cli.commands.baseline import baseline

    app.add_typer(baseline, name="baseline")


def _redteam_report(app: typer.Typer) -> None:
    from duologue.cli.commands.report import redteam_report

    app.command("redteam-report")(redteam_report)


def _lint(app: typer.Typer) -> None:
    from duologue.cli.commands.lint import lint

    app.command()(lint)


def _view(app: typer.Typer) -> None:
    from duologue.cli.commands.view import view

    app.command()(view)


def _label(app: typer.Typer) -> None:
    from duologue.cli.commands.label import label

    app.command()(label)


def _calibration(app: typer.Typer) -> None:
    from duologue.cli.commands.calibration import calibration

    app.command()(calibration)


def _judge_test(app: typer.Typer) -> None:
    from duologue.cli.commands.calibration import judge_test

    app.command("judge-test")(judge_test)


def _blame(app: typer.Typer) -> None:
    from duologue.cli.commands.blame import blame

    app.command()(blame)


def _fork(app: typer.Typer) -> None:
    from duologue.cli.commands.fork import fork

    app.command()(fork)


def _localise(app: typer.Typer) -> None:
    from duologue.cli.commands.fork import localise

    app.command()(localise)


def _shrink(app: typer.Typer) -> None:
    from duologue.cli.commands.shrink import shrink

    app.command()(shrink)


def _models(app: typer.Typer) -> None:
    from duologue.cli.commands.models import models

    app.add_typer(models, name="models")


def _mocks(app: typer.Typer) -> None:
    from duologue.cli.commands.mocks import mocks

    app.add_typer(mocks, name="mocks")


def _runs(app: typer.Typer) -> None:
    from duologue.cli.commands.runs import runs

    app.add_typer(runs, name="runs")


def _worker(app: typer.Typer) -> None:
    from duologue.cli.commands.worker import worker

    app.command()(worker)


def _workers(app: typer.Typer) -> None:
    from duologue.cli.commands.worker import workers

    app.command()(workers)


def _schedules(app: typer.Typer) -> None:
    from duologue.cli.commands.schedules import schedules

    app.add_typer(schedules, name="schedules")


def _calls(app: typer.Typer) -> None:
    from duologue.cli.commands.calls import calls

    app.add_typer(calls, name="calls")


def _gate(app: typer.Typer) -> None:
    from duologue.cli.commands.releases import gate

    app.command()(gate)


def _environments(app: typer.Typer) -> None:
    from duologue.cli.commands.releases import environments

    app.add_typer(environments, name="environments")


def _serve(app: typer.Typer) -> None:
    from duologue.cli.commands.serve import serve

    app.command()(serve)


def _tokens(app: typer.Typer) -> None:
    from duologue.cli.commands.tokens import tokens

    app.add_typer(tokens, name="tokens")


def _secrets(app: typer.Typer) -> None:
    from duologue.cli.commands.secrets import secrets

    app.add_typer(secrets, name="secrets")


def _db(app: typer.Typer) -> None:
    from duologue.cli.commands.db import db

    app.add_typer(db, name="db")


def _mcp(app: typer.Typer) -> None:
    from duologue.cli.commands.mcp import mcp

    app.command()(mcp)


_START, _SUITES, _RESULTS, _FAILURES = "Start", "Suites", "Results", "Failures"
_JUDGES, _DURABLE, _MODELS = "Judges", "Durable runs", "Models"

COMMANDS: dict[str, Command] = {
    "demo": Command(_START, "Rehearse a small restaurant's assistant in five conversations.", _demo),
    "init": Command(_START, "Write a small test suite for a pizza shop's agent.", _init),
    "doctor": Command(_START, "Report what is installed and which models answer.", _doctor),
    "probe": Command(
        _START,
        "Ask an agent behind a URL two questions, and report how it is called.",
        _probe,
    ),
    "run": Command(_SUITES, "Run a suite, or the scenarios of a function, and report the results.", _run),
    "retry": Command(_SUITES, "Play the runs again that ended in an error.", _retry),
    "chat": Command(_SUITES, "Talk to an agent of a suite, and keep what you said as a scenario.", _chat),
    "generate": Command(_SUITES, "Scenarios from conversations, prompts and instructions.", _generate),
    "plan": Command(
        _SUITES,
        "Show the test cases of a suite in the order in which they would run.",
        _plan,
    ),
    "validate": Command(_SUITES, "Report everything that is wrong with suites, with file, line and field.", _validate),
    "lint": Command(_SUITES, "Report scenarios that cannot tell a good agent from a bad one.", _lint),
    "inspect": Command(
        _SUITES, "Show what a suite contains, and which agents, personas and scenarios combine.", _inspect
    ),
    "convert": Command(
        _SUITES, "Write a suite in Duologue's own dialect, and report what has no counterpart.", _convert
    ),
    "schema": Command(
        _SUITES, "Print the JSON Schema of one kind of manifest, or write all of them for an editor.", _schema
    ),
    "show": Command(
        _RESULTS, "Show a recorded run: the conversation, its checks and decisions, and the verdict.", _show
    ),
    "view": Command(
        _RESULTS,
        "Browse results in a web browser: executions, runs, trends, comparisons, labels; live while a suite runs.",
        _view,
    ),
    "report": Command(_RESULTS, "Write reports on a kept execution.", _report),
    "compare": Command(
        _RESULTS, "Compare two executions: what became better, worse, stayed tied or is undecided.", _compare
    ),
    "baseline": Command(_RESULTS, "Executions that others are compared with, by name.", _baseline),
    "redteam-report": Command(
        _RESULTS, "Collect recorded attacks in one report, as JSON and as a web page.", _redteam_report
    ),
    "label": Command(
        _JUDGES,
        "Go through the decisions of judges in the runs of a results folder, and say of each whether it is right.",
        _label,
    ),
    "calibration": Command(
        _JUDGES,
        "Report how well the judge agrees with people, and pass rates corrected for its errors.",
        _calibration,
    ),
    "judge-test": Command(
        _JUDGES,
        "Judge labelled runs again, and report how well the judge agrees with people and with itself.",
        _judge_test,
    ),
    "blame": Command(
        _FAILURES,
        "Report who made runs fail: the agent, the simulated user, the judge, tools or the machinery.",
        _blame,
    ),
    "fork": Command(
        _FAILURES,
        "Continue a recorded run from the end of a turn, several times, and report how often it passes.",
        _fork,
    ),
    "localise": Command(_FAILURES, "Find the turn of a recorded run after which success is less probable.", _localise),
    "shrink": Command(
        _FAILURES,
        "Reduce a run that failed to the shortest script that still fails, and keep it as a regression case.",
        _shrink,
    ),
    "runs": Command(_DURABLE, "Durable runs: stored, queued, and carried out by workers.", _runs),
    "worker": Command(_DURABLE, "Carry out queued runs until stopped.", _worker),
    "workers": Command(_DURABLE, "Show the workers of a database, and how many runs each has.", _workers),
    "schedules": Command(_DURABLE, "Launch saved evals at set times; any worker does it.", _schedules),
    "calls": Command(_DURABLE, "Production calls of Retell, Vapi and ElevenLabs.", _calls),
    "gate": Command(
        _DURABLE, "Say whether exactly this version of an agent passed an eval: exit 0 if it did, 1 if not.", _gate
    ),
    "environments": Command(_DURABLE, "Where agents are deployed to, and what was deployed.", _environments),
    "serve": Command(_DURABLE, "Serve web pages and the API at http://127.0.0.1:8642, and carry out its runs.", _serve),
    "tokens": Command(_DURABLE, "Tokens of the API.", _tokens),
    "secrets": Command(_DURABLE, "Secrets of a project, which definitions name as ${NAME}.", _secrets),
    "db": Command(_DURABLE, "The database of runs.", _db),
    "mcp": Command(
        _DURABLE,
        "Let a coding agent list, run, watch, explain and compare: an MCP server on standard input and output.",
        _mcp,
    ),
    "models": Command(_MODELS, "The embedded models of this machine.", _models),
    "mocks": Command(_MODELS, "Response files, which let a suite run without models.", _mocks),
}
"""In the order of the help page."""

# --- the help page ---------------------------------------------------------------------------------------------------

ABOUT = "Rehearse AI agents before real users meet them."
_OPTIONS = {
    "--version": "Show the version.",
    "-h, --help": "Show this page; after the name of a command, its options.",
    "--install-completion": "Let the shell complete commands and options.",
    "--show-completion": "Print the script that does so.",
}
_INDENT = 2
_NARROWEST, _WIDEST = 60, 110


def answer(arguments: Sequence[str]) -> int | None:
    """Answer, if nothing but the version or the help page is asked for; the exit code, None for anything else."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"duologue {__version__}\n")
        return 0
    if list(arguments) in ([], ["--help"], ["-h"]):
        sys.stdout.write(page(width=_width(), styled=_styled()))
        return 0 if arguments else 2
    return None


def page(*, width: int, styled: bool) -> str:
    """The help page.

    Args:
        width: of the terminal, in characters.
        styled: headings and names are bold.
    """
    bold = "\x1b[1m{}\x1b[0m".format if styled else str
    first = max(map(len, (*COMMANDS, *_OPTIONS))) + 2
    lines = [f"{bold('Usage:')} duologue COMMAND [OPTIONS] ...", "", ABOUT]
    for section in dict.fromkeys(command.section for command in COMMANDS.values()):
        lines += ["", bold(f"{section}:")]
        for name, command in COMMANDS.items():
            if command.section == section:
                lines += _entry(name, command.line, first, width)
    lines += ["", bold("Options:")]
    for name, line in _OPTIONS.items():
        lines += _entry(name, line, first, width)
    return "\n".join([*lines, "", "'duologue COMMAND --help' shows the options of a command.", ""])


def _entry(name: str, text: str, first: int, width: int) -> list[str]:
    """A name, and beside it what it means, over as many lines as that takes."""
    lines = [""]
    for word in text.split():
        if lines[-1] and _INDENT + first + len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"{' ' * _INDENT}{name if place == 0 else '':<{first}}{line}" for place, line in enumerate(lines)]


def _width() -> int:
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):  # no terminal, or none that tells
        width = 100
    return min(max(width, _NARROWEST), _WIDEST)


def _styled() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
