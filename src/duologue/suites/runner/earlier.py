"""What earlier sessions of an execution took, so that times and costs add up however often it is resumed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field
from datetime import datetime
from pathlib import Path

from duologue.frozen import frozen
from duologue.journal.jsonl import model_calls_in
from duologue.suites.results.from_journal import spent_on
from duologue.suites.results.run import Spent, total_spent


@frozen
class Earlier:
    """The sessions of an execution before this one.

    Attributes:
        started_at: when the first of them began, with a time zone.
        seconds: how long all of them took together.
        spent: by results that were replaced and have no journal.
    """

    started_at: datetime
    seconds: float = 0.0
    spent: Spent = field(default_factory=Spent)


def spent_in_journals(folder: Path, but: Collection[str]) -> Spent:
    """The model calls of journals that belong to no result: attempts that were set aside, and runs that were cut off.

    Args:
        folder: of the journals.
        but: ids of runs that have a result, which says what they took; their earlier attempts count.
    """
    if not folder.is_dir():
        return Spent()
    own = {f"{run_id}.jsonl" for run_id in but}
    paths = (path for path in folder.iterdir() if ".jsonl" in path.name and path.name not in own)
    return total_spent([spent_on(call) for path in paths for call in model_calls_in(path)])
