"""PromptKit's manifests as its schemas have them: which fields there are, and of what type.

The fields of all versions are known, and only what no version can do without is required. What has the same shape in a
suite is not described twice. What fields mean is decided in the modules that turn them into a suite.
"""

from __future__ import annotations

from typing import Any, Literal

from duologue.config.spec import EMPTY, Amount, Duration, Items, Share, Spec
from duologue.specs.agents import (
    Credential,
    Fragment,
    PersonaStyle,
    Platform,
    Pricing,
    RateLimit,
    Sampling,
)
from duologue.specs.checks import PackEvalSpec, When
from duologue.specs.prompts import (
    ClientBinding,
    HttpBinding,
    MediaRules,
    ModelOverride,
    Parameters,
    ProcessBinding,
    Variable,
)
from duologue.specs.scenario import Background, Capability, Chaos, ContextPolicy, Memory, Part, Relevance, ToolPolicy

Object = dict[str, Any]
Names = dict[str, str]


class SamplingShape(Sampling):
    """Sampling of a provider."""

    prompt_caching: bool | None = None


class PersonaStyleShape(PersonaStyle):
    """How a persona speaks and behaves."""

    expressive: bool = False
    characterization_rubric: str | None = None


class VariableShape(Variable):
    """A variable of a prompt."""

    validation: Object = EMPTY
    binding: Object = EMPTY


class PackEvalShape(PackEvalSpec):
    """An eval of a prompt or a pack."""

    metric: Object | None = None
    groups: Items[str] = ()


class RelevanceShape(Relevance):
    """How old messages are chosen."""

    always_keep_system_role: bool = True
    cache_embeddings: bool = False


class ContextPolicyShape(ContextPolicy):
    """What becomes of a conversation that is too long."""

    cache_breakpoints: bool = False
    relevance: RelevanceShape | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class VoiceActivityShape(Spec):
    """When silence means that somebody has finished."""

    silence_threshold_ms: Amount = 500
    min_speech_ms: Amount = 1000
    max_turn_duration_s: Amount = 60


class TurnDetectionShape(Spec):
    """Who decides that somebody has finished speaking."""

    mode: Literal["vad", "asm"] = "vad"
    vad: VoiceActivityShape | None = None


class ResilienceShape(Spec):
    """What happens when a spoken session breaks off."""

    max_retries: Amount = 0
    retry_delay_ms: Amount = 1000
    inter_turn_delay_ms: Amount | None = None
    selfplay_inter_turn_delay_ms: Amount | None = None
    partial_success_min_turns: Amount = 1
    ignore_last_turn_session_end: bool = True


class DuplexShape(Spec):
    """A spoken conversation over one open session."""

    timeout: Duration = "10m"
    turn_detection: TurnDetectionShape | None = None
    resilience: ResilienceShape | None = None


class SpeechShape(Spec):
    """How a line is spoken."""

    provider: str
    voice: str | None = None


class Shape(Spec):
    """A manifest's ``spec``, with what its ``metadata`` says."""

    name: str = ""
    labels: Names = EMPTY
    annotations: Names = EMPTY
    id: str | None = None


class AssertionShape(Spec):
    """An assertion of a turn, a conversation or a recording."""

    type: str
    params: Object = EMPTY
    message: str | None = None
    when: When | None = None
    pass_threshold: Share | None = None


class TurnShape(Spec):
    """A turn of a scenario."""

    role: str
    content: str | None = None
    parts: Items[Part] = ()
    persona: str | None = None
    turns: int | None = None
    max_turns: int | None = None
    assistant_temp: float | None = None
    user_temp: float | None = None
    seed: int | None = None
    streaming: bool | None = None
    tts: SpeechShape | None = None
    consent_overrides: dict[str, Literal["grant", "deny", "timeout"]] = EMPTY
    perturbations: dict[str, Items[str]] = EMPTY
    chaos: Chaos | None = None
    assertions: Items[AssertionShape] = ()


