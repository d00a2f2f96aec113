"""SQLite on the path of each run: one connection of the ``sqlite3`` module, used by the store's thread alone.

The file has a write-ahead log, so that readers and the writer do not wait for each other. ``synchronous`` is FULL where
a run ends, which a power failure must not undo, and NORMAL for everything else: what a running run has written last may
be lost by a power failure, which ends the run as well, and never by the death of a process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from duologue.context import Clock
from duologue.runs.store.database.changes import (
    BatchResult,
    Change,
    Claim,
    Claimed,
    Held,
    Pulse,
    claimed_run,
    end_values,
    recorded,
)
from duologue.runs.store.database.clocks import boot, since_boot
from duologue.runs.store.database.fairness import (
    Allotment,
    Bucket,
    Candidate,
    Group,
    bucket_of,
    drawn,
    must_count,
    seconds_to_refill,
    sooner,
)
from duologue.runs.store.database.sqlite_file import DatabaseFile
from duologue.runs.store.records import ClaimedRun, WorkerRecord

BUSY = 0.25
"""Seconds that a statement waits for other processes before the thread looks at its other work and tries again."""
STEPS = 4_000
"""Of SQLite's machine, after which it is asked whether a statement has taken too long: some 50 microseconds."""

# Which index is named: statistics of a time when there were few runs would make SQLite read all of them.
_FIRST_GROUP = (
    "SELECT project_id, provider FROM runs INDEXED BY ix_runs_queue WHERE status = 'queued' AND not_before IS NULL "
    "ORDER BY project_id, provider LIMIT 1"
)
_NEXT_GROUP = (  # in two steps, each of which SQLite finds without passing the rows of the group before
    "SELECT * FROM (SELECT project_id, provider FROM runs INDEXED BY ix_runs_queue WHERE status = 'queued' "
    "AND not_before IS NULL AND project_id = ?1 AND provider > ?2 ORDER BY provider LIMIT 1) UNION ALL "
    "SELECT * FROM (SELECT project_id, provider FROM runs INDEXED BY ix_runs_queue WHERE status = 'queued' "
    "AND not_before IS NULL AND project_id > ?1 ORDER BY project_id, provider LIMIT 1) LIMIT 1"
)
_DUE = "UPDATE runs SET not_before = NULL WHERE status = 'queued' AND not_before IS NOT NULL AND not_before <= ?"
_NEXT_DUE = (
    "SELECT min(not_before) FROM runs INDEXED BY ix_runs_later WHERE status = 'queued' AND not_before IS NOT NULL"
)
_CANDIDATES = (
    "SELECT number, project_id, provider, priority FROM runs INDEXED BY ix_runs_queue WHERE status = 'queued' "
    "AND not_before IS NULL AND project_id = ?1 AND provider = ?2 "
    "AND (?4 IS NULL OR ?4 = (attempts > 0 AND attempts + 1 >= max_attempts)) ORDER BY priority DESC, number LIMIT ?3"
)
_TAKE = (
    "UPDATE runs SET status = 'running', owner = ?, token = token + 1, attempts = attempts + 1, started_at = ?, "
    "updated_at = ? WHERE number = ?"
)
_TAKEN = (
    "SELECT r.id, r.number, r.token, r.attempts, r.project_id, r.execution_id, e.name, r.snapshot, r.test_case, "
    "r.thread_id, r.journal_from FROM runs r LEFT JOIN executions e ON e.id = r.execution_id WHERE r.number = ?"
)
_TOPICS = (
    "SELECT EXISTS (SELECT 1 FROM runs INDEXED BY ix_runs_queue WHERE status = 'queued' AND not_before IS NULL), "
    "EXISTS (SELECT 1 FROM runs INDEXED BY ix_runs_cancelling WHERE status = 'running' AND cancelling)"
)
_WORKER = (
    "INSERT INTO workers (id, host, pid, version, capacity, active, state, started_at, last_seen, lease_until, boot) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET capacity = excluded.capacity, "
    "active = excluded.active, state = excluded.state, last_seen = excluded.last_seen, "
    "lease_until = excluded.lease_until, boot = excluded.boot"
)
_OWNED = "SELECT number, token, status FROM runs WHERE number IN (SELECT value FROM json_each(?))"
_HELD = "SELECT id, number, token, cancelling FROM runs INDEXED BY ix_runs_owner WHERE owner = ? AND status = 'running'"
_EVENTS = "INSERT INTO events (run, attempt, seq, line) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_RESULTS = "INSERT OR REPLACE INTO results (run, messages, data) VALUES (?, ?, ?)"
_END = (
    "UPDATE runs SET status = ?, outcome = ?, score = ?, reason = ?, error = ?, output = ?, details = ?, cost = ?, "
    "tokens = ?, completed_at = ?, updated_at = ?, owner = NULL, cancelling = 0 WHERE number = ?"
)
_BACK = (  # a run that was cancelled meanwhile is over: nobody else would stop it before its agent is asked again
    "UPDATE runs SET owner = NULL, token = token + 1, attempts = attempts - 1, "
    "status = CASE WHEN cancelling THEN 'cancelled' ELSE 'queued' END, "
    "outcome = CASE WHEN cancelling THEN 'cancelled' END, completed_at = CASE WHEN cancelling THEN ?2 END, "
    "started_at = CASE WHEN cancelling THEN started_at END, not_before = CASE WHEN cancelling THEN NULL ELSE ?1 END, "
    "cancelling = 0, updated_at = ?2 WHERE number = ?3"
)


