"""A file of a project, or of executions, into a database; see :mod:`duologue.runs.store.database.project_export`.

Rows are written some at a time. Until the last line of the file has been read, the project says that it is being
imported; an import that fails removes what it has written, and one that was killed is replaced by the next.

Nothing begins by itself: schedules are switched off, and runs that were waiting when they were exported end in an error
that says so, from which they can be retried. Whoever moves a project can ask for both to stay as they were.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, LargeBinary, Table, delete, insert, select, update

from duologue.errors import ConfigurationError, StoreConflictError, StoreError
from duologue.frozen import frozen
from duologue.journal.artifacts import ArtifactStore, ArtifactWriter
from duologue.runs.store.database.definition_rows import named
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.project_export import (
    EXECUTIONS,
    OF_EXECUTIONS,
    OF_RUNS,
    PROJECT,
    TABLES,
    VERSION,
)
from duologue.runs.store.database.results_import import IMPORTING
from duologue.runs.store.database.schema import (
    baselines,
    calls,
    deployments,
    evals,
    executions,
    labels,
    projects,
    runs,
    schedules,
    snapshots,
)
from duologue.runs.store.records import OVER, QueueStatus

_ROWS = 500
_BYTES = 4 * 1024 * 1024
"""Of lines that are written in one transaction."""
_NUMBERS = {labels.name: "id", calls.name: "number", deployments.name: "id"}
"""Columns that count up by themselves."""
_WAITING = "the run was imported before it was over; retry it to carry it out here"


@frozen
class ProjectImport:
    """What was read.

    Attributes:
        project_id: of the project that has it now.
        executions: numbers of its executions here.
        unfinished: runs that were waiting or under way when they were exported.
        schedules: how many of them there are.
    """

    project_id: str
    runs: int
    executions: Sequence[int]
    unfinished: int
    schedules: int


def holds_project(path: Path) -> bool:
    """Whether a file holds a whole project, and not only executions.

    Raises:
        ConfigurationError: it is none of ours, or of a newer version.
    """
    return _Lines(path).header().kind == PROJECT


async def import_project(
    database: Database,
    store: ArtifactStore,
    path: Path,
    *,
    project_id: str | None = None,
    name: str | None = None,
    going_on: bool = False,
) -> ProjectImport:
    """Read a file that :func:`~duologue.runs.store.database.project_export.export_project` wrote.

    Args:
        database: that it goes to.
        store: of its artifacts.
        path: of the file.
        project_id: whose executions they become, for a file of executions; None for the project that they came from.
        name: of a whole project in this database; None for the one that it had.
        going_on: runs that were waiting or under way are queued, and schedules stay on.

    Raises:
        ConfigurationError: the file is none of ours, of a newer version, damaged or cut off.
        StoreConflictError: the database has the project or one of the runs already.
        StoreError, ArtifactError: it could not be written. In all these cases nothing of it is left.
    """
    lines = _Lines(path)
    head = lines.header()
    name = None if name is None else named(name, "project")
    work = _Import(database, store, head, project_id or head.project, name=name, going_on=going_on)
    await database.write(work.begin)
    try:
        for number, data, size in lines:
            await work.take(data, size, f"{path}, line {number}")
        await work.finish(path)
    except BaseException:
        await work.abandon()
        raise
    return ProjectImport(
        project_id=work.project_id,
        runs=work.counted,
        executions=tuple(work.executions.values()),
        unfinished=work.unfinished,
        schedules=work.schedules,
    )


@frozen
class _Header:
    kind: str
    project: str


class _Lines:
    """The lines of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = self._read()

    def header(self) -> _Header:
        """The first line."""
        _, data, _ = next(self._lines, (0, dict[str, Any](), 0))
        kind, version, project = data.get("duologue"), data.get("version"), data.get("project")
        if kind not in {PROJECT, EXECUTIONS} or not isinstance(version, int) or not isinstance(project, str):
            raise ConfigurationError(f"{self._path} was not written by 'duologue runs export --jsonl'")
        if version > VERSION:
            raise ConfigurationError(
                f"{self._path} has version {version}, and this Duologue reads {VERSION}: it was written by Duologue "
                f"{data.get('written_by')}; upgrade this one"
            )
        return _Header(kind=kind, project=project)

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        return self._lines

    def _read(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield number, self._object(number, line), len(line)
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be read: {error.strerror or error}") from error

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            data: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{self._path}, line {number}: not JSON ({error})") from error
        if not isinstance(data, dict):
            raise ConfigurationError(f"{self._path}, line {number}: expected an object")
        return cast("dict[str, Any]", data)


@dataclass
class _Batch:
    """Rows that wait to be written."""

    rows: list[tuple[Table, dict[str, Any], str]] = field(default_factory=list["tuple[Table, dict[str, Any], str]"])
    size: int = 0


class _Import:
    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        head: _Header,
        project_id: str,
        *,
        name: str | None,
        going_on: bool,
    ) -> None:
        self.project_id = project_id if head.kind == EXECUTIONS else head.project
        self.executions: dict[int, int] = {}
        self.counted = self.unfinished = self.schedules = 0
        self._whole = head.kind == PROJECT
        self._database, self._store, self._going_on = database, store, going_on
        self._name = name
        self._run: tuple[int, int] = (0, 0)
        """The number of the last run in the file, and here."""
        self._rows = 0
        self._ended = False
        self._batch = _Batch()
        self._bytes = ""
        self._open: AbstractAsyncContextManager[ArtifactWriter] | None = None
        self._writer: ArtifactWriter | None = None
        self._project: dict[str, Any] = {}

    def begin(self, connection: Connection) -> None:
        """See that it may be written, and remove what an import has left that was killed."""
        found = connection.execute(select(projects.c.settings).where(projects.c.id == self.project_id)).first()
        if not self._whole:
            if found is None:
                raise StoreConflictError(f"there is no project '{self.project_id}'; name another, or create it")
            return
        if found is not None and IMPORTING not in (found.settings or {}):
            raise StoreConflictError(f"the database has the project '{self.project_id}' already: nothing was imported")
        connection.execute(delete(projects).where(projects.c.id == self.project_id))

    async def take(self, data: dict[str, Any], size: int, place: str) -> None:
        """Take a line."""
        if self._ended:
            raise ConfigurationError(f"{place}: found something behind the end of the file")
        if "bytes" in data:
            await self._take_bytes(data, place)
            return
        await self._close_bytes(place)
        if data.get("end"):
            self._ended = True
            if data.get("rows") != self._rows:
                raise ConfigurationError(f"{place}: the file has {self._rows} rows and should have {data.get('rows')}")
            return
        table, row = TABLES.get(str(data.get("table"))), data.get("row")
        if table is None or not isinstance(row, dict):
            raise ConfigurationError(f"{place}: expected a row of a known table, found {str(data)[:100]!r}")
        self._rows += 1
        self._batch.rows.append((table, _values(table, cast("dict[str, Any]", row), place), place))
        self._batch.size += size
        if len(self._batch.rows) >= _ROWS or self._batch.size > _BYTES:
            await self._flush()

    async def finish(self, path: Path) -> None:
        """Write what is left, and let the project be seen as whole."""
        await self._flush()
        if not self._ended:
            raise ConfigurationError(f"{path} is cut off after {self._rows} rows: export it again")
        if self._whole and not self._project:
            raise ConfigurationError(f"{path} has no project in it")
        await self._database.write(self._finish)

    async def abandon(self) -> None:
        """Remove what was written."""
        if self._open is not None:
            await self._open.__aexit__(StoreError, StoreError("the import failed"), None)
        await self._database.write(self._abandon)

    async def _take_bytes(self, data: dict[str, Any], place: str) -> None:
        """Take a part of the bytes of an artifact."""
        digest = data["bytes"]
        if "missing" in data:
            await self._close_bytes(place)
            return
        if digest != self._bytes or "mime_type" in data:
            await self._close_bytes(place)
            self._bytes, self._open = digest, self._store.writer(mime_type=str(data.get("mime_type")))
            self._writer = await self._open.__aenter__()
        assert self._writer is not None
        try:
            await self._writer.write(base64.b64decode(data["data"], validate=True))
        except (KeyError, TypeError, binascii.Error) as error:
            raise ConfigurationError(f"{place}: no bytes of an artifact ({error})") from error

    async def _close_bytes(self, place: str) -> None:
        """All parts of an artifact were read."""
        if self._open is None or self._writer is None:
            return
        opened, writer, self._open, self._writer = self._open, self._writer, None, None
        await opened.__aexit__(None, None, None)
        if writer.artifact.sha256 != self._bytes:
            raise ConfigurationError(f"{place}: the bytes before it are not those of sha256:{self._bytes}")

    async def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if not batch.rows:
            return
        written = await self._database.write(lambda connection: self._write(connection, batch))
        self._run = written.run
        self.executions |= written.executions
        self._project = written.project or self._project
        self.counted += written.runs
        self.unfinished += written.unfinished
        self.schedules += written.schedules

    def _write(self, connection: Connection, batch: _Batch) -> _Written:
        """Write rows, one table after another. What it learns is kept only once they are committed."""
        written = _Written(run=self._run, here=dict([self._run]), executions=dict(self.executions))
        for table in TABLES.values():
            rows = [(row, place) for found, row, place in batch.rows if found is table]
            if not rows:
                continue
            made = [(row, self._here(connection, table, row, place, written)) for row, place in rows]
            values = [here for _, here in made if here is not None]
            if table is runs:
                self._write_runs(connection, [row["number"] for row, _ in rows], values, written)
            elif table is executions:
                for row, here in made:
                    asked = insert(executions).values(here or {}).returning(executions.c.id)
                    written.executions[row["id"]] = connection.execute(asked).scalar_one()
            elif values:
                connection.execute(insert(table), _alike(values))
        return written

    def _write_runs(
        self, connection: Connection, numbers: Sequence[int], rows: Sequence[dict[str, Any]], written: _Written
    ) -> None:
        ids = [row.get("id") for row in rows]
        taken = connection.execute(select(runs.c.id).where(runs.c.id.in_(ids))).scalars().first()
        if taken is not None:
            raise StoreConflictError(f"the database has the run {taken} already: nothing was imported")
        asked = insert(runs).returning(runs.c.number, sort_by_parameter_order=True)
        here = connection.execute(asked, _alike(rows)).scalars().all()
        written.here |= dict(zip(numbers, here, strict=True))
        written.run = numbers[-1], here[-1]

    def _here(
        self, connection: Connection, table: Table, row: dict[str, Any], place: str, written: _Written
    ) -> dict[str, Any] | None:
        """A row as it is in this database; None if it is here already."""
        values = {**row, **({"project_id": self.project_id} if "project_id" in row else {})}
        if table is projects:
            return self._project_here(connection, values, written)
        if table is snapshots:
            asked = select(snapshots.c.digest).where(snapshots.c.digest == row["digest"])
            return None if connection.execute(asked).first() else values
        if table is executions:
            return self._execution_here(connection, values)
        if table is runs:
            return self._run_here(values, place, written)
        if table is schedules:
            written.schedules += 1
            enabled = self._going_on and bool(row.get("enabled"))
            return {**values, "enabled": enabled, "last_execution": None, "last_error": None}
        if table in OF_EXECUTIONS:
            values["execution_id"] = written.executions.get(row.get("execution_id", -1))
        if (number := _NUMBERS.get(table.name)) is not None:
            del values[number]
        if table in OF_RUNS:
            number = written.here.get(row.get("run", -1))
            if number is None:
                raise ConfigurationError(f"{place}: a row of run {row.get('run')} does not follow its run")
            values["run"] = number
        is_lost = table is baselines and values["execution_id"] is None  # its execution was being imported then
        return None if is_lost else values

    def _project_here(self, connection: Connection, row: dict[str, Any], written: _Written) -> dict[str, Any]:
        if row.get("id") != self.project_id or not self._whole or self._project:
            raise ConfigurationError(f"the file has a row of another project, {row.get('id')!r}")
        row = row if self._name is None else {**row, "name": self._name}
        if connection.execute(select(projects.c.id).where(projects.c.name == row.get("name"))).first() is not None:
            raise StoreConflictError(
                f"the database has another project called '{row.get('name')}': nothing was imported. Import it under "
                "another name: duologue runs import --project NAME"
            )
        written.project = row
        return {**row, "settings": {**(row.get("settings") or {}), IMPORTING: True}}

    def _execution_here(self, connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
        del row["id"]
        if self._whole:
            return row
        same = select(executions.c.id, executions.c.data).where(
            executions.c.project_id == self.project_id, executions.c.name == row.get("name")
        )
        if (found := connection.execute(same).first()) is not None:
            if IMPORTING not in found.data:
                raise StoreConflictError(
                    f"the project has the execution {row.get('name')} already, as number {found.id}"
                )
            connection.execute(delete(executions).where(executions.c.id == found.id))
        known = connection.execute(select(evals.c.id).where(evals.c.id == row.get("eval_id"))).first()
        return {**row, "eval_id": known and known.id, "data": {**(row.get("data") or {}), IMPORTING: True}}

    def _run_here(self, row: dict[str, Any], place: str, written: _Written) -> dict[str, Any]:
        del row["number"]
        if (execution := row.get("execution_id")) is not None:
            if execution not in written.executions:
                raise ConfigurationError(f"{place}: the run belongs to execution {execution}, which is not in the file")
            row["execution_id"] = written.executions[execution]
        written.runs += 1
        if row.get("status") in OVER:
            return row
        written.unfinished += 1
        row["owner"] = None
        if self._going_on:
            return {**row, "status": QueueStatus.QUEUED.value}
        return {**row, "status": QueueStatus.ERROR.value, "outcome": "error", "error": _WAITING}

    def _finish(self, connection: Connection) -> None:
        """Nothing says any more that it is being imported."""
        if self._whole:
            settings: dict[str, Any] = self._project.get("settings") or {}
            connection.execute(update(projects).where(projects.c.id == self.project_id).values(settings=settings))
            return
        for number in self.executions.values():
            own = executions.c.id == number
            data = dict(connection.execute(select(executions.c.data).where(own)).scalar_one())
            data.pop(IMPORTING, None)
            connection.execute(update(executions).where(own).values(data=data))

    def _abandon(self, connection: Connection) -> None:
        if not self._whole:
            connection.execute(delete(executions).where(executions.c.id.in_(list(self.executions.values()))))
        elif self._project:
            connection.execute(delete(projects).where(projects.c.id == self.project_id))


@dataclass
class _Written:
    """What a transaction has written: it counts once that is committed.

    Attributes:
        run: the number of the last run in the file, and here.
        here: the numbers of runs here, by those in the file.
    """

    run: tuple[int, int]
    here: dict[int, int]
    executions: dict[int, int]
    project: dict[str, Any] | None = None
    runs: int = 0
    unfinished: int = 0
    schedules: int = 0


def _alike(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that all have the same columns."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def _values(table: Table, row: dict[str, Any], place: str) -> dict[str, Any]:
    """The values of a row, from JSON."""
    if unknown := row.keys() - set(table.c.keys()):
        raise ConfigurationError(f"{place}: the table {table.name} has no column {min(unknown)!r}")
    if missing := [name for name in map(str, table.primary_key.columns.keys()) if name not in row]:
        raise ConfigurationError(f"{place}: the row has no {missing[0]!r}")
    values: dict[str, Any] = {}
    for name, value in row.items():
        values[name] = _bytes(value, place) if isinstance(table.c[name].type, LargeBinary) else value
    return values


def _bytes(value: object, place: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return base64.b64decode(cast("dict[str, str]", value)["base64"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{place}: found {str(value)[:100]}, expected bytes") from error
