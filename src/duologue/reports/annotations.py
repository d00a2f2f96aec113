"""Failures as annotations of a GitHub Actions job: they stand on the page of the job and beside the suite's file.

GitHub reads them from the log. Only these lines are commands to it: whatever agents and judges said is escaped in them
and barred everywhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from duologue.reports.display import plural
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult, reason_of
from duologue.terminal_text import one_line

_MOST = 9
"""GitHub shows ten of a step."""
_LONGEST = 1000
_LEVELS = {"fail": "error", "error": "error", "undecided": "warning"}


def print_annotations(execution: ExecutionResult) -> None:
    """Print them on standard output, where GitHub looks for them."""
    for line in annotations_of(execution):
        sys.stdout.write(f"{line}\n")


def annotations_of(execution: ExecutionResult) -> Iterator[str]:
    """A line for each test case that did not pass, the failed ones first; of many, the last line counts the rest."""
    found = [group for group in execution.groups if group.outcome in _LEVELS]
    found.sort(key=lambda group: list(_LEVELS).index(group.outcome))
    for group in found[:_MOST]:
        run = next((item for item in group.runs if item.outcome == group.outcome), group.runs[0])
        tolerated = group.outcome == "fail" and execution.failures_allowed
        yield _annotation(execution, run, "warning" if tolerated else _LEVELS[group.outcome])
    if len(found) > _MOST:
        yield f"::notice title=Duologue::{plural(len(found) - _MOST, 'more test case')} did not pass"


def _annotation(execution: ExecutionResult, run: RunResult, level: str) -> str:
    file = execution.path.partition("::")[0]
    where = f"file={_property(file)}," if file else ""
    title = _property(f"{run.case.title}: {run.outcome}")
    return f"::{level} {where}title={title}::{_data(reason_of(run) or run.outcome)}"


def _data(text: str) -> str:
    return one_line(text, _LONGEST).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
