"""Production calls in the database. A page of calls and how far they have been fetched are one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, RowMapping, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from duologue.context import random_uuid
from duologue.errors import ConfigurationError, NotFoundError
from duologue.runs.store.calls import (
    CallLabel,
    CallSource,
    CallSourceSpec,
    FetchedSoFar,
    PlatformCall,
    ProductionCall,
)
from duologue.runs.store.database.definition_rows import get, require
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import agents, call_sources, calls, projects

_LISTED = [column for column in calls.c if column.name not in {"data", "deleted_at"}]


class Calls:
    """The production calls of a database.

    Args:
        database: an open one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # Sources

    async def put_source(
        self, project_id: str, platform: str, platform_agent_id: str, agent_id: str | None, spec: CallSourceSpec
    ) -> CallSource:
        """Save a source, or change the one of that agent of that platform; what was fetched stays.

        Raises:
            NotFoundError: there is no such project or agent.
        """

        def work(connection: Connection) -> CallSource:
            if get(connection, projects, project_id) is None:
                raise NotFoundError(f'Project with id "{project_id}" not found')
            if agent_id is not None:
                require(connection, agents, "Agent", [agent_id], project_id)
            now = self._database.now(connection)
            key = {"project_id": project_id, "platform": platform, "platform_agent_id": platform_agent_id}
            values: dict[str, Any] = {"agent_id": agent_id, "updated_at": now}
            new = {"id": random_uuid(), "created_at": now, "data": _source_data(spec, FetchedSoFar()), **key, **values}
            made = self._insert(call_sources).values(new).on_conflict_do_nothing(index_elements=list(key))
            connection.execute(made)
            mine = and_(*(call_sources.c[name] == value for name, value in key.items()))
            row = connection.execute(select(call_sources).where(mine).with_for_update()).mappings().one()
            data = _source_data(spec, _source(row).so_far)
            connection.execute(update(call_sources).where(mine).values(data=data, **values))
            if agent_id != row["agent_id"]:
                connection.execute(update(calls).where(calls.c.source_id == row["id"]).values(agent_id=agent_id))
            return _source(connection.execute(select(call_sources).where(mine)).mappings().one())

        return await self._database.write(work)

    async def list_sources(
        self, project_id: str, *, agent_id: str | None = None, source_id: str | None = None
    ) -> list[CallSource]:
        """The sources of a project, or that of an agent or id."""
        asked = select(call_sources).where(call_sources.c.project_id == project_id)
        if agent_id is not None:
            asked = asked.where(call_sources.c.agent_id == agent_id)
        if source_id is not None:
            asked = asked.where(call_sources.c.id == source_id)
        ordered = asked.order_by(call_sources.c.created_at, call_sources.c.id)
        return await self._database.read(
            lambda connection: [_source(row) for row in connection.execute(ordered).mappings()]
        )

    async def delete_source(self, project_id: str, source_id: str) -> bool:
        """Delete a source with all its calls. False if the project has none with that id."""
        asked = delete(call_sources).where(call_sources.c.id == source_id, call_sources.c.project_id == project_id)
        return await self._database.write(lambda connection: connection.execute(asked).rowcount > 0)

    async def store_page(
        self, source: CallSource, found: Sequence[PlatformCall], so_far: FetchedSoFar, watermark: float | None
    ) -> int:
        """Store calls, and how far the source has been fetched with them; returns how many were new.

        Calls that are here already, or were deleted here, stay as they are.

        Raises:
            NotFoundError: the source was deleted meanwhile.
        """

        def work(connection: Connection) -> int:
            now = self._database.now(connection)
            mine = call_sources.c.id == source.id
            row = connection.execute(select(call_sources).where(mine).with_for_update()).mappings().first()
            if row is None:
                raise NotFoundError(f'Source of calls with id "{source.id}" not found: it was deleted')
            current = _source(row)
            values = {"data": _source_data(current.spec, so_far), "watermark": watermark}
            connection.execute(update(call_sources).where(mine).values(**values, synced_at=now, updated_at=now))
            rows = [_call_row(current, call, now) for call in found]
            if not rows:
                return 0
            made = self._insert(calls).on_conflict_do_nothing(
                index_elements=["project_id", "platform", "platform_call_id"]
            )
            return sum(connection.execute(made.values(item)).rowcount > 0 for item in rows)

        return await self._database.write(work)

    # Calls

    async def list_calls(
        self,
        project_id: str,
        *,
        agent_id: str | None = None,
        source_id: str | None = None,
        label: CallLabel | None = None,
        seen: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[ProductionCall]:
        """The calls of a project without what was said, those that began last first.

        Args:
            project_id: of the project.
            agent_id, source_id, label: only those; None for all.
            seen: whether somebody has looked at them; None for all.
            limit: at most so many; None for all.
            after: the id of the last one of the page before.

        Raises:
            ConfigurationError: the limit is below 1.
            NotFoundError: there is no call ``after``.
        """
        if limit is not None and limit < 1:
            raise ConfigurationError(f"limit is {limit}; expected at least 1, or None for all")
        at, number = calls.c.started_at, calls.c.number
        asked = select(*_LISTED).where(calls.c.project_id == project_id, calls.c.deleted_at.is_(None))
        for column, value in (("agent_id", agent_id), ("source_id", source_id), ("label", label)):
            if value is not None:
                asked = asked.where(calls.c[column] == value)
        if seen is not None:
            asked = asked.where(calls.c.seen_at.is_not(None) if seen else calls.c.seen_at.is_(None))

        def work(connection: Connection) -> list[ProductionCall]:
            chosen = asked
            if after is not None:
                last = connection.execute(select(at, number).where(calls.c.id == after)).first()
                if last is None:
                    raise NotFoundError(f'nothing with id "{after}" to continue after; ask for the first page again')
                chosen = chosen.where(or_(at < last[0], and_(at == last[0], number < last[1])))
            ordered = chosen.order_by(at.desc(), number.desc()).limit(limit)
            return [ProductionCall(**row) for row in connection.execute(ordered).mappings()]

        return await self._database.read(work)

    async def get_call(self, project_id: str, call_id: str) -> ProductionCall | None:
        """The call with that id, with what was said; None if the project has none."""
        mine = calls.c.id == call_id, calls.c.project_id == project_id, calls.c.deleted_at.is_(None)
        asked = select(*_LISTED, calls.c.data).where(*mine)

        def work(connection: Connection) -> ProductionCall | None:
            row = connection.execute(asked).mappings().first()
            return ProductionCall(**{**row, "data": json.loads(row["data"])}) if row is not None else None

        return await self._database.read(work)

    async def find_call(self, project_id: str, name: str) -> ProductionCall | None:
        """The call with that id, or that id at its platform, without what was said; None if the project has none."""
        asked = (
            select(*_LISTED)
            .where(calls.c.project_id == project_id, calls.c.deleted_at.is_(None))
            .where(or_(calls.c.id == name, calls.c.platform_call_id == name))
            .order_by(calls.c.id != name)
        )

        def work(connection: Connection) -> ProductionCall | None:
            row = connection.execute(asked).mappings().first()
            return ProductionCall(**row) if row is not None else None

        return await self._database.read(work)

    async def change_call(self, project_id: str, call_id: str, **values: Any) -> bool:
        """Set ``label``, or ``seen_at`` (True for now, None for never); False if the project has no such call."""

        def work(connection: Connection) -> bool:
            now = self._database.now(connection)
            changes = {**values, "updated_at": now}
            mine = [calls.c.id == call_id, calls.c.project_id == project_id, calls.c.deleted_at.is_(None)]
            if changes.get("seen_at") is True:
                changes["seen_at"] = now
            return connection.execute(update(calls).where(*mine).values(**changes)).rowcount > 0

        return await self._database.write(work)

    async def delete_call(self, project_id: str, call_id: str) -> bool:
        """Delete what was said in a call. Its id is kept, so that it is not fetched again. False if there is none."""
        return await self.change_call(project_id, call_id, deleted_at=self._database.context.clock.now(), data=b"{}")

    def _insert(self, table: Any) -> Any:
        return (sqlite if self._database.dialect == "sqlite" else postgresql).insert(table)


def _source_data(spec: CallSourceSpec, so_far: FetchedSoFar) -> dict[str, Any]:
    return {"spec": spec.written(), "so_far": so_far.written()}


def _source(row: RowMapping) -> CallSource:
    values: dict[str, Any] = {**row}
    data = cast("dict[str, Any]", values.pop("data"))
    return CallSource(
        **values,
        spec=CallSourceSpec.model_validate(data.get("spec", {})),
        so_far=FetchedSoFar.model_validate(data.get("so_far", {})),
    )


def _call_row(source: CallSource, call: PlatformCall, now: float) -> dict[str, Any]:
    began = call.started_at if call.started_at is not None else call.position
    return {
        "id": random_uuid(),
        "project_id": source.project_id,
        "source_id": source.id,
        "agent_id": source.agent_id,
        "platform": source.platform,
        "platform_call_id": call.id,
        "started_at": now if began is None else began,
        "seconds": call.seconds,
        "data": json.dumps(call.data).encode(),  # as ASCII: half characters have no UTF-8
        "created_at": now,
        "updated_at": now,
    }