def configure(run: Callable[[str], object]) -> None:
    """The settings of a connection. ``run`` executes one statement."""
    run(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")
    run("PRAGMA foreign_keys = ON")
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = NORMAL")
    run("PRAGMA journal_size_limit = 67108864")  # bytes that the log keeps once it was longer


class SqliteDriver:
    """One connection for everything on the path of runs.

    Args:
        file: that it is.
        clock: for instants that people see.
        writing: held by whoever in this process writes, so that nobody polls for what a neighbour holds.
        timeout: seconds that a transaction may take.
    """

    def __init__(self, file: DatabaseFile, clock: Clock, writing: asyncio.Lock, timeout: float) -> None:
        self._file, self._clock, self._writing, self._timeout = file, clock, writing, timeout
        self._opened: sqlite3.Connection | None = None
        self._durable: bool = False
        self._deadline = 0.0

    async def write(self, changes: Sequence[Change], pulses: Sequence[Pulse], *, again: bool) -> BatchResult:
        """See :class:`StoreDriver`."""
        ends = any(change.end is not None for change in changes)
        async with self._writing:
            with self._transaction(durable=ends) as connection:
                return self._write(connection, changes, pulses, again=again)

    async def claim(self, claim: Claim) -> Claimed:
        """See :class:`StoreDriver`."""
        async with self._writing:
            with self._transaction(durable=False) as connection:
                return self._claim(connection, claim)

    async def close(self) -> None:
        """See :class:`StoreDriver`."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def data_version(self) -> int:
        """Changes whenever another connection has committed something."""
        return self._connection().execute("PRAGMA data_version").fetchone()[0]

    def topics(self) -> list[str]:
        """What somebody may wait for: runs in the queue, and runs that are to be stopped."""
        asked = self._connection().execute(_TOPICS).fetchone()
        return [topic for topic, found in zip(("queued", "cancelled"), asked, strict=True) if found]

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = connection = sqlite3.connect(
                self._file.path, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            configure(connection.execute)
            connection.set_progress_handler(self._overdue, STEPS)
            self._durable = False
        return self._opened

    def _overdue(self) -> bool:
        """Asked by SQLite in the middle of long statements; True ends them."""
        return self._deadline > 0 and since_boot() > self._deadline

    @contextmanager
    def _transaction(self, *, durable: bool) -> Generator[sqlite3.Connection]:
        connection = self._connection()
        self._file.check()
        if durable != self._durable:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._deadline = since_boot() + self._timeout
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._deadline = 0.0
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            self._deadline = 0.0

    def _write(
        self, connection: sqlite3.Connection, changes: Sequence[Change], pulses: Sequence[Pulse], *, again: bool
    ) -> BatchResult:
        written, now = BatchResult(), self._clock.now()
        good: list[Change] = []
        owned = {change.number: (-1, "") for change in changes}
        for number, token, status in connection.execute(_OWNED, (str(list(owned)),)):
            owned[number] = token, status
        for place, change in enumerate(changes):
            token, status = owned[change.number]
            if token == change.token and status == "running":
                good.append(change)
                if change.end is not None or change.back:  # what comes after it in this batch is too late
                    owned[change.number] = (token, "" if change.end is None else change.end.status)
            elif not (again and recorded(change, token, status)):
                written.lost.add(place)
        self._write_good(connection, good, now)
        for pulse in pulses:
            self._touch(connection, pulse.worker, pulse.lease, now)
            written.held.append(self._held(connection, pulse.worker.id))
        return written

    def _write_good(self, connection: sqlite3.Connection, changes: Sequence[Change], now: float) -> None:
        cuts = [(change.number, *change.cut) for change in changes if change.cut is not None]
        if cuts:
            connection.executemany("DELETE FROM events WHERE run = ? AND attempt = ? AND seq >= ?", cuts)
        events = [(change.number, *event) for change in changes for event in change.events]
        if events:
            connection.executemany(_EVENTS, events)
        artifacts = [
            (change.number, item.sha256, item.mime_type, item.size) for change in changes for item in change.artifacts
        ]
        if artifacts:
            connection.executemany(
                "INSERT INTO artifacts (run, sha256, mime_type, size) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                artifacts,
            )
        ends = [(change.number, change.end) for change in changes if change.end is not None]
        if ends:
            connection.executemany(_END, [(*end_values(end), now, now, number) for number, end in ends])
            connection.executemany(
                _RESULTS,
                [(number, end.messages, end.data) for number, end in ends if end.data is not None],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO checks (run, number, name, kind, status, score, explanation) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(number, *check) for number, end in ends for check in end.checks],
            )
        back = [(change.not_before, now, change.number) for change in changes if change.back]
        if back:
            connection.executemany(_BACK, back)

    def _touch(self, connection: sqlite3.Connection, worker: WorkerRecord, lease: float, now: float) -> None:
        told = (worker.id, worker.host, worker.pid, worker.version, worker.capacity, worker.active, worker.state)
        connection.execute(_WORKER, (*told, now, now, since_boot() + lease, boot()))

    def _held(self, connection: sqlite3.Connection, worker: str) -> list[Held]:
        rows = connection.execute(_HELD, (worker,))
        return [Held(run_id, number, token, bool(cancelling)) for run_id, number, token, cancelling in rows]

    def _claim(self, connection: sqlite3.Connection, claim: Claim) -> Claimed:
        now, ticks = self._clock.now(), since_boot()
        claimed = Claimed()
        slots = claim.slots
        if claim.known is not None:
            missed = [item.number for item in self._held(connection, claim.worker.id) if item.number not in claim.known]
            claimed.runs += self._taken(connection, missed)
            slots -= len(missed)
        due = self._next_due(connection)
        if due is not None and due <= now:
            connection.execute(_DUE, (now,))
            due = self._next_due(connection)
        groups = [group for group in self._groups(connection) if claim.wants(group)]
        claimed.waiting = bool(groups)
        if groups and slots > 0:
            limits, buckets = self._limits(connection, groups, ticks)
            allotment = Allotment(
                slots, groups, self._running(connection, groups, limits, buckets), limits, buckets, ticks
            )
            while wanted := allotment.wanted():
                found = [
                    Candidate(number=number, project=project, provider=provider, priority=priority)
                    for group, count in wanted.items()
                    for number, project, provider, priority in connection.execute(
                        _CANDIDATES, (*group, count, claim.last)
                    )
                ]
                chosen = [item.number for item in allotment.choose(found, wanted)]
                if not chosen:
                    break
                connection.executemany(_TAKE, [(claim.worker.id, now, now, number) for number in chosen])
                claimed.runs += self._taken(connection, chosen)
            self._draw(connection, buckets, allotment, ticks)
            claimed.wait = seconds_to_refill(groups, buckets, allotment, ticks)
        claimed.wait = sooner(claimed.wait, None if due is None else max(0.0, due - now))
        if claimed.runs:  # otherwise nothing is written, so that no other process thinks that something happened
            self._touch(connection, claim.worker, claim.lease, now)
        return claimed

    def _groups(self, connection: sqlite3.Connection) -> list[Group]:
        groups: list[Group] = []
        found = connection.execute(_FIRST_GROUP).fetchone()
        while found is not None:
            groups.append(found)
            found = connection.execute(_NEXT_GROUP, found).fetchone()
        return groups

    def _limits(
        self, connection: sqlite3.Connection, groups: Sequence[Group], ticks: float
    ) -> tuple[dict[str, int | None], dict[str, Bucket]]:
        projects = {project for project, _ in groups}
        limits = {
            project: most
            for project, most in connection.execute("SELECT id, max_concurrency FROM projects")
            if project in projects
        }
        providers = {provider for _, provider in groups}
        rows = connection.execute(
            "SELECT provider, per_second, burst, max_concurrency, available, counted_at, boot FROM limits"
        )
        return limits, {row[0]: bucket_of(row, ticks, boot()) for row in rows if row[0] in providers}

    def _running(
        self,
        connection: sqlite3.Connection,
        groups: Sequence[Group],
        limits: dict[str, int | None],
        buckets: dict[str, Bucket],
    ) -> dict[Group, int]:
        if not must_count(groups, limits, buckets):
            return {}
        rows = connection.execute(
            "SELECT project_id, provider, count(*) FROM runs INDEXED BY ix_runs_running "
            "WHERE status = 'running' GROUP BY provider, project_id"
        )
        return {(project, provider): count for project, provider, count in rows}

    def _draw(
        self, connection: sqlite3.Connection, buckets: dict[str, Bucket], allotment: Allotment, ticks: float
    ) -> None:
        rows = drawn(buckets, allotment, ticks)
        connection.executemany(
            "UPDATE limits SET available = ?, counted_at = ?, boot = ? WHERE provider = ?",
            [(available, ticks, boot(), provider) for provider, available in rows],
        )

    def _next_due(self, connection: sqlite3.Connection) -> float | None:
        return connection.execute(_NEXT_DUE).fetchone()[0]

    def _taken(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> list[ClaimedRun]:
        return [claimed_run(connection.execute(_TAKEN, (number,)).fetchone()) for number in numbers]
