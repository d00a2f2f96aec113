"""Who judged the runs of a results folder: that is in the first line of each journal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from duologue.errors import JournalError
from duologue.journal.artifacts import load_beside
from duologue.journal.events import RunStarted
from duologue.journal.jsonl import JournalLines
from duologue.suites.calibration.judged import JudgeIdentity, judge_of
from duologue.suites.results.run import RunResult


def judges_in(folder: Path, runs: Iterable[RunResult]) -> dict[str, JudgeIdentity]:
    """The judges of runs by the ids of the runs; those without a judge or without a journal have none."""
    found: dict[str, JudgeIdentity] = {}
    for run in runs:
        if run.journal and (started := beginning_of(folder / run.journal)) and (judge := judge_of(started)):
            found[run.run_id] = judge
    return found


def beginning_of(journal: Path) -> RunStarted | None:
    """The first event of a journal; None where there is none that can be read."""
    try:
        with journal.open("rb") as file:
            line = file.readline().removesuffix(b"\n")
        event = JournalLines(str(journal), partial(load_beside, journal)).read(line)[0].event
    except (OSError, JournalError):
        return None
    return event if isinstance(event, RunStarted) else None
