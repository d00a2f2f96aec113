"""Agents that are developed here: a draft that is edited, and published versions that never change.

Publishing copies the draft under the next number. Rolling back copies a version into the draft; it is published again
like any other draft, so that history only grows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, func, insert, select, update

from duologue.config.placed_json import refused
from duologue.config.problems import unknown
from duologue.context import random_uuid
from duologue.errors import NotFoundError, StoreConflictError
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.definition_rows import (
    After,
    Changes,
    Expected,
    facts,
    get,
    merged,
    named,
    page,
    read,
    remove,
    require_free,
    require_references,
    require_unused,
)
from duologue.runs.store.database.definition_writer import get_expected
from duologue.runs.store.database.runtime_rules import require_runtime, suite_of
from duologue.runs.store.database.schema import agent_versions, agents, evals, projects
from duologue.runs.store.definitions import AgentDraft, AgentVersion, FieldChange, SavedAgent, differences

T = TypeVar("T")


class Agents:
    """The agents of a database.

    Args:
        database: an open one.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database

    async def create_agent(
        self, project_id: str, draft: AgentDraft | Changes, *, name: str | None = None
    ) -> SavedAgent:
        """Create an agent that has no version yet.

        Args:
            project_id: of the project.
            draft: what it is made of.
            name: that no other agent of the project has; None for that of ``draft.agent``.

        Raises:
            StoreConflictError: another agent of the project has the name.
            NotFoundError: there is no such project.
            ConfigurationError: a field cannot be used, or a credential is written out.
        """
        made = _draft(draft)
        called = named(name or made.agent.name, "agent")

        def work(connection: Connection) -> SavedAgent:
            if get(connection, projects, project_id) is None:
                raise NotFoundError(f'Project with id "{project_id}" not found')
            require_free(connection, agents, "Agent", called, project_id=project_id)
            now = self._database.now(connection)
            row: dict[str, Any] = {"id": random_uuid(), "project_id": project_id, "created_at": now, "updated_at": now}
            connection.execute(insert(agents).values(name=called, data=made.written(), **row))
            return SavedAgent(name=called, draft=made, **row)

        return await self._write(work)

    async def get_agent(self, agent_id: str) -> SavedAgent | None:
        """The agent with that id; None if there is none."""
        return await self._read(lambda connection: _found(connection, agent_id))

    async def list_agents(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[SavedAgent]:
        """The agents of a project in the order in which they were created.

        Args:
            project_id: of the project.
            name: only the one of that name.
            limit: at most so many; None for all.
            after: the last one of the page before.
        """

        def work(connection: Connection) -> list[SavedAgent]:
            rows = page(connection, agents, project_id, limit, after, name)
            newest = _newest(connection, [row.id for row in rows])
            return [_saved(row, newest.get(row.id)) for row in rows]

        return await self._read(work)

    async def update_agent(
        self, agent_id: str, changes: Changes, *, expected: Expected[SavedAgent] | None = None
    ) -> SavedAgent | None:
        """Change ``name`` or fields of the draft; None if it is missing. Published versions stay as they are."""

        def work(connection: Connection) -> SavedAgent | None:
            row = get_expected(connection, agents, agent_id, expected, partial(_as_saved, connection))
            if row is None:
                return None
            fields = dict(changes)
            name = named(fields.pop("name", row.name), "agent")
            if name != row.name:
                require_free(connection, agents, "Agent", name, project_id=row.project_id, but=agent_id)
            self._change(connection, agent_id, name, _draft(merged(row.data, fields)))
            return _found(connection, agent_id)

        return await self._write(work)

    async def delete_agent(self, agent_id: str, *, expected: Expected[SavedAgent] | None = None) -> bool:
        """Delete an agent and its versions. False if it is missing.

        Raises:
            StoreConflictError: evals use it.
        """

        def work(connection: Connection) -> bool:
            row = get_expected(connection, agents, agent_id, expected, partial(_as_saved, connection))
            if row is None:
                return False
            every = connection.execute(select(evals).where(evals.c.project_id == row.project_id))
            used = [item.name for item in every if item.data.get("agent_id") == agent_id]
            asked = select(evals.c.name).where(evals.c.project_id == row.project_id, evals.c.name.in_(used))
            require_unused(connection, "agent", row.name, asked, "eval")
            return remove(connection, agents, agent_id)

        return await self._write(work)

    async def publish_agent(self, agent_id: str, *, note: str = "") -> AgentVersion:
        """Publish the draft as the next version, which never changes.

        Raises:
            NotFoundError: there is no such agent.
            StoreConflictError: the draft is the same as the newest version.
            SuiteError: no prompt of the draft has the name that the agent says.
        """

        def work(connection: Connection) -> AgentVersion:
            row = _required(connection, agent_id)
            draft = AgentDraft.model_validate(row.data)
            _require_prompt(draft)
            newest = connection.execute(
                select(agent_versions)
                .where(agent_versions.c.agent_id == agent_id)
                .order_by(agent_versions.c.version.desc())
                .limit(1)
            ).first()
            if newest is not None and newest.data == row.data:
                raise StoreConflictError(f"the draft of the agent '{row.name}' is the same as version {newest.version}")
            number = 1 if newest is None else newest.version + 1
            now = self._database.now(connection)
            values: dict[str, Any] = {"agent_id": agent_id, "version": number, "note": note, "published_at": now}
            connection.execute(insert(agent_versions).values(data=row.data, **values))
            return AgentVersion(draft=draft, **values)

        return await self._write(work)

    async def get_agent_version(self, agent_id: str, version: int | None = None) -> AgentVersion | None:
        """A published version, or the newest; None if there is none."""
        return await self._read(lambda connection: find_version(connection, agent_id, version))

    async def list_agent_versions(self, agent_id: str) -> list[AgentVersion]:
        """The published versions of an agent, the newest first."""
        asked = select(agent_versions).where(agent_versions.c.agent_id == agent_id)
        ordered = asked.order_by(agent_versions.c.version.desc())
        return await self._read(lambda connection: [_version(row) for row in connection.execute(ordered)])

    async def roll_back_agent(self, agent_id: str, version: int) -> SavedAgent:
        """Make a published version the draft again. Versions stay as they are; publish the draft to use it.

        Raises:
            NotFoundError: there is no such agent or version.
        """

        def work(connection: Connection) -> SavedAgent:
            row = _required(connection, agent_id)
            self._change(connection, agent_id, row.name, _required_version(connection, row, version).draft)
            found = _found(connection, agent_id)
            assert found is not None
            return found

        return await self._write(work)

    async def diff_agent_versions(self, agent_id: str, before: int, after: int | None = None) -> list[FieldChange]:
        """The fields that differ between two versions.

        Args:
            agent_id: of the agent.
            before: a version.
            after: another one; None for the draft.

        Raises:
            NotFoundError: there is no such agent or version.
        """

        def work(connection: Connection) -> list[FieldChange]:
            row = _required(connection, agent_id)
            old = _required_version(connection, row, before).draft
            new = AgentDraft.model_validate(row.data)
            return differences(old, new if after is None else _required_version(connection, row, after).draft)

        return await self._read(work)

    def _change(self, connection: Connection, agent_id: str, name: str, draft: AgentDraft) -> None:
        values = {"name": name, "data": draft.written(), "updated_at": self._database.now(connection)}
        connection.execute(update(agents).where(agents.c.id == agent_id).values(**values))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work)


