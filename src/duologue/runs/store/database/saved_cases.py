"""Scenarios with their personas, saved together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table, select

from duologue.errors import StoreConflictError
from duologue.runs.store.database.definition_rows import (
    get,
    link,
    require_valid,
    saved_scenarios,
    scenario_data,
    scenario_of,
    unnamed,
)
from duologue.runs.store.database.definition_writer import DefinitionWriter
from duologue.runs.store.database.schema import personas, scenario_personas, scenarios
from duologue.runs.store.definitions import SavedPersona, SavedScenario
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario

_Saved = tuple[tuple[SavedScenario, ...], tuple[SavedPersona, ...]]


class SavedCases(DefinitionWriter):
    """Saves scenarios and personas that were made together."""

    async def save_cases(self, project_id: str, made: Sequence[Scenario], people: Sequence[Persona]) -> _Saved:
        """Save new scenarios with the new personas that they name, in one transaction.

        A name that somebody has taken meanwhile gets a number behind it.

        Raises:
            NotFoundError: there is no such project, or no persona that a scenario names.
            ConfigurationError: one of them cannot be used; nothing was saved then.
        """
        require_valid(personas=people)

        def work(connection: Connection) -> _Saved:
            renamed, saved_people = self._save_personas(connection, project_id, people)
            taken = _names(connection, scenarios, project_id)
            saved: list[SavedScenario] = []
            for scenario in made:
                name = _free(scenario.name, taken)
                names = tuple(renamed.get(item, item) for item in scenario.personas)
                data = scenario.changed(name=name, personas=names).written()
                ids, spec = scenario_of(connection, project_id, data, None)
                row = self._insert(connection, scenarios, "Scenario", project_id, spec.name, scenario_data(spec))
                link(connection, scenario_personas, ("scenario_id", row["id"]), ("persona_id", ids))
                saved.append(SavedScenario(spec=spec, persona_ids=ids, **row))
            return tuple(saved), saved_people

        return await self._write(work)

    async def save_edited(
        self, project_id: str, before: SavedScenario, after: Scenario, people: Sequence[Persona]
    ) -> tuple[SavedScenario, tuple[SavedPersona, ...]]:
        """Save an edited scenario, and the new personas that it names, in one transaction.

        Raises:
            StoreConflictError: it was changed or deleted since ``before`` was read, or the new name is taken.
            ConfigurationError: it cannot be used.
        """
        require_valid(personas=people)

        def work(connection: Connection) -> tuple[SavedScenario, tuple[SavedPersona, ...]]:
            row = get(connection, scenarios, before.id)
            now = saved_scenarios(connection, [before.id])
            if row is None or row.updated_at != before.updated_at or now[0].spec != before.spec:
                raise StoreConflictError(
                    f"the scenario '{before.name}' was changed or deleted while it was edited; edit it again"
                )
            renamed, saved_people = self._save_personas(connection, project_id, people)
            names = tuple(renamed.get(item, item) for item in after.personas)
            ids, spec = scenario_of(connection, project_id, after.changed(personas=names).written(), None)
            self._store(connection, scenarios, "Scenario", row, spec.name, scenario_data(spec))
            link(connection, scenario_personas, ("scenario_id", before.id), ("persona_id", ids))
            return saved_scenarios(connection, [before.id])[0], saved_people

        return await self._write(work)

    def _save_personas(
        self, connection: Connection, project_id: str, people: Sequence[Persona]
    ) -> tuple[Mapping[str, str], tuple[SavedPersona, ...]]:
        """Their names by those that they were given, and the personas."""
        taken = _names(connection, personas, project_id)
        renamed: dict[str, str] = {}
        saved: list[SavedPersona] = []
        for persona in people:
            renamed[persona.name] = name = _free(persona.name, taken)
            spec = persona.changed(name=name)
            row = self._insert(connection, personas, "Persona", project_id, name, unnamed(spec.written()))
            saved.append(SavedPersona(spec=spec, **row).shown())
        return renamed, tuple(saved)


def _names(connection: Connection, table: Table, project_id: str) -> set[str]:
    return set(connection.execute(select(table.c.name).where(table.c.project_id == project_id)).scalars())


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name[:190]} {number}"
    taken.add(found)
    return found
