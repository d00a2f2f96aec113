"""A suite's text as definitions of a project: personas, scenarios, agents with a first version, and an eval for each.

The text is read alone: what it would read from files is refused, because there is no folder that they could be in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from duologue.config.placed_json import at
from duologue.config.problems import Problems
from duologue.config.spec import written_paths
from duologue.config.yaml_reader import parse
from duologue.errors import Position, Problem, SuiteError
from duologue.frozen import frozen
from duologue.runs.store.database.definition_rows import eval_of, link, scenario_data, scenario_of, unnamed
from duologue.runs.store.database.definition_writer import DefinitionWriter
from duologue.runs.store.database.eval_rules import require_eval
from duologue.runs.store.database.schema import (
    agent_versions,
    agents,
    eval_scenarios,
    evals,
    personas,
    scenario_personas,
    scenarios,
)
from duologue.runs.store.definitions import AgentDraft
from duologue.specs.agents import Agent
from duologue.specs.suite import Suite
from duologue.suites.manifests.loader import API_VERSION, assembled, opened
from duologue.suites.manifests.validate import validated

FILE = "suite"
"""What the text is called in problems."""
_KEPT = ("name", "labels", "annotations", "description", "agents", "scenarios", "personas", "trials", "checks")
_OF_AGENTS = ("prompts", "tools", "models", "mcp_servers", "a2a_agents", "workflow")


@frozen
class ImportedSuite:
    """What a suite was made into: ids by name.

    Attributes:
        left: fields of the suite that have no place in the service, each with what to do instead.
    """

    personas: dict[str, str]
    scenarios: dict[str, str]
    agents: dict[str, str]
    evals: dict[str, str]
    left: Sequence[Problem] = ()


def read_suite_text(text: str, accept: Callable[[Suite], None]) -> Suite:
    """A suite in one text.

    Args:
        text: YAML or JSON.
        accept: raises for a suite that its author may not bring, before anything of it is looked up.

    Raises:
        SuiteError: with everything that is wrong, each with its place.
    """
    problems = Problems()
    data = parse(text, FILE, problems)
    found = opened(data, problems, api=API_VERSION, kinds=["Suite"]) if data is not None else None
    problems.raise_errors()
    if found is None:
        raise SuiteError("the suite is empty; expected apiVersion, kind, metadata and spec")
    draft = assembled(found[1], Path(), problems)
    for holder, name, path in written_paths(draft.suite) if draft.suite is not None else ():
        if name != "target":
            told = f"'{path[:100]}' is a file; the service has none: write the content itself"
            problems.error(holder.place(name) or Position(FILE, field=name), told)
    problems.raise_errors()
    assert draft.suite is not None, "there are no problems"
    accept(draft.suite)
    validated(draft, problems)
    problems.raise_errors()
    return draft.suite


class SuiteImport(DefinitionWriter):
    """Makes definitions from suites, all of a suite or none.

    Args:
        database: an open one.
    """

    async def import_suite(self, project_id: str, suite: Suite) -> ImportedSuite:
        """Make the definitions of a suite.

        Raises:
            StoreConflictError: something of one of these names exists.
            NotFoundError: there is no such project.
            ConfigurationError: something cannot be kept.
        """

        def work(connection: Connection) -> ImportedSuite:
            made = ImportedSuite(personas={}, scenarios={}, agents={}, evals={}, left=tuple(_left(suite)))
            for persona in suite.personas:
                data = unnamed(persona.written())
                row = self._insert(connection, personas, "Persona", project_id, persona.name, data)
                made.personas[persona.name] = row["id"]
            for scenario in suite.scenarios:
                whole = scenario.changed(checks=(*scenario.checks, *suite.checks), agents=())
                ids, spec = scenario_of(connection, project_id, whole.written(), None)
                row = self._insert(connection, scenarios, "Scenario", project_id, spec.name, scenario_data(spec))
                link(connection, scenario_personas, ("scenario_id", row["id"]), ("persona_id", ids))
                made.scenarios[spec.name] = row["id"]
            for agent in suite.agents:
                made.agents[agent.name] = self._agent(connection, project_id, suite, agent)
                name = suite.name if len(suite.agents) == 1 else f"{suite.name}: {agent.name}"
                wanted = [
                    made.scenarios[item.name]
                    for item in suite.scenarios
                    if not item.agents or agent.name in item.agents
                ]
                if wanted:
                    made.evals[name] = self._eval(
                        connection, project_id, suite, (name, made.agents[agent.name], wanted)
                    )
            return made

        return await self._write(work)

    def _agent(self, connection: Connection, project_id: str, suite: Suite, agent: Agent) -> str:
        """The agent, and its first version; its id."""
        draft = AgentDraft(agent=agent, **{name: getattr(suite, name) for name in _OF_AGENTS})
        row = self._insert(connection, agents, "Agent", project_id, agent.name, draft.written())
        values: dict[str, Any] = {"agent_id": row["id"], "version": 1, "note": f"from the suite {suite.name}"}
        published = {**values, "data": draft.written(), "published_at": row["created_at"]}
        connection.execute(insert(agent_versions).values(**published))
        return row["id"]

    def _eval(self, connection: Connection, project_id: str, suite: Suite, of: tuple[str, str, list[str]]) -> str:
        name, agent_id, wanted = of
        data: dict[str, Any] = {
            "name": name,
            "scenario_ids": wanted,
            "agent_id": agent_id,
            "description": suite.description,
            **({"trials": suite.trials} if isinstance(suite.trials, int) else {}),
        }
        made = eval_of(connection, project_id, data)
        require_eval(connection, made)
        row = self._insert(
            connection, evals, "Eval", project_id, made.name, made.spec.written(), {"connector_id": None}
        )
        link(connection, eval_scenarios, ("eval_id", row["id"]), ("scenario_id", made.scenario_ids))
        return row["id"]


def _left(suite: Suite) -> Iterator[Problem]:
    """What of a suite has no place in the service."""
    for name in suite.written():
        if name not in {*_KEPT, *_OF_AGENTS}:
            told = "has no place here: models and defaults are settings of the project, metrics and judges of the eval"
            yield Problem(at(name), f"'{name}' {told}", "warning")
