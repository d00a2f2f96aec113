"""A results folder into the database: an execution with its runs, results, journals and media.

What ``duologue run`` wrote comes in as it is: a run and its result, the lines of its journal, and the bytes that it
names. Files that rows cannot hold (the launch, results and journals that others have replaced, what is damaged) become
artifacts of the execution, so that :mod:`duologue.runs.store.database.results_export` writes the same folder again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json
from sqlalchemy import Connection, Delete, Table, delete, insert, select, update

from duologue.config.patterns import late
from duologue.errors import ConfigurationError, JournalError, StoreConflictError
from duologue.frozen import frozen
from duologue.journal.artifacts import CHUNK, JOURNALS, MEDIA, UNKNOWN_TYPE, Artifact, ArtifactStore
from duologue.journal.jsonl import read_journal
from duologue.runs.outcome import finished_run
from duologue.runs.snapshots import take_snapshot
from duologue.runs.store.database.artifacts import FILES
from duologue.runs.store.database.changes import RunEnd
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import attempt_of_line, lines_of_file, media_of_line
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.database.schema import (
    artifacts,
    checks,
    events,
    executions,
    projects,
    results,
    runs,
    snapshots,
)
from duologue.runs.store.database.writer import end_rows
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS, decoded_case, decoded_run, encoded
from duologue.runs.store.folder import is_being_written
from duologue.runs.store.from_journals import case_of_suite, cut_off
from duologue.runs.store.records import FinishedRun, Snapshot, StoredExecution
from duologue.specs.suite import Suite
from duologue.suites.plan.build import TestCase
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import RunResult

IMPORTING = "importing"
"""The field of an execution's data that says that its import has not come to its end."""
_BATCH = 50
_BATCH_BYTES = 8 * 1024 * 1024
"""Of runs that are written in one transaction."""
_OURS = {
    RUNS: late(r"[^/\\\0]+\.json(\.[a-z0-9-]+)*"),
    JOURNALS: late(r"[^/\\\0]+\.jsonl(\.[a-z0-9-]+)*"),
    MEDIA: late(r"[0-9a-f]{24,64}\.[a-z0-9]{1,8}"),
}
_DIGEST = late(r"(?P<sha256>[0-9a-f]{64})\.[a-z0-9]{1,8}")
_FACTS = ("started_at", "seconds", "interrupted", "allowance", "thresholds", "metrics_threshold", "environment")
"""What index and launch say of an execution that its row has as well."""
_CHECK = ("number", "name", "kind", "status", "score", "explanation")
_NOT_HERE = "only the results of suite '{}' were imported, and not the suite itself: run it again where it is"


@frozen
class ImportedResults:
    """What was imported.

    Attributes:
        execution: that it is now.
        runs: how many runs it has.
        unfinished: how many of them have a journal and no result.
        problems: what was damaged, a sentence each. It is kept, and comes out again as it was.
    """

    execution: StoredExecution
    runs: int
    unfinished: int
    problems: Sequence[str]


async def import_results(database: Database, store: ArtifactStore, folder: Path, project_id: str) -> ImportedResults:
    """Take in what ``duologue run`` has written, whether it came to its end or not.

    Args:
        database: that it goes to.
        store: of its artifacts.
        folder: of results. It stays as it is.
        project_id: whose execution it becomes.

    Raises:
        ConfigurationError: the folder holds no results, or they are still being written.
        StoreConflictError: the project has this execution already, or there is no such project.
        StoreError, ArtifactError: it could not be written; nothing of it is left.
    """
    source = _Source(folder)
    snapshot = _snapshot(source)
    execution = await database.write(
        lambda connection: _begin(connection, source, project_id, database.now(connection))
    )
    counted = unfinished = 0
    try:
        await database.write(lambda connection: _keep_snapshot(connection, snapshot, database.now(connection)))
        for found in source.batches():
            batch = [await source.keep_media(run, store) for run in found]
            await database.write(
                lambda connection, batch=batch: _insert(
                    connection, batch, execution, snapshot.digest, database.now(connection)
                )
            )
            counted += len(batch)
            unfinished += sum(run.data is None for run in batch)
        data = {**execution.data, FILES: await source.keep_others(store)}
        del data[IMPORTING]
        asked = update(executions).where(executions.c.id == execution.id).values(data=data)
        await database.write(lambda connection: connection.execute(asked))
    except BaseException:
        await database.write(lambda connection: connection.execute(_deletion(execution.id)))
        raise
    return ImportedResults(
        execution=replace(execution, data=data), runs=counted, unfinished=unfinished, problems=source.problems
    )


