"""Projects, personas, scenarios, connectors and evals in the database; agents are in ``agents``.

Names are unique in a project. What others use cannot be deleted; deleting an eval deletes its runs. Changes name the
fields that they change: what is not named stays, and None gives a field its default again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, delete, insert, select

from duologue.context import random_uuid
from duologue.frozen import changed
from duologue.runs.snapshots import Private, PrivateValues
from duologue.runs.store.database.definition_rows import (
    After,
    Changes,
    Expected,
    connector_data,
    connector_of,
    find_project,
    get,
    limit_of,
    link,
    merged,
    named,
    only,
    page,
    persona_of,
    remove,
    require_free,
    require_valid,
    saved_connector,
    saved_persona,
    saved_project,
    saved_scenarios,
    scenario_data,
    scenario_of,
    settings_of,
    unnamed,
    whole,
    with_kept_headers,
)
from duologue.runs.store.database.definition_writer import get_expected
from duologue.runs.store.database.evals import SavedEvals
from duologue.runs.store.database.schema import (
    connectors,
    eval_scenarios,
    evals,
    executions,
    personas,
    projects,
    runs,
    scenario_personas,
    scenarios,
)
from duologue.runs.store.definitions import Connector, Project, ProjectSettings, SavedPersona, SavedScenario
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario

T = TypeVar("T")


class SavedDefinitions(SavedEvals):
    """What people define, in a database.

    Changes may be given what the caller expects to change, see :data:`Expected`.

    Args:
        database: an open one.
    """

    # Projects

    async def create_project(
        self, name: str, settings: ProjectSettings | Changes | None = None, *, max_concurrency: int | None = None
    ) -> Project:
        """Create a project.

        Args:
            name: that no other has.
            settings: what its runs share.
            max_concurrency: runs at once, over all workers; None for no limit.

        Raises:
            StoreConflictError: another project has the name.
            ConfigurationError: a setting cannot be used.
        """
        made = settings_of(settings or {})
        values = {"name": named(name, "project"), "max_concurrency": limit_of(max_concurrency)}
        return await self._write(lambda connection: self._create_project(connection, values, made))

    def _create_project(self, connection: Connection, values: dict[str, Any], settings: ProjectSettings) -> Project:
        require_free(connection, projects, "Project", values["name"])
        now, id_ = self._database.now(connection), random_uuid()
        times: dict[str, Any] = {"created_at": now, "updated_at": now}
        connection.execute(insert(projects).values(id=id_, settings=settings.written(), **values, **times))
        return Project(id=id_, settings=settings, **values, **times)

    async def get_project(self, project: str) -> Project | None:
        """The project with that id, that name, or the only one whose id begins so; None if there is none."""
        return await self._read(lambda connection: find_project(connection, project))

    async def list_projects(self, *, limit: int | None = None, after: After = None) -> list[Project]:
        """The projects in the order in which they were created; see :meth:`list_personas` for pages."""
        return await self._read(
            lambda connection: [saved_project(row) for row in page(connection, projects, None, limit, after)]
        )

    async def update_project(
        self, project_id: str, changes: Changes, *, expected: Expected[Project] | None = None
    ) -> Project | None:
        """Change ``name``, ``settings`` or ``max_concurrency``; of settings, all are given. None if it is missing."""

        def work(connection: Connection) -> Project | None:
            row = get_expected(connection, projects, project_id, expected, saved_project)
            if row is None:
                return None
            values: dict[str, Any] = {}
            for name, value in only(changes, ("name", "settings", "max_concurrency"), "a project").items():
                if name == "name":
                    values[name] = named(value, "project")
                    require_free(connection, projects, "Project", value, but=project_id)
                elif name == "settings":
                    values[name] = settings_of(value or {}).written()
                else:
                    values[name] = limit_of(value)
            self._change(connection, projects, project_id, values)
            found = get(connection, projects, project_id)
            return saved_project(found) if found is not None else None

        return await self._write(work)

    async def delete_project(self, project_id: str, *, expected: Expected[Project] | None = None) -> bool:
        """Delete a project with everything in it, its runs included. False if it is missing."""

        def work(connection: Connection) -> bool:
            get_expected(connection, projects, project_id, expected, saved_project)
            for table in (runs, executions, evals, scenarios, personas, connectors):
                connection.execute(delete(table).where(table.c.project_id == project_id))
            return connection.execute(delete(projects).where(projects.c.id == project_id)).rowcount > 0

        return await self._write(work)

    # Personas

    async def create_persona(self, project_id: str, persona: Persona | Changes) -> SavedPersona:
        """Create a persona.

        Raises:
            StoreConflictError: another persona of the project has the name.
            NotFoundError: there is no such project.
            ConfigurationError: a field cannot be used.
        """
        spec = persona_of(persona)
        require_valid(personas=(spec,))
        row = await self._create(personas, "Persona", project_id, spec.name, unnamed(spec.written()))
        return SavedPersona(spec=spec, **row).shown()

    async def get_persona(self, persona_id: str) -> SavedPersona | None:
        """The persona with that id; None if there is none."""
        found = await self._read(lambda connection: get(connection, personas, persona_id))
        return saved_persona(found).shown() if found is not None else None

    async def list_personas(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[SavedPersona]:
        """The personas of a project in the order in which they were created.

        Args:
            project_id: of the project.
            name: only the one of that name.
            limit: at most so many; None for all.
            after: the last one of the page before.
        """
        rows = await self._read(lambda connection: page(connection, personas, project_id, limit, after, name))
        return [_shown_persona(row) for row in rows]

    async def update_persona(
        self, persona_id: str, changes: Changes, *, expected: Expected[SavedPersona] | None = None
    ) -> SavedPersona | None:
        """Change fields of a persona; None if it is missing."""

        def work(connection: Connection) -> SavedPersona | None:
            row = get_expected(connection, personas, persona_id, expected, _shown_persona)
            if row is None:
                return None
            spec = persona_of(merged(whole(row), with_kept_headers(changes, row.data.get("headers", {}))))
            require_valid(personas=(spec,))
            self._store(connection, personas, "Persona", row, spec.name, unnamed(spec.written()))
            found = get(connection, personas, persona_id)
            return saved_persona(found).shown() if found is not None else None

        return await self._write(work)

    async def delete_persona(self, persona_id: str, *, expected: Expected[SavedPersona] | None = None) -> bool:
        """Delete a persona. False if it is missing.

        Raises:
            StoreConflictError: scenarios use it.
        """

        def work(connection: Connection) -> bool:
            get_expected(connection, personas, persona_id, expected, _shown_persona)
            used = select(scenarios.c.name).join(scenario_personas).where(scenario_personas.c.persona_id == persona_id)
            self._require_unused(connection, personas, "persona", persona_id, used, "scenario")
            return remove(connection, personas, persona_id)

        return await self._write(work)

    # Scenarios

    async def create_scenario(
        self, project_id: str, scenario: Scenario | Changes, *, persona_ids: Sequence[str] | None = None
    ) -> SavedScenario:
        """Create a scenario.

        Args:
            project_id: of the project.
            scenario: with or without ``personas``, by name.
            persona_ids: its personas by id, instead.

        Raises:
            StoreConflictError: another scenario of the project has the name.
            NotFoundError: there is no such project or persona.
            ConfigurationError: a field cannot be used.
        """
        data = scenario.written() if isinstance(scenario, Scenario) else dict(scenario)

        def work(connection: Connection) -> SavedScenario:
            ids, spec = scenario_of(connection, project_id, data, persona_ids)
            row = self._insert(connection, scenarios, "Scenario", project_id, spec.name, scenario_data(spec))
            link(connection, scenario_personas, ("scenario_id", row["id"]), ("persona_id", ids))
            return SavedScenario(spec=spec, persona_ids=ids, **row)

        return await self._write(work)

    async def get_scenario(self, scenario_id: str) -> SavedScenario | None:
        """The scenario with that id; None if there is none."""
        found = await self._read(lambda connection: saved_scenarios(connection, [scenario_id]))
        return next(iter(found), None)

    async def list_scenarios(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[SavedScenario]:
        """The scenarios of a project; see :meth:`list_personas`."""

        def work(connection: Connection) -> list[SavedScenario]:
            rows = page(connection, scenarios, project_id, limit, after, name)
            return saved_scenarios(connection, [row.id for row in rows])

        return await self._read(work)

    async def update_scenario(
        self, scenario_id: str, changes: Changes, *, expected: Expected[SavedScenario] | None = None
    ) -> SavedScenario | None:
        """Change fields of a scenario, or ``persona_ids``; None if it is missing. Runs that exist stay as they are."""

        def work(connection: Connection) -> SavedScenario | None:
            row = get(connection, scenarios, scenario_id)
            if row is None:
                return None
            before = saved_scenarios(connection, [scenario_id])[0]
            if expected is not None:
                expected(before)
            fields = dict(changes)
            ids = fields.pop("persona_ids", before.persona_ids if "personas" not in fields else None)
            data = merged(before.spec.written(), fields)
            ids, spec = scenario_of(connection, row.project_id, data, ids)
            self._store(connection, scenarios, "Scenario", row, spec.name, scenario_data(spec))
            link(connection, scenario_personas, ("scenario_id", scenario_id), ("persona_id", ids))
            return saved_scenarios(connection, [scenario_id])[0]

        return await self._write(work)

    async def delete_scenario(self, scenario_id: str, *, expected: Expected[SavedScenario] | None = None) -> bool:
        """Delete a scenario. False if it is missing.

        Raises:
            StoreConflictError: evals use it.
        """

        def work(connection: Connection) -> bool:
            if expected is not None:
                for found in saved_scenarios(connection, [scenario_id]):
                    expected(found)
            used = select(evals.c.name).join(eval_scenarios).where(eval_scenarios.c.scenario_id == scenario_id)
            self._require_unused(connection, scenarios, "scenario", scenario_id, used, "eval")
            return remove(connection, scenarios, scenario_id)

        return await self._write(work)

    # Connectors

    async def create_connector(
        self,
        project_id: str,
        *,
        name: str,
        type: str,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Connector:
        """Create a connector.

        Args:
            project_id: of the project.
            name: that no other connector of the project has.
            type: ``http`` or ``langgraph``.
            base_url: of the agent.
            headers: sent with every request. ``${NAME}`` stays a reference; a credential that is written out is kept
                here only and never shown again.
            config: see :class:`Connector`.

        Raises:
            StoreConflictError: another connector of the project has the name.
            NotFoundError: there is no such project.
            ConfigurationError: there is no such type, or a field cannot be used.
        """
        fields = {"type": type, "base_url": base_url, "headers": dict(headers or {}), "config": dict(config or {})}
        made = connector_of({"name": named(name, "connector"), **fields})
        row = await self._create(connectors, "Connector", project_id, name, connector_data(made))
        return changed(made, **row).shown()

    async def get_connector(self, connector_id: str) -> Connector | None:
        """The connector with that id, without its credentials; None if there is none."""
        found = await self._read(lambda connection: get(connection, connectors, connector_id))
        return saved_connector(found).shown() if found is not None else None

    async def connector_with_credentials(self, connector_id: str) -> Connector | None:
        """The connector with that id as it calls its agent; for whoever calls it, and never shown."""
        found = await self._read(lambda connection: get(connection, connectors, connector_id))
        return saved_connector(found) if found is not None else None

    async def list_connectors(
        self, project_id: str, *, name: str | None = None, limit: int | None = None, after: After = None
    ) -> list[Connector]:
        """The connectors of a project, without their credentials; see :meth:`list_personas`."""
        rows = await self._read(lambda connection: page(connection, connectors, project_id, limit, after, name))
        return [saved_connector(row).shown() for row in rows]

    async def update_connector(
        self, connector_id: str, changes: Changes, *, expected: Expected[Connector] | None = None
    ) -> Connector | None:
        """Change fields of a connector; None if it is missing. A header with the value ``***`` keeps its value."""

        def work(connection: Connection) -> Connector | None:
            row = get(connection, connectors, connector_id)
            if row is None:
                return None
            before = saved_connector(row)
            if expected is not None:
                expected(before.shown())
            known = ("name", "type", "base_url", "headers", "config")
            fields = with_kept_headers(only(changes, known, "a connector"), before.headers)
            if fields.get("base_url") == before.shown().base_url:
                fields.pop("base_url")
            data = merged({"name": before.name, **connector_data(before)}, fields)
            made = connector_of(data)
            self._store(connection, connectors, "Connector", row, made.name, connector_data(made))
            found = get(connection, connectors, connector_id)
            return saved_connector(found).shown() if found is not None else None

        return await self._write(work)

    async def delete_connector(self, connector_id: str, *, expected: Expected[Connector] | None = None) -> bool:
        """Delete a connector. False if it is missing.

        Raises:
            StoreConflictError: evals use it.
        """

        def work(connection: Connection) -> bool:
            row = get(connection, connectors, connector_id)
            if row is not None and expected is not None:
                expected(saved_connector(row).shown())
            used = select(evals.c.name).where(evals.c.connector_id == connector_id)
            self._require_unused(connection, connectors, "connector", connector_id, used, "eval")
            return remove(connection, connectors, connector_id)

        return await self._write(work)

    async def private_values(self, private: Iterable[Private]) -> dict[str, PrivateValues]:
        """The credentials that snapshots have left with connectors and personas, by id; for carrying runs out."""
        ids = sorted({item.id for item in private})
        if not ids:
            return {}

        def work(connection: Connection) -> dict[str, PrivateValues]:
            found = {
                row.id: PrivateValues(headers=row.data.get("headers", {}), url=row.data["base_url"])
                for row in connection.execute(select(connectors).where(connectors.c.id.in_(ids)))
            }
            asked = select(personas).where(personas.c.id.in_(ids))
            found |= {row.id: PrivateValues(headers=row.data.get("headers", {})) for row in connection.execute(asked)}
            return found

        return await self._read(work)


def _shown_persona(row: Row[Any]) -> SavedPersona:
    """A persona as people see it, with secrets hidden."""
    return saved_persona(row).shown()
