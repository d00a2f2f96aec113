"""Projects of EvalStudio: a folder of it becomes projects of a store, with everything that is in it and under its ids.

Two layouts are read: one project in a folder (``evalstudio.config.json`` and ``data/*.json``), and a workspace of
several (``projects/ID/data/*.json``). API keys are not imported. ``notes`` say what is not as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from sqlalchemy import Connection, Table, insert, select

from duologue.config.files import read_file
from duologue.config.json_text import NoJsonError, json_value
from duologue.context import random_uuid
from duologue.errors import ConfigurationError, StoreConflictError
from duologue.frozen import frozen
from duologue.runs.evals import Compiled, Definition, compiled
from duologue.runs.evalstudio_records import (
    ImportedRun,
    connector_from,
    eval_from,
    persona_from,
    run_from,
    scenario_from,
    settings_from,
)
from duologue.runs.foreign_records import Record, text_in
from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database.definition_rows import (
    connector_data,
    find_project,
    link,
    scenario_data,
    unnamed,
)
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import (
    connectors,
    eval_scenarios,
    evals,
    executions,
    personas,
    projects,
    results,
    runs,
    scenario_personas,
    scenarios,
    snapshots,
)
from duologue.runs.store.database.wakeup import QUEUED
from duologue.runs.store.definitions import Connector, Eval, Project, SavedPersona, SavedScenario, in_words
from duologue.runs.store.encoding import encoded
from duologue.runs.store.records import Snapshot
from duologue.specs.suite import Suite
from duologue.suites.plan.build import TestCase

CONFIG = "evalstudio.config.json"
_DATA = ("personas", "scenarios", "connectors", "evals", "runs", "executions", "llm-providers")
_ID = re.compile(r"[\w-]+")
_LARGEST = 512 * 1024 * 1024
_GONE = "what this run was made from was deleted before it was imported; create a new run"
_MANY = 500

T = TypeVar("T")


@frozen
class ImportedProject:
    """What was imported of a project.

    Attributes:
        project: that it is now.
        personas, scenarios, connectors, evals, executions, runs: how many there were of each.
        execution_ids: under which ids the executions are now.
        notes: what is not as it was, a sentence each.
    """

    project: Project
    personas: int = 0
    scenarios: int = 0
    connectors: int = 0
    evals: int = 0
    executions: int = 0
    runs: int = 0
    execution_ids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def is_evalstudio(folder: Path) -> bool:
    """Whether a folder is a project or workspace of EvalStudio."""
    return (folder / CONFIG).is_file()


async def import_evalstudio(database: Database, folder: Path, *, project: str | None = None) -> list[ImportedProject]:
    """Import a project or a workspace of EvalStudio, all of it or nothing.

    Args:
        database: that it is imported into.
        folder: with ``evalstudio.config.json``.
        project: the name of the project that it becomes, for a folder with one project, or which one of a workspace is
            imported. None for all of them, under their names.

    Returns:
        What was imported, project by project.

    Raises:
        ConfigurationError: the folder is none of EvalStudio's, or a file of it cannot be read.
        StoreConflictError: a project has the name already, or something was imported before.
    """
    found = list(_sources(folder, project))
    read = [_Reading(source) for source in found]
    for item in read:
        item.read()

    def work(connection: Connection) -> list[ImportedProject]:
        database.wakeup.notify(connection, QUEUED)
        now = database.now(connection)
        return [item.write(connection, now) for item in read]

    imported = await database.write(work)
    database.wakeup.signal(QUEUED)
    return imported


@frozen
class _Source:
    name: str
    config: Record
    data: Mapping[str, Sequence[Record]]


def _sources(folder: Path, project: str | None) -> Iterator[_Source]:
    if not is_evalstudio(folder):
        raise ConfigurationError(f"{folder} is no project of EvalStudio: it has no {CONFIG}")
    config = _json(folder / CONFIG)
    if not isinstance(config, dict):
        raise ConfigurationError(f"{folder / CONFIG}: expected a JSON object")
    whole = cast("dict[str, Any]", config)
    entries = whole.get("projects")
    if not isinstance(entries, list):
        name = project or text_in(whole, "name") or folder.resolve().name
        yield _Source(name=name, config=whole, data=_data(folder / "data"))
        return
    every = [cast("Record", item) for item in cast("list[Any]", entries) if isinstance(item, dict)]
    chosen = [item for item in every if project is None or project in {item.get("name"), item.get("id")}]
    if not chosen and project is not None:
        known = ", ".join(str(item.get("name")) for item in every)
        raise ConfigurationError(f"{folder} has no project '{project}'; it has: {known}")
    inherited = {name: whole[name] for name in ("llmSettings", "maxConcurrency") if name in whole}
    seen: Counter[str] = Counter()
    for entry in chosen:
        id_ = text_in(entry, "id") or ""
        if _ID.fullmatch(id_) is None:
            raise ConfigurationError(f"{folder / CONFIG}: a project has the id {id_!r}, which is no name of a folder")
        given = {name: value for name, value in entry.items() if value is not None}
        name = text_in(entry, "name") or id_
        seen[name] += 1
        yield _Source(
            name=name if seen[name] == 1 else f"{name} ({id_})",
            config={**inherited, **given},
            data=_data(folder / "projects" / id_ / "data"),
        )


def _data(folder: Path) -> dict[str, list[Record]]:
    return {name: _records(folder / f"{name}.json") for name in _DATA}


def _records(path: Path) -> list[Record]:
    if not path.is_file():
        return []
    found = _json(path)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in cast("list[Any]", found)):
        raise ConfigurationError(f"{path}: expected a list of objects")
    return cast("list[Record]", found)


def _json(path: Path) -> object:
    try:
        return json_value(read_file(path, _LARGEST).decode("utf-8-sig"))
    except (NoJsonError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is not JSON: {error}. It may have been cut off while it was written"
        ) from error


@dataclass(kw_only=True)
class _Found:
    """What a project has, by id."""

    personas: dict[str, SavedPersona] = field(default_factory=dict[str, SavedPersona])
    scenarios: dict[str, SavedScenario] = field(default_factory=dict[str, SavedScenario])
    connectors: dict[str, Connector] = field(default_factory=dict[str, Connector])
    evals: dict[str, Eval] = field(default_factory=dict[str, Eval])


class _Reading:
    """Reads one project, and writes it."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._notes: list[str] = []
        self._found = _Found()
        self._compiled: dict[tuple[str, ...], Compiled | None] = {}
        self._runs: list[ImportedRun] = []
        self._project = Project(id="", name=source.name, settings=settings_from({}, (), []))

    def read(self) -> None:
        """Read and check everything."""
        source, found = self._source, self._found
        id_ = text_in(source.config, "id") or random_uuid()
        limit = source.config.get("maxConcurrency")
        self._project = Project(
            id=id_,
            name=source.name,
            settings=settings_from(source.config, source.data["llm-providers"], self._notes),
            max_concurrency=limit if isinstance(limit, int) and limit > 0 else None,
        )
        notes = self._notes
        self._add("persona", found.personas, partial(persona_from, project_id=id_, notes=notes))
        make_scenario = partial(scenario_from, project_id=id_, personas=found.personas, notes=notes)
        self._add("scenario", found.scenarios, make_scenario)
        self._add("connector", found.connectors, partial(connector_from, project_id=id_))
        make_eval = partial(
            eval_from, project_id=id_, scenarios=found.scenarios, connectors=found.connectors, notes=notes
        )
        self._add("eval", found.evals, make_eval)
        ordered = sorted(self._source.data["runs"], key=lambda record: str(record.get("createdAt", "")))
        read = {run.id: run for run in (run_from(record, self._notes) for record in ordered)}
        if len(read) < len(ordered):
            self._notes.append(
                f"{len(ordered) - len(read)} runs have the id of another, of which the newest was imported"
            )
        self._runs = list(read.values())

    def _named(self, one: str) -> list[Record]:
        """The records, each with an id and a name of its own."""
        seen: Counter[str] = Counter()
        made: list[Record] = []
        for record in self._source.data[f"{one}s"]:
            id_ = text_in(record, "id") or random_uuid()
            name = text_in(record, "name") or f"{one} {id_[:8]}"
            seen[name] += 1
            if seen[name] > 1:
                self._notes.append(f"{one} '{name}': the name was used twice, so this one is '{name} ({seen[name]})'")
                name = f"{name} ({seen[name]})"
            made.append({**record, "id": id_, "name": name[:200]})
        return made

    def _add(self, what: str, found: dict[str, T], make: Callable[[Record], T]) -> None:
        for record in self._named(what):
            try:
                found[str(record["id"])] = make(record)
            except ValidationError as error:
                self._notes.append(f"{what} '{record['name']}' was left out: {in_words(error)}")
            except ConfigurationError as error:
                self._notes.append(f"{what} '{record['name']}' was left out: {error}")

    def write(self, connection: Connection, now: float) -> ImportedProject:
        """Write what was read."""
        project, found = self._project, self._found
        if find_project(connection, project.name) is not None:
            raise StoreConflictError(
                f'Project with name "{project.name}" already exists: nothing was imported. Import the project under '
                f"another name (--project NAME; one of a workspace gets its name in {CONFIG})"
            )
        tables = ((personas, found.personas), (scenarios, found.scenarios), (connectors, found.connectors))
        for table, items in (*tables, (evals, found.evals), (runs, {run.id: run for run in self._runs})):
            _require_new(connection, table, items)
        _require_new(connection, projects, {project.id: project})
        times = {"created_at": now, "updated_at": now}
        connection.execute(
            insert(projects).values(
                id=project.id,
                name=project.name,
                settings=project.settings.written(),
                max_concurrency=project.max_concurrency,
                **times,
            )
        )
        self._definitions(connection, now)
        ids = self._executions_and_runs(connection, now)
        return ImportedProject(
            project=project,
            personas=len(found.personas),
            scenarios=len(found.scenarios),
            connectors=len(found.connectors),
            evals=len(found.evals),
            executions=len(ids),
            runs=len(self._runs),
            execution_ids=ids,
            notes=tuple(self._notes),
        )

    def _definitions(self, connection: Connection, now: float) -> None:
        found = self._found

        def put(table: Table, item: Any, data: Mapping[str, Any], **more: Any) -> None:
            row = {"id": item.id, "project_id": self._project.id, "name": item.name, "data": dict(data), **more}
            times = {"created_at": item.created_at or now, "updated_at": item.updated_at or now}
            connection.execute(insert(table).values(**row, **times))

        for persona in found.personas.values():
            put(personas, persona, unnamed(persona.spec.written()))
        for scenario in found.scenarios.values():
            put(scenarios, scenario, scenario_data(scenario.spec))
            link(connection, scenario_personas, ("scenario_id", scenario.id), ("persona_id", scenario.persona_ids))
        for connector in found.connectors.values():
            put(connectors, connector, connector_data(connector))
        for item in found.evals.values():
            put(evals, item, item.spec.written(), connector_id=item.connector_id)
            link(connection, eval_scenarios, ("eval_id", item.id), ("scenario_id", item.scenario_ids))

    # Runs

    def _executions_and_runs(self, connection: Connection, now: float) -> tuple[int, ...]:
        given = {run.execution: run.eval_id for run in self._runs if run.execution is not None}
        told = {record.get("id"): record for record in self._source.data["executions"]}
        ids: dict[int, int] = {}
        for number in sorted(set(given) | {id_ for id_ in told if isinstance(id_, int)}):
            record = told.get(number, {})
            eval_id = text_in(record, "evalId") or given.get(number)
            at = run_from(record, []).created_at if record else None
            values = {
                "project_id": self._project.id,
                "name": f"evalstudio-{number}",
                "eval_id": eval_id if eval_id in self._found.evals else None,
                "data": {"evalstudio_id": number},
                "created_at": at or now,
            }
            ids[number] = connection.execute(insert(executions).values(values).returning(executions.c.id)).scalar_one()
        trials: Counter[tuple[int | None, str]] = Counter()
        rows: list[dict[str, Any]] = []
        kept: set[str] = set()
        for run in self._runs:
            snapshot, case = self._made_from(run)
            if snapshot.digest not in kept:
                kept.add(snapshot.digest)
                _keep(connection, snapshot, now)
            execution = ids.get(run.execution) if run.execution is not None else None
            trials[execution, case.group] += 1
            trial = trials[execution, case.group] if execution is not None else 1
            rows.append(run.row(self._project.id, execution, snapshot.digest, case, trial, now))
        _require_new(connection, runs, {run.id: run for run in self._runs})
        for first in range(0, len(rows), _MANY):
            connection.execute(insert(runs), rows[first : first + _MANY])
        self._results(connection)
        return tuple(ids.values())

    def _results(self, connection: Connection) -> None:
        with_messages = {run.id: run for run in self._runs if run.messages}
        ids = list(with_messages)
        for first in range(0, len(ids), _MANY):
            part = ids[first : first + _MANY]
            numbers = connection.execute(select(runs.c.id, runs.c.number).where(runs.c.id.in_(part))).all()
            rows = [
                {"run": number, "messages": encoded(list(with_messages[id_].messages)), "data": b""}
                for id_, number in numbers
            ]
            connection.execute(insert(results), rows)

    def _made_from(self, run: ImportedRun) -> tuple[Snapshot, TestCase]:
        """What a run was made from, as far as it is there; EvalStudio does not keep it with the run."""
        made = self._compiled_for(run)
        if made is not None:
            for item in made.runs:
                if (item.scenario_id, item.persona_id) == (run.scenario_id, run.persona_id):
                    return made.snapshot, item.case
        scenario = self._found.scenarios.get(run.scenario_id or "")
        persona = self._found.personas.get(run.persona_id or "")
        name = scenario.name if scenario else run.scenario_id or "deleted"
        snapshot = take_snapshot(Suite(name=self._project.name), refused={name: _GONE})
        return snapshot, TestCase(index=0, scenario=name, persona=persona.name if persona else None)

    def _compiled_for(self, run: ImportedRun) -> Compiled | None:
        found = self._found
        eval_ = found.evals.get(run.eval_id or "")
        if eval_ is not None:
            key: tuple[str, ...] = (eval_.id,)
            chosen = [found.scenarios[id_] for id_ in eval_.scenario_ids]
            people = [[found.personas[id_] for id_ in item.persona_ids] for item in chosen]
            connector, more = found.connectors.get(eval_.connector_id or ""), eval_.spec.input
        else:
            key = (run.connector_id or "", run.scenario_id or "", run.persona_id or "")
            scenario, connector = found.scenarios.get(key[1]), found.connectors.get(key[0])
            persona, more = found.personas.get(key[2]), ()
            chosen = [scenario] if scenario else []
            people = [[persona] if persona else []]
        if connector is None or not chosen:
            return None
        if key not in self._compiled:
            definition = Definition(
                name=eval_.name if eval_ else f"playground: {chosen[0].name}"[:200],
                project=self._project,
                scenarios=list(zip(chosen, people, strict=True)),
                connector=connector,
                input=more,
            )
            try:
                self._compiled[key] = compiled(definition)
            except ConfigurationError as error:
                self._notes.append(f"runs of '{definition.name}' cannot be repeated as they are: {error}")
                self._compiled[key] = None
        return self._compiled[key]


def _require_new(connection: Connection, table: Table, items: Mapping[str, Any]) -> None:
    ids = list(items)
    for first in range(0, len(ids), _MANY):
        asked = select(table.c.id).where(table.c.id.in_(ids[first : first + _MANY]))
        taken = connection.execute(asked).scalars().first()
        if taken is not None:
            what = table.name.removesuffix("s")
            raise StoreConflictError(f"the {what} {taken} is in the store already: it was imported before")


def _keep(connection: Connection, snapshot: Snapshot, now: float) -> None:
    asked = select(snapshots.c.digest).where(snapshots.c.digest == snapshot.digest)
    if connection.execute(asked).first() is None:
        values = {"digest": snapshot.digest, "data": snapshot.data, "created_at": now}
        connection.execute(insert(snapshots).values(values))