@frozen
class _Run:
    """A run of a results folder.

    Attributes:
        data: the file of its result, as it is; None if it has none.
        result: what that says, or what its journal says.
        journals: rows of each attempt, in order; the last one is current.
        media: artifacts that it names, and that are there.
    """

    id: str
    case: TestCase
    data: bytes | None
    result: RunResult
    thread_id: str | None
    journals: Sequence[Sequence[tuple[int, bytes]]]
    media: Mapping[str, Artifact]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data or b"") + sum(len(line) for rows in self.journals for _, line in rows)


class _Source:
    """A results folder that is read.

    Attributes:
        problems: what was damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        launch, index = _object(folder / LAUNCH), _object(folder / INDEX)
        self.facts: dict[str, Any] = {**launch, **index}
        if not isinstance(self.facts.get("id"), str):
            raise ConfigurationError(
                f"{folder} holds no results: there is neither {LAUNCH} nor {INDEX} of an execution in it; expected a "
                "folder that 'duologue run' wrote"
            )
        if is_being_written(folder):
            raise ConfigurationError(f"{folder} is being written by another 'duologue run'; wait until it is over")
        self.id: str = self.facts["id"]
        self.cases = _cases((index or launch).get("plan"))
        self._cases = {case.run_id(self.id): case for case in self.cases}
        self._names = {part: _names(folder / part, pattern) for part, pattern in _OURS.items()}
        self._taken: set[str] = set()
        self._seen: set[tuple[str, int]] = set()

    def batches(self) -> Iterator[list[_Run]]:
        """The runs in plan order, some at a time."""
        ids = {Path(name).stem for name in self._names[RUNS] if name.endswith(".json")}
        ids |= {Path(name).stem for name in self._names[JOURNALS] if name.endswith(".jsonl")}
        last = len(self._cases)
        order = {run_id: place for place, run_id in enumerate(self._cases)}
        batch: list[_Run] = []
        size = 0
        for run_id in sorted(ids, key=lambda item: (order.get(item, last), item)):
            run = self._run(run_id)
            if run is None:
                continue
            batch.append(run)
            size += run.size
            if len(batch) == _BATCH or size > _BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def keep_media(self, run: _Run, store: ArtifactStore) -> _Run:
        """Copy the media of a run; returns it with those that are not damaged."""
        kept: dict[str, Artifact] = {}
        for digest, artifact in run.media.items():
            name = f"{MEDIA}/{artifact.name}"
            copy = artifact
            if name not in self._taken:
                copy = await _copy(self.folder / name, artifact.mime_type, store)
            if copy.sha256 == digest:
                kept[digest] = artifact
                self._taken.add(name)
        return replace(run, media=kept)

    async def keep_others(self, store: ArtifactStore) -> dict[str, Any]:
        """Copy all files that no row holds; what they are, by their place."""
        places = [name for name in (LAUNCH, INDEX) if _is_file(self.folder / name)]
        places += [f"{part}/{name}" for part, names in self._names.items() for name in names]
        found: dict[str, Any] = {}
        for place in places:
            if place not in self._taken:
                kept = await _copy(self.folder / place, UNKNOWN_TYPE, store)
                found[place] = {"sha256": kept.sha256, "size": kept.size, "mime_type": kept.mime_type}
        return found

    def _run(self, run_id: str) -> _Run | None:
        """A run; None if nothing of it can be read."""
        place, journal = f"{RUNS}/{run_id}.json", f"{JOURNALS}/{run_id}.jsonl"
        data = _content(self.folder / place)
        result = None if data is None else self._result(run_id, place, data)
        journals = self._journals(run_id)
        begun = result or (self._begun(run_id, journal) if journals else None)
        if begun is None or (key := (begun.case.identity, begun.case.trial)) in self._seen:
            return None
        self._seen.add(key)
        self._taken.update([place] if result else [])
        if journals:
            earlier = (f"{journal}.attempt-{number}" for number in range(1, len(journals)))
            self._taken.update([journal, *earlier])
        return _Run(
            id=run_id,
            case=begun.case,
            data=data if result else None,
            result=begun,
            thread_id=_thread(journals),
            journals=journals,
            media=self._media(begun, journals),
        )

    def _result(self, run_id: str, place: str, data: bytes) -> RunResult | None:
        try:
            result = decoded_run(from_json(data), place)
        except (ConfigurationError, ValueError) as error:
            self.problems.append(str(error))
            return None
        if result.run_id != run_id:
            self.problems.append(f"{place} is the result of another run, '{result.run_id}'")
            return None
        return result

    def _begun(self, run_id: str, journal: str) -> RunResult | None:
        """As much of a run without a result as its journal holds."""
        try:
            file = read_journal(self.folder / journal)
        except JournalError as error:
            self.problems.append(str(error))
            return None
        started = file.view.started
        assert started is not None
        case = self._cases.get(run_id) or case_of_suite(started)
        case = case or TestCase(index=0, scenario=started.scenario.name, trial=len(self._seen) + 1, seed=started.seed)
        return replace(cut_off(run_result(case, file.entries, file.view, journal=journal)), run_id=run_id)

    def _journals(self, run_id: str) -> list[list[tuple[int, bytes]]]:
        """The rows of each attempt; none if they could not come out as they are."""
        name = f"{run_id}.jsonl"
        if name not in self._names[JOURNALS]:
            return []
        attempts: list[list[tuple[int, bytes]]] = []
        while f"{name}.attempt-{len(attempts) + 1}" in self._names[JOURNALS]:
            rows = lines_of_file(_content(self.folder / JOURNALS / f"{name}.attempt-{len(attempts) + 1}"))
            if not rows or attempt_of_line(rows[0][1]) != len(attempts) + 1:
                break
            attempts.append(rows)
        rows = lines_of_file(_content(self.folder / JOURNALS / name))
        if not rows:
            self.problems.append(f"{JOURNALS}/{name} is damaged, and kept as a file")
            return []
        return [*attempts, rows] if attempt_of_line(rows[0][1]) == len(attempts) + 1 else [rows]

    def _media(self, result: RunResult, journals: Sequence[Sequence[tuple[int, bytes]]]) -> dict[str, Artifact]:
        named = [artifact for rows in journals for _, line in rows for artifact in media_of_line(line)]
        for item in result.media:
            match = _DIGEST.fullmatch((item.path or "").removeprefix(f"{MEDIA}/"))
            if match:
                named.append(Artifact(sha256=match["sha256"], size=item.size_bytes, mime_type=item.mime_type))
        found: dict[str, Artifact] = {}
        for artifact in named:
            if artifact.sha256 in found:
                continue
            if artifact.name in self._names[MEDIA]:
                size = (self.folder / MEDIA / artifact.name).stat().st_size
                found[artifact.sha256] = replace(artifact, size=size)
        return found


def _object(path: Path) -> dict[str, Any]:
    """The object that a file holds; an empty one if it holds none, or is damaged."""
    data = _content(path)
    try:
        found: object = {} if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _content(path: Path) -> bytes | None:
    """The bytes of an ordinary file; None if there is none."""
    if not _is_file(path):
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _names(folder: Path, pattern: re.Pattern[str]) -> list[str]:
    """Files of a folder that an execution writes, by name. Links are followed nowhere."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(item.name for item in folder.iterdir() if pattern.fullmatch(item.name) and _is_file(item))


