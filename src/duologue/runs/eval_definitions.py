"""What the runs of a saved eval are made from, as the project has it now."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from duologue.errors import NotFoundError
from duologue.runs.evals import Definition
from duologue.runs.store.database.agents import find_version, no_version
from duologue.runs.store.database.definition_rows import (
    find_project,
    get,
    require,
    saved_connector,
    saved_evals,
    saved_persona,
    saved_scenarios,
    speakers_of,
)
from duologue.runs.store.database.metrics import saved_metrics
from duologue.runs.store.database.schema import agents, connectors, personas
from duologue.runs.store.definitions import AgentVersion, Connector, Eval, Project, SavedPersona


def eval_definition(connection: Connection, project: Project, eval_id: str) -> tuple[Eval, Definition]:
    """An eval of a project, and what its runs are made from.

    Raises:
        NotFoundError: the eval does not exist, or something that it names.
    """
    found = next((item for item in saved_evals(connection, [eval_id]) if item.project_id == project.id), None)
    if found is None:
        raise NotFoundError(f'Eval with id "{eval_id}" not found')
    saved = {item.id: item for item in saved_scenarios(connection, found.scenario_ids)}
    for scenario_id in found.scenario_ids:
        if scenario_id not in saved:
            raise NotFoundError(f'Scenario with id "{scenario_id}" not found')
    ids = [persona for scenario in saved.values() for persona in scenario.persona_ids]
    people = personas_of(connection, project, ids)
    agent_id = found.spec.agent_id
    version = version_of(connection, agent_id, found.spec.agent_version) if agent_id is not None else None
    connector = connector_of(connection, project, found.connector_id) if found.connector_id is not None else None
    return found, Definition(
        name=found.name,
        project=find_project(connection, project.id) or project,
        scenarios=[(saved[id_], [people[persona] for persona in saved[id_].persona_ids]) for id_ in found.scenario_ids],
        connector=connector,
        version=version,
        speakers=speakers_of(connection, project.id, [item.spec for item in saved.values()]),
        input=found.spec.input,
        trials=found.spec.trials,
        config=found.spec.config,
        metrics=saved_metrics(connection, project.id),
    )


def personas_of(connection: Connection, project: Project, ids: Sequence[str]) -> dict[str, SavedPersona]:
    """Personas of a project by their ids. Raises NotFoundError if one does not exist."""
    rows = require(connection, personas, "Persona", ids, project.id)
    return {id_: saved_persona(rows[id_]) for id_ in ids}


def connector_of(connection: Connection, project: Project, connector_id: str) -> Connector:
    """A connector of a project. Raises NotFoundError if it does not exist."""
    rows = require(connection, connectors, "Connector", [connector_id], project.id)
    return saved_connector(rows[connector_id])


def version_of(connection: Connection, agent_id: str, version: int | None) -> AgentVersion:
    """A version of a saved agent; None for the newest. Raises NotFoundError if it has none."""
    found = find_version(connection, agent_id, version)
    if found is None:
        agent = get(connection, agents, agent_id)
        raise no_version(agent.name if agent is not None else agent_id, version)
    return found
