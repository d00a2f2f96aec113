"""The arena's own fields, of all versions, and the table of all kinds of manifests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from duologue.compat.promptkit.shapes import (
    AssertionShape,
    EvalShape,
    Names,
    Object,
    PackEvalShape,
    PersonaDefaultsShape,
    PersonaShape,
    PersonaStyleShape,
    PromptShape,
    ProviderShape,
    ScenarioShape,
    Shape,
    ToolShape,
)
from duologue.config.spec import EMPTY, Items, Spec
from duologue.specs.suite import A2aAgent, Defaults, McpServer, Workflow, WorkflowState


class FileShape(Spec):
    """The path of a file."""

    file: str


class ProviderFileShape(FileShape):
    """A provider, and the group that it is in."""

    group: str = "default"


class PromptFileShape(FileShape):
    """A prompt, and values for its variables."""

    id: str
    vars: Names = EMPTY


class JudgeShape(Spec):
    """A name for a provider that judges."""

    name: str
    provider: str
    model: str | None = None


class JudgeSpecShape(Spec):
    """A judge that is written in the arena."""

    provider: str
    model: str | None = None


class JudgeDefaultsShape(Spec):
    """The prompt of judges."""

    prompt: str | None = None
    prompt_registry: str | None = None


class RoleShape(Spec):
    """A name for a provider that plays users."""

    id: str
    provider: str


class SelfPlayShape(Spec):
    """Who plays users, and whom."""

    enabled: bool = True
    personas: Items[FileShape] = ()
    persona_specs: dict[str, Object] = EMPTY
    roles: Items[RoleShape] = ()


class RecordingOptionsShape(Spec):
    """Whether sessions are recorded."""

    enabled: bool = False
    dir: str | None = None


class OutputShape(Spec):
    """Which reports are written."""

    dir: str = "out"
    formats: Items[str] = ()
    json_: Object = Field(default=EMPTY, alias="json")
    html: Object = EMPTY
    markdown: Object = EMPTY
    junit: Object = EMPTY
    recording: RecordingOptionsShape | None = None


class DefaultsShape(Defaults):
    """What holds where nothing else is said."""

    output: OutputShape | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    config_dir: str | None = None
    fail_on: Items[str] = ()
    verbose: bool = False
    monitor: Object = EMPTY
    inference: Object = EMPTY
    html_report: str | None = None
    out_dir: str | None = None
    output_formats: Items[str] = ()
    markdown_config: Object = EMPTY


class VoiceShape(Spec):
    """A name for a provider that speaks."""

    id: str
    provider: str


class McpServerShape(McpServer):
    """A server of tools; an empty text means that the value follows from the rest."""

    transport: Literal["", "stdio", "sse", "streamable_http"] | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class WorkflowStateShape(WorkflowState):
    """A state of a workflow."""

    persistence: str | None = None
    control: str | None = None


class WorkflowShape(Workflow):
    """States that the agent goes through."""

    states: dict[str, WorkflowStateShape] = Field(min_length=1)  # pyright: ignore[reportIncompatibleVariableOverride]


class GlobalsShape(Spec):
    """What is added to every scenario."""

    conversation_assertions: Items[AssertionShape] = ()


class ArenaShape(Shape):
    """Kind Arena."""

    prompt_configs: Items[PromptFileShape] = ()
    providers: Items[ProviderFileShape] = ()
    judges: Items[JudgeShape] = ()
    judge_defaults: JudgeDefaultsShape | None = None
    scenarios: Items[FileShape] = ()
    evals: Items[FileShape] = ()
    tools: Items[FileShape] = ()
    skills: Items[Object] = ()
    pack_evals: Items[PackEvalShape] = ()
    globals: GlobalsShape | None = None
    runtime: Object = EMPTY
    workflow: WorkflowShape | None = None
    compositions: Any = None
    memory: Any = None
    agents: Any = None
    deploy: Object = EMPTY
    pack_metadata: Object = EMPTY
    mcp_servers: Items[McpServerShape] = ()
    a2a_agents: Items[A2aAgent] = ()
    state_store: Object = EMPTY
    defaults: DefaultsShape | None = None
    self_play: SelfPlayShape | None = None
    pack_file: str | None = None
    provider_specs: dict[str, Object] = EMPTY
    scenario_specs: dict[str, Object] = EMPTY
    eval_specs: dict[str, Object] = EMPTY
    tool_specs: dict[str, Object] = EMPTY
    judge_specs: dict[str, JudgeSpecShape] = EMPTY
    prompt_specs: dict[str, Object] = EMPTY
    tts_providers: Items[ProviderFileShape] = ()
    stt_providers: Items[ProviderFileShape] = ()
    embedding_providers: Items[ProviderFileShape] = ()
    image_providers: Items[ProviderFileShape] = ()
    voices: Items[VoiceShape] = ()


KINDS: dict[str, type[Shape]] = {
    "Arena": ArenaShape,
    "Scenario": ScenarioShape,
    "Provider": ProviderShape,
    "Persona": PersonaShape,
    "PromptConfig": PromptShape,
    "Tool": ToolShape,
    "Eval": EvalShape,
}
"""The kinds of manifests that are read."""

LENIENT: dict[type, frozenset[str]] = dict.fromkeys(
    (PersonaShape, PersonaStyleShape, PersonaDefaultsShape), frozenset()
)
"""What PromptKit reads without a schema, and therefore with any other fields: they have no effect."""
