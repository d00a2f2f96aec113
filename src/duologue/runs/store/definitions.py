"""What people define and save: projects, personas, scenarios, connectors, agents with their versions, and evals.

Personas, scenarios and agents are the specs that suites are made of, with an id. Connectors are shown without the
credentials that they keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal, cast

from pydantic import AliasChoices, Field, ValidationError, model_validator

from duologue.agents.http.presets import MESSAGE_BODY
from duologue.config.redaction import is_written_out, text_without_secrets, without_secrets
from duologue.config.spec import EMPTY, Items, JsonObject, Name, Seconds, Spec, Text
from duologue.errors import ConfigurationError
from duologue.frozen import changed, frozen
from duologue.runtimes.config import RunConfig
from duologue.secret_values import HIDDEN
from duologue.specs.agents import Agent, HttpEndpoint, Model, Persona
from duologue.specs.metrics import MetricSpec
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import Scenario, SeedMessage
from duologue.specs.suite import A2aAgent, Defaults, McpServer, Workflow

ConnectorType = Literal["http", "langgraph"]
CONNECTOR_TYPES: Mapping[ConnectorType, str] = {
    "http": "An HTTP endpoint that gets the messages of a conversation and answers with the agent's",
    "langgraph": "A LangGraph server; each run is a thread of its own",
}
"""The types of connectors, with a description for people."""


class ProjectSettings(Spec):
    """What the runs of a project share."""

    evaluation_model: Name | None = None
    """Model that decides criteria: one of ``models``, or a full name such as ``openai/gpt-5-mini``. Without one, the
    agent is asked once and nothing is evaluated but checks."""
    persona_model: Name | None = None
    """Model that plays simulated users. Default: ``evaluation_model``."""
    models: Items[Model] = ()
    """Models that need more than a name, such as another URL."""
    defaults: Defaults = Defaults.model_construct()
    """Settings of all runs, such as ``run_timeout`` and ``run_budget``."""


@frozen
class Project:
    """A project. Instants are seconds since 1970, here and below.

    Attributes:
        max_concurrency: runs at once, over all workers; None for no limit.
    """

    id: str
    name: str
    settings: ProjectSettings
    max_concurrency: int | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


@frozen
class SavedPersona:
    """A persona that scenarios can name. Reads show its headers without credentials that are written out."""

    id: str
    project_id: str
    spec: Persona
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def name(self) -> str:
        """Unique in its project."""
        return self.spec.name

    def shown(self) -> SavedPersona:
        """The persona without the credentials that it keeps."""
        return changed(self, spec=self.spec.changed(headers=shown_headers(self.spec.headers)))


@frozen
class SavedScenario:
    """A scenario that evals can name.

    Attributes:
        spec: its ``personas`` are the present names of those with ``persona_ids``.
        persona_ids: the personas of the scenario, each of which makes a run of its own.
    """

    id: str
    project_id: str
    spec: Scenario
    persona_ids: tuple[str, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def name(self) -> str:
        """Unique in its project."""
        return self.spec.name


@frozen
class SavedMetric:
    """A metric of a project, which evals can grade test cases by."""

    id: str
    project_id: str
    spec: MetricSpec
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def name(self) -> str:
        """Unique in its project."""
        return self.spec.name


class HttpConfig(Spec):
    """How an ``http`` connector is called. The fields of HTTP agents in suites can be used as well."""

    method: Literal["POST"] = "POST"
    """Method of the request."""
    path: str = ""
    """Follows the base URL."""
    timeout: Seconds | None = None
    """Time limit for one answer: seconds, or a duration such as ``30s``."""


class LangGraphConfig(Spec):
    """How a ``langgraph`` connector is called."""

    assistant_id: Text = Field(default="agent", validation_alias=AliasChoices("assistant_id", "assistantId"))
    """The assistant of the server."""
    configurable: JsonObject = EMPTY
    """Values for the configuration of the graph."""
    timeout: Seconds | None = None
    """Time limit for one answer."""


@frozen
class Connector:
    """The saved address of an agent, and how it is called.

    Attributes:
        type: ``http`` or ``langgraph``.
        base_url, headers: shown without credentials that are written out; ``${NAME}`` is shown.
        config: for ``http`` as :class:`HttpConfig` and :class:`duologue.specs.agents.HttpEndpoint`, for ``langgraph``
            as :class:`LangGraphConfig`.
    """

    id: str
    project_id: str
    name: str
    type: ConnectorType
    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_at: float = 0.0
    updated_at: float = 0.0

    def shown(self) -> Connector:
        """The connector without the credentials that it keeps."""
        headers = shown_headers(self.headers)
        return changed(self, headers=headers, base_url=shown_base_url(self.base_url))

    def agent(self) -> Agent:
        """The agent behind it, as a suite says it.

        Raises:
            ConfigurationError: the configuration has a field that the type does not know, or a wrong value.
        """
        try:
            endpoint, timeout = self._langgraph() if self.type == "langgraph" else self._http()
            return Agent.model_validate({"name": self.name, "http": endpoint.written(), "timeout": timeout})
        except ValidationError as error:
            raise ConfigurationError(f"the connector '{self.name}': {in_words(error)}") from error

    def _http(self) -> tuple[HttpEndpoint, float | None]:
        own = {name: value for name, value in self.config.items() if name in HttpConfig.model_fields}
        config = HttpConfig.model_validate(own)
        more = {name: value for name, value in self.config.items() if name not in own}
        if "preset" not in more and not more.keys() & {"body", "answer", "thread_from"}:
            more |= {"preset": "message", "body": {"messages": "{{messages}}"}}
        elif more.get("preset") == "message" and "body" not in more:
            more["body"] = dict(MESSAGE_BODY)
        url = _joined(self.base_url, config.path)
        return HttpEndpoint.model_validate({**more, "url": url, "headers": dict(self.headers)}), config.timeout

    def _langgraph(self) -> tuple[HttpEndpoint, float | None]:
        config = LangGraphConfig.model_validate(dict(self.config))
        extra: dict[str, Any] = {"multitask_strategy": "enqueue"}
        if config.configurable:
            extra["config"] = {"configurable": config.configurable}
        endpoint = {
            "url": self.base_url,
            "headers": dict(self.headers),
            "preset": "langgraph",
            "model": config.assistant_id,
            "extra_body": extra,
        }
        return HttpEndpoint.model_validate(endpoint), config.timeout


def _joined(base: str, path: str) -> str:
    if not path:
        return base
    start, mark, query = base.partition("?")
    return f"{start.rstrip('/')}/{path.lstrip('/')}{mark}{query}"


def in_words(error: ValidationError) -> str:
    """What is wrong with data: each field and the reason."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()
    )