def find_version(connection: Connection, agent_id: str, version: int | None) -> AgentVersion | None:
    """A published version, or the newest; None if there is none."""
    asked = select(agent_versions).where(agent_versions.c.agent_id == agent_id)
    if version is not None:
        asked = asked.where(agent_versions.c.version == version)
    row = connection.execute(asked.order_by(agent_versions.c.version.desc()).limit(1)).first()
    return _version(row) if row is not None else None


def no_version(agent: str, version: int | None) -> NotFoundError:
    """The error for an agent without that version; for one that was never published, if ``version`` is None."""
    told = "was never published; publish its draft first" if version is None else f"has no version {version}"
    return NotFoundError(f"the agent '{agent}' {told}")


def _require_prompt(draft: AgentDraft) -> None:
    task = draft.agent.prompt
    if task is None or draft.workflow is not None or suite_of(draft).prompt_for(task) is not None:
        return  # of a workflow, states have prompts
    raise refused("agent.prompt", unknown("prompt", task, [item.answers_to for item in draft.prompts]))


def _draft(draft: AgentDraft | Changes) -> AgentDraft:
    made: AgentDraft = draft if isinstance(draft, AgentDraft) else read(AgentDraft, draft, "the agent")
    require_references(made, f"the agent '{made.agent.name}'")
    if made.agent.runtime is not None:
        require_runtime(made)
    return made


def _found(connection: Connection, agent_id: str) -> SavedAgent | None:
    row = get(connection, agents, agent_id)
    return _as_saved(connection, row) if row is not None else None


def _as_saved(connection: Connection, row: Row[Any]) -> SavedAgent:
    return _saved(row, _newest(connection, [row.id]).get(row.id))


def _saved(row: Row[Any], version: int | None) -> SavedAgent:
    return SavedAgent(name=row.name, draft=AgentDraft.model_validate(row.data), version=version, **facts(row))


def _version(row: Row[Any]) -> AgentVersion:
    return AgentVersion(
        agent_id=row.agent_id,
        version=row.version,
        draft=AgentDraft.model_validate(row.data),
        note=row.note,
        published_at=row.published_at,
    )


def _newest(connection: Connection, ids: list[str]) -> dict[str, int]:
    version = agent_versions.c.version
    asked = select(agent_versions.c.agent_id, func.max(version)).where(agent_versions.c.agent_id.in_(ids))
    return {row[0]: row[1] for row in connection.execute(asked.group_by(agent_versions.c.agent_id))}


def _required(connection: Connection, agent_id: str) -> Row[Any]:
    row = connection.execute(select(agents).where(agents.c.id == agent_id).with_for_update()).first()
    if row is None:
        raise NotFoundError(f'Agent with id "{agent_id}" not found')
    return row


def _required_version(connection: Connection, row: Row[Any], version: int) -> AgentVersion:
    found = find_version(connection, row.id, version)
    if found is None:
        raise no_version(row.name, version)
    return found