def _cases(plan: object) -> list[TestCase]:
    try:
        return [decoded_case(case) for case in cast("dict[str, Any]", plan)["cases"]]
    except (LookupError, TypeError, ValueError, AttributeError):
        return []


def _thread(journals: Sequence[Sequence[tuple[int, bytes]]]) -> str | None:
    """The id under which the agent knew the conversation."""
    if not journals:
        return None
    raw: dict[str, Any] = json.loads(journals[-1][0][1])
    found: object = (raw["events"][0] if "events" in raw else raw).get("thread_id")
    return found if isinstance(found, str) else None


async def _copy(path: Path, mime_type: str, store: ArtifactStore) -> Artifact:
    """Keep the bytes of a file."""
    try:
        async with store.writer(mime_type=mime_type) as writer:
            with path.open("rb") as file:
                while piece := file.read(CHUNK):
                    await writer.write(piece)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    return writer.artifact


def _text(data: Mapping[str, Any], name: str, otherwise: str) -> str:
    found = data.get(name)
    return found if isinstance(found, str) else otherwise


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None


def _begin(connection: Connection, source: _Source, project_id: str, now: float) -> StoredExecution:
    """The row of the execution; what is left of an import that was cut off goes."""
    if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
        raise StoreConflictError(f"there is no project '{project_id}'")
    found = connection.execute(
        select(executions.c.id, executions.c.data).where(
            executions.c.project_id == project_id, executions.c.name == source.id
        )
    ).first()
    if found is not None and IMPORTING not in found.data:
        raise StoreConflictError(
            f"the project has the execution {source.id} already, as number {found.id}: nothing was imported"
        )
    if found is not None:
        connection.execute(_deletion(found.id))
    facts = source.facts
    plan: object = facts.get("plan")
    data: dict[str, Any] = {
        "suite": facts.get("suite"),
        "path": facts.get("path"),
        "seed": cast("dict[str, Any]", plan).get("seed") if isinstance(plan, dict) else None,
        **{name: facts[name] for name in _FACTS if facts.get(name) is not None},
        "imported_from": str(source.folder.absolute()),
        IMPORTING: True,
    }
    created = _seconds(facts.get("started_at")) or now
    values = {"project_id": project_id, "name": source.id, "data": data, "created_at": created}
    number = connection.execute(insert(executions).values(values).returning(executions.c.id)).scalar_one()
    return StoredExecution(id=number, project_id=project_id, name=source.id, data=data, created_at=created)


