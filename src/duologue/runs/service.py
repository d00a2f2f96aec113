"""The runs of a project: created from evals or scenarios, read, changed, retried, deleted.

::

    async with RunService.open(project="shop") as service:
        runs = await service.create_runs(eval_id)

A run is put into the queue together with the snapshot of everything that it is made from, so that a later change of the
eval, a scenario or a connector changes nothing about it. ``RunProcessor`` carries runs out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, delete, select

from duologue.config.placed_json import refused
from duologue.context import random_uuid
from duologue.errors import ConfigurationError
from duologue.frozen import changed
from duologue.runs.arguments import checked
from duologue.runs.eval_definitions import connector_of, eval_definition, personas_of, version_of
from duologue.runs.evals import Compiled, CompiledRun, Definition, PreparedDefinitions, within_budget
from duologue.runs.project_calls import ProjectCalls
from duologue.runs.project_forks import ProjectForks
from duologue.runs.project_releases import ProjectReleases
from duologue.runs.projects import open_project
from duologue.runs.run_changes import change_run, status_named
from duologue.runs.store.database.definition_rows import (
    find_project,
    named,
    require,
    saved_scenarios,
    speakers_of,
)
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.recovery import parts_of
from duologue.runs.store.database.rows import MOST, RunFilter, get_run, list_runs
from duologue.runs.store.database.schema import agents, executions, runs, scenarios
from duologue.runs.store.database.wakeup import QUEUED
from duologue.runs.store.definitions import Project
from duologue.runs.store.records import (
    OVER,
    Cancelled,
    Enqueued,
    NewExecution,
    NewRun,
    QueueStatus,
    StoredExecution,
    StoredRun,
)
from duologue.runs.stored_messages import Instructions, with_messages, with_messages_so_far
from duologue.specs.suite import Suite


@checked
class RunService(ProjectForks, ProjectCalls, ProjectReleases):
    """The definitions and runs of one project.

    Args:
        database: an open one.
        project: in it.
    """

    def __init__(self, database: Database, project: Project) -> None:
        super().__init__(database, project)
        self._prepared = PreparedDefinitions()
        self._instructions = Instructions(database)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        where: str | Path | None = None,
        *,
        project: str | None = None,
        create: bool | None = None,
        new_project: bool = False,
    ) -> AsyncGenerator[Self]:
        """Open a store and a project in it.

        Args:
            where: URL, folder or file of the store; None for what ``DUOLOGUE_DATABASE_URL`` names, else for that of the
                project in the current folder.
            project: its name, its id or the beginning of its id. None for the only one; where there is none, the
                project ``default`` is made.
            create: whether to make the tables of a store that has none. None: of a file that does not exist.
            new_project: make the project if there is none of that name.

        Raises:
            ConfigurationError: ``where`` names no store, or there are several projects and none is named.
            NotFoundError: there is no such project.
            StoreError: the store cannot be used.
        """
        async with Database.open(where, create=create) as database:
            yield cls(database, await open_project(database, project, create=new_project))

    # Creating

    async def create_runs(
        self,
        eval_id: str,
        *,
        priority: int = 0,
        not_before: float | None = None,
        max_attempts: int = 3,
        seed: int | None = None,
        execution_name: str | None = None,
        budget: float | None = None,
    ) -> list[StoredRun]:
        """Put one run for each scenario and persona of an eval into the queue, all of one execution.

        Args:
            eval_id: of the eval.
            priority: higher ones are claimed first.
            not_before: seconds since 1970; they are not claimed earlier. None for at once.
            max_attempts: after so many workers have died with a run, it is set aside as an error.
            seed: from which all random choices derive; None for a new one.
            execution_name: of the execution, which no other of the project has; None for a new one.
            budget: US dollars that the models of all runs may cost together; None for what the project says. A lower
                limit of the project counts.

        Returns:
            The runs in order: scenarios as the eval has them, and for each its personas.

        Raises:
            NotFoundError: the eval, a scenario, a persona, the connector or the agent does not exist.
            ConfigurationError: the eval cannot be run as it is, or a value cannot be used.
            StoreConflictError: there is an execution of that name.
        """
        done = await self.create_execution(
            eval_id,
            priority=priority,
            not_before=not_before,
            max_attempts=max_attempts,
            seed=seed,
            execution_name=execution_name,
            budget=budget,
        )
        return await self._read_again(done)

    async def create_execution(
        self,
        eval_id: str,
        *,
        priority: int = 0,
        not_before: float | None = None,
        max_attempts: int = 3,
        seed: int | None = None,
        execution_name: str | None = None,
        budget: float | None = None,
    ) -> Enqueued:
        """:meth:`create_runs` for whoever wants the execution, and not all of its runs."""
        if execution_name is not None:
            named(execution_name, "execution")
        eval_, definition = await self.database.read(partial(eval_definition, project=self.project, eval_id=eval_id))
        made = self._prepared(within_budget(definition, budget)).runs(seed)
        version = definition.version
        base = NewRun(
            id="",
            snapshot=made.snapshot.digest,
            case=made.runs[0].case,
            eval_id=eval_id,
            agent_id=version.agent_id if version else None,
            agent_version=version.version if version else None,
            provider=made.provider,
            priority=priority,
            not_before=not_before,
            max_attempts=max_attempts,
        )
        data = {"eval": eval_.name, "seed": made.seed, **made.facts}
        return await self._enqueue(base, made, made.runs, NewExecution(name=execution_name, eval_id=eval_id, data=data))

    async def create_run(self, eval_id: str, **options: Any) -> StoredRun:
        """The first of the runs that :meth:`create_runs` creates."""
        return (await self.create_runs(eval_id, **options))[0]

    async def create_playground_run(
        self,
        scenario_id: str,
        connector_id: str | None = None,
        persona_id: str | None = None,
        *,
        agent_id: str | None = None,
        priority: int = 0,
        seed: int | None = None,
    ) -> StoredRun:
        """Put one run of a scenario into the queue, without an eval and without an execution.

        Args:
            scenario_id: of the scenario.
            connector_id: whose agent is called.
            persona_id: who the user is; None for nobody in particular.
            agent_id: a saved agent that is called instead, in its newest version.
            priority: higher ones are claimed first.
            seed: from which all random choices derive; None for a new one.

        Raises:
            NotFoundError: the scenario, the connector, the agent or the persona does not exist, or the agent has no
                version.
            ConfigurationError: the scenario cannot be run as it is, or not exactly one of connector and agent is named.
        """
        if (connector_id is None) == (agent_id is None):
            raise refused("agent_id", "expected either a connector_id or an agent_id")

        def work(connection: Connection) -> Definition:
            require(connection, scenarios, "Scenario", [scenario_id], self.project.id)
            scenario = saved_scenarios(connection, [scenario_id])[0]
            connector = version = None
            if connector_id is not None:
                connector = connector_of(connection, self.project, connector_id)
            elif agent_id is not None:
                require(connection, agents, "Agent", [agent_id], self.project.id)
                version = version_of(connection, agent_id, None)
            chosen = personas_of(connection, self.project, [persona_id] if persona_id is not None else [])
            return Definition(
                name=f"playground: {scenario.name}"[:200],
                project=find_project(connection, self.project.id) or self.project,
                scenarios=[(scenario, list(chosen.values()))],
                connector=connector,
                version=version,
                speakers=speakers_of(connection, self.project.id, [scenario.spec]),
            )

        definition = await self.database.read(work)
        made = self._prepared(definition).runs(seed)
        base = NewRun(
            id="",
            snapshot=made.snapshot.digest,
            case=made.runs[0].case,
            connector_id=connector_id,
            agent_id=agent_id,
            agent_version=definition.version.version if definition.version is not None else None,
            provider=made.provider,
            priority=priority,
        )
        return (await self._read_again(await self._enqueue(base, made, made.runs[:1], None)))[0]

    async def _enqueue(
        self, base: NewRun, made: Compiled, new: Sequence[CompiledRun], execution: NewExecution | None
    ) -> Enqueued:
        rows = [
            changed(base, id=random_uuid(), case=run.case, scenario_id=run.scenario_id, persona_id=run.persona_id)
            for run in new
        ]
        return await self.database.queue.enqueue(self.project.id, rows, snapshots=[made.snapshot], execution=execution)

    async def _read_again(self, done: Enqueued) -> list[StoredRun]:
        wanted = RunFilter(execution_id=done.execution.id) if done.execution else RunFilter(ids=done.ids)
        found = {run.id: run for run in await self._all(wanted)}
        return [found[id_] for id_ in done.ids if id_ in found]

    async def suite_of_eval(self, eval_id: str) -> Suite:
        """What the runs of an eval would be made from now, without credentials. Raises as :meth:`create_runs`."""
        _, definition = await self.database.read(partial(eval_definition, project=self.project, eval_id=eval_id))
        return self._prepared(definition).suite

    # Reading

    async def get_run(self, run_id: str) -> StoredRun | None:
        """A run with its conversation, which is that so far if it is under way; None if there is none."""
        found = await get_run(self.database, run_id)
        if found is None or found.project_id != self.project.id:
            return None
        return await with_messages_so_far(self.database, found, self._instructions)

    async def list_runs(
        self,
        *,
        eval_id: str | None = None,
        status: QueueStatus | str | None = None,
        limit: int | None = None,
        scenario_id: str | None = None,
        persona_id: str | None = None,
        execution_id: int | None = None,
        after: int | None = None,
        descending: bool = False,
        messages: bool = True,
    ) -> list[StoredRun]:
        """Runs in the order in which they were created.

        Args:
            eval_id, status, scenario_id, persona_id, execution_id: only those; None for all.
            limit: at most so many; None for all.
            after: the ``number`` of the last run of the page before.
            descending: the newest first.
            messages: with the conversations of those that are over. Without, a list of many runs is much smaller.

        Raises:
            ConfigurationError: the limit is below 1, or there is no such status.
        """
        wanted = RunFilter(
            project_id=self.project.id,
            eval_id=eval_id,
            status=status_named(status),
            scenario_id=scenario_id,
            persona_id=persona_id,
            execution_id=execution_id,
        )
        return await self._all(wanted, limit=limit, after=after, descending=descending, messages=messages)

    async def list_runs_by_eval(self, eval_id: str, **options: Any) -> list[StoredRun]:
        """The runs of an eval, the newest first; options as for :meth:`list_runs`."""
        return await self.list_runs(eval_id=eval_id, descending=True, **options)

    async def list_runs_by_scenario(self, scenario_id: str, **options: Any) -> list[StoredRun]:
        """The runs of a scenario, the newest first; options as for :meth:`list_runs`."""
        return await self.list_runs(scenario_id=scenario_id, descending=True, **options)

    async def list_runs_by_persona(self, persona_id: str, **options: Any) -> list[StoredRun]:
        """The runs of a persona, the newest first; options as for :meth:`list_runs`."""
        return await self.list_runs(persona_id=persona_id, descending=True, **options)

    async def _all(
        self,
        wanted: RunFilter,
        *,
        limit: int | None = None,
        after: int | None = None,
        descending: bool = False,
        messages: bool = False,
    ) -> list[StoredRun]:
        _require_page(limit)
        found: list[StoredRun] = []
        while True:
            most = MOST if limit is None else min(MOST, limit - len(found))
            page = await list_runs(self.database, wanted, limit=most, after=after, descending=descending)
            found += await with_messages(self.database, page.runs) if messages else page.runs
            after = page.next
            if after is None or (limit is not None and len(found) >= limit):
                return found

    # Changing

    async def update_run(self, run_id: str, **changes: Any) -> StoredRun | None:
        """Change the fields of a run that are named, and no others; None clears a field.

        Args:
            run_id: of the run.
            changes: ``status``, ``started_at`` and ``completed_at`` (seconds since 1970, datetimes or texts of ISO
                8601), ``messages``, ``output``, ``result`` (``success``, ``score``, ``reason``), ``error``,
                ``metadata``, ``thread_id``, ``priority``. Whoever changes the status of a run that a worker carries out
                takes it away from that worker.

        Returns:
            The run as it is then; None if there is none.

        Raises:
            ConfigurationError: there is no such field, or it cannot have that value.
        """
        queued = status_named(changes.get("status")) is QueueStatus.QUEUED

        def work(connection: Connection) -> bool:
            now = self.database.now(connection)
            if queued:
                self.database.wakeup.notify(connection, QUEUED)
            return change_run(connection, run_id, self.project.id, changes, now)

        if not await self.database.write(work):
            return None
        if queued:
            self.database.wakeup.signal(QUEUED)
        return await self.get_run(run_id)

    async def retry_run(self, run_id: str) -> StoredRun | None:
        """Put a run that ended in an error into the queue again, with a new thread id; None if there is none.

        What came of it is cleared. The journals of what was tried are kept.

        Raises:
            StoreConflictError: it did not end in an error.
        """
        found = await get_run(self.database, run_id)
        if found is None or found.project_id != self.project.id:
            return None
        await self.database.queue.retry(run_id, thread_id=random_uuid())
        return await self.get_run(run_id)

    async def cancel_runs(self, *run_ids: str) -> Cancelled:
        """Cancel runs: those that wait are over at once, those under way are stopped by their workers.

        Returns:
            What became of each; ids that the project does not have are ``unknown``.
        """
        own = {
            run.id
            for part in parts_of(run_ids)
            for run in await self._all(RunFilter(project_id=self.project.id, ids=part))
        }
        done = await self.database.queue.cancel(run_id for run_id in run_ids if run_id in own)
        elsewhere = [run_id for run_id in dict.fromkeys(run_ids) if run_id not in own]
        return changed(done, unknown=(*elsewhere, *done.unknown))

    async def delete_run(self, run_id: str) -> bool:
        """Delete a run with all that is kept of it. False if there is none."""
        return await self._delete(runs.c.id == run_id) > 0

    async def delete_runs(self, *run_ids: str, only_over: bool = False) -> int:
        """Delete runs with all that is kept of them; returns how many there were.

        Args:
            run_ids: of the runs.
            only_over: leave those that wait or are under way by now.
        """
        chosen = [runs.c.status.in_(map(str, OVER))] if only_over else []
        return sum([await self._delete(runs.c.id.in_(part), *chosen) for part in parts_of(run_ids)])

    async def delete_runs_by_eval(self, eval_id: str) -> int:
        """Delete all runs of an eval; returns how many there were."""
        return await self._delete(runs.c.eval_id == eval_id)

    async def _delete(self, *conditions: ColumnElement[bool]) -> int:
        asked = delete(runs).where(*conditions, runs.c.project_id == self.project.id)
        return await self.database.write(lambda connection: connection.execute(asked).rowcount)

    # Executions

    async def get_execution(self, execution_id: int) -> StoredExecution | None:
        """An execution; None if there is none."""
        return next(iter(await self._executions(executions.c.id == execution_id)), None)

    async def list_executions(
        self, *, eval_id: str | None = None, limit: int | None = None, before: int | None = None
    ) -> list[StoredExecution]:
        """The executions, the newest first.

        Args:
            eval_id: only those of this eval.
            limit: at most so many; None for all.
            before: the id of the last one of the page before.

        Raises:
            ConfigurationError: the limit is below 1.
        """
        _require_page(limit)
        conditions = [executions.c.eval_id == eval_id] if eval_id is not None else []
        conditions += [executions.c.id < before] if before is not None else []
        return await self._executions(*conditions, limit=limit)

    async def _executions(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[StoredExecution]:
        asked = (
            select(executions)
            .where(executions.c.project_id == self.project.id, *conditions)
            .order_by(executions.c.id.desc())
            .limit(limit)
        )
        return await self.database.read(
            lambda connection: [StoredExecution(**row) for row in connection.execute(asked).mappings()]
        )


def _require_page(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ConfigurationError(f"limit is {limit}; expected at least 1, or None for all")
