"""What people read on a terminal, after an execution and while it goes on."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from duologue.journal.events import Entry, MessageAdded, TurnStarted
from duologue.messages import assistant_message
from duologue.reports.live import LivePage
from duologue.reports.progress import Bar, PlainLines, progress
from duologue.reports.terminal import print_execution, print_run
from duologue.vocabulary import RunStatus

SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: pizza}
spec:
  models: [{name: clerk, provider: mock, model: tiny}]
  agents: [{name: clerk, model: clerk}]
  prompts: [{name: support, system_template: You answer.}]
  scenarios:
    - name: order
      prompt: support
      turns: [{content: Hello, checks: [{type: max_length, params: {max: 500}}]}]
"""


class HandClock:
    """A clock that somebody turns; the page is drawn by a thread of its own, outside of any loop."""

    at = 0.0

    def now(self):
        return self.at

    def monotonic(self):
        return self.at

    async def sleep(self, seconds):
        self.at += seconds


class Screen(io.StringIO):
    """A text stream that says whether it is a terminal."""

    def __init__(self, terminal=False):
        super().__init__()
        self._terminal = terminal

    def isatty(self):
        return self._terminal


def console(**options):
    return Console(file=Screen(), highlight=False, width=100, **options)


def printed(write, *args, **options):
    out = console()
    write(*args, console=out, **options)
    return out.file.getvalue()


def test_an_execution_on_the_terminal(execution, golden, tmp_path):
    text = printed(print_execution, execution, folder="out/exec_sample", files=["out/exec_sample/report.html"])
    golden("terminal.txt", text)


def test_a_run_on_the_terminal(execution, golden):
    failed = next(run for run in execution.runs if run.outcome == "fail")
    golden("transcript.txt", printed(print_run, failed))


def test_grades_are_lines_of_their_own(samples):
    text = printed(print_run, samples.graded().runs[0])
    assert "      Answer correctness  1 of 5 (invented_price): € 99 is not in the list. [m4]\n" in text
    assert "      Escalation  does not apply: Nobody asked for a person.\n" in text


def test_of_many_cases_only_those_that_did_not_pass_are_listed(samples):
    cases = [samples.case(index, f"s{index}", "a") for index in range(200)]
    runs = [samples.failing(case) if case.index < 70 else samples.run_of(case) for case in cases]
    whole = replace(samples.hotel(), runs=tuple(runs), plan=samples.Plan(suite="s", cases=tuple(cases), seed=1))
    text = printed(print_execution, whole)
    assert "  … and 10 test cases more that did not pass\n  ✓ 130 test cases passed\n" in text
    assert "… and 45 more runs that did not pass" in text
    assert text.count("FAIL s") == 25


def test_an_interrupted_execution_says_so(execution):
    text = printed(print_execution, replace(execution, interrupted=True))
    assert "interrupted before the plan was done" in text
    assert "1 run not begun" in text


def test_what_to_type_next_is_said_as_a_shell_takes_it(execution, tmp_path):
    def last(*args, **options):
        return printed(print_execution, *args, **options).splitlines()[-1]

    folder = tmp_path / "of today"
    odd = replace(execution, path="my suites/shop.yaml")
    assert last(odd, folder=folder) == f"  again:   duologue run 'my suites/shop.yaml' --failed-in '{folder}'"
    stopped = replace(odd, interrupted=True)
    assert last(stopped, folder=folder) == f"  go on:   duologue run 'my suites/shop.yaml' --resume '{folder}'"
    mocked = replace(execution, environment={"mock": True})
    for mock, said in (("m.yaml", "--mock m.yaml"), ("", "--mock-all"), (None, "--mock FILE")):
        assert last(mocked, folder="out", mock=mock).endswith(f"--failed-in out {said}")
    fine = replace(execution, runs=execution.runs[:2], plan=replace(execution.plan, cases=execution.plan.cases[:2]))
    assert last(fine, folder="out") == "  results: out"


def test_a_reason_is_not_told_twice_and_cancelled_runs_are_counted(samples, execution):
    failed = replace(samples.failing(samples.case(0, "s", "a")), reasoning="Failed checks: found 'if you decide now'")
    stopped = samples.run_of(
        samples.case(1, "s", "b"), None, status=RunStatus.CANCELLED, reasoning="The run was cancelled.", checks=()
    )
    plan = replace(execution.plan, cases=(failed.case, stopped.case))
    text = printed(print_execution, replace(execution, runs=(failed, stopped), plan=plan))
    assert text.count("found 'if you decide now'") == 1
    assert "CANCELLED" not in text
    assert "1 cancelled" in text


@pytest.mark.parametrize("kind", [Bar, LivePage, PlainLines])
def test_ctrl_c_is_answered_and_the_terminal_is_given_back(execution, kind):
    out = Screen(True)
    observer = kind(out)
    observer.started(execution.plan, execution.id)
    observer.run_started(execution.runs[0].case)
    observer.stopping()
    if isinstance(observer, LivePage):
        assert "Ctrl-C again cancels them" in shown(observer)
    else:
        assert "Ctrl-C again cancels them" in out.getvalue()
    observer.close()
    observer.close()
    text = out.getvalue()
    assert text.rfind("\x1b[?25h") >= text.rfind("\x1b[?25l")
    assert text.rfind("\x1b[?1049l") >= text.rfind("\x1b[?1049h")


