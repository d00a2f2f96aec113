"""Reads what an execution has left in its folder, whether it came to its end or not.

A whole execution is read as strictly as it was written. One that was killed has no index: what is over of it is read
run by run, counts as interrupted, and whatever could not be read is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from duologue.errors import ConfigurationError
from duologue.reports.encoding import decoded_case, require_version
from duologue.reports.files import INDEX, RUNS, read_execution, read_run_file
from duologue.runs.store.folder import LAUNCH
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a folder holds.

    Attributes:
        execution: what came of it.
        folder: where it lies.
        problems: what could not be read, one sentence each; empty for a whole execution.
    """

    execution: ExecutionResult
    folder: Path
    problems: Sequence[str] = ()


def holds_results(folder: Path) -> bool:
    """Whether a folder is that of an execution."""
    return (folder / INDEX).is_file() or (folder / LAUNCH).is_file()


def executions_in(folder: Path) -> list[Path]:
    """The folders of executions right below a folder, by name: the oldest first where the names are ours."""
    return sorted(item for item in folder.iterdir() if item.is_dir() and holds_results(item))


def find_execution(path: Path) -> Found:
    """The execution of a folder, or of a file in it.

    Raises:
        ConfigurationError: there is none, or this version cannot read it.
    """
    folder = _folder_of(path)
    if (folder / INDEX).is_file():
        return Found(execution=_whole(folder), folder=folder)
    if (folder / LAUNCH).is_file():
        return _partial(folder)
    raise ConfigurationError(f"{folder} holds no results: {_why_not(folder)}")


def _folder_of(path: Path) -> Path:
    if path.is_dir():
        return path
    if not path.exists():
        raise ConfigurationError(f"{path} is not there; expected a folder that 'duologue run' wrote")
    return path.parent


def _why_not(folder: Path) -> str:
    if holds_results(folder.parent):
        return f"they lie in {folder.parent}"
    if inner := executions_in(folder):
        names = ", ".join(str(item) for item in inner[-3:])
        return f"they lie in folders below; name one of them, such as {names}"
    return f"there is neither {INDEX} nor {LAUNCH} in it; expected a folder that 'duologue run' wrote"


def _whole(folder: Path) -> ExecutionResult:
    try:
        return read_execution(folder)
    except ConfigurationError as error:
        if not (folder / LAUNCH).is_file():
            raise
        raise ConfigurationError(
            f"{error}. Part of {folder} is missing or damaged: run what is missing again with --resume {folder}, or "
            f"remove {folder / INDEX} to read what is left"
        ) from error


def _partial(folder: Path) -> Found:
    data = _launch(folder / LAUNCH)
    plan = Plan(
        suite=data["plan"]["suite"],
        seed=data["plan"]["seed"],
        cases=tuple(decoded_case(case) for case in data["plan"]["cases"]),
    )
    runs: list[RunResult] = []
    problems = [f"the execution did not come to its end: there is no {INDEX}"]
    for case in plan.cases:
        path = folder / RUNS / f"{case.run_id(data['id'])}.json"
        if not path.exists():
            continue
        try:
            runs.append(read_run_file(path))
        except ConfigurationError as error:
            problems.append(f"left out: {error}")
    began, seconds = _times(runs, folder / LAUNCH)
    execution = ExecutionResult(
        id=data["id"],
        suite=data["suite"],
        path=data["path"],
        plan=plan,
        runs=tuple(runs),
        started_at=began,
        seconds=seconds,
        interrupted=True,
    )
    return Found(execution=execution, folder=folder, problems=problems)


def _launch(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        require_version(data, str(path))
        return {name: data[name] for name in ("id", "suite", "path", "plan")}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error!r}") from error


def _times(runs: Sequence[RunResult], launch: Path) -> tuple[datetime, float]:
    began = [(run.started_at, run.seconds) for run in runs if run.started_at]
    if not began:
        return datetime.fromtimestamp(launch.stat().st_mtime, UTC), 0.0
    first = min(start for start, _ in began)
    last = max(start + timedelta(seconds=seconds) for start, seconds in began)
    return first, (last - first).total_seconds()
