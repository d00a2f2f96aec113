"""Baselines in the database: executions that others of their eval are compared with, by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, delete, func, insert, or_, select, update

from duologue.context import random_uuid
from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.definition_rows import After, get, named
from duologue.runs.store.database.schema import baselines, evals, executions, runs
from duologue.runs.store.records import OVER, QueueStatus
from duologue.runs.store.releases import Baseline


class Baselines:
    """The baselines of a database.

    Args:
        database: an open one.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database

    async def set_baseline(self, project_id: str, execution_id: int, name: str) -> Baseline:
        """Make an execution the baseline of that name for its eval and agent; another one that has it is replaced.

        Raises:
            NotFoundError: there is no such execution.
            ConfigurationError: it belongs to no eval, or the name cannot be used.
            StoreConflictError: it is not over, or none of its runs is completed.
        """
        called = named(name, "baseline")

        def work(connection: Connection) -> Baseline:
            eval_id, agent_id, version = _facts(connection, project_id, execution_id)
            now = self._database.now(connection)
            values = {"agent_version": version, "execution_id": execution_id, "updated_at": now}
            same = and_(
                baselines.c.project_id == project_id,
                baselines.c.eval_id == eval_id,
                baselines.c.agent_id == agent_id,
                baselines.c.name == called,
            )
            row = connection.execute(select(baselines.c.id).where(same)).first()
            if row is None:
                key = {"id": random_uuid(), "project_id": project_id, "eval_id": eval_id, "agent_id": agent_id}
                connection.execute(insert(baselines).values(name=called, created_at=now, **key, **values))
            else:
                connection.execute(update(baselines).where(baselines.c.id == row.id).values(**values))
            return _baseline(connection.execute(select(baselines).where(same)).mappings().one())

        return await self._database.write(work)

    async def get_baseline(self, project_id: str, baseline_id: str) -> Baseline | None:
        """The baseline with that id; None if the project has none."""

        def work(connection: Connection) -> Baseline | None:
            mine = baselines.c.id == baseline_id, baselines.c.project_id == project_id
            row = connection.execute(select(baselines).where(*mine)).mappings().first()
            return _baseline(row) if row is not None else None

        return await self._database.read(work)

    async def list_baselines(
        self,
        project_id: str,
        *,
        eval_id: str | None = None,
        agent_id: str | None = None,
        name: str | None = None,
        limit: int | None = None,
        after: After = None,
    ) -> list[Baseline]:
        """Baselines in the order in which they were made.

        Args:
            project_id: of the project.
            eval_id, agent_id, name: only those; None for all.
            limit: at most so many; None for all.
            after: the last one of the page before: its id, or when it was made and its id.

        Raises:
            ConfigurationError: the limit is below 1.
            NotFoundError: there is no baseline ``after``.
        """
        if limit is not None and limit < 1:
            raise ConfigurationError(f"limit is {limit}; expected at least 1, or None for all")
        asked: Select[Any] = select(baselines).where(baselines.c.project_id == project_id)
        for column, value in (("eval_id", eval_id), ("agent_id", agent_id), ("name", name)):
            if value is not None:
                asked = asked.where(baselines.c[column] == value)

        def work(connection: Connection) -> list[Baseline]:
            chosen, at, id_ = asked, baselines.c.created_at, baselines.c.id
            last = after
            if isinstance(last, str):
                row = get(connection, baselines, last)
                if row is None:
                    raise NotFoundError(f'nothing with id "{last}" to continue after; ask for the first page again')
                last = row.created_at, last
            if last is not None:
                chosen = chosen.where(or_(at > last[0], and_(at == last[0], id_ > last[1])))
            ordered = chosen.order_by(at, id_).limit(limit)
            return [_baseline(row) for row in connection.execute(ordered).mappings()]

        return await self._database.read(work)

    async def delete_baseline(self, project_id: str, baseline_id: str) -> bool:
        """Delete a baseline; its execution stays. False if the project has none with that id."""
        asked = delete(baselines).where(baselines.c.id == baseline_id, baselines.c.project_id == project_id)
        return await self._database.write(lambda connection: connection.execute(asked).rowcount > 0)


def _facts(connection: Connection, project_id: str, execution_id: int) -> tuple[str, str, int | None]:
    """The eval, agent and version of an execution that can be a baseline."""
    execution = connection.execute(
        select(executions).where(executions.c.id == execution_id, executions.c.project_id == project_id)
    ).first()
    if execution is None:
        raise NotFoundError(f"Execution {execution_id} not found")
    if execution.eval_id is None:
        raise ConfigurationError(
            f"the execution {execution_id} belongs to no saved eval, and a baseline is one for the executions of an "
            "eval; compare suites by their results folders"
        )
    # Whoever sets a baseline of the same eval at the same moment waits here.
    connection.execute(select(evals.c.id).where(evals.c.id == execution.eval_id).with_for_update())
    counted = connection.execute(
        select(runs.c.status, func.count()).where(runs.c.execution_id == execution_id).group_by(runs.c.status)
    )
    counts = {QueueStatus(status): number for status, number in counted}
    if waiting := sum(number for status, number in counts.items() if status not in OVER):
        raise StoreConflictError(f"the execution {execution_id} is not over: {waiting} of its runs are still to come")
    if not counts.get(QueueStatus.COMPLETED):
        raise StoreConflictError(
            f"the execution {execution_id} has no completed run that others could be compared with"
        )
    agent = connection.execute(
        select(runs.c.agent_id, runs.c.agent_version).where(runs.c.execution_id == execution_id).limit(1)
    ).one()
    return execution.eval_id, agent.agent_id or "", agent.agent_version


def _baseline(row: RowMapping) -> Baseline:
    values: dict[str, Any] = {**row}
    values["agent_id"] = values["agent_id"] or None
    return Baseline(**values)
