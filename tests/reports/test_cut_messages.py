"""A message whose author was cut off says so wherever a conversation is shown."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from duologue.journal.console import Transcript
from duologue.journal.events import CutReason, Entry, MessageAdded
from duologue.reports.html.data import Media, page_data
from duologue.reports.junit import output_of
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_execution, print_run
from duologue.transcripts.rendering import entries_of

MARK = "[cut off: timeout]"


@pytest.fixture
def cut(execution):
    """The execution, with every message cut off; and a run of it that failed."""
    runs = tuple(
        replace(run, messages=tuple(replace(item, cut="timeout") for item in run.messages)) for run in execution.runs
    )
    failed = next(run for run in runs if run.outcome == "fail" and any(check.message_ids for check in run.checks))
    return replace(execution, runs=runs), failed


def printed(show):
    out = io.StringIO()
    show(Console(file=out, width=200))
    return out.getvalue()


def test_in_reports(cut, execution):
    marked, failed = cut
    whole = next(run for run in execution.runs if run.run_id == failed.run_id)
    for show in (render_markdown, lambda it: printed(lambda console: print_execution(it, console=console))):
        assert MARK in show(marked)
        assert MARK not in show(execution)
    assert MARK in output_of(failed)
    assert MARK not in output_of(whole)
    assert printed(lambda console: print_run(failed, console)).count(MARK) == len(failed.messages)
    assert MARK not in printed(lambda console: print_run(whole, console))


def test_on_the_page(cut, execution):
    marked, _ = cut
    assert all(
        item["cut"] == MARK for run in json.loads(page_data(marked, Media()))["runs"] for item in run["messages"]
    )
    assert not any(
        "cut" in item for run in json.loads(page_data(execution, Media()))["runs"] for item in run["messages"]
    )


@pytest.mark.parametrize("reason", CutReason.__args__)
def test_in_the_live_transcript_and_for_the_judge(reason):
    message = {"role": "assistant", "content": "I was just"}
    event = MessageAdded(message_id="m2", message=message, turn=0, author=1, call="c1", cut=reason)
    shown = printed(lambda console: Transcript(console)(Entry("run", 3, 0.0, event)))
    assert f"I was just [cut off: {reason}]" in shown
    [entry] = entries_of([message], [event])
    assert entry.text == f'[m2] assistant (turn 1): "I was just" [cut off: {reason}]'