def test_the_live_page_has_no_colour_where_nobody_wants_it(execution, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = Screen(True)
    page = LivePage(out)
    page.started(execution.plan, execution.id)
    for run in execution.runs:
        page.run_finished(run)
    page.finished(execution)
    assert not re.findall(r"\x1b\[[0-9;]*3[0-9]m", out.getvalue())


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_cannot_steer_the_terminal(samples, number):
    execution = samples.hostile(samples.HOSTILE[number])
    [run] = execution.runs
    plain = Screen()
    lines = PlainLines(plain)
    lines.started(execution.plan, execution.id)
    lines.run_finished(run)
    page = LivePage(Screen(True), clock=HandClock(), console=console())
    page.run_started(run.case)
    page.event(run.case, Entry(run_id="r", seq=1, at=0.0, event=said(run.messages[0].message)))
    live = console()
    live.print(page.page())
    shown = [printed(print_execution, execution), printed(print_run, run), plain.getvalue(), live.file.getvalue()]
    for text in shown:
        assert not [char for char in text if not char.isprintable() and char != "\n"]
    assert "\\u{1b}" in shown[0] or "\x1b" not in samples.HOSTILE[number]
    assert plain.getvalue().count("\n") == 2


def test_a_log_without_styles_gets_the_same_lines(execution, samples, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    hostile = [samples.hostile(text) for text in samples.HOSTILE]
    for item in [execution, replace(execution, interrupted=True), samples.graded(), *hostile]:
        shown = [(print_execution, item), *((print_run, run) for run in item.runs)]
        for write, value in shown:
            log = Screen()
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", log)
                write(value)
            assert log.getvalue() == printed(write, value)


def test_styles_can_be_asked_for_where_no_terminal_is(execution, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", log := Screen())
    print_execution(execution)
    assert "\x1b[" in log.getvalue()


def test_a_log_without_styles_is_written_without_rich(tmp_path):
    (tmp_path / "suite.yaml").write_text(SUITE)
    code = "import sys; from duologue.cli.app import invoke; invoke(sys.argv[1:]); sys.exit('rich' in sys.modules)"
    quiet = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TTY_COMPATIBLE"}}
    command = [sys.executable, "-c", code, "run", str(tmp_path), "--ci", "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--mock-all"], env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 passed" in done.stdout


def said(message, turn=0):
    return MessageAdded(message_id="m1", message=message, turn=turn)


def test_plain_lines_count_the_runs(execution, golden):
    out = Screen()
    lines = PlainLines(out)
    lines.started(execution.plan, execution.id)
    for run in execution.runs:
        lines.run_started(run.case)
        lines.run_finished(run)
    lines.finished(execution)
    golden("progress.txt", out.getvalue())


def test_of_a_large_plan_plain_lines_tell_what_did_not_pass_and_milestones(samples):
    whole = samples.many(1000)
    out = Screen()
    lines = PlainLines(out)
    lines.started(whole.plan, whole.id)
    for run in whole.runs:
        lines.run_finished(run)
    told = out.getvalue().splitlines()
    failed = sum(run.outcome == "fail" for run in whole.runs)
    assert sum("✗" in line for line in told) == failed
    assert len(told) - 1 - failed <= 20
    assert told[-1] == f"[1000/1000] {1000 - failed} passed"


def test_plain_lines_can_be_written_where_not_every_character_is_known(execution):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    PlainLines(out).run_finished(execution.runs[0])
    assert raw.getvalue().startswith(b"[1/0] ? book-a-room")


@pytest.mark.parametrize(
    ("terminal", "live", "plain", "kind"),
    [
        (False, True, False, PlainLines),
        (True, False, True, PlainLines),
        (True, False, False, Bar),
        (True, True, False, LivePage),
        (True, True, True, PlainLines),
    ],
)
def test_the_observer_fits_the_place(terminal, live, plain, kind):
    assert type(progress(live=live, plain=plain, out=Screen(terminal))) is kind


def test_the_bar_leaves_only_what_did_not_pass(execution):
    out = Screen(True)
    bar = Bar(out)
    bar.started(execution.plan, execution.id)
    for run in execution.runs:
        bar.run_finished(run)
    bar.finished(execution)
    text = out.getvalue()
    assert "AgentTimeoutError: the agent 'desk-mini' did not answer within 60 s" in text
    assert "report-a-fault" not in text


def page_with_runs(execution, clock):
    page = LivePage(Screen(True), clock=clock, console=console(height=24))
    page.started(execution.plan, execution.id)
    for run in execution.runs[:4]:
        page.run_started(run.case)
    return page


def shown(page):
    out = console()
    out.print(page.page())
    return out.file.getvalue()


def test_the_live_page_shows_who_says_what(execution):
    clock = HandClock()
    page = page_with_runs(execution, clock)
    case = execution.runs[1].case
    page.event(case, Entry(run_id="r", seq=1, at=0.0, event=said(assistant_message("Room 204\nis free."), turn=1)))
    page.event(case, Entry(run_id="r", seq=2, at=0.0, event=TurnStarted(turn=2)))
    clock.at = 75
    text = shown(page)
    line = next(line for line in text.splitlines() if "chatty" in line)
    assert "turn 2 · 1 min 15 s" in line
    assert "assistant: Room 204 is free." in line
    assert "0/16" in text
    for run in execution.runs[:8]:
        page.run_finished(run)
    text = shown(page)
    assert "8/16" in text
    assert "✓ 6  ✗ 1  ? 1" in text
    assert "✗ book-a-room · desk-mini · hurried" in text
    assert "turn 2 ·" not in text
    page.finished(execution)


def test_the_live_page_leaves_out_what_has_no_room(samples):
    whole = samples.many(60)
    page = LivePage(Screen(True), clock=HandClock(), console=console(height=20))
    for run in whole.runs:
        page.run_started(run.case)
    text = shown(page)
    assert "… and 52 more" in text
    assert len(text.splitlines()) < 20
