"""Environments and deployments in the database, and the execution that a gate decides by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, insert, select, update

from duologue.errors import ConfigurationError, NotFoundError
from duologue.frozen import frozen
from duologue.runs.store.database.definition_rows import (
    After,
    Changes,
    Expected,
    facts,
    get,
    merged,
    page,
    read,
    remove,
    require,
    require_references,
    unnamed,
    whole,
)
from duologue.runs.store.database.definition_writer import DefinitionWriter, get_expected
from duologue.runs.store.database.schema import agents, deployments, environments, evals, executions, runs
from duologue.runs.store.records import OVER, QueueStatus, StoredExecution
from duologue.runs.store.releases import Deployment, DeploymentStatus, Environment, EnvironmentSpec

_LONGEST_MESSAGE = 2000
_AT_ONCE = 50
"""Executions that are looked through at once."""


@frozen
class DecidingExecution:
    """The newest execution of a version of an agent that is over.

    Attributes:
        outcomes: number of its runs by outcome.
        unfinished: ids of newer executions of this version that are not over, or were cancelled.
    """

    execution: StoredExecution | None
    outcomes: dict[str, int]
    unfinished: tuple[int, ...] = ()


class Environments(DefinitionWriter):
    """The environments of a database, and what was deployed to them."""

    async def create_environment(self, project_id: str, environment: EnvironmentSpec | Changes) -> Environment:
        """Create an environment.

        Raises:
            StoreConflictError: another environment of the project has the name.
            NotFoundError: there is no such project, agent or eval.
            ConfigurationError: a field cannot be used, or a credential is written out.
        """
        spec = _spec(environment)

        def work(connection: Connection) -> Environment:
            _require_known(connection, project_id, spec)
            data = unnamed(spec.written())
            row = self._insert(connection, environments, "Environment", project_id, spec.name, data)
            return Environment(spec=spec, **row)

        return await self._write(work)

    async def get_environment(self, environment_id: str) -> Environment | None:
        """The environment with that id; None if there is none."""
        row = await self._read(lambda connection: get(connection, environments, environment_id))
        return _environment(row) if row is not None else None

    async def list_environments(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[Environment]:
        """The environments of a project in the order in which they were created; ``name`` for the one of that name."""
        rows = await self._read(lambda connection: page(connection, environments, project_id, limit, after, name))
        return [_environment(row) for row in rows]

    async def update_environment(
        self, environment_id: str, changes: Changes, *, expected: Expected[Environment] | None = None
    ) -> Environment | None:
        """Change fields of an environment; None if it is missing."""

        def work(connection: Connection) -> Environment | None:
            row = get_expected(connection, environments, environment_id, expected, _environment)
            if row is None:
                return None
            spec = _spec(merged(whole(row), changes))
            _require_known(connection, row.project_id, spec)
            self._store(connection, environments, "Environment", row, spec.name, unnamed(spec.written()))
            found = get(connection, environments, environment_id)
            return _environment(found) if found is not None else None

        return await self._write(work)

    async def delete_environment(self, environment_id: str, *, expected: Expected[Environment] | None = None) -> bool:
        """Delete an environment with the history of its deployments. False if it is missing."""

        def work(connection: Connection) -> bool:
            get_expected(connection, environments, environment_id, expected, _environment)
            return remove(connection, environments, environment_id)

        return await self._write(work)

    # Deployments

    async def add_deployment(
        self,
        environment: Environment,
        *,
        agent_id: str,
        agent_version: int,
        execution_id: int | None,
        status: DeploymentStatus,
        message: str = "",
    ) -> Deployment:
        """Record that somebody wants to deploy a version."""

        def work(connection: Connection) -> Deployment:
            now = self._database.now(connection)
            values: dict[str, Any] = {
                "project_id": environment.project_id,
                "environment_id": environment.id,
                "agent_id": agent_id,
                "agent_version": agent_version,
                "execution_id": execution_id,
                "status": status,
                "message": message[:_LONGEST_MESSAGE],
                "created_at": now,
                "updated_at": now,
            }
            made = connection.execute(insert(deployments).values(**values).returning(deployments.c.id))
            return Deployment(id=made.scalar_one(), **values)

        return await self._write(work)

    async def end_deployment(self, deployment: Deployment, status: DeploymentStatus, message: str) -> Deployment:
        """Record what became of a deployment."""

        def work(connection: Connection) -> Deployment:
            values = {
                "status": status,
                "message": message[:_LONGEST_MESSAGE],
                "updated_at": self._database.now(connection),
            }
            connection.execute(update(deployments).where(deployments.c.id == deployment.id).values(**values))
            asked = select(deployments).where(deployments.c.id == deployment.id)
            row = connection.execute(asked).mappings().first()
            if row is None:
                raise NotFoundError(f"Deployment {deployment.id} not found")
            return Deployment(**row)

        return await self._write(work)

    async def get_deployment(self, project_id: str, deployment_id: int) -> Deployment | None:
        """The deployment with that number; None if the project has none."""
        asked = select(deployments).where(deployments.c.id == deployment_id, deployments.c.project_id == project_id)

        def work(connection: Connection) -> Deployment | None:
            row = connection.execute(asked).mappings().first()
            return Deployment(**row) if row is not None else None

        return await self._read(work)

    async def list_deployments(
        self,
        project_id: str,
        *,
        environment_id: str | None = None,
        agent_id: str | None = None,
        limit: int | None = None,
        before: int | None = None,
    ) -> list[Deployment]:
        """What was deployed, or refused, the newest first.

        Args:
            project_id: of the project.
            environment_id, agent_id: only those; None for all.
            limit: at most so many; None for all.
            before: the id of the last one of the page before.

        Raises:
            ConfigurationError: the limit is below 1.
        """
        if limit is not None and limit < 1:
            raise ConfigurationError(f"limit is {limit}; expected at least 1, or None for all")
        asked = select(deployments).where(deployments.c.project_id == project_id)
        for column, value in (("environment_id", environment_id), ("agent_id", agent_id)):
            if value is not None:
                asked = asked.where(deployments.c[column] == value)
        if before is not None:
            asked = asked.where(deployments.c.id < before)
        ordered = asked.order_by(deployments.c.id.desc()).limit(limit)
        return await self._read(
            lambda connection: [Deployment(**row) for row in connection.execute(ordered).mappings()]
        )

    # The gate

    async def deciding_execution(
        self, project_id: str, eval_id: str, agent_id: str, agent_version: int
    ) -> DecidingExecution:
        """The newest execution of exactly this version with this eval that is over, and newer ones that are not."""

        def work(connection: Connection) -> DecidingExecution:
            unfinished: list[int] = []
            for row in _newest_first(connection, project_id, eval_id, agent_id, agent_version):
                outcomes, is_over = _outcomes(connection, row["id"])
                if is_over:
                    execution = StoredExecution(**row)
                    return DecidingExecution(execution=execution, outcomes=outcomes, unfinished=tuple(unfinished))
                unfinished.append(row["id"])
            return DecidingExecution(execution=None, outcomes={}, unfinished=tuple(unfinished))

        return await self._read(work)


def _newest_first(
    connection: Connection, project_id: str, eval_id: str, agent_id: str, agent_version: int
) -> Iterator[RowMapping]:
    """The executions of a version with an eval. All runs of an execution are of one version."""
    of_version = (
        select(runs.c.number)
        .where(
            runs.c.execution_id == executions.c.id,
            runs.c.agent_id == agent_id,
            runs.c.agent_version == agent_version,
        )
        .exists()
    )
    before: int | None = None
    while True:
        asked = select(executions).where(
            executions.c.project_id == project_id, executions.c.eval_id == eval_id, of_version
        )
        if before is not None:
            asked = asked.where(executions.c.id < before)
        rows = connection.execute(asked.order_by(executions.c.id.desc()).limit(_AT_ONCE)).mappings().all()
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        before = rows[-1]["id"]


def _outcomes(connection: Connection, execution_id: int) -> tuple[dict[str, int], bool]:
    """How many runs of an execution have which outcome, and whether all of them were carried out."""
    outcomes: dict[str, int] = {}
    is_over = True
    for row in connection.execute(select(runs.c.status, runs.c.outcome).where(runs.c.execution_id == execution_id)):
        status = QueueStatus(row.status)
        is_over = is_over and status in OVER and status is not QueueStatus.CANCELLED
        word = row.outcome or status.value
        outcomes[word] = outcomes.get(word, 0) + 1
    return outcomes, is_over and bool(outcomes)


def _spec(environment: EnvironmentSpec | Changes) -> EnvironmentSpec:
    made: EnvironmentSpec = (
        environment
        if isinstance(environment, EnvironmentSpec)
        else read(EnvironmentSpec, environment, "the environment")
    )
    require_references(made, f"the environment '{made.name}'")
    return made


def _require_known(connection: Connection, project_id: str, spec: EnvironmentSpec) -> None:
    if spec.agent_id is not None:
        require(connection, agents, "Agent", [spec.agent_id], project_id)
    if spec.eval_id is not None:
        require(connection, evals, "Eval", [spec.eval_id], project_id)


def _environment(row: Row[Any]) -> Environment:
    return Environment(spec=EnvironmentSpec.model_validate(whole(row)), **facts(row))
