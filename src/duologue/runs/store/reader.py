"""Reads what an execution has left in its folder, whether it came to its end or not.

A whole execution is read as strictly as it was written. One that was killed, or is still running, has no index: what
is over of it is read run by run, and whatever could not be read is named. One that nobody runs counts as interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from duologue.config.problems import similar_file
from duologue.errors import ConfigurationError, JournalError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS
from duologue.journal.jsonl import read_journal
from duologue.runs.store.encoding import (
    INDEX,
    LAUNCH,
    RUNS,
    decoded_plan,
    decoded_run,
    decoded_spent,
    require_version,
)
from duologue.runs.store.folder import is_being_written
from duologue.runs.store.from_journals import UNFINISHED, cut_off, execution_of, holds_journals
from duologue.runs.store.ownership import Deaths, LaunchFile, Selection, read_launch
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult, Spent, total_spent
from duologue.suites.runner.earlier import spent_in_journals
from duologue.vocabulary import RunStatus

_NO_END = f"the execution did not come to its end: there is no {INDEX}"


@frozen
class Found:
    """What a folder holds.

    Attributes:
        execution: its result.
        folder: where it lies.
        problems: what could not be read, one sentence each; empty for a whole execution.
    """

    execution: ExecutionResult
    folder: Path
    problems: Sequence[str] = ()


def holds_results(folder: Path) -> bool:
    """Whether a folder is that of an execution that ``duologue run`` wrote."""
    return (folder / LAUNCH).is_file() or ((folder / INDEX).is_file() and not any(folder.glob("*.jsonl")))


def executions_in(folder: Path) -> list[Path]:
    """The folders of executions right below a folder, by name: the oldest first where the names are ours."""
    return sorted(item for item in folder.iterdir() if item.is_dir() and holds_results(item))


def find_execution(path: Path, *, ended: bool = False) -> Found:
    """The execution of a folder, or of a file in it.

    Journals that Python code has recorded into a folder count as one, too; see
    :mod:`duologue.runs.store.from_journals`.

    Args:
        path: of the folder or file.
        ended: the process that ran it is known to have ended, whoever may still hold the folder.

    Raises:
        ConfigurationError: there is none, or this version cannot read it.
    """
    folder = _folder_of(path)
    if holds_results(folder) and (folder / INDEX).is_file():
        return Found(execution=_whole(folder), folder=folder)
    if holds_results(folder):
        return _partial(folder, running=not ended and is_being_written(folder))
    if holds_journals(folder):
        execution, problems = execution_of(folder)
        return Found(execution=execution, folder=folder, problems=problems)
    raise ConfigurationError(f"{folder} holds no results: {_why_not(folder)}")


@frozen
class Unfinished:
    """An execution that can be resumed.

    Attributes:
        id: of the execution.
        suite, path: name and main file of its suite.
        plan: all of it.
        selection: how the plan was chosen from the suite; None if that is not known.
        known: runs that are over and need not be run again.
        damaged: ids of runs whose results cannot be read.
        unrecorded: ids of runs that broke because something could not be written or opened on this machine.
        broken: ids of runs that ended in another error and are to be run again.
        anew: those of all these that start from their beginning.
        started_at, seconds: when the first session began, and how long all of them took.
        spent: by results that others have replaced and that have no journal.
        deaths: of runs during which the process ended, by run id.
        pass_threshold: what share of its trials a case must pass whose trials end when they decide; None if none do.
    """

    id: str
    suite: str
    path: str
    plan: Plan
    selection: Selection | None
    known: tuple[RunResult, ...]
    damaged: tuple[str, ...]
    unrecorded: tuple[str, ...]
    broken: tuple[str, ...]
    anew: frozenset[str]
    started_at: datetime
    seconds: float
    spent: Spent
    deaths: Mapping[str, Deaths]
    pass_threshold: float | None = None


def unfinished(folder: Path, *, retry_errors: bool = False) -> Unfinished:
    """What was run in a folder, and which runs of it are over.

    Runs that were cancelled are continued, like those that have no result.

    Args:
        folder: of the execution.
        retry_errors: a run that ended in an error is not over.

    Raises:
        ConfigurationError: the folder holds no execution.
    """
    launch = read_launch(folder)
    known: list[RunResult] = []
    damaged: list[str] = []
    unrecorded: list[str] = []
    broken: list[RunResult] = []
    anew: set[str] = set()
    for case, path in _results_in(folder, launch):
        try:
            run = read_run_file(path)
        except ConfigurationError:
            damaged.append(path.stem)
            continue
        if run.unrecorded:
            unrecorded.append(run.run_id)
            anew.update([run.run_id] if run.lacked_files else [])
        elif retry_errors and run.status is RunStatus.ERROR:
            broken.append(run)
            anew.add(run.run_id)
        elif run.status is not RunStatus.CANCELLED:
            known.append(run if run.case == case else replace(run, case=case))
    started_at, seconds = _sessions(folder, launch, known)
    return Unfinished(
        id=launch.id,
        suite=launch.suite,
        path=launch.path,
        plan=launch.plan,
        selection=launch.selection,
        known=tuple(known),
        damaged=tuple(damaged),
        unrecorded=tuple(unrecorded),
        broken=tuple(run.run_id for run in broken),
        anew=frozenset(anew),
        started_at=started_at,
        seconds=seconds,
        spent=total_spent([_spent_by_replaced(folder), *(run.spent for run in broken if run.journal is None)]),
        deaths={run_id: deaths for run_id, deaths in launch.deaths.items() if run_id not in anew},
        pass_threshold=launch.allowance.pass_threshold,
    )


def _spent_by_replaced(folder: Path) -> Spent:
    """What results took that others have replaced; a journal beside them would say it already."""
    found: dict[tuple[str, datetime | None], Spent] = {}
    for path in (folder / RUNS).glob("*.json.*"):
        with suppress(ConfigurationError):
            run = read_run_file(path)
            if run.journal is None:
                found[run.run_id, run.started_at] = run.spent
    return total_spent(found.values())


def _results_in(folder: Path, launch: LaunchFile) -> Iterator[tuple[TestCase, Path]]:
    """The files of results that there are, in plan order.

    The id of a run begins with words that change when a case gets more trials; its end tells it from all others.
    """
    runs = folder / RUNS
    names = {path.stem.rpartition("-")[2]: path for path in runs.glob("*.json")} if runs.is_dir() else {}
    for case in launch.plan.cases:
        path = names.get(case.run_id(launch.id).rpartition("-")[2])
        if path is not None:
            yield case, path


def _sessions(folder: Path, launch: LaunchFile, runs: Sequence[RunResult]) -> tuple[datetime, float]:
    """When the execution began, and how long its sessions have taken."""
    try:
        index = read_index(folder)
        return datetime.fromisoformat(index["started_at"]), float(index["seconds"])
    except (ConfigurationError, KeyError, TypeError, ValueError):
        pass  # it was cut off: what it wrote last says when
    began, between = _times(runs, folder / LAUNCH)
    if launch.session_at is None:
        return began, between
    paths = [folder / LAUNCH, *(folder / RUNS).glob("*"), *(folder / JOURNALS).glob("*")]
    last = max(path.stat().st_mtime for path in paths)
    seconds = launch.earlier_seconds + max(0.0, last - launch.session_at.timestamp())
    return min(launch.started_at or launch.session_at, began), seconds if launch.earlier_seconds else max(
        seconds, between
    )


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
            earlier=decoded_spent(index["spent"].get("earlier")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"{folder / INDEX} is not the index of an execution: {error!r}") from error


def _folder_of(path: Path) -> Path:
    if path.is_dir():
        return path
    if not path.exists():
        similar = similar_file(path)
        raise ConfigurationError(f"{path} does not exist; expected a folder that 'duologue run' wrote{similar}")
    if holds_results(path.parent):
        return path.parent
    whole = next((folder for folder in path.resolve().parents[:2] if holds_results(folder)), None)
    where = f"name the folder of its execution, {whole}" if whole else "expected the folder of an execution"
    raise ConfigurationError(f"{path} is a single run; {where}. 'duologue show {path}' shows the run")


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


def _partial(folder: Path, *, running: bool) -> Found:
    if running and (folder / INDEX).is_file():  # it has ended meanwhile
        return Found(execution=_whole(folder), folder=folder)
    launch = read_launch(folder)
    if not launch.plan.cases:
        return _of_function(folder, launch, running=running)
    over: dict[str, RunResult] = {}
    problems = ["the execution is still running: these are the runs that are over so far" if running else _NO_END]
    outdated = 0
    for case, path in _results_in(folder, launch):
        try:
            run = read_run_file(path)
        except ConfigurationError as error:
            problems.append(f"left out: {error}")
            continue
        if dict(run.definition) == launch.outdated.get(run.run_id):
            outdated += 1
        else:
            over[case.identity] = run
    if outdated:
        problems.append(f"left out: {outdated} results of an earlier definition, which are to be replaced")
    runs = (
        over.get(case.identity) or (None if running else _begun(folder, launch, case)) for case in launch.plan.cases
    )
    found = tuple(run for run in runs if run is not None)
    began, seconds = _sessions(folder, launch, found)
    execution = ExecutionResult(
        id=launch.id,
        suite=launch.suite,
        path=launch.path,
        plan=launch.plan,
        runs=found,
        started_at=began,
        seconds=seconds,
        interrupted=not running,
        running=running,
        allowance=launch.allowance,
        thresholds={group: dict(shares) for group, shares in launch.thresholds.items()},
        earlier=_spent_by_replaced(folder) + spent_in_journals(folder / JOURNALS, {run.run_id for run in found}),
    )
    return Found(execution=execution, folder=folder, problems=problems)


def _of_function(folder: Path, launch: LaunchFile, *, running: bool) -> Found:
    """The runs of a function that has not come to its end."""
    execution, problems = execution_of(
        folder, id=launch.id, name=launch.suite, path=launch.path, running=running, interrupted=True
    )
    said = "the function is still running: these are its runs so far" if running else _NO_END
    return Found(execution=execution, folder=folder, problems=(said, *problems))


def _begun(folder: Path, launch: LaunchFile, case: TestCase) -> RunResult | None:
    """As much as there is of a run that has no result; None if it was not begun."""
    run_id = case.run_id(launch.id)
    path = folder / JOURNALS / f"{run_id}.jsonl"
    if not path.exists():
        return None
    try:
        file = read_journal(path)
    except JournalError:
        return RunResult(case=case, run_id=run_id, status=RunStatus.CANCELLED, reasoning=UNFINISHED)
    run = run_result(case, file.entries, file.view, journal=f"{JOURNALS}/{path.name}")
    return run if file.complete else cut_off(replace(run, run_id=run_id))


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
