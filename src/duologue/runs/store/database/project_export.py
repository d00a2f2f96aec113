"""A project, or some of its executions, as one file of JSON lines: to move it to another database, or to keep it.

The first line says what the file is. Each line after it is a row of a table, or a part of the bytes of an artifact, in
an order in which they can be written again; the last line counts them, so that a file that was cut off is known. Both
ways read and write a little at a time, however large the project is.

Ids stay as they are, so a project cannot be in a database twice; the numbers of executions and runs are given anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Select, Table, func, select

from duologue.config.files import open_private
from duologue.errors import ArtifactError, ConfigurationError, ResultsError, StoreConflictError
from duologue.frozen import frozen
from duologue.journal.artifacts import Artifact, ArtifactStore
from duologue.runs.store.database.artifacts import FILES
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.results_import import IMPORTING
from duologue.runs.store.database.schema import (
    agent_versions,
    agents,
    artifacts,
    baselines,
    call_sources,
    calls,
    checks,
    connectors,
    deployments,
    environments,
    eval_scenarios,
    evals,
    events,
    executions,
    labels,
    metrics,
    personas,
    projects,
    results,
    runs,
    scenario_personas,
    scenarios,
    schedules,
    snapshots,
)
from duologue.runs.store.definitions import without_credentials
from duologue.version import __version__

VERSION = 1
"""Of the file. It changes when a reader of the old form could not read the new one."""
PROJECT, EXECUTIONS = "project", "executions"
"""What a file holds."""
DEFINITIONS = (
    personas,
    scenarios,
    scenario_personas,
    connectors,
    agents,
    agent_versions,
    evals,
    eval_scenarios,
    metrics,
    environments,
    call_sources,
    schedules,
)
"""What people define, in an order in which it can be written."""
OF_EXECUTIONS = (baselines, deployments)
"""What names an execution."""
OF_RUNS = (events, results, checks, labels, artifacts)
"""What a run has."""
_WITH_CREDENTIALS = {connectors.name, personas.name, agents.name, agent_versions.name}
TABLES = {
    table.name: table
    for table in (projects, *DEFINITIONS, calls, snapshots, executions, *OF_EXECUTIONS, runs, *OF_RUNS)
}
_PAGE = 25
"""Runs that are read at once."""
_CALLS = 200
"""Production calls that are read at once."""


@frozen
class ExportedProject:
    """What was written.

    Attributes:
        rows: lines that are rows.
        credentials: rows whose credentials were left out.
        problems: bytes that are missing, a sentence each.
    """

    path: Path
    runs: int
    rows: int
    credentials: int
    problems: Sequence[str]


async def export_project(
    database: Database,
    store: ArtifactStore,
    project_id: str,
    path: Path,
    *,
    executions: Sequence[int] | None = None,
    credentials: bool = False,
) -> ExportedProject:
    """Write a project, or some executions of it, to a file that does not exist.

    Args:
        database: that it is in.
        store: of its artifacts.
        project_id: which project.
        path: of the file, which is for its owner only.
        executions: numbers of those to be written, without what people define; None for the whole project.
        credentials: also write what looks like a credential in connectors, personas and agents.

    Raises:
        ConfigurationError: there is a file of that name.
        StoreConflictError: there is no such project or execution.
        ResultsError: it cannot be written.
    """
    with _new_file(path) as file:
        return await _Export(database, store, file, path, credentials=credentials).write(project_id, executions)


@contextmanager
def _new_file(path: Path) -> Generator[IO[bytes]]:
    """A file that did not exist, for its owner only; it goes if the block raises."""
    try:
        with open(path, "xb", opener=open_private) as file:
            try:
                yield file
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already, and nothing is overwritten: choose another name") from None
    except OSError as error:
        raise ResultsError(f"{path} cannot be written: {error.strerror or error}") from error


class _Export:
    def __init__(
        self, database: Database, store: ArtifactStore, file: IO[bytes], path: Path, *, credentials: bool
    ) -> None:
        self._database, self._store, self._file, self._path = database, store, file, path
        self._with_credentials = credentials
        self._rows = self._runs = self._hidden = 0
        self._snapshots: set[str] = set()
        self._bytes: set[str] = set()
        self._problems: list[str] = []

    async def write(self, project_id: str, wanted: Sequence[int] | None) -> ExportedProject:
        """Write all of it."""
        newest, found = await self._database.read(lambda connection: _beginning(connection, project_id, wanted))
        self._line(
            {
                "duologue": PROJECT if wanted is None else EXECUTIONS,
                "version": VERSION,
                "written_by": __version__,
                "written_at": datetime.fromtimestamp(self._database.context.clock.now(), UTC).isoformat(),
                "project": project_id,
            }
        )
        for table, row in found:
            files: dict[str, Any] = row["data"].get(FILES, {}) if table is executions else {}
            for item in files.values():
                await self._artifact(_artifact(item))
            self._row(table, row)
        if wanted is None:
            await self._calls(project_id)
        ids = None if wanted is None else [row["id"] for table, row in found if table is executions]
        async for page in _pages(self._database, project_id, ids, newest):
            await self._page(page)
        self._line({"end": True, "rows": self._rows})
        return ExportedProject(
            path=self._path,
            runs=self._runs,
            rows=self._rows,
            credentials=self._hidden,
            problems=tuple(self._problems),
        )

    async def _calls(self, project_id: str) -> None:
        """Production calls, some at a time: what was said in them is large."""
        last = 0
        while True:
            asked = select(calls).where(calls.c.project_id == project_id, calls.c.number > last)
            some = asked.order_by(calls.c.number).limit(_CALLS)
            page = await self._database.read(lambda connection, some=some: _mappings(connection, some))
            for row in page:
                self._row(calls, row)
            if len(page) < _CALLS:
                return
            last = page[-1]["number"]

    async def _page(self, page: Sequence[dict[str, Any]]) -> None:
        """Some runs and what they have."""
        numbers = [row["number"] for row in page]
        digests = {row["snapshot"] for row in page} - self._snapshots
        self._snapshots |= digests
        kept, parts = await self._database.read(lambda connection: _parts(connection, numbers, digests))
        for row in kept:
            self._row(snapshots, row)
        for row in page:
            self._row(runs, row)
            self._runs += 1
            for table in OF_RUNS:
                for item in parts[table].get(row["number"], ()):
                    if table is artifacts:
                        await self._artifact(_artifact(item))
                    self._row(table, item)

    async def _artifact(self, artifact: Artifact) -> None:
        """The bytes of an artifact, in parts; the first part says what they are."""
        if artifact.name in self._bytes:
            return
        self._bytes.add(artifact.name)
        told: dict[str, Any] = {"size": artifact.size, "mime_type": artifact.mime_type}
        try:
            if not artifact.size:
                await self._store.read(artifact)
                self._line({"bytes": artifact.sha256, **told, "data": ""})
            async for piece in self._store.stream(artifact):
                self._line({"bytes": artifact.sha256, **told, "data": base64.b64encode(piece).decode()})
                told = {}
        except ArtifactError as error:
            self._problems.append(str(error))
            self._line({"bytes": artifact.sha256, "missing": str(error)})

    def _row(self, table: Table, row: Mapping[str, Any]) -> None:
        values = {name: _plain(value) for name, value in row.items() if value is not None}
        if table.name in _WITH_CREDENTIALS and not self._with_credentials:
            cleaned = without_credentials(values.get("data"))
            self._hidden += cleaned != values.get("data")
            values["data"] = cleaned
        self._line({"table": table.name, "row": values})
        self._rows += 1

    def _line(self, data: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")


def _plain(value: Any) -> Any:
    """A value of a column as JSON."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _beginning(
    connection: Connection, project_id: str, wanted: Sequence[int] | None
) -> tuple[int, list[tuple[Table, dict[str, Any]]]]:
    """The newest run, and everything that comes before runs: definitions and executions."""
    newest = connection.execute(select(func.coalesce(func.max(runs.c.number), 0))).scalar_one()
    [project] = _mappings(connection, select(projects).where(projects.c.id == project_id)) or [None]
    if project is None:
        raise StoreConflictError(f"there is no project '{project_id}'")
    if IMPORTING in (project["settings"] or {}):
        raise StoreConflictError(f"the import of project '{project_id}' was cut off: import it again")
    found: list[tuple[Table, dict[str, Any]]] = []
    asked = select(executions).where(executions.c.project_id == project_id).order_by(executions.c.id)
    if wanted is not None:
        asked = asked.where(executions.c.id.in_(wanted))
    else:
        found.append((projects, project))
        for table in DEFINITIONS:
            found += [(table, row) for row in _mappings(connection, _of_project(table, project_id))]
    begun = [row for row in _mappings(connection, asked) if IMPORTING not in (row["data"] or {})]
    if wanted is not None and (missing := set(wanted) - {row["id"] for row in begun}):
        raise StoreConflictError(f"the project '{project_id}' has no execution {min(missing)}")
    rows = [*found, *((executions, row) for row in begun)]
    if wanted is None:
        for table in OF_EXECUTIONS:
            rows += [(table, row) for row in _mappings(connection, _of_project(table, project_id))]
    return newest, rows


