"""The personas, scenarios, connectors, agents and evals of one project. What belongs to another is not found."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from duologue.config.access import Access
from duologue.errors import NotFoundError
from duologue.messages import Message
from duologue.runs.arguments import checked
from duologue.runs.connectors import ConnectorReply, ConnectorTest, invoke_connector, probe_connector
from duologue.runs.project_access import ProjectAccess, UsualPolicy
from duologue.runs.store.database.agents import Agents
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.metrics import SavedMetrics
from duologue.runs.store.definitions import (
    CONNECTOR_TYPES,
    AgentDraft,
    AgentVersion,
    Connector,
    Eval,
    FieldChange,
    Project,
    SavedAgent,
    SavedMetric,
    SavedPersona,
    SavedScenario,
)
from duologue.specs.agents import Persona
from duologue.specs.metrics import MetricSpec
from duologue.specs.scenario import Scenario


class _InProject(Protocol):
    @property
    def project_id(self) -> str: ...


D = TypeVar("D", bound=_InProject)


@checked
class ProjectDefinitions:
    """What is defined in a project.

    Lists are in the order of creation, in pages if ``limit`` is given: ``after`` is the id of the last one of the page
    before. Changes name the fields that they change; None gives a field its default again. ``get_…`` and ``update_…``
    return None, and ``delete_…`` False, for what is not in the project.

    Args:
        database: an open one.
        project: in it.

    Attributes:
        policy: what definitions may use of this machine where no run uses it: webhooks, and the APIs of platforms.
    """

    def __init__(self, database: Database, project: Project) -> None:
        self.database = database
        self.policy = UsualPolicy()
        self.project = project
        self._definitions, self._agents = SavedDefinitions(database), Agents(database)
        self._metrics = SavedMetrics(database)

    async def update_project(self, **changes: Any) -> Project:
        """Change ``name``, ``settings`` or ``max_concurrency`` of the project."""
        found = await self._definitions.update_project(self.project.id, changes)
        self.project = found or self.project
        return self.project

    # Personas

    async def create_persona(self, persona: Persona | None = None, /, **fields: Any) -> SavedPersona:
        """Create a persona, from a spec or its fields."""
        return await self._definitions.create_persona(self.project.id, persona or fields)

    async def get_persona(self, persona_id: str) -> SavedPersona | None:
        """The persona with that id."""
        return await self._own(self._definitions.get_persona(persona_id))

    async def get_persona_by_name(self, name: str) -> SavedPersona | None:
        """The persona of that name."""
        return _first(await self._definitions.list_personas(self.project.id, name=name))

    async def list_personas(self, *, limit: int | None = None, after: str | None = None) -> list[SavedPersona]:
        """The personas."""
        return await self._definitions.list_personas(self.project.id, limit=limit, after=after)

    async def update_persona(self, persona_id: str, **changes: Any) -> SavedPersona | None:
        """Change fields of a persona."""
        if await self.get_persona(persona_id) is None:
            return None
        return await self._definitions.update_persona(persona_id, changes)

    async def delete_persona(self, persona_id: str) -> bool:
        """Delete a persona; one that scenarios use is refused."""
        return await self.get_persona(persona_id) is not None and await self._definitions.delete_persona(persona_id)

    # Scenarios

    async def create_scenario(
        self, scenario: Scenario | None = None, /, *, persona_ids: Sequence[str] | None = None, **fields: Any
    ) -> SavedScenario:
        """Create a scenario, from a spec or its fields; its personas by name in ``personas`` or by id."""
        return await self._definitions.create_scenario(self.project.id, scenario or fields, persona_ids=persona_ids)

    async def get_scenario(self, scenario_id: str) -> SavedScenario | None:
        """The scenario with that id."""
        return await self._own(self._definitions.get_scenario(scenario_id))

    async def get_scenario_by_name(self, name: str) -> SavedScenario | None:
        """The scenario of that name."""
        return _first(await self._definitions.list_scenarios(self.project.id, name=name))

    async def list_scenarios(self, *, limit: int | None = None, after: str | None = None) -> list[SavedScenario]:
        """The scenarios."""
        return await self._definitions.list_scenarios(self.project.id, limit=limit, after=after)

    async def update_scenario(self, scenario_id: str, **changes: Any) -> SavedScenario | None:
        """Change fields of a scenario, or ``persona_ids``. Runs that exist stay as they are."""
        if await self.get_scenario(scenario_id) is None:
            return None
        return await self._definitions.update_scenario(scenario_id, changes)

    async def delete_scenario(self, scenario_id: str) -> bool:
        """Delete a scenario; one that evals use is refused."""
        found = await self.get_scenario(scenario_id)
        return found is not None and await self._definitions.delete_scenario(scenario_id)

    # Connectors

    async def create_connector(
        self,
        *,
        name: str,
        type: str,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Connector:
        """Create a connector of the type ``http`` or ``langgraph``."""
        return await self._definitions.create_connector(
            self.project.id, name=name, type=type, base_url=base_url, headers=headers, config=config
        )

    async def get_connector(self, connector_id: str) -> Connector | None:
        """The connector with that id, without its credentials."""
        return await self._own(self._definitions.get_connector(connector_id))

    async def get_connector_by_name(self, name: str) -> Connector | None:
        """The connector of that name, without its credentials."""
        return _first(await self._definitions.list_connectors(self.project.id, name=name))

    async def list_connectors(self, *, limit: int | None = None, after: str | None = None) -> list[Connector]:
        """The connectors, without their credentials."""
        return await self._definitions.list_connectors(self.project.id, limit=limit, after=after)

    async def update_connector(self, connector_id: str, **changes: Any) -> Connector | None:
        """Change fields of a connector. A header with the value ``***`` keeps its value."""
        if await self.get_connector(connector_id) is None:
            return None
        return await self._definitions.update_connector(connector_id, changes)

    async def delete_connector(self, connector_id: str) -> bool:
        """Delete a connector; one that evals use is refused."""
        found = await self.get_connector(connector_id)
        return found is not None and await self._definitions.delete_connector(connector_id)

    async def test_connector(self, connector_id: str) -> ConnectorTest:
        """Ask the agent behind a connector something, to see whether it can be reached."""
        return await probe_connector(await self._whole_connector(connector_id), connector_id)

    async def invoke_connector(
        self, connector_id: str, messages: Sequence[Message], *, thread_id: str | None = None
    ) -> ConnectorReply:
        """Send messages to the agent behind a connector and get its turn."""
        connector = await self._whole_connector(connector_id)
        return await invoke_connector(connector, connector_id, messages, thread_id=thread_id)

    async def _whole_connector(self, connector_id: str) -> Connector | None:
        return await self._own(self._definitions.connector_with_credentials(connector_id))

    @staticmethod
    def get_connector_types() -> Mapping[str, str]:
        """The types of connectors, with a description of each."""
        return {str(name): told for name, told in CONNECTOR_TYPES.items()}

    # Agents

    async def create_agent(self, draft: AgentDraft | Mapping[str, Any], *, name: str | None = None) -> SavedAgent:
        """Create an agent that has no version yet."""
        return await self._agents.create_agent(self.project.id, draft, name=name)

    async def get_agent(self, agent_id: str) -> SavedAgent | None:
        """The agent with that id."""
        return await self._own(self._agents.get_agent(agent_id))

    async def get_agent_by_name(self, name: str) -> SavedAgent | None:
        """The agent of that name."""
        return _first(await self._agents.list_agents(self.project.id, name=name))

    async def list_agents(self, *, limit: int | None = None, after: str | None = None) -> list[SavedAgent]:
        """The agents."""
        return await self._agents.list_agents(self.project.id, limit=limit, after=after)

    async def update_agent(self, agent_id: str, **changes: Any) -> SavedAgent | None:
        """Change ``name`` or fields of the draft."""
        return None if await self.get_agent(agent_id) is None else await self._agents.update_agent(agent_id, changes)

    async def delete_agent(self, agent_id: str) -> bool:
        """Delete an agent; one that evals use is refused."""
        return await self.get_agent(agent_id) is not None and await self._agents.delete_agent(agent_id)

    async def publish_agent(self, agent_id: str, *, note: str = "") -> AgentVersion:
        """Publish the draft as the next version, which never changes."""
        await self._require_agent(agent_id)
        return await self._agents.publish_agent(agent_id, note=note)

    async def get_agent_version(self, agent_id: str, version: int | None = None) -> AgentVersion | None:
        """A published version, or the newest."""
        if await self.get_agent(agent_id) is None:
            return None
        return await self._agents.get_agent_version(agent_id, version)

    async def list_agent_versions(self, agent_id: str) -> list[AgentVersion]:
        """The published versions, the newest first."""
        await self._require_agent(agent_id)
        return await self._agents.list_agent_versions(agent_id)

    async def roll_back_agent(self, agent_id: str, version: int) -> SavedAgent:
        """Make a published version the draft again."""
        await self._require_agent(agent_id)
        return await self._agents.roll_back_agent(agent_id, version)

    async def diff_agent_versions(self, agent_id: str, before: int, after: int | None = None) -> list[FieldChange]:
        """The fields that differ between two versions, or a version and the draft."""
        await self._require_agent(agent_id)
        return await self._agents.diff_agent_versions(agent_id, before, after)

    async def _require_agent(self, agent_id: str) -> None:
        if await self.get_agent(agent_id) is None:
            raise NotFoundError(f'Agent with id "{agent_id}" not found')

    # Metrics

    async def create_metric(self, metric: MetricSpec | None = None, /, **fields: Any) -> SavedMetric:
        """Create a metric that evals can grade test cases by, from a spec or its fields."""
        return await self._metrics.create_metric(self.project.id, metric or fields)

    async def get_metric(self, metric_id: str) -> SavedMetric | None:
        """The metric with that id."""
        return await self._own(self._metrics.get_metric(metric_id))

    async def list_metrics(self, *, limit: int | None = None, after: str | None = None) -> list[SavedMetric]:
        """The metrics that the project has saved; predefined ones are not among them."""
        return await self._metrics.list_metrics(self.project.id, limit=limit, after=after)

    async def update_metric(self, metric_id: str, **changes: Any) -> SavedMetric | None:
        """Change fields of a metric. Runs that exist stay as they are."""
        if await self.get_metric(metric_id) is None:
            return None
        return await self._metrics.update_metric(metric_id, changes)

    async def delete_metric(self, metric_id: str) -> bool:
        """Delete a metric that no eval names."""
        return await self.get_metric(metric_id) is not None and await self._metrics.delete_metric(metric_id)

    # Evals

    async def create_eval(
        self, *, name: str, scenario_ids: Sequence[str], connector_id: str | None = None, **spec: Any
    ) -> Eval:
        """Create an eval: scenarios, and the connector (or ``agent_id``) that they are run against."""
        return await self._definitions.create_eval(
            self.project.id, name=name, scenario_ids=scenario_ids, connector_id=connector_id, **spec
        )

    async def get_eval(self, eval_id: str) -> Eval | None:
        """The eval with that id."""
        return await self._own(self._definitions.get_eval(eval_id))

    async def get_eval_by_name(self, name: str) -> Eval | None:
        """The eval of that name."""
        return _first(await self._definitions.list_evals(self.project.id, name=name))

    async def list_evals(self, *, limit: int | None = None, after: str | None = None) -> list[Eval]:
        """The evals."""
        return await self._definitions.list_evals(self.project.id, limit=limit, after=after)

    async def update_eval(self, eval_id: str, **changes: Any) -> Eval | None:
        """Change fields of an eval. Runs that exist stay as they are."""
        return None if await self.get_eval(eval_id) is None else await self._definitions.update_eval(eval_id, changes)

    async def delete_eval(self, eval_id: str) -> bool:
        """Delete an eval and all its runs."""
        return await self.get_eval(eval_id) is not None and await self._definitions.delete_eval(eval_id)

    async def access(self) -> Access:
        """What definitions of the project may use here: what ``${NAME}`` stands for, and whether private addresses.

        Raises:
            ConfigurationError: the project has secrets, and there is no key to decrypt them with.
        """
        policy = await self.policy.of(self.database)
        return (await ProjectAccess(self.database, policy, self.database.context.clock).of(self.project.id)).access

    async def _own(self, asked: Awaitable[D | None]) -> D | None:
        found = await asked
        return found if found is not None and found.project_id == self.project.id else None


def _first(found: Sequence[D]) -> D | None:
    return found[0] if found else None
