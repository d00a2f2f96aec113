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
from duologue.runs.store.database import postgres_statements as sql
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
        if changes and not again and all(_is_plain(change) for change in changes):
            async with self._connected() as connection:
                await self._write_at_once(connection, changes, written)
            changes = ()
        if not changes and not pulses:
            return written
        async with self._transaction() as connection:
            if changes:
                await self._write(connection, changes, written, again=again)
            for pulse in pulses:
                await _touch(connection, pulse.worker, pulse.lease)
                rows = await connection.fetch(sql.HELD, pulse.worker.id)
                written.held.append([Held(*row) for row in rows])
        return written

    async def claim(self, claim: Claim) -> Claimed:
        """See :class:`StoreDriver`."""
        async with self._connected() as connection:
            state = await connection.fetch(sql.STATE)
            if (claimed := await self._claim_at_once(connection, claim, state)) is not None:
                return claimed
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
        async with self._connected() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[RawConnection]:
        """A connection; one that is in doubt after an error is given up."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._address, self._timeout)
        connection = self._connection
        try:
            yield connection
        except (OSError, asyncio.CancelledError, TimeoutError, *DRIVER_ERRORS):
            if connection.is_closed() or connection.is_in_transaction():
                self._connection = None
                connection.terminate()
            raise

    async def _write_at_once(self, connection: RawConnection, changes: Sequence[Change], written: BatchResult) -> None:
        """Events and ends in one statement, which is one round trip: what nearly every batch consists of."""
        over: set[tuple[int, int]] = set()
        good: list[tuple[int, Change]] = []
        for place, change in enumerate(changes):
            if (change.number, change.token) in over:
                written.lost.add(place)
                continue
            good.append((place, change))
            if change.end is not None:
                over.add((change.number, change.token))
        numbers = list({change.number for _, change in good})
        events = [(change.number, change.token, *event) for _, change in good for event in change.events]
        given: list[list[Any]] = _columns(events, 5)
        if over:
            ends = [(change.number, change.token, change.end) for _, change in good if change.end is not None]
            given += _columns([(*end_values(end), number, token) for number, token, end in ends], 11)
            results = [(number, token, end.messages, end.data) for number, token, end in ends if end.data is not None]
            given += _columns(results, 4)
            given += _columns([(number, token, *check) for number, token, end in ends for check in end.checks], 8)
        rows = await connection.fetch(sql.WRITE_ENDS if over else sql.WRITE_EVENTS, numbers, *given)
        owned = {row[0]: row[1] for row in rows}
        written.lost |= {place for place, change in good if owned.get(change.number) != change.token}

    async def _write(
        self, connection: RawConnection, changes: Sequence[Change], written: BatchResult, *, again: bool
    ) -> None:
        numbers = list({change.number for change in changes})
        owned = {row[0]: (row[1], row[2]) for row in await connection.fetch(sql.LOCK, numbers)}
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
            await connection.execute(sql.BACK, *_columns(back))

    async def _write_events(self, connection: RawConnection, changes: Sequence[Change]) -> None:
        cuts = [(change.number, *change.cut) for change in changes if change.cut is not None]
        if cuts:
            await connection.execute(sql.CUT, *_columns(cuts))
        events = [(change.number, *event) for change in changes for event in change.events]
        if events:
            await connection.execute(sql.EVENTS, *_columns(events))
        artifacts = [
            (change.number, item.sha256, item.mime_type, item.size) for change in changes for item in change.artifacts
        ]
        if artifacts:
            await connection.execute(sql.ARTIFACTS, *_columns(artifacts))

    async def _write_ends(self, connection: RawConnection, changes: Sequence[Change]) -> None:
        ends = [(change.number, change.end) for change in changes if change.end is not None]
        if not ends:
            return
        await connection.execute(sql.END, *_columns([(*end_values(end), number) for number, end in ends]))
        results = [(number, end.messages, end.data) for number, end in ends if end.data is not None]
        if results:
            await connection.execute(sql.RESULTS, *_columns(results))
        checks = [(number, *check) for number, end in ends for check in end.checks]
        if checks:
            await connection.execute(sql.CHECKS, *_columns(checks))

    async def _claim_at_once(
        self, connection: RawConnection, claim: Claim, state: Sequence[Sequence[Any]]
    ) -> Claimed | None:
        """Claim in one statement, where nothing is limited and projects have runs of one provider; None elsewhere."""
        now, due = state[0][0], state[0][1]
        rows = _groups_of(claim, state)
        simple = all(row[4] is None and not row[5] for row in rows) and len({row[2] for row in rows}) == len(rows)
        if claim.known is not None or not simple or (due is not None and due <= now):
            return None
        groups: list[Group] = [(row[2], row[3]) for row in rows]
        claimed = Claimed(wait=None if due is None else due - now, waiting=bool(groups))
        if not groups:
            return claimed
        running: dict[Group, int] = {}
        if len(groups) > 1:
            running = {(row[0], row[1]): row[2] for row in await connection.fetch(sql.RUNNING)}
        allotment = Allotment(claim.slots, groups, running, {}, {}, now)
        while wanted := allotment.wanted():
            asked = _columns([(*group, count) for group, count in wanted.items()], 3)
            taken = await connection.fetch(sql.TAKE_FIRST, *asked, *_told(claim.worker), claim.lease, claim.last)
            found = [Candidate(number=row[1], project=row[4], provider=row[11], priority=row[12]) for row in taken]
            allotment.choose(found, wanted)
            claimed.runs += [claimed_run(tuple(row)[:11]) for row in taken]
        return claimed

    async def _claim(self, connection: RawConnection, claim: Claim) -> Claimed:
        claimed = Claimed()
        slots = claim.slots
        state = await connection.fetch(sql.STATE)
        now, due = state[0][0], state[0][1]
        if claim.known is not None:
            held = await connection.fetch(sql.HELD, claim.worker.id)
            missed = [row[1] for row in held if row[1] not in claim.known]
            claimed.runs += _runs(await connection.fetch(sql.TAKEN, missed))
            slots -= len(missed)
        if due is not None and due <= now:
            await connection.execute(sql.DUE, now)
            state = await connection.fetch(sql.STATE)
            now, due = state[0][0], state[0][1]
        rows = _groups_of(claim, state)
        groups: list[Group] = [(row[2], row[3]) for row in rows]
        claimed.waiting = bool(groups)
        if groups and slots > 0:
            limits: dict[str, int | None] = {row[2]: row[4] for row in rows}
            buckets = await self._buckets(connection, {row[3] for row in rows if row[5]}, now)
            await self._lock_projects(connection, limits)
            running: dict[Group, int] = {}
            if must_count(groups, limits, buckets):
                running = {(row[0], row[1]): row[2] for row in await connection.fetch(sql.RUNNING)}
            allotment = Allotment(slots, groups, running, limits, buckets, now)
            await self._take(connection, claim, allotment, claimed)
            left = drawn(buckets, allotment, now)
            if left:
                await connection.execute(sql.DRAW, *_columns(left), now)
            claimed.wait = seconds_to_refill(groups, buckets, allotment, now)
        claimed.wait = sooner(claimed.wait, None if due is None else max(0.0, due - now))
        if claimed.runs:
            await _touch(connection, claim.worker, claim.lease)
        return claimed

    async def _buckets(self, connection: RawConnection, providers: set[str], now: float) -> dict[str, Bucket]:
        """The buckets of limited providers, which nobody else draws from until this transaction ends."""
        if not providers:
            return {}
        return {row[0]: bucket_of(row, now, "") for row in await connection.fetch(sql.LOCK_LIMITS, list(providers))}

    async def _lock_projects(self, connection: RawConnection, limits: dict[str, int | None]) -> None:
        """Projects with a limit are counted by one worker at a time."""
        limited = [project for project, most in limits.items() if most is not None]
        if limited:
            await connection.fetch(sql.LOCK_PROJECTS, limited)

    async def _take(self, connection: RawConnection, claim: Claim, allotment: Allotment, claimed: Claimed) -> None:
        while wanted := allotment.wanted():
            asked = [(*group, count) for group, count in wanted.items()]
            found = [
                Candidate(number=row[0], project=row[1], provider=row[2], priority=row[3])
                for row in await connection.fetch(sql.CANDIDATES, *_columns(asked), claim.last)
            ]
            chosen = [item.number for item in allotment.choose(found, wanted)]
            if not chosen:
                break
            claimed.runs += _runs(await connection.fetch(sql.TAKE, chosen, claim.worker.id))


async def _touch(connection: RawConnection, worker: WorkerRecord, lease: float) -> None:
    """Renew a worker's lease."""
    await connection.execute(sql.WORKER, *_told(worker), lease)


def _told(worker: WorkerRecord) -> tuple[object, ...]:
    """What a worker says of itself, in the order of the statements."""
    return (worker.id, worker.host, worker.pid, worker.version, worker.capacity, worker.active, worker.state)


def _groups_of(claim: Claim, state: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """The rows of groups that have runs which the worker takes."""
    return [row for row in state if row[2] is not None and claim.wants((row[2], row[3]))]


def _is_plain(change: Change) -> bool:
    """Whether it is about events and the end of a run, and nothing else."""
    return change.cut is None and not change.artifacts and not change.back


def _columns(rows: Sequence[Sequence[Any]], width: int = 0) -> list[list[Any]]:
    """Rows as arrays: so many, where there may be no rows."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _runs(rows: Iterable[Sequence[Any]]) -> list[ClaimedRun]:
    return [claimed_run(row) for row in rows]