def _of_project(table: Table, project_id: str) -> Select[Any]:
    """The rows of a table that belong to a project, by themselves or by what they belong to."""
    order = table.primary_key.columns
    if "project_id" in table.c:
        return select(table).where(table.c.project_id == project_id).order_by(*order)
    [owner] = [key.column.table for key in table.c[order.keys()[0]].foreign_keys]
    owned = select(owner.c.id).where(owner.c.project_id == project_id)
    return select(table).where(table.c[order.keys()[0]].in_(owned)).order_by(*order)


async def _pages(
    database: Database, project_id: str, ids: Sequence[int] | None, newest: int
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The runs of a project in the order of their creation, some at a time."""
    last = 0
    while True:
        asked = (
            select(runs)
            .where(runs.c.project_id == project_id, runs.c.number > last, runs.c.number <= newest)
            .order_by(runs.c.number)
            .limit(_PAGE)
        )
        asked = asked if ids is None else asked.where(runs.c.execution_id.in_(ids))
        page = await database.read(lambda connection, asked=asked: _mappings(connection, asked))
        if not page:
            return
        yield page
        last = page[-1]["number"]


def _parts(
    connection: Connection, numbers: Sequence[int], digests: Collection[str]
) -> tuple[list[dict[str, Any]], dict[Table, dict[int, list[dict[str, Any]]]]]:
    """Snapshots, and what runs have, by table and run."""
    kept = _mappings(connection, select(snapshots).where(snapshots.c.digest.in_(digests))) if digests else []
    parts: dict[Table, dict[int, list[dict[str, Any]]]] = {}
    for table in OF_RUNS:
        found = parts[table] = dict[int, "list[dict[str, Any]]"]()
        asked = select(table).where(table.c.run.in_(numbers)).order_by(*table.primary_key.columns)
        for row in _mappings(connection, asked):
            found.setdefault(row["run"], []).append(row)
    return kept, parts


def _artifact(row: Mapping[str, Any]) -> Artifact:
    return Artifact(sha256=row["sha256"], size=row["size"], mime_type=row["mime_type"])


def _mappings(connection: Connection, asked: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(asked).mappings()]
