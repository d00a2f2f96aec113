"""The comparison of an execution with the baseline of its project, for a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from duologue.errors import DuologueError
from duologue.runs.store.baselines import DEFAULT, baseline_named, read_baselines
from duologue.suites.results.execution import ExecutionResult

_FLIPS = 10


def with_baseline(execution: ExecutionResult, folder: Path | None) -> dict[str, Any] | None:
    """What became better or worse since the default baseline; None where there is none of this suite.

    Args:
        execution: what the report is about.
        folder: of its results; None where nobody knows.
    """
    if folder is None:
        return None
    try:
        if all(item.name != DEFAULT for item in read_baselines(folder)):
            return None
        from duologue.runs.store.reader import find_execution
        from duologue.suites.comparison import compare_executions

        before = find_execution(baseline_named(DEFAULT, folder)[1]).execution
        if before.id == execution.id or before.suite != execution.suite:
            return None
        return compare_executions(before, execution, most_flips=_FLIPS).as_data()
    except (DuologueError, OSError):  # a baseline that has gone is no reason to have no report
        return None
