"""``duologue run --failed-in``: the test cases that did not pass in an earlier execution."""

from __future__ import annotations

from pathlib import Path

from duologue.config.problems import similar_file
from duologue.errors import ConfigurationError
from duologue.runs.store.encoding import INDEX, LAUNCH
from duologue.runs.store.folder import is_being_written
from duologue.runs.store.reader import read_execution
from duologue.suites.results.execution import ExecutionResult


def failed_cases(folder: Path, seed: int | None) -> tuple[int, set[str]]:
    """The seed of an earlier execution, and the test cases that did not pass in it."""
    earlier = _unfinished_or_done(folder)
    passed = {group.case.group for group in earlier.groups if group.outcome == "pass"}
    every = {case.group for case in earlier.plan.cases}
    return earlier.plan.seed if seed is None else seed, every - passed


def _unfinished_or_done(folder: Path) -> ExecutionResult:
    """The results of a folder, whether its execution came to its end or not."""
    if (folder / INDEX).exists():
        return read_execution(folder)
    if not folder.exists():
        why = f"does not exist; expected the folder of an execution, as 'duologue run' wrote it{similar_file(folder)}"
    elif not folder.is_dir():
        why = "is a file; expected the folder of an execution, as 'duologue run' wrote it"
    elif is_being_written(folder):
        why = f"has no {INDEX}: its execution is still running; wait until it is over"
    elif (folder / LAUNCH).exists():
        why = f"has no {INDEX}: its execution was not finished; continue it with --resume"
    else:
        why = f"has no {INDEX}: it contains no results; expected the folder of an execution"
    raise ConfigurationError(f"--failed-in: {folder} {why}")