class AgentDraft(Spec):
    """An agent with everything that it is made of."""

    sections: ClassVar[tuple[str, ...]] = ("prompts", "tools", "models", "mcp_servers", "a2a_agents")

    agent: Agent
    """The agent: a model with a prompt, an endpoint, or code."""
    prompts: Items[Prompt] = ()
    """Prompts that it uses."""
    tools: Items[Tool] = ()
    """Tools that it may call."""
    models: Items[Model] = ()
    """Models that it uses and that need more than a name."""
    mcp_servers: Items[McpServer] = ()
    """MCP servers whose tools it is offered."""
    a2a_agents: Items[A2aAgent] = ()
    """Other agents that it may call."""
    workflow: Workflow | None = None
    """States that it goes through."""


@frozen
class SavedAgent:
    """An agent that is developed here: a draft, and versions that were published and never change.

    Attributes:
        draft: as it is now.
        version: the newest published version; None before the first.
    """

    id: str
    project_id: str
    name: str
    draft: AgentDraft
    version: int | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


@frozen
class AgentVersion:
    """A published version of an agent.

    Attributes:
        version: from 1.
        note: what is said of it.
    """

    agent_id: str
    version: int
    draft: AgentDraft
    note: str = ""
    published_at: float = 0.0


@frozen
class FieldChange:
    """A field that differs between two versions.

    Attributes:
        path: such as ``prompts[0].system_template``.
        before, after: None where the field is not there.
    """

    path: str
    before: Any
    after: Any


class EvalSpec(Spec):
    """What an eval runs, beside its scenarios."""

    description: str = ""
    """Free text for people."""
    input: Items[SeedMessage] = ()
    """Messages that follow those of each scenario."""
    trials: int = Field(default=1, ge=1, le=1_000_000)
    """How often each scenario is run with each persona."""
    agent_id: str | None = None
    """A saved agent, in place of a connector."""
    agent_version: int | None = Field(default=None, ge=1)
    """Version of the agent. Default: the newest when runs are created."""
    config: RunConfig | None = None
    """How test cases are run and judged: the runtime, limits, metrics and thresholds. Default: as the scenarios and
    the project say, without metrics."""

    @model_validator(mode="after")
    def _is_whole(self) -> EvalSpec:
        if self.agent_version is not None and self.agent_id is None:
            raise ValueError("agent_version with agent_id only")
        return self


@frozen
class Eval:
    """Scenarios and the connector or agent that they are run against.

    Attributes:
        scenario_ids: at least one, in order.
        connector_id: None for one that runs an agent: ``spec.agent_id``.
        spec: everything else.
    """

    id: str
    project_id: str
    name: str
    scenario_ids: tuple[str, ...]
    connector_id: str | None
    spec: EvalSpec
    created_at: float = 0.0
    updated_at: float = 0.0


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without credentials that are written out; ``${NAME}`` is shown."""
    return {name: HIDDEN if is_written_out(name, value) else value for name, value in headers.items()}


def without_credentials(data: Any) -> Any:
    """The fields of a connector, persona or agent without credentials that are written out, as reads show them."""
    if not isinstance(data, dict):
        return data
    fields = cast("dict[str, Any]", data)
    cleaned = cast("dict[str, Any]", without_secrets(fields, keep_references=True))
    if isinstance(headers := fields.get("headers"), dict):
        cleaned["headers"] = shown_headers(cast("dict[str, str]", headers))
    if isinstance(url := fields.get("base_url"), str):
        cleaned["base_url"] = shown_base_url(url)
    return cleaned


def shown_base_url(url: str) -> str:
    """A URL without a credential that is written out."""
    return text_without_secrets(url) if is_written_out("url", url) else url


def differences(before: AgentDraft, after: AgentDraft) -> list[FieldChange]:
    """The fields that differ between two versions of an agent, by path."""
    old, new = _flat(before.written(), ""), _flat(after.written(), "")
    paths = [*old, *(path for path in new if path not in old)]
    return [
        FieldChange(path=path, before=old.get(path), after=new.get(path))
        for path in paths
        if old.get(path) != new.get(path) or (path in old) is not (path in new)
    ]


def _flat(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        items = cast("dict[str, Any]", value).items()
        return {key: leaf for name, item in items for key, leaf in _flat(item, f"{path}.{name}".lstrip(".")).items()}
    if isinstance(value, list) and value:
        named = enumerate(cast("Sequence[Any]", value))
        return {key: leaf for index, item in named for key, leaf in _flat(item, f"{path}[{index}]").items()}
    return {path: value}
