"""Evals in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, delete

from duologue.frozen import changed
from duologue.runs.store.database.definition_rows import (
    After,
    Changes,
    Expected,
    eval_of,
    get,
    link,
    merged,
    page,
    remove,
    saved_evals,
)
from duologue.runs.store.database.definition_writer import DefinitionWriter
from duologue.runs.store.database.eval_rules import require_eval
from duologue.runs.store.database.schema import eval_scenarios, evals, executions, runs
from duologue.runs.store.definitions import Eval

T = TypeVar("T")


class SavedEvals(DefinitionWriter):
    """The evals of a database."""

    async def create_eval(
        self,
        project_id: str,
        *,
        name: str,
        scenario_ids: Sequence[str],
        connector_id: str | None = None,
        **spec: Any,
    ) -> Eval:
        """Create an eval.

        Args:
            project_id: of the project.
            name: that no other eval of the project has.
            scenario_ids: at least one, in order.
            connector_id: what they are run against; None with ``agent_id``.
            spec: see :class:`EvalSpec`.

        Raises:
            StoreConflictError: another eval of the project has the name.
            NotFoundError: there is no such project, scenario, connector or agent.
            ConfigurationError: a field cannot be used.
        """
        data = {"name": name, "scenario_ids": scenario_ids, "connector_id": connector_id, **spec}

        def work(connection: Connection) -> Eval:
            made = eval_of(connection, project_id, data)
            require_eval(connection, made)
            columns = {"connector_id": made.connector_id}
            row = self._insert(connection, evals, "Eval", project_id, made.name, made.spec.written(), columns)
            link(connection, eval_scenarios, ("eval_id", row["id"]), ("scenario_id", made.scenario_ids))
            return changed(made, **row)

        return await self._write(work)

    async def get_eval(self, eval_id: str) -> Eval | None:
        """The eval with that id; None if there is none."""
        found = await self._read(lambda connection: saved_evals(connection, [eval_id]))
        return next(iter(found), None)

    async def list_evals(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[Eval]:
        """The evals of a project; see :meth:`list_personas`."""

        def work(connection: Connection) -> list[Eval]:
            rows = page(connection, evals, project_id, limit, after, name)
            return saved_evals(connection, [row.id for row in rows])

        return await self._read(work)

    async def update_eval(
        self, eval_id: str, changes: Changes, *, expected: Expected[Eval] | None = None
    ) -> Eval | None:
        """Change fields of an eval; None if it is missing. Runs that exist stay as they are."""

        def work(connection: Connection) -> Eval | None:
            row = get(connection, evals, eval_id)
            if row is None:
                return None
            before = saved_evals(connection, [eval_id])[0]
            if expected is not None:
                expected(before)
            whole = {
                "name": before.name,
                "scenario_ids": before.scenario_ids,
                "connector_id": before.connector_id,
                **before.spec.written(),
            }
            made = eval_of(connection, row.project_id, merged(whole, changes))
            require_eval(connection, made)
            self._store(connection, evals, "Eval", row, made.name, made.spec.written())
            self._change(connection, evals, eval_id, {"connector_id": made.connector_id})
            link(connection, eval_scenarios, ("eval_id", eval_id), ("scenario_id", made.scenario_ids))
            return saved_evals(connection, [eval_id])[0]

        return await self._write(work)

    async def delete_eval(self, eval_id: str, *, expected: Expected[Eval] | None = None) -> bool:
        """Delete an eval and all its runs. False if it is missing."""

        def work(connection: Connection) -> bool:
            if expected is not None:
                for found in saved_evals(connection, [eval_id]):
                    expected(found)
            connection.execute(delete(runs).where(runs.c.eval_id == eval_id))
            connection.execute(delete(executions).where(executions.c.eval_id == eval_id))
            return remove(connection, evals, eval_id)

        return await self._write(work)