def _deletion(execution_id: int) -> Delete:
    return delete(executions).where(executions.c.id == execution_id)


def _snapshot(source: _Source) -> Snapshot:
    """What stands for the suite, which is not in a results folder: its runs can be read, and not run again."""
    name = _text(source.facts, "suite", "") or "imported"
    refused = {case.scenario: _NOT_HERE.format(name) for case in source.cases}
    return take_snapshot(Suite(name=name), refused=refused)


def _keep_snapshot(connection: Connection, snapshot: Snapshot, now: float) -> None:
    asked = select(snapshots.c.digest).where(snapshots.c.digest == snapshot.digest)
    if connection.execute(asked).first() is None:
        values = {"digest": snapshot.digest, "data": snapshot.data, "created_at": now}
        connection.execute(insert(snapshots).values(values))


def _insert(
    connection: Connection, batch: Sequence[_Run], execution: StoredExecution, snapshot: str, now: float
) -> None:
    """The rows of some runs."""
    ids = [run.id for run in batch]
    taken = connection.execute(select(runs.c.id).where(runs.c.id.in_(ids))).scalars().first()
    if taken is not None:
        raise StoreConflictError(f"the database has the run {taken} already, in another execution")
    finished = [finished_run(run.result) for run in batch]
    ends = [end_rows(item) for item in finished]
    rows = [_row(*given, execution, snapshot, now) for given in zip(batch, finished, ends, strict=True)]
    asked = insert(runs).returning(runs.c.number, sort_by_parameter_order=True)
    numbers = connection.execute(asked, rows).scalars().all()
    parts: dict[Table, list[dict[str, Any]]] = {events: [], results: [], checks: [], artifacts: []}
    for number, run, end in zip(numbers, batch, ends, strict=True):
        for attempt, journal in enumerate(run.journals, 1):
            parts[events] += [{"run": number, "attempt": attempt, "seq": seq, "line": line} for seq, line in journal]
        if run.data is not None:
            parts[results].append({"run": number, "messages": end.messages, "data": run.data})
            parts[checks] += [{"run": number, **dict(zip(_CHECK, check, strict=True))} for check in end.checks]
        parts[artifacts] += [
            {"run": number, "sha256": item.sha256, "mime_type": item.mime_type, "size": item.size}
            for item in run.media.values()
        ]
    for table, values in parts.items():
        if values:
            connection.execute(insert(table), values)


def _row(
    run: _Run, finished: FinishedRun, end: RunEnd, execution: StoredExecution, snapshot: str, now: float
) -> dict[str, Any]:
    began = None if run.result.started_at is None else run.result.started_at.timestamp()
    return {
        "id": run.id,
        "project_id": execution.project_id,
        "execution_id": execution.id,
        "snapshot": snapshot,
        "identity": run.case.identity,
        "trial": run.case.trial,
        "test_case": encoded(run.case.as_data()),
        "thread_id": to_text(run.thread_id),
        "status": end.status.value,
        "attempts": 1,
        "token": 1,
        "outcome": end.outcome,
        "score": end.score,
        "reason": end.reason,
        "error": end.error,
        "output": finished.output,
        "details": finished.details,
        "cost": end.cost,
        "tokens": end.tokens,
        "started_at": began,
        "completed_at": None if began is None else began + run.result.seconds,
        "created_at": began or execution.created_at,
        "updated_at": now,
    }
