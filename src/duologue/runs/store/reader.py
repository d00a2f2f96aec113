"""Reads what an execution has left in its folder, whether it came to its end or not.

A whole execution is read as strictly as it was written. One that was killed has no index: what is over of it is read
run by run, counts as interrupted, and whatever could not be read is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS, decoded_plan, decoded_run, require_version
from duologue.suites.plan.cases import Plan
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus


@frozen
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


@frozen
class Unfinished:
    """An execution that can be resumed.

    Attributes:
        id: of the execution.
        path: the main file of its suite.
        plan: all of it.
        known: runs that are over and need not be run again.
    """

    id: str
    path: str
    plan: Plan
    known: tuple[RunResult, ...]


def unfinished(folder: Path) -> Unfinished:
    """What was run in a folder, and which runs of it are over.

    Runs that were cancelled are continued, like those that have no result.

    Raises:
        ConfigurationError: the folder holds no execution.
    """
    data = _launch(folder)
    plan = decoded_plan(data["plan"])
    known: list[RunResult] = []
    for case in plan.cases:
        run_id = case.run_id(data["id"])
        path = folder / RUNS / f"{run_id}.json"
        run = _finished(path)
        if run is not None and run.status is not RunStatus.CANCELLED:
            known.append(run)
    return Unfinished(id=data["id"], path=data["path"], plan=plan, known=tuple(known))


def _finished(path: Path) -> RunResult | None:
    """The run in a file; None if there is none, or if it is damaged: then it is run again."""
    try:
        return read_run_file(path) if path.exists() else None
    except ConfigurationError:
        return None


def read_index(folder: Path) -> dict[str, Any]:
    """The index of an execution, as :func:`index_of` made it.

    Raises:
        ConfigurationError: there is none, or this version cannot read it.
    """
    path = folder / INDEX if folder.is_dir() else folder
    data = _json(path)
    require_version(data, str(path))
    return data


def read_run(folder: Path, run_id: str) -> RunResult:
    """One run of an execution.

    Raises:
        ConfigurationError: there is none of that id, or this version cannot read it.
    """
    if not run_id or Path(run_id).name != run_id:
        raise ConfigurationError(f"{run_id!r} is not the id of a run: it must be the name of a file, without a path")
    return read_run_file(folder / RUNS / f"{run_id}.json")


def read_run_file(path: Path) -> RunResult:
    """The run in a file that :func:`write_run` wrote.

    Raises:
        ConfigurationError: it holds none, or this version cannot read it.
    """
    return decoded_run(_json(path), str(path))


def iter_runs(folder: Path, index: dict[str, Any] | None = None) -> Iterator[RunResult]:
    """The runs of an execution in plan order, one at a time."""
    for line in (index or read_index(folder))["runs"]:
        yield read_run(folder, line["run_id"])


def read_execution(folder: Path) -> ExecutionResult:
    """An execution that was written before, equal to what was written.

    Raises:
        ConfigurationError: the folder holds none, a file is missing, or this version cannot read it.
    """
    folder = folder if folder.is_dir() else folder.parent
    index = read_index(folder)
    try:
        return ExecutionResult(
            id=index["id"],
            suite=index["suite"],
            path=index["path"],
            plan=decoded_plan(index["plan"]),
            runs=tuple(iter_runs(folder, index)),
            started_at=datetime.fromisoformat(index["started_at"]),
            seconds=index["seconds"],
            interrupted=index["interrupted"],
            allowance=Allowance(**index["allowance"]),
            environment=index["environment"],
            thresholds=index["thresholds"],
            metrics_threshold=index.get("metrics_threshold"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{folder / INDEX} is not the index of an execution: {error!r}") from error


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
    data = _launch(folder)
    plan = decoded_plan(data["plan"])
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


def _launch(folder: Path) -> dict[str, Any]:
    path = folder / LAUNCH
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        require_version(data, str(path))
        return {name: data[name] for name in ("id", "suite", "path", "plan")}
    except FileNotFoundError as error:
        raise ConfigurationError(f"{folder} holds no execution: there is no {LAUNCH} in it") from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error!r}") from error


def _times(runs: Sequence[RunResult], launch: Path) -> tuple[datetime, float]:
    began = [(run.started_at, run.seconds) for run in runs if run.started_at]
    if not began:
        return datetime.fromtimestamp(launch.stat().st_mtime, UTC), 0.0
    first = min(start for start, _ in began)
    last = max(start + timedelta(seconds=seconds) for start, seconds in began)
    return first, (last - first).total_seconds()


def _json(path: Path) -> dict[str, Any]:
    try:
        data: object = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); expected a folder that 'duologue run' wrote"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} holds a {type(data).__name__}, and an object is expected")
    return cast("dict[str, Any]", data)
