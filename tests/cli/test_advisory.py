"""What an advisory judge decided is shown with criterion and reason wherever a run is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import sample_executions as samples
from rich.console import Console

from duologue.cli.output import print_table, results_table
from duologue.conversation.result import ScenarioResult
from duologue.journal.console import Transcript
from duologue.journal.events import Entry, JudgeDecided
from duologue.reports.html.page import render_html
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_run
from duologue.suites.results.run import RunResult
from duologue.vocabulary import Decision, Verdict

CRITERION = "The guest is asked for the dates."
REASON = "Nobody asked for dates."


def advised() -> tuple[RunResult, JudgeDecided]:
    """A run that did not pass, of which an advisory judge has said something, too."""
    run = next(item for item in samples.hotel().runs if item.verdict is Verdict.FAIL)
    said = samples.judged(Verdict.FAIL, samples.decided(CRITERION, Decision("false"), REASON, "m2"))
    judged = replace(said, judge="helper", advisory=True)
    return replace(run, judgements=(judged,), decisions=()), judged


def on_a_console(width: int = 200) -> tuple[Console, StringIO]:
    out = StringIO()
    return Console(file=out, width=width, highlight=False), out


def test_a_run_shows_it() -> None:
    console, out = on_a_console()
    print_run(advised()[0], console)
    told = out.getvalue()
    assert "judge helper, advisory: fail" in told
    assert f"✗ {CRITERION}: {REASON} [m2]" in told


def test_a_journal_shows_it() -> None:
    console, out = on_a_console()
    Transcript(console, level=2)(Entry("r", 0, 0.0, advised()[1]))
    told = out.getvalue()
    assert "fail (advisory)" in told
    assert f"✗ {CRITERION}: {REASON} [m2]" in told


def test_reports_show_it() -> None:
    execution = samples.hotel()
    run, _ = advised()
    execution = replace(execution, runs=tuple(run if item.case == run.case else item for item in execution.runs))
    markdown = render_markdown(execution)
    assert "- advisory, helper: ✗ " in markdown
    assert REASON.rstrip(".") in markdown
    assert json.dumps(REASON) in render_html(execution)


def test_names_in_a_table_that_no_terminal_shows_are_whole() -> None:
    console, out = on_a_console(40)
    name = "a-scenario-with-a-name-that-is-longer-than-forty-characters"
    print_table(console, results_table([ScenarioResult(success=True, verdict=Verdict.PASS, scenario=name)]))
    assert name in out.getvalue()
