"""The queue of runs: put them in, take them out, keep them, give them back.

A worker has its runs as long as its lease lasts, which each heartbeat renews. A run that is given to another worker
gets a new token, and whatever the earlier one still writes is refused. Nothing here looks at what a run is.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from duologue.errors import StoreConflictError, StoreError
from duologue.frozen import changed
from duologue.runs.store.database.changes import Claim, Claimed, Pulse, claimed_run
from duologue.runs.store.database.clocks import ClockWatch
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.held_back import held_back, hold_back, let_all_go, let_go
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.database.recovery import MANY, cancel_runs, recover_runs
from duologue.runs.store.database.schema import (
    checks,
    events,
    executions,
    limits,
    projects,
    results,
    runs,
    snapshots,
    workers,
)
from duologue.runs.store.database.wakeup import CANCELLED, FINISHED, QUEUED, WakeUp
from duologue.runs.store.database.writer import LastLines, Writer
from duologue.runs.store.records import (
    Beat,
    Cancelled,
    ClaimedRun,
    Enqueued,
    FinishedRun,
    NewExecution,
    NewRun,
    ProviderLimit,
    QueueStatus,
    Recovered,
    Snapshot,
    StoredExecution,
    WorkerRecord,
)
from duologue.version import __version__

LEASE = 30.0
"""Seconds that a worker may be silent before its runs are given to others."""
_CLEARED: dict[str, Any] = {
    "outcome": None,
    "score": None,
    "reason": None,
    "error": None,
    "output": None,
    "details": None,
    "cost": None,
    "tokens": None,
    "started_at": None,
    "completed_at": None,
}


class Queue:
    """The runs of a database that wait, and those that workers have.

    Args:
        database: that they are in.
        writer: records what the runs of this process do.
        wakeup: tells those who wait.
        lease: seconds that a worker of this process may be silent before its runs are given to others.
    """

    def __init__(self, database: Connections, writer: Writer, wakeup: WakeUp, *, lease: float = LEASE) -> None:
        self.lease = lease
        self.wait: float | None = None
        """After a claim: seconds until there may be more to claim although nothing happens; None if never."""
        self.waiting = False
        """After a claim: whether any run was in the queue."""
        self._database, self._writer, self._wakeup = database, writer, wakeup
        self._records: dict[str, WorkerRecord] = {}
        self._watch = ClockWatch(lease)
        self._doubt = False

    # Putting in.

    async def create_execution(self, project_id: str, execution: NewExecution) -> StoredExecution:
        """Begin an execution.

        Raises:
            StoreConflictError: there is no such project, or its executions have that name already.
        """
        name = execution.name or self._database.context.ids.new("execution")
        return await self._database.write(
            lambda connection: self._create_execution(connection, project_id, execution, name)
        )

    async def enqueue(
        self,
        project_id: str,
        new: Sequence[NewRun],
        *,
        snapshots: Iterable[Snapshot] = (),
        execution: NewExecution | int | None = None,
    ) -> Enqueued:
        """Put runs into the queue, all of them or none.

        Args:
            project_id: whose runs they are.
            new: the runs, in their order.
            snapshots: that they name, as far as the database may not have them.
            execution: that they belong to: one that is begun with them, the id of one, or none.

        Raises:
            ConfigurationError: a number of a run cannot be used.
            StoreConflictError: something that they name does not exist, or an id is taken.
        """
        for run in new:
            run.check()
        kept = {item.digest: item.data for item in snapshots}
        name = self._database.context.ids.new("execution")

        def work(connection: Connection) -> StoredExecution | None:
            now = self._database.now(connection)
            self._keep_snapshots(connection, kept, now)
            begun = self._execution(connection, project_id, execution, name)
            rows = [_row(run, project_id, None if begun is None else begun.id, now) for run in new]
            if begun is not None:
                held_back(rows, begun.id, begun.data)
            for first in range(0, len(rows), MANY):
                connection.execute(insert(runs), rows[first : first + MANY])
            self._wakeup.notify(connection, QUEUED)
            return begun

        begun = await self._database.write(work)
        self._wakeup.signal(QUEUED)
        return Enqueued(execution=begun, ids=tuple(run.id for run in new))

    async def retry(self, run_id: str, *, thread_id: str | None = None) -> None:
        """Put a run that ended in an error into the queue again. The journals of earlier attempts are kept.

        Args:
            run_id: its id.
            thread_id: under which its agent knows it from now on; None for what it was.

        Raises:
            StoreConflictError: there is no such run, or it did not end in an error.
        """

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            row = connection.execute(
                select(runs.c.number, runs.c.status, runs.c.execution_id).where(runs.c.id == run_id).with_for_update()
            ).first()
            if row is None:
                raise StoreConflictError(f"there is no run '{run_id}'")
            if row.status != QueueStatus.ERROR:
                raise StoreConflictError(
                    f'Cannot retry run with status "{row.status}". Only runs with system errors can be retried.'
                )
            values = {**_CLEARED, "status": "queued", "attempts": 0, "not_before": None, "updated_at": now}
            values |= {"journal_from": next_attempt(connection, row.number)}
            values |= {} if thread_id is None else {"thread_id": thread_id}
            connection.execute(update(runs).where(runs.c.number == row.number).values(token=runs.c.token + 1, **values))
            for table in (results, checks):
                connection.execute(table.delete().where(table.c.run == row.number))
            hold_back(connection, row.number, row.execution_id)
            self._wakeup.notify(connection, QUEUED)

        await self._database.write(work)
        self._wakeup.signal(QUEUED)

    # Taking out.

    async def claim(
        self, worker: str, slots: int, *, projects: Collection[str] = (), last: bool | None = None
    ) -> list[ClaimedRun]:
        """Take runs from the queue. ``wait`` says afterwards when it may be worth while to ask again.

        Args:
            worker: the id of who takes them. Its lease begins anew.
            slots: how many at most.
            projects: ids of those whose runs are taken; empty for all.
            last: True for runs whose last attempt it is after workers have died with them, False for all others, None
                for both.

        Raises:
            StoreError: they could not be taken.
        """
        if slots <= 0:
            return []
        record = self._record(worker, slots)
        claiming = self._database.loop.submit(self._claim(record, slots, frozenset(projects), last))
        try:
            claimed = await asyncio.shield(asyncio.wrap_future(claiming))
        except asyncio.CancelledError:  # what it takes in spite of that goes back
            claiming.add_done_callback(self._give_back)
            raise
        self.wait, self.waiting = claimed.wait, claimed.waiting
        return claimed.runs

    async def claim_run(self, worker: str, run_id: str) -> ClaimedRun | None:
        """Take one run from the queue, whatever waits before it: somebody asks for this one.

        Args:
            worker: the id of who takes it; it is registered.
            run_id: of the run.

        Returns:
            The run; None if it does not wait.
        """
        return await self._database.loop.call(self._claim_run(worker, run_id))

    async def heartbeat(self, worker: str, claimed: Collection[ClaimedRun], *, active: int | None = None) -> Beat:
        """Renew the lease of a worker, and learn which of its runs it has lost or must stop.

        Args:
            worker: its id.
            claimed: the runs that it thinks it has.
            active: what others are told about how many it has; None for the number of ``claimed``.

        Raises:
            StoreError: the database could not be told: when the lease is over, others take the runs.
        """
        record = changed(self._record(worker, 0), active=len(claimed) if active is None else active)
        self._records[worker] = record
        return await self._database.loop.call(self._heartbeat(record, tuple(claimed)))

    async def finish(self, run: ClaimedRun, end: FinishedRun, last: LastLines | None = None) -> None:
        """Record the end of a run; see :meth:`Writer.finish`."""
        await self._writer.finish(run, end, last)
        self._wakeup.signal(FINISHED)

    async def let_next_go(self, run: ClaimedRun) -> None:
        """Let go the next run of the execution of one that is over, if any is held back. What fails is made up for."""

        def work(connection: Connection) -> int:
            gone = let_go(connection, run.execution_id or 0)
            if gone:
                self._wakeup.notify(connection, QUEUED)
            return gone

        with suppress(StoreError):
            if await self._database.write(work):
                self._wakeup.signal(QUEUED)

    async def release(self, run: ClaimedRun, *, not_before: float | None = None) -> None:
        """Put a run back into the queue, as if it had not been claimed; see :meth:`Writer.release`."""
        await self._writer.release(run, not_before=not_before)
        self._wakeup.signal(QUEUED)

    async def cancel(self, ids: Iterable[str]) -> Cancelled:
        """Cancel runs. Those that no worker has are over at once; the others are stopped by theirs."""
        wanted = list(dict.fromkeys(ids))
        cancelled = await self._database.write(
            lambda connection: cancel_runs(self._database, self._wakeup, wanted, connection)
        )
        self._wakeup.signal(CANCELLED)
        return cancelled

    async def recover(self) -> Recovered:
        """Give back the runs of workers whose lease is over, and set aside those that have used up their attempts."""

        def work(connection: Connection) -> tuple[Recovered, int]:
            recovered = recover_runs(self._database, self._wakeup, self._watch, connection)
            if gone := let_all_go(connection):
                self._wakeup.notify(connection, QUEUED)
            return recovered, gone

        recovered, gone = await self._database.write(work)
        if recovered.requeued or gone:
            self._wakeup.signal(QUEUED)
        return recovered

    # Workers and limits.

    async def register(self, worker: WorkerRecord) -> None:
        """Record a worker, and begin its lease."""
        self._records[worker.id] = worker
        await self._writer.pulse(Pulse(worker, self.lease))

    async def unregister(self, worker: str) -> None:
        """Record that a worker has stopped. Runs that it still has are given back at once by whoever recovers."""
        record = changed(self._record(worker, 0), active=0, state="stopped")
        self._records.pop(worker, None)
        await self._writer.pulse(Pulse(record, 0.0))

    async def workers(self) -> list[WorkerRecord]:
        """Every worker that was not forgotten, the newest first."""
        columns = [workers.c[name] for name in _WORKER_FIELDS]

        def work(connection: Connection) -> list[WorkerRecord]:
            rows = connection.execute(select(*columns).order_by(workers.c.started_at.desc(), workers.c.id))
            return [WorkerRecord(**row) for row in rows.mappings()]

        return await self._database.read(work)

    async def set_limit(self, limit: ProviderLimit) -> None:
        """Limit what all workers together take of a provider; its bucket is full then.

        Raises:
            ConfigurationError: a number of the limit makes no sense.
        """
        limit.check()
        values = {
            "per_second": limit.per_second,
            "burst": limit.burst,
            "max_concurrency": limit.max_concurrency,
            "available": None,
            "counted_at": None,
        }

        def work(connection: Connection) -> None:
            given = self._insert(limits).values(provider=limit.provider, **values)
            connection.execute(given.on_conflict_do_update(index_elements=["provider"], set_=values))
            self._wakeup.notify(connection, QUEUED)

        await self._database.write(work)
        self._wakeup.signal(QUEUED)

    async def limits(self) -> list[ProviderLimit]:
        """The limits of providers, by name."""
        columns = [limits.c[name] for name in ("provider", "per_second", "burst", "max_concurrency")]

        def work(connection: Connection) -> list[ProviderLimit]:
            rows = connection.execute(select(*columns).order_by(limits.c.provider))
            return [ProviderLimit(**row) for row in rows.mappings()]

        return await self._database.read(work)

    async def counts(self, project_id: str | None = None) -> Mapping[QueueStatus, int]:
        """How many runs there are of each status."""

        def work(connection: Connection) -> dict[QueueStatus, int]:
            asked = select(runs.c.status, func.count()).group_by(runs.c.status)
            asked = asked if project_id is None else asked.where(runs.c.project_id == project_id)
            return {QueueStatus(status): count for status, count in connection.execute(asked)}

        return await self._database.read(work)

    async def _claim(self, worker: WorkerRecord, slots: int, projects: frozenset[str], last: bool | None) -> Claimed:
        database, held = self._database, self._writer.held

        async def attempt(again: bool) -> Claimed:
            async with database.hot:
                known = dict(held) if again or self._doubt else None
                claim = Claim(worker, slots, self.lease, known, projects, last)
                self._doubt = True  # until there is an answer
                claimed = await database.driver.claim(claim)
                self._doubt = False
                held.update({run.number: run.token for run in claimed.runs})
            return claimed

        return await database.patiently(attempt, "claiming runs")

    async def _claim_run(self, worker: str, run_id: str) -> ClaimedRun | None:
        def work(connection: Connection) -> ClaimedRun | None:
            now = self._database.now(connection)
            values = {"status": "running", "owner": worker, "not_before": None, "started_at": now, "updated_at": now}
            claiming = (
                update(runs)
                .where(runs.c.id == run_id, runs.c.status == QueueStatus.QUEUED.value)
                .values(**values, token=runs.c.token + 1, attempts=runs.c.attempts + 1)
            )
            if not connection.execute(claiming).rowcount:
                return None
            before = [runs.c[name] for name in ("id", "number", "token", "attempts", "project_id", "execution_id")]
            after = [runs.c[name] for name in ("snapshot", "test_case", "thread_id", "journal_from")]
            asked = select(*before, executions.c.name, *after).join_from(runs, executions, isouter=True)
            return claimed_run(connection.execute(asked.where(runs.c.id == run_id)).one())

        claimed = await self._database.write(work)
        if claimed is not None:
            self._writer.held[claimed.number] = claimed.token
        return claimed

    def _give_back(self, claiming: Any) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        for run in claiming.result().runs:
            self._database.loop.submit(self._writer.release(run))

    async def _heartbeat(self, worker: WorkerRecord, claimed: Sequence[ClaimedRun]) -> Beat:
        there = {item.number: item for item in await self._writer.pulse(Pulse(worker, self.lease))}
        held = self._writer.held
        lost = [
            run
            for run in claimed
            if held.get(run.number) == run.token
            and ((item := there.get(run.number)) is None or item.token != run.token)
        ]
        for run in lost:
            del held[run.number]
        return Beat(
            lost=frozenset(run.id for run in lost),
            cancelling=frozenset(item.run_id for item in there.values() if item.cancelling),
        )

    def _record(self, worker: str, slots: int) -> WorkerRecord:
        """What is said of a worker; one that nobody has registered is described by its process."""
        record = self._records.get(worker)
        if record is None:
            record = self._records[worker] = WorkerRecord(
                id=worker, host=socket.gethostname(), pid=os.getpid(), version=__version__, capacity=slots
            )
        return record

    def _insert(self, table: Any) -> Any:
        return (sqlite if self._database.dialect == "sqlite" else postgresql).insert(table)

    def _keep_snapshots(self, connection: Connection, kept: Mapping[str, bytes], now: float) -> None:
        """Add those that are not there: a suite of megabytes is sent once."""
        known = set(connection.execute(select(snapshots.c.digest).where(snapshots.c.digest.in_(kept))).scalars())
        rows = [
            {"digest": digest, "data": data, "created_at": now} for digest, data in kept.items() if digest not in known
        ]
        if rows:
            connection.execute(self._insert(snapshots).on_conflict_do_nothing(), rows)

    def _execution(
        self, connection: Connection, project_id: str, execution: NewExecution | int | None, name: str
    ) -> StoredExecution | None:
        if execution is None:
            return None
        if isinstance(execution, NewExecution):
            return self._create_execution(connection, project_id, execution, execution.name or name)
        asked = select(executions).where(executions.c.id == execution, executions.c.project_id == project_id)
        row = connection.execute(asked).mappings().first()
        if row is None:
            raise StoreConflictError(f"there is no execution {execution} in the project '{project_id}'")
        return StoredExecution(**row)

    def _create_execution(
        self, connection: Connection, project_id: str, execution: NewExecution, name: str
    ) -> StoredExecution:
        now = self._database.now(connection)
        if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
            raise StoreConflictError(f"there is no project '{project_id}'")
        made = StoredExecution(
            id=0, project_id=project_id, name=name, eval_id=execution.eval_id, data=execution.data, created_at=now
        )
        values = {
            "project_id": project_id,
            "name": name,
            "eval_id": execution.eval_id,
            "data": dict(execution.data),
            "created_at": now,
        }
        given = self._insert(executions).values(**values).on_conflict_do_nothing(index_elements=["project_id", "name"])
        number = connection.execute(given.returning(executions.c.id)).scalar()
        if number is None:
            raise StoreConflictError(f"the project '{project_id}' has an execution '{name}' already")
        return changed(made, id=number)


def next_attempt(connection: Connection, number: int) -> int:
    """The attempt of a run after all those that have a journal."""
    newest = select(func.coalesce(func.max(events.c.attempt), 0)).where(events.c.run == number)
    return connection.execute(newest).scalar_one() + 1


_WORKER_FIELDS = ("id", "host", "pid", "version", "capacity", "active", "state", "started_at", "last_seen")


def _row(run: NewRun, project_id: str, execution_id: int | None, now: float) -> dict[str, Any]:
    due = run.not_before is None or run.not_before <= now
    return {
        "id": run.id,
        "project_id": project_id,
        "execution_id": execution_id,
        "eval_id": run.eval_id,
        "scenario_id": run.scenario_id,
        "persona_id": run.persona_id,
        "connector_id": run.connector_id,
        "agent_id": run.agent_id,
        "agent_version": run.agent_version,
        "snapshot": run.snapshot,
        "identity": to_text(run.case.group),
        "trial": run.case.trial,
        "test_case": to_json(run.case.as_data()),
        "provider": run.provider or "",
        "thread_id": run.thread_id,
        "status": QueueStatus.QUEUED.value,
        "priority": run.priority,
        "not_before": None if due else run.not_before,
        "max_attempts": run.max_attempts,
        "created_at": now,
        "updated_at": now,
    }
