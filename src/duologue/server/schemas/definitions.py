"""Answers about definitions: the spec's own fields, with id, project and times beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel, Field

from duologue.config.spec import EMPTY, Items, JsonObject, Name, Spec, Text
from duologue.runs.store.definitions import (
    AgentDraft,
    AgentVersion,
    Connector,
    ConnectorType,
    Eval,
    EvalSpec,
    FieldChange,
    Project,
    ProjectSettings,
    SavedAgent,
    SavedMetric,
    SavedPersona,
    SavedScenario,
)
from duologue.specs.agents import Persona
from duologue.specs.metrics import MetricSpec
from duologue.specs.scenario import Scenario


class StoredDefinition(Protocol):
    """What all rows of definitions have."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def updated_at(self) -> float: ...


class StoredFields(BaseModel):
    """Beside the fields of a definition."""

    id: str
    """Unique everywhere."""
    project_id: str
    """The project that it belongs to."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it was last changed."""


class ProjectFields(Spec):
    """A project, as it is written."""

    name: Name
    """That no other project has."""
    settings: ProjectSettings = ProjectSettings.model_construct()
    """What its runs share."""
    max_concurrency: int | None = Field(default=None, ge=1)
    """Runs at once, over all workers. Default: no limit."""


class ProjectAnswer(ProjectFields):
    """A project."""

    id: str
    """Unique everywhere."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it was last changed."""


class PersonaAnswer(StoredFields, Persona):
    """A persona that scenarios can name."""


class ScenarioFields(Scenario):
    """A scenario, as it is written."""

    persona_ids: Items[str] | None = None
    """Personas of the scenario, by ID; each makes a run of its own. Use this or ``personas``."""


class ScenarioAnswer(StoredFields, Scenario):
    """A scenario that evals can name. Its ``personas`` are the present names of those with ``persona_ids``."""

    persona_ids: list[str]
    """The personas of the scenario, each of which makes a run of its own."""


class ConnectorFields(Spec):
    """The saved address of an agent, as it is written."""

    name: Name
    """That no other connector of the project has."""
    type: ConnectorType
    """How the agent is called."""
    base_url: Text
    """URL of the agent."""
    headers: dict[str, str] = EMPTY
    """Sent with every request. ``${NAME}`` is a secret of the project; a credential that is written out is kept, and
    shown as ``***``."""
    config: JsonObject = EMPTY
    """For ``http``: ``path``, ``timeout`` and the fields of HTTP agents in suites. For ``langgraph``: ``assistant_id``,
    ``configurable`` and ``timeout``."""


class ConnectorAnswer(StoredFields, ConnectorFields):
    """The saved address of an agent, and how it is called."""


class AgentFields(AgentDraft):
    """An agent that is developed here, as it is written."""

    name: Name | None = None
    """That no other agent of the project has. Default: the name of ``agent``."""


class AgentAnswer(StoredFields, AgentDraft):
    """An agent that is developed here: its draft. Published versions never change."""

    name: Name
    """That no other agent of the project has."""
    version: int | None
    """The newest published version; null before the first."""


class AgentVersionAnswer(AgentDraft):
    """A published version of an agent."""

    agent_id: str
    """Whose version it is."""
    version: int
    """From 1."""
    note: str
    """What is said of it."""
    published_at: datetime
    """When it was published."""


class MetricAnswer(StoredFields, MetricSpec):
    """A metric that conversations are graded by."""


class FieldChangeAnswer(BaseModel):
    """A field that differs between two versions."""

    path: str
    """Such as ``prompts[0].system_template``."""
    before: Any
    """Null where the field is not there."""
    after: Any
    """Null where the field is not there."""


class EvalFields(EvalSpec):
    """Scenarios and what they are run against, as it is written."""

    name: Name
    """That no other eval of the project has."""
    scenario_ids: Items[str] = Field(min_length=1)
    """At least one scenario, in order."""
    connector_id: str | None = None
    """What they are run against, in place of ``agent_id``."""


class EvalAnswer(StoredFields, EvalFields):
    """Scenarios and the connector or agent that they are run against."""


def project_fields(saved: Project) -> Mapping[str, Any]:
    """A project as it is answered."""
    return {
        "id": saved.id,
        "name": saved.name,
        "settings": saved.settings.model_dump(mode="json"),
        "max_concurrency": saved.max_concurrency,
        "created_at": instant_text(saved.created_at),
        "updated_at": instant_text(saved.updated_at),
    }


def persona_fields(saved: SavedPersona) -> Mapping[str, Any]:
    """A persona as it is answered."""
    return with_facts(saved, saved.spec.model_dump(mode="json"))


def scenario_fields(saved: SavedScenario) -> Mapping[str, Any]:
    """A scenario as it is answered."""
    return with_facts(saved, saved.spec.model_dump(mode="json"), persona_ids=list(saved.persona_ids))


def connector_fields(saved: Connector) -> Mapping[str, Any]:
    """A connector as it is answered, without the credentials that it keeps."""
    shown = saved.shown()
    fields = {
        "name": shown.name,
        "type": shown.type,
        "base_url": shown.base_url,
        "headers": dict(shown.headers),
        "config": dict(shown.config),
    }
    return with_facts(saved, fields)


def metric_fields(saved: SavedMetric) -> Mapping[str, Any]:
    """A metric as it is answered."""
    return with_facts(saved, saved.spec.model_dump(mode="json"))


def agent_fields(saved: SavedAgent) -> Mapping[str, Any]:
    """An agent as it is answered."""
    return with_facts(saved, {"name": saved.name, "version": saved.version}, **saved.draft.model_dump(mode="json"))


def version_fields(version: AgentVersion) -> Mapping[str, Any]:
    """A published version as it is answered."""
    return {
        "agent_id": version.agent_id,
        "version": version.version,
        "note": version.note,
        "published_at": instant_text(version.published_at),
        **version.draft.model_dump(mode="json"),
    }


def change_fields(change: FieldChange) -> Mapping[str, Any]:
    """A field that differs, as it is answered."""
    return {"path": change.path, "before": change.before, "after": change.after}


def eval_fields(saved: Eval) -> Mapping[str, Any]:
    """An eval as it is answered."""
    fields = {"name": saved.name, "scenario_ids": list(saved.scenario_ids), "connector_id": saved.connector_id}
    return with_facts(saved, fields, **saved.spec.model_dump(mode="json"))


def with_facts(saved: StoredDefinition, fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Fields, with those that every stored definition has."""
    return {
        "id": saved.id,
        "project_id": saved.project_id,
        **fields,
        **more,
        "created_at": instant_text(saved.created_at),
        "updated_at": instant_text(saved.updated_at),
    }


def instant_text(seconds: float) -> str:
    """An instant as ISO 8601 in UTC, to the millisecond."""
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def optional_instant(seconds: float | None) -> str | None:
    """The same; None for never."""
    return None if seconds is None else instant_text(seconds)
