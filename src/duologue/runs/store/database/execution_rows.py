"""Executions as lists show them: with how many of their runs stand how, which an index says without their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, case, delete, func, select

from duologue.context import random_uuid
from duologue.errors import StoreConflictError
from duologue.frozen import frozen
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.recovery import parts_of
from duologue.runs.store.database.schema import executions, runs
from duologue.runs.store.execution_events import OUTCOMES, Counts, pass_rate
from duologue.runs.store.records import OVER, Cancelled, QueueStatus, StoredExecution


@frozen
class ExecutionStanding:
    """An execution, and how it stands.

    Attributes:
        counts: of its runs, by name: ``total``, ``queued``, ``running``, ``completed``, and of the completed ones
            ``passed``, ``failed``, ``undecided``, ``error`` and ``cancelled``.
    """

    execution: StoredExecution
    counts: Mapping[str, int]

    @property
    def pass_rate(self) -> float | None:
        """The share of runs that passed among those that passed or failed; None if there are none."""
        return pass_rate(self.counts["passed"], self.counts["failed"])

    @property
    def status(self) -> str:
        """``queued``, ``running``, ``completed``, or ``cancelled`` if it is over and a run of it was cancelled."""
        counts = self.counts
        if counts["completed"] == counts["total"]:
            return "cancelled" if counts["cancelled"] else "completed"
        return "running" if counts["running"] or counts["completed"] else "queued"


class Executions:
    """The executions of one project.

    Args:
        database: that they are in.
        project_id: of the project.
    """

    def __init__(self, database: Database, project_id: str) -> None:
        self._database, self._project = database, project_id

    async def get(self, execution_id: int) -> ExecutionStanding | None:
        """An execution; None if the project has none of that number."""
        return await self._database.read(lambda connection: self.read(connection, execution_id))

    def read(self, connection: Connection, execution_id: int) -> ExecutionStanding | None:
        """:meth:`get` inside a transaction."""
        asked = select(executions).where(executions.c.id == execution_id, executions.c.project_id == self._project)
        row = connection.execute(asked).mappings().first()
        return None if row is None else _standings(connection, [StoredExecution(**row)])[0]

    async def list(
        self, *, eval_id: str | None = None, limit: int = 100, before: int | None = None
    ) -> list[ExecutionStanding]:
        """Executions, the newest first.

        Args:
            eval_id: only those of this eval.
            limit: at most so many.
            before: the number of the last one of the page before.
        """
        asked = select(executions).where(executions.c.project_id == self._project)
        if eval_id is not None:
            asked = asked.where(executions.c.eval_id == eval_id)
        if before is not None:
            asked = asked.where(executions.c.id < before)
        asked = asked.order_by(executions.c.id.desc()).limit(limit)

        def work(connection: Connection) -> list[ExecutionStanding]:
            return _standings(connection, [StoredExecution(**row) for row in connection.execute(asked).mappings()])

        return await self._database.read(work)

    async def cancel(self, execution_id: int) -> Cancelled:
        """Cancel all runs of an execution that are not over."""
        return await self._database.queue.cancel(await self._ids(execution_id, *(set(QueueStatus) - OVER)))

    async def retry(self, execution_id: int) -> int:
        """Put the runs of an execution into the queue again that ended in an error; returns how many there were."""
        done = 0
        for run_id in await self._ids(execution_id, QueueStatus.ERROR):
            try:
                await self._database.queue.retry(run_id, thread_id=random_uuid())
                done += 1
            except StoreConflictError:  # somebody else has done so, or has deleted it
                continue
        return done

    async def delete(self, execution_id: int, *, expected: Callable[[ExecutionStanding], object] | None = None) -> bool:
        """Delete an execution with all its runs. False if there is none.

        Args:
            execution_id: its number.
            expected: gets the execution before anything is deleted, and raises if it is not what somebody has seen.
        """
        found = await self.get(execution_id)
        if found is None:
            return False
        if expected is not None:
            expected(found)
        for part in parts_of(await self._ids(execution_id)):  # many runs hold up nobody else
            asked = delete(runs).where(runs.c.id.in_(part), runs.c.execution_id == execution_id)
            await self._database.write(lambda connection, asked=asked: connection.execute(asked))
        last = delete(executions).where(executions.c.id == execution_id, executions.c.project_id == self._project)
        return await self._database.write(lambda connection: connection.execute(last).rowcount > 0)

    async def _ids(self, execution_id: int, *statuses: QueueStatus) -> Sequence[str]:
        asked = select(runs.c.id).where(runs.c.execution_id == execution_id, runs.c.project_id == self._project)
        if statuses:
            asked = asked.where(runs.c.status.in_(map(str, statuses)))
        asked = asked.order_by(runs.c.number)
        return await self._database.read(lambda connection: connection.execute(asked).scalars().all())


def _standings(connection: Connection, found: Sequence[StoredExecution]) -> list[ExecutionStanding]:
    ids = [execution.id for execution in found]
    sums = [func.sum(case((runs.c.outcome == outcome, 1), else_=0)) for outcome in OUTCOMES]
    running = func.sum(case((runs.c.status == "running", 1), else_=0))
    asked = (
        select(runs.c.execution_id, func.count(), running, *sums)
        .where(runs.c.execution_id.in_(ids))
        .group_by(runs.c.execution_id)
    )
    counted: dict[int, dict[str, int]] = {}
    for row in connection.execute(asked):
        id_, total, under_way, *over = map(int, row)
        counted[id_] = Counts(under_way, dict(zip(OUTCOMES, over, strict=True))).of(total)
    nothing = Counts().of(0)
    return [ExecutionStanding(execution=item, counts=counted.get(item.id, nothing)) for item in found]
