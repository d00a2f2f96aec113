"""PostgreSQL on the path of each run: connections of asyncpg, used on the store's own event loop.

A batch first locks the rows of its runs, in the order of their numbers, so that neither two batches nor a batch and a
recovery can wait for each other. Statements are prepared once, and rows are sent as arrays: a batch is a handful of
round trips, however many runs it is about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from duologue.errors import MissingExtraError
from duologue.runs.store.database.address import DatabaseAddress
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
from duologue.runs.store.database.raw_connection import RawConnection
from duologue.runs.store.records import ClaimedRun, WorkerRecord

try:
    import asyncpg  # pyright: ignore[reportMissingTypeStubs]
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("a PostgreSQL database", "postgres", "asyncpg") from error

DRIVER_ERRORS: tuple[type[Exception], ...] = (
    cast("type[Exception]", asyncpg.PostgresError),
    cast("type[Exception]", asyncpg.InterfaceError),
)
"""Of asyncpg: what the server says, and what the library says about its use."""
CONNECT_TIMEOUT = 10.0
"""Seconds."""
_IDLE = 10.0
"""Seconds between two statements of a transaction, after which the server takes its process for stopped or cut off."""
_LOCK = "SELECT number, token, status FROM runs WHERE number = ANY($1::bigint[]) ORDER BY number FOR NO KEY UPDATE"
_EVENTS = (
    "INSERT INTO events (run, attempt, seq, line) "
    "SELECT * FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bytea[]) ON CONFLICT DO NOTHING"
)
_CUT = (
    "DELETE FROM events USING unnest($1::bigint[], $2::int[], $3::int[]) AS c(run, attempt, seq) "
    "WHERE events.run = c.run AND events.attempt = c.attempt AND events.seq >= c.seq"
)
_ARTIFACTS = (
    "INSERT INTO artifacts (run, sha256, mime_type, size) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING"
)
_END = (
    "UPDATE runs SET status = e.status, outcome = e.outcome, score = e.score, reason = e.reason, error = e.error, "
    "output = e.output::jsonb, details = e.details::jsonb, cost = e.cost, tokens = e.tokens, "
    "completed_at = extract(epoch FROM clock_timestamp()), updated_at = extract(epoch FROM clock_timestamp()), "
    "owner = NULL, cancelling = false "
    "FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[], "
    "$9::bigint[], $10::bigint[]) AS e(status, outcome, score, reason, error, output, details, cost, tokens, number) "
    "WHERE runs.number = e.number"
)
_RESULTS = (
    "INSERT INTO results (run, messages, data) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) "
    "ON CONFLICT (run) DO UPDATE SET messages = excluded.messages, data = excluded.data"
)
_CHECKS = (
    "INSERT INTO checks (run, number, name, kind, status, score, explanation) SELECT * FROM "
    "unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[]) "
    "ON CONFLICT (run, number) DO UPDATE SET name = excluded.name, kind = excluded.kind, status = excluded.status, "
    "score = excluded.score, explanation = excluded.explanation"
)
_BACK = (
    "UPDATE runs SET status = 'queued', owner = NULL, token = token + 1, attempts = attempts - 1, started_at = NULL, "
    "not_before = b.not_before, updated_at = extract(epoch FROM clock_timestamp()) "
    "FROM unnest($1::bigint[], $2::float8[]) AS b(number, not_before) "
    "WHERE runs.number = b.number"
)
_WORKER = (
    "INSERT INTO workers (id, host, pid, version, capacity, active, state, started_at, last_seen, lease_until) "
    "SELECT $1, $2, $3, $4, $5, $6, $7, now.at, now.at, now.at + $8::float8 "
    "FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS at) AS now ON CONFLICT (id) DO UPDATE SET "
    "capacity = excluded.capacity, active = excluded.active, state = excluded.state, last_seen = excluded.last_seen, "
    "lease_until = excluded.lease_until"
)
_HELD = "SELECT id, number, token, cancelling FROM runs WHERE owner = $1 AND status = 'running'"
_DUE = (
    "UPDATE runs SET not_before = NULL WHERE number IN (SELECT number FROM runs WHERE status = 'queued' "
    "AND not_before IS NOT NULL AND not_before <= $1 FOR NO KEY UPDATE SKIP LOCKED)"
)
_NEXT_DUE = (
    "SELECT extract(epoch FROM clock_timestamp())::float8, "
    "(SELECT min(not_before) FROM runs WHERE status = 'queued' AND not_before IS NOT NULL)"
)
_GROUPS = (
    "WITH RECURSIVE found AS ((SELECT project_id, provider FROM runs WHERE status = 'queued' AND not_before IS NULL "
    "ORDER BY project_id, provider LIMIT 1) UNION ALL SELECT later.project_id, later.provider FROM found "
    "CROSS JOIN LATERAL (SELECT project_id, provider FROM runs WHERE status = 'queued' AND not_before IS NULL "
    "AND (project_id, provider) > (found.project_id, found.provider) ORDER BY project_id, provider LIMIT 1) AS later) "
    "SELECT found.project_id, found.provider, projects.max_concurrency, limits.provider IS NOT NULL AS limited "
    "FROM found JOIN projects ON projects.id = found.project_id LEFT JOIN limits ON limits.provider = found.provider"
)
_LOCK_LIMITS = (
    "SELECT provider, per_second, burst, max_concurrency, available, counted_at, boot FROM limits "
    "WHERE provider = ANY($1::text[]) ORDER BY provider FOR NO KEY UPDATE"
)
_LOCK_PROJECTS = "SELECT id FROM projects WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE"
_RUNNING = "SELECT project_id, provider, count(*) FROM runs WHERE status = 'running' GROUP BY provider, project_id"
_CANDIDATES = (
    "SELECT c.number, c.project_id, c.provider, c.priority FROM unnest($1::text[], $2::text[], $3::int[]) "
    "AS g(project_id, provider, most) CROSS JOIN LATERAL (SELECT number, project_id, provider, priority FROM runs "
    "WHERE status = 'queued' AND not_before IS NULL AND project_id = g.project_id AND provider = g.provider "
    "ORDER BY priority DESC, number LIMIT g.most FOR NO KEY UPDATE SKIP LOCKED) AS c"
)
_TAKE = (
    "WITH taken AS (UPDATE runs SET status = 'running', owner = $2, token = token + 1, attempts = attempts + 1, "
    "started_at = extract(epoch FROM clock_timestamp()), updated_at = extract(epoch FROM clock_timestamp()) "
    "WHERE number = ANY($1::bigint[]) RETURNING id, number, token, attempts, project_id, execution_id, "
    "snapshot, test_case, thread_id, journal_from, priority) "
    "SELECT t.id, t.number, t.token, t.attempts, t.project_id, t.execution_id, e.name, t.snapshot, t.test_case, "
    "t.thread_id, t.journal_from FROM taken t LEFT JOIN executions e ON e.id = t.execution_id "
    "ORDER BY t.priority DESC, t.number"
)
_TAKEN = (
    "SELECT r.id, r.number, r.token, r.attempts, r.project_id, r.execution_id, e.name, r.snapshot, r.test_case, "
    "r.thread_id, r.journal_from FROM runs r LEFT JOIN executions e ON e.id = r.execution_id "
    "WHERE r.number = ANY($1::bigint[]) ORDER BY r.priority DESC, r.number"
)
_DRAW = (
    "UPDATE limits SET available = d.available, counted_at = $3 FROM unnest($1::text[], $2::float8[]) "
    "AS d(provider, available) WHERE limits.provider = d.provider"
)


def session_settings(timeout: float) -> dict[str, str]:
    """What the server is told of each session: to give up on statements that take too long and on hosts that are gone.

    A host that stopped in the middle of a transaction keeps its locks only until then.
    """
    return {
        "application_name": "duologue",
        "statement_timeout": str(int(timeout * 1000)),
        "idle_in_transaction_session_timeout": str(int(min(timeout, _IDLE) * 1000)),
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


async def connect(address: DatabaseAddress, timeout: float, *, waiting: bool = True) -> RawConnection:
    """A connection of asyncpg.

    Args:
        address: of the database.
        timeout: seconds that a statement may take.
        waiting: whether to give up by oneself when the server does not; otherwise the caller does.
    """
    connecting: Any = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return await connecting(
        address.url,
        timeout=CONNECT_TIMEOUT,
        command_timeout=timeout + 1.0 if waiting else None,
        server_settings=session_settings(timeout),
    )


class PostgresDriver:
    """One connection for everything on the path of runs.

    Args:
        address: of the database.
        timeout: seconds that a statement may take.
    """

    def __init__(self, address: DatabaseAddress, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._connection: RawConnection | None = None

    async def write(self, changes: Sequence[Change], pulses: Sequence[Pulse], *, again: bool) -> BatchResult:
        """See :class:`StoreDriver`."""
        written = BatchResult()
        async with self._transaction() as connection:
            if changes:
                await self._write(connection, changes, written, again=again)
            for pulse in pulses:
                await _touch(connection, pulse.worker, pulse.lease)
                rows = await connection.fetch(_HELD, pulse.worker.id)
                written.held.append([Held(*row) for row in rows])
        return written

    async def claim(self, claim: Claim) -> Claimed:
        """See :class:`StoreDriver`."""
        async with self._transaction() as connection:
            return await self._claim(connection, claim)

    async def close(self) -> None:
        """See :class:`StoreDriver`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.close(timeout=2.0)

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[RawConnection]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._address, self._timeout)
        connection = self._connection
        try:
            async with connection.transaction():
                yield connection
        except (OSError, asyncio.CancelledError, TimeoutError, *DRIVER_ERRORS):
            if connection.is_closed() or connection.is_in_transaction():
                self._connection = None
                connection.terminate()
            raise

    async def _write(
        self, connection: RawConnection, changes: Sequence[Change], written: BatchResult, *, again: bool
    ) -> None:
        numbers = list({change.number for change in changes})
        owned = {row[0]: (row[1], row[2]) for row in await connection.fetch(_LOCK, numbers)}
        good: list[Change] = []
        for place, change in enumerate(changes):
            token, status = owned.get(change.number, (-1, ""))
            if token == change.token and status == "running":
                good.append(change)
                if change.end is not None or change.back:  # what comes after it in this batch is too late
                    owned[change.number] = (token, "" if change.end is None else change.end.status)
            elif not (again and recorded(change, token, status)):
                written.lost.add(place)
        await self._write_events(connection, good)
        await self._write_ends(connection, good)
        back = [(change.number, change.not_before) for change in good if change.back]
        if back:
            await connection.execute(_BACK, *_columns(back))

    async def _write_events(self, connection: RawConnection, changes: Sequence[Change]) -> None:
        cuts = [(change.number, *change.cut) for change in changes if change.cut is not None]
        if cuts:
            await connection.execute(_CUT, *_columns(cuts))
        events = [(change.number, *event) for change in changes for event in change.events]
        if events:
            await connection.execute(_EVENTS, *_columns(events))
        artifacts = [
            (change.number, item.sha256, item.mime_type, item.size) for change in changes for item in change.artifacts
        ]
        if artifacts:
            await connection.execute(_ARTIFACTS, *_columns(artifacts))

    async def _write_ends(self, connection: RawConnection, changes: Sequence[Change]) -> None:
        ends = [(change.number, change.end) for change in changes if change.end is not None]
        if not ends:
            return
        await connection.execute(_END, *_columns([(*end_values(end), number) for number, end in ends]))
        results = [(number, end.messages, end.data) for number, end in ends if end.data is not None]
        if results:
            await connection.execute(_RESULTS, *_columns(results))
        checks = [(number, *check) for number, end in ends for check in end.checks]
        if checks:
            await connection.execute(_CHECKS, *_columns(checks))

    async def _claim(self, connection: RawConnection, claim: Claim) -> Claimed:
        claimed = Claimed()
        slots = claim.slots
        now, due = await self._due(connection)
        if claim.known is not None:
            held = await connection.fetch(_HELD, claim.worker.id)
            missed = [row[1] for row in held if row[1] not in claim.known]
            claimed.runs += _runs(await connection.fetch(_TAKEN, missed))
            slots -= len(missed)
        if due is not None and due <= now:
            await connection.execute(_DUE, now)
            now, due = await self._due(connection)
        rows = [row for row in await connection.fetch(_GROUPS) if claim.wants((row[0], row[1]))]
        groups: list[Group] = [(row[0], row[1]) for row in rows]
        if groups and slots > 0:
            limits: dict[str, int | None] = {row[0]: row[2] for row in rows}
            buckets = await self._buckets(connection, {row[1] for row in rows if row[3]}, now)
            await self._lock_projects(connection, limits)
            running: dict[Group, int] = {}
            if must_count(groups, limits, buckets):
                running = {(row[0], row[1]): row[2] for row in await connection.fetch(_RUNNING)}
            allotment = Allotment(slots, groups, running, limits, buckets, now)
            await self._take(connection, claim.worker.id, allotment, claimed)
            left = drawn(buckets, allotment, now)
            if left:
                await connection.execute(_DRAW, *_columns(left), now)
            claimed.wait = seconds_to_refill(groups, buckets, allotment, now)
        claimed.wait = sooner(claimed.wait, None if due is None else max(0.0, due - now))
        if claimed.runs:
            await _touch(connection, claim.worker, claim.lease)
        return claimed

    async def _due(self, connection: RawConnection) -> tuple[float, float | None]:
        """The server's time, and when the next run is due that waits for its time."""
        row = await connection.fetchrow(_NEXT_DUE)
        assert row is not None
        return row[0], row[1]

    async def _buckets(self, connection: RawConnection, providers: set[str], now: float) -> dict[str, Bucket]:
        """The buckets of limited providers, which nobody else draws from until this transaction ends."""
        if not providers:
            return {}
        return {row[0]: bucket_of(row, now, "") for row in await connection.fetch(_LOCK_LIMITS, list(providers))}

    async def _lock_projects(self, connection: RawConnection, limits: dict[str, int | None]) -> None:
        """Projects with a limit are counted by one worker at a time."""
        limited = [project for project, most in limits.items() if most is not None]
        if limited:
            await connection.fetch(_LOCK_PROJECTS, limited)

    async def _take(self, connection: RawConnection, worker: str, allotment: Allotment, claimed: Claimed) -> None:
        while wanted := allotment.wanted():
            asked = [(*group, count) for group, count in wanted.items()]
            found = [
                Candidate(number=row[0], project=row[1], provider=row[2], priority=row[3])
                for row in await connection.fetch(_CANDIDATES, *_columns(asked))
            ]
            chosen = [item.number for item in allotment.choose(found, wanted)]
            if not chosen:
                break
            claimed.runs += _runs(await connection.fetch(_TAKE, chosen, worker))


async def _touch(connection: RawConnection, worker: WorkerRecord, lease: float) -> None:
    """Renew a worker's lease."""
    told = (worker.id, worker.host, worker.pid, worker.version, worker.capacity, worker.active, worker.state)
    await connection.execute(_WORKER, *told, lease)


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _runs(rows: Iterable[Sequence[Any]]) -> list[ClaimedRun]:
    return [claimed_run(row) for row in rows]