class ScenarioShape(Shape):
    """Kind Scenario."""

    task_type: str | None = None
    mode: str | None = None
    description: str = ""
    context_metadata: Background | None = None
    turns: Items[TurnShape] = ()
    context: Object = EMPTY
    constraints: Object = EMPTY
    tool_policy: ToolPolicy | None = None
    providers: Items[str] = ()
    provider_group: str | None = None
    required_capabilities: Items[Capability] = ()
    streaming: bool = False
    context_policy: ContextPolicyShape | None = None
    conversation_assertions: Items[AssertionShape] = ()
    duplex: DuplexShape | None = None
    voice: str | None = None
    variables: Names = EMPTY
    trials: int | None = None
    seed_memories: Items[Memory] = ()
    pack: str | None = None
    steps: Items[Object] = ()


class ProviderShape(Shape):
    """Kind Provider."""

    type: str
    model: str | None = None
    voice: str | None = None
    sample_rate: int | None = None
    audio_files: Items[str] = ()
    role: Literal["llm", "tts", "stt", "embedding", "image", "video", "inference"] = "llm"
    base_url: str | None = None
    headers: Names = EMPTY
    rate_limit: RateLimit | None = None
    defaults: SamplingShape | None = None
    pricing: Pricing | None = None
    pricing_correct_at: str | None = None
    include_raw_output: bool = False
    additional_config: Object = EMPTY
    credential: Credential | None = None
    platform: Platform | None = None
    capabilities: Items[str] = ()
    unsupported_params: Items[str] = ()
    request_timeout: str | None = None
    stream_idle_timeout: str | None = None
    stream_retry: Object = EMPTY
    stream_max_concurrent: int | None = None
    http_transport: Object = EMPTY


class PersonaDefaultsShape(Spec):
    """Sampling of a persona."""

    temperature: float | None = None
    seed: int | None = None


class PersonaShape(Shape):
    """Kind Persona."""

    description: str = ""
    prompt_activity: str | None = None
    fragments: Items[Fragment] = ()
    system_template: str | None = None
    required_vars: Items[str] = ()
    optional_vars: Names = EMPTY
    system_prompt: str | None = None
    goals: Items[str] = ()
    constraints: Items[str] = ()
    style: PersonaStyleShape | None = None
    voice: str | None = None
    defaults: PersonaDefaultsShape | None = None


class ValidatorShape(Spec):
    """A guardrail of a prompt."""

    type: str
    params: Object = EMPTY
    direction: str | None = None
    enforce: bool = False
    enabled: bool = True
    fail_on_violation: bool = True
    message: str | None = None


class PromptShape(Shape):
    """Kind PromptConfig."""

    task_type: str
    version: str | None = None
    description: str = ""
    template_engine: Object = EMPTY
    fragments: Items[Fragment] = ()
    system_template: str
    variables: Items[VariableShape] = ()
    model_overrides: dict[str, ModelOverride] = EMPTY
    allowed_tools: Items[str] = ()
    media: MediaRules | None = None
    validators: Items[ValidatorShape] = ()
    tested_models: Items[Object] = ()
    tool_policy: ToolPolicy | None = None
    parameters: Parameters | None = None
    evals: Items[PackEvalShape] = ()
    metadata: Object = EMPTY
    compilation: Object = EMPTY


class ToolShape(Shape):
    """Kind Tool."""

    description: str
    input_schema: Object = EMPTY
    output_schema: Object = EMPTY
    mode: Literal["mock", "live", "mcp", "exec", "client"] = "mock"
    timeout_ms: int | None = None
    mock_result: Any = None
    mock_template: str | None = None
    mock_template_file: str | None = None
    mock_parts: Items[Object] = ()
    http: HttpBinding | None = None
    exec: ProcessBinding | None = None
    client: ClientBinding | None = None


class RecordingShape(Spec):
    """Where the recording of an eval is."""

    path: str
    type: Literal["session", "arena_output", "transcript", "generic"] | None = None


class AllTurnsShape(Spec):
    """Assertions about every answer."""

    assertions: Items[AssertionShape] = ()


class EvalTurnShape(Spec):
    """Assertions about answers of a recording."""

    all_turns: AllTurnsShape | None = None


class EvalShape(Shape):
    """Kind Eval."""

    description: str = ""
    recording: RecordingShape
    turns: Items[EvalTurnShape] = ()
    conversation_assertions: Items[AssertionShape] = ()
    tags: Items[str] = ()
    mode: Literal["instant", "realtime", "accelerated"] | None = None
    speed: float | None = None
