"""An execution of the database as a results folder, which everything that reads results can read.

One that was imported comes out byte for byte, as long as nobody has changed its runs. One that a processor carried out
comes out as ``duologue run`` would have written it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json
from sqlalchemy import Connection, or_, select

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.config.patterns import late
from duologue.config.problems import listed
from duologue.errors import ArtifactError, ConfigurationError, ResultsError, StoreConflictError
from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA, Artifact, ArtifactStore
from duologue.runs.store.database.artifacts import FILES
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.execution_result import allowance_of, thresholds_of
from duologue.runs.store.database.journals import attempt_of_line
from duologue.runs.store.database.results_import import IMPORTING
from duologue.runs.store.database.schema import (
    artifacts,
    baselines,
    events,
    executions,
    results,
    runs,
)
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS, decoded_case, decoded_run, encoded_run
from duologue.runs.store.folder import write_index
from duologue.runs.store.ownership import LaunchFile, read_launch, require_free, write_launch
from duologue.runs.store.reader import read_index
from duologue.runs.store.records import QueueStatus, StoredExecution
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult

_DIGITS = 18
"""Of the largest number that a database has."""
_PAGE = 50
"""Runs that are read at once."""
_PLACE = late(r"(launch\.json|index\.json|(runs|journals|media)/[^/\\\0]+)")
_OVER = {QueueStatus.COMPLETED, QueueStatus.ERROR, QueueStatus.CANCELLED}


@frozen
class ExportedResults:
    """What was exported.

    Attributes:
        runs: how many runs have a result.
        problems: what is missing, a sentence each.
    """

    folder: Path
    runs: int
    problems: Sequence[str]


async def export_results(database: Database, store: ArtifactStore, execution_id: int, folder: Path) -> ExportedResults:
    """Write an execution as ``duologue run`` writes it.

    Args:
        database: that it is in.
        store: of its artifacts.
        execution_id: which one.
        folder: of results; new or empty.

    Raises:
        ConfigurationError: there is something in the folder.
        StoreConflictError: there is no such execution, or its import was cut off.
        ResultsError: the folder cannot be written.
    """
    require_free(folder)
    execution = await database.read(lambda connection: _execution(connection, execution_id))
    if IMPORTING in execution.data:
        raise StoreConflictError(f"the import of execution {execution_id} was cut off: import it again")
    target = _Target(folder, store)
    async for run in _stored(database, execution_id):
        await target.write_run(run)
    files = {str(name): _artifact(item) for name, item in cast("dict[str, Any]", execution.data.get(FILES, {})).items()}
    for name, artifact in files.items():
        if name not in {LAUNCH, INDEX}:
            await target.copy(name, artifact)
    if LAUNCH in files or INDEX in files:
        for name in sorted({LAUNCH, INDEX} & set(files), reverse=True):
            await target.copy(name, files[name])
        if INDEX in files and not target.is_index_true():
            (folder / INDEX).unlink()
            write_index(target.result(execution), folder)
    else:
        write_launch(folder, target.launch(execution))
        write_index(target.result(execution), folder)
    return ExportedResults(folder=folder, runs=len(target.results), problems=tuple(target.problems))


class _Target:
    """A results folder that is written.

    Attributes:
        results: of the runs so far.
        cases: of all runs, whether they have a result or not.
        problems: what is missing.
    """

    def __init__(self, folder: Path, store: ArtifactStore) -> None:
        self.folder, self._store = folder, store
        self.results: list[RunResult] = []
        self.cases: list[TestCase] = []
        self.problems: list[str] = []
        self._over = True
        self._began: list[float] = []
        self._ended: list[float] = []

    async def write_run(self, run: _StoredRun) -> None:
        """Write the files of a run."""
        if not run.id or Path(run.id).name != run.id:
            raise ResultsError(f"the id of run {run.id!r} is no name of a file")
        self.cases.append(run.case)
        self._over = self._over and run.status in _OVER
        self._began += [run.started_at] if run.started_at is not None else []
        self._ended += [run.completed_at] if run.completed_at is not None else []
        for name, data in _named(run):
            self._write(f"{JOURNALS}/{name}", data)
        for artifact in run.media:
            await self.copy(f"{MEDIA}/{artifact.name}", artifact)
        if run.data:
            data, result = run.data, decoded_run(from_json(run.data), f"run {run.id}")
            if run.journals and result.journal is None:
                result = replace(result, journal=f"{JOURNALS}/{run.id}.jsonl")
                data = encoded_run(result)
            self._write(f"{RUNS}/{run.id}.json", data)
            self.results.append(result)

    async def copy(self, place: str, artifact: Artifact) -> None:
        """Write the bytes of an artifact."""
        if _PLACE.fullmatch(place) is None:
            raise ResultsError(f"the file {place!r} of the execution is none of a results folder")
        try:
            self._write(place, await self._store.read(artifact))
        except ArtifactError as error:
            self.problems.append(f"{place}: {error}")

    def is_index_true(self) -> bool:
        """Whether the index that was copied is one of the runs that were written."""
        try:
            listed = {line["run_id"] for line in read_index(self.folder)["runs"]}
        except (ConfigurationError, KeyError, TypeError):
            return True  # it was damaged when it came in, and is kept
        return listed == {result.run_id for result in self.results}

    def launch(self, execution: StoredExecution) -> LaunchFile:
        """What was run."""
        data, began = execution.data, datetime.fromtimestamp(execution.created_at, UTC)
        return LaunchFile(
            id=execution.name,
            suite=_text(data, "suite", execution.name),
            path=_text(data, "path", ""),
            plan=self._plan(data, execution),
            started_at=began,
            session_at=began,
            allowance=allowance_of(data),
            thresholds=thresholds_of(data),
        )

    def result(self, execution: StoredExecution) -> ExecutionResult:
        """The execution as it is now."""
        launch = read_launch(self.folder) if (self.folder / LAUNCH).exists() else self.launch(execution)
        data = execution.data
        began = min(self._began, default=execution.created_at)
        return ExecutionResult(
            id=launch.id,
            suite=launch.suite,
            path=launch.path,
            plan=launch.plan,
            runs=tuple(sorted(self.results, key=lambda run: run.case.index)),
            started_at=launch.started_at or datetime.fromtimestamp(began, UTC),
            seconds=max(self._ended, default=began) - began,
            interrupted=not self._over,
            allowance=launch.allowance,
            environment=data.get("environment") or {},
            thresholds={group: dict(shares) for group, shares in launch.thresholds.items()},
            metrics_threshold=data.get("metrics_threshold"),
        )

    def _plan(self, data: Mapping[str, Any], execution: StoredExecution) -> Plan:
        cases = tuple(sorted(self.cases, key=lambda case: case.index))
        seed = data.get("seed")
        return Plan(suite=_text(data, "suite", execution.name), cases=cases, seed=seed if isinstance(seed, int) else 0)

    def _write(self, place: str, data: bytes) -> None:
        path = self.folder / place
        try:
            write_atomic(path, data, permissions=OWNER_ONLY, durable=False)
        except OSError as error:
            raise ResultsError(f"{path} cannot be written: {error.strerror or error}") from error


async def execution_named(database: Database, project_id: str, name: str) -> int:
    """The number of an execution of a project.

    Args:
        database: that it is in.
        project_id: of the project.
        name: its number, its name, or the name of a baseline.

    Raises:
        StoreConflictError: the project has none, or baselines of several evals or agents have that name.
    """
    called = executions.c.name == name
    if name.isdecimal() and len(name) <= _DIGITS:
        called = or_(called, executions.c.id == int(name))
    asked = select(executions.c.id).where(executions.c.project_id == project_id, called)
    marked = select(baselines.c.execution_id).where(baselines.c.project_id == project_id, baselines.c.name == name)

    def work(connection: Connection) -> list[int]:
        found = connection.execute(asked).scalar()
        return [found] if found is not None else sorted(set(connection.execute(marked).scalars()))

    ids = await database.read(work)
    if not ids:
        told = f"there is no execution and no baseline '{name}' in project '{project_id}' of {database.address}"
        raise StoreConflictError(told)
    if len(ids) > 1:
        raise StoreConflictError(
            f"'{name}' is the baseline of several evals or agents: name one of {listed(map(str, ids))}"
        )
    return ids[0]


@frozen
class _StoredRun:
    """A run of the database."""

    id: str
    case: TestCase
    status: str
    started_at: float | None
    completed_at: float | None
    data: bytes | None
    journals: Sequence[Sequence[bytes]]
    retried: bool
    """The newest journal is of before a retry, which has not begun."""
    media: Sequence[Artifact]


def _execution(connection: Connection, execution_id: int) -> StoredExecution:
    columns = [executions.c[name] for name in ("id", "project_id", "name", "eval_id", "data", "created_at")]
    row = connection.execute(select(*columns).where(executions.c.id == execution_id)).mappings().first()
    if row is None:
        raise StoreConflictError(f"there is no execution {execution_id}")
    return StoredExecution(**row)


async def _stored(database: Database, execution_id: int) -> AsyncGenerator[_StoredRun]:
    """The runs of an execution in the order of their creation, some at a time."""
    last = 0
    while batch := await database.read(lambda connection, last=last: _page(connection, execution_id, last)):
        for _, run in batch:
            yield run
        last = batch[-1][0]


def _page(connection: Connection, execution_id: int, after: int) -> list[tuple[int, _StoredRun]]:
    columns = [
        runs.c[name] for name in ("number", "id", "test_case", "status", "started_at", "completed_at", "journal_from")
    ]
    asked = (
        select(*columns, results.c.data)
        .join(results, results.c.run == runs.c.number, isouter=True)
        .where(runs.c.execution_id == execution_id, runs.c.number > after)
        .order_by(runs.c.number)
        .limit(_PAGE)
    )
    found = connection.execute(asked).all()
    numbers = [row.number for row in found]
    journals: dict[int, dict[int, list[bytes]]] = {number: {} for number in numbers}
    lines = select(events).where(events.c.run.in_(numbers)).order_by(events.c.run, events.c.attempt, events.c.seq)
    for row in connection.execute(lines):
        journals[row.run].setdefault(row.attempt, []).append(row.line)
    media: dict[int, list[Artifact]] = {number: [] for number in numbers}
    for row in connection.execute(select(artifacts).where(artifacts.c.run.in_(numbers)).order_by(artifacts.c.sha256)):
        media[row.run].append(Artifact(sha256=row.sha256, size=row.size, mime_type=row.mime_type))
    return [
        (
            row.number,
            _StoredRun(
                id=row.id,
                case=decoded_case(from_json(row.test_case)),
                status=row.status,
                started_at=row.started_at,
                completed_at=row.completed_at,
                data=row.data,
                journals=list(journals[row.number].values()),
                retried=not journals[row.number] or max(journals[row.number]) < row.journal_from,
                media=media[row.number],
            ),
        )
        for row in found
    ]


def _named(run: _StoredRun) -> Iterator[tuple[str, bytes]]:
    """The journals of a run, each with the name of its file."""
    told = [attempt_of_line(lines[0]) for lines in run.journals]
    used: dict[str, int] = {}
    for place, lines in enumerate(run.journals):
        name = f"{run.id}.jsonl"
        if place < len(told) - 1 or run.retried:
            was, then = told[place], told[place + 1] if place + 1 < len(told) else None
            continued = was is not None and then is not None and then > was
            why = "unreadable" if was is None else f"attempt-{was}" if continued else "replaced"
            used[why] = used.get(why, 0) + 1
            name = f"{name}.{why}" + (f".{used[why]}" if used[why] > 1 else "")
        yield name, b"".join(lines)


def _artifact(item: Mapping[str, Any]) -> Artifact:
    return Artifact(sha256=item["sha256"], size=item["size"], mime_type=item["mime_type"])


def _text(data: Mapping[str, Any], name: str, otherwise: str) -> str:
    found = data.get(name)
    return found if isinstance(found, str) else otherwise
