"""A folder that an earlier release wrote is still read, and says the same.

``fixtures/version-1`` was written by Duologue 0.1.0 before journals named causes (journal schema 1, results schema 1).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from duologue.runs.store.encoding import index_of
from duologue.runs.store.folder import write_execution
from duologue.runs.store.journals import kept_runs
from duologue.runs.store.reader import find_execution, read_execution, unfinished
from duologue.suites.replay import read_recordings

OLD = Path(__file__).parent / "fixtures" / "version-1"


def test_results_are_read_as_they_were_written(tmp_path):
    execution = read_execution(OLD)
    assert [(run.case.title, run.outcome, run.turns) for run in execution.runs] == [
        ("order · bot #1", "pass", 2),
        ("order · bot #2", "pass", 2),
        ("refund · bot", "fail", 1),
    ]
    assert [len(run.messages) for run in execution.runs] == [4, 4, 2]
    assert execution.spent.cost == pytest.approx(json.loads((OLD / "index.json").read_text())["spent"]["total"]["cost"])
    assert find_execution(OLD).problems == ()
    write_execution(execution, tmp_path)
    assert read_execution(tmp_path) == execution


def test_the_index_says_what_it_said():
    before = json.loads((OLD / "index.json").read_text("utf-8"))
    now = json.loads(json.dumps(index_of(read_execution(OLD)), default=str))
    assert known_to(before, now) == before


def known_to(before: Any, now: Any) -> Any:
    """What is said now, without the fields that an older version did not have."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: known_to(value, now[name]) for name, value in before.items() if name in now}
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [known_to(old, new) for old, new in zip(before, now, strict=True)]
    return now


def test_it_can_be_resumed():
    found = unfinished(OLD)
    assert (len(found.plan), len(found.known)) == (3, 3)


def test_its_journals_give_the_same_runs_and_can_be_replayed():
    kept = {run.run_id: run for run in kept_runs(OLD)}
    for run in read_execution(OLD).runs:
        again = kept[run.run_id]
        assert [item.message for item in again.messages] == [item.message for item in run.messages]
        assert (again.outcome, again.agent, again.user, again.judge) == (run.outcome, run.agent, run.user, run.judge)
        [recording] = read_recordings(OLD / run.journal)
        assert [item.message for item in recording.messages] == [item.message for item in run.messages]
        assert recording.cost == pytest.approx(run.agent.cost)
