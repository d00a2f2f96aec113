"""Prompts of native agents, the values of their variables, and the tools that agents may call."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.config.spec import EMPTY, Amount, Count, Items, Json, JsonObject, Name, Resource, Spec, Text
from duologue.config.templates import placeholders
from duologue.specs.agents import Fragment
from duologue.specs.checks import GuardrailSpec, PackEvalSpec
from duologue.specs.scenario import Scenario, ToolPolicy

MISSING_FEATURES = {"skill__": "skills", "memory__": "memory"}
"""What names of tools begin with that agents of other systems have and Duologue's do not, by the feature."""
ENGINE_TOOLS = ("workflow__", *MISSING_FEATURES)
"""What names of tools begin with that no server has: those of workflows, and those of missing features."""


def missing_feature(tool: str) -> str | None:
    """The feature that a tool of this name would be of, if Duologue does not have it."""
    return next((feature for start, feature in MISSING_FEATURES.items() if tool.startswith(start)), None)


class Variable(Spec):
    """A variable of a prompt template."""

    name: Name
    """Name in the template, as in ``{{name}}``."""
    type: str | None = None
    """Type such as ``string``; for people, values are not converted."""
    required: bool = False
    """Whether a run without a value is an error."""
    default: Json = None
    """Value if none is given."""
    description: str = ""
    """Free-text description for people; not sent to the model."""
    example: Json = None
    """Example of a value, for people."""


class ModelOverride(Spec):
    """A different instruction for one model."""

    system_template: str | None = None
    """Replaces the prompt's template."""
    system_template_suffix: str | None = None
    """Text that is appended to the template."""


class MediaLimits(Spec):
    """Which images, audio or video may be sent to the agent."""

    max_size_mb: Amount | None = None
    """Maximum size of one file, in megabytes."""
    allowed_formats: Items[str] = ()
    """Allowed formats, such as ``png``."""
    default_detail: str | None = None
    """Resolution at which a model looks at images: ``low``, ``high`` or ``auto``."""
    require_caption: bool | None = None
    """Whether images must have a caption."""
    max_images_per_msg: Amount | None = None
    """Maximum number of images in one message."""
    max_duration_sec: Amount | None = None
    """Maximum length of one audio or video, in seconds."""
    require_metadata: bool | None = None
    """Whether audio and video must state their length."""


class MediaRules(Spec):
    """Which media the agent accepts."""

    enabled: bool = True
    """Whether the agent accepts media at all."""
    supported_types: Items[str] = ()
    """Accepted kinds: ``image``, ``audio``, ``video``, ``document``."""
    image: MediaLimits | None = None
    """Limits for images."""
    audio: MediaLimits | None = None
    """Limits for audio."""
    video: MediaLimits | None = None
    """Limits for video."""
    document: MediaLimits | None = None
    """Limits for documents."""
    examples: Items[JsonObject] = ()
    """Example messages, for people; not sent to the model."""


class Parameters(Spec):
    """Sampling parameters of the model that uses this prompt."""

    temperature: float | None = None
    """Sampling temperature."""
    max_tokens: Amount | None = None
    """Maximum length of an answer in tokens."""
    top_p: float | None = None
    """Nucleus sampling: probability mass of the tokens that are considered, 0 to 1."""
    top_k: Count | None = None
    """Number of most likely tokens that are considered."""


class Prompt(Resource):
    """The instruction of a native agent, with its tools and limits."""

    task: str | None = None
    """Name by which scenarios and agents refer to the prompt. Default: the prompt's own name."""
    version: str | None = None
    """Version of the prompt, for people."""
    description: str = ""
    """Free-text description for people; not sent to the model."""
    system_template: str
    """System instruction. ``{{name}}`` stands for a variable."""
    variables: Items[Variable] = ()
    """Variables of the template."""
    values: dict[str, str] = EMPTY
    """Values for variables. They take precedence over defaults; those of a scenario take precedence over them."""
    fragments: Items[Fragment] = ()
    """Text files that the template can include by name."""
    model_overrides: dict[str, ModelOverride] = EMPTY
    """Different instructions for single models, by model name."""
    allowed_tools: Items[str] = ()
    """Names of the tools that the model may call."""
    media: MediaRules | None = None
    """Which media the agent accepts."""
    guardrails: Items[GuardrailSpec] = ()
    """Checks that every message passes through."""
    tool_policy: ToolPolicy | None = None
    """Limits on tool calls."""
    parameters: Parameters | None = None
    """Sampling parameters."""
    evals: Items[PackEvalSpec] = ()
    """Evals that run in addition to the suite's own checks."""
    information: JsonObject = EMPTY
    """Notes for people, such as tested models; not sent to the model."""

    @property
    def answers_to(self) -> str:
        """The task that scenarios ask for."""
        return self.task or self.name


GIVEN_BY_ENGINE = frozenset({"region", "domain", "user_role", "user_context", "context_slot", "project_stage"})
"""Variables that have a value in every run."""


def values_for(prompt: Prompt, scenario: Scenario | None = None) -> dict[str, str]:
    """The values of a prompt's variables: defaults, then the prompt's own values, then the scenario's."""
    defaults = {item.name: str(item.default) for item in prompt.variables if item.default is not None}
    return {**defaults, **prompt.values, **(scenario.variables if scenario else {})}


def open_variables(prompt: Prompt, scenario: Scenario | None = None) -> tuple[list[str], list[str]]:
    """What has no value: required variables, and names that only the template knows.

    Returns:
        Names of required variables, names of placeholders that are left.
    """
    values = values_for(prompt, scenario)
    known = {*values, *GIVEN_BY_ENGINE, *(fragment.name for fragment in prompt.fragments)}
    required = [item.name for item in prompt.variables if item.required and item.name not in known]
    texts = [prompt.system_template, *(value for name, value in values.items() if _is_used(name, prompt))]
    wanted = dict.fromkeys(name for text in texts for name in placeholders(text))
    return required, [name for name in wanted if name not in known and name not in required]


def _is_used(name: str, prompt: Prompt) -> bool:
    return name in placeholders(prompt.system_template)


ANY_OBJECT = {"type": "object"}


class ConsentRule(Spec):
    """Whether the user must allow a tool call."""

    required: bool = False
    """Whether permission is needed."""
    message: str | None = None
    """Question for the user."""
    decline_strategy: str | None = None
    """Text that the model gets if the user declines; ``error`` and ``fallback`` stand for built-in texts."""


class ClientBinding(Spec):
    """A tool that runs on the user's device."""

    consent: ConsentRule | None = None
    """Whether the user must allow a call."""
    timeout_ms: Amount | None = None
    """Time limit for one call, in milliseconds."""
    categories: Items[str] = ()
    """Categories, for people."""
    validate_output: bool | None = None
    """Whether the result is checked against ``output_schema``."""


class ProcessBinding(Spec):
    """A tool that is a local program. It reads JSON from standard input and writes JSON to standard output."""

    command: Text
    """Program to start."""
    runtime: Literal["exec", "server"] = "exec"
    """``exec`` starts the program for each call; ``server`` starts it once."""
    args: Items[str] = ()
    """Command-line arguments."""
    env: Items[str] = ()
    """Names of the environment variables that are passed to the program."""
    timeout_ms: Amount | None = None
    """Time limit for one call, in milliseconds."""
    sandbox: str | None = None
    """Sandbox in which the program runs. Only ``none`` and ``direct`` are supported."""


class HttpBinding(Spec):
    """A tool that is an HTTP endpoint."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    url: Text
    """URL of the endpoint. ``{{.name}}`` stands for an argument of the call."""
    method: str = "POST"
    """HTTP method."""
    headers: dict[str, str] = EMPTY
    """Headers sent with every request. Keep secrets out of files with ``${NAME}``."""
    headers_from_env: Items[Annotated[str, Field(pattern=r"^[^=]+=\w+$")]] = ()
    """Headers from environment variables, each as ``Header-Name=VARIABLE``."""
    timeout_ms: Amount | None = None
    """Time limit for one call, in milliseconds."""
    redact: Items[str] = ()
    """JSON paths of fields that are removed from the result."""
    request: JsonObject = EMPTY
    """How arguments become a request: ``body_mapping`` (JMESPath), ``query_params``, ``header_params``, ``exclude``,
    ``static_query``, ``static_headers``, ``static_body``."""
    response: JsonObject = EMPTY
    """How a response becomes the result: ``body_mapping``, a JMESPath expression."""
    multimodal: JsonObject = EMPTY
    """How images, audio and video in the response are handled."""


class Tool(Resource):
    """A function that the agent may call."""

    path_fields: ClassVar[tuple[str, ...]] = ("mock_template_file",)

    description: str
    """What the tool does, as the model gets it."""
    input_schema: JsonObject = ANY_OBJECT
    """JSON Schema of the arguments."""
    output_schema: JsonObject = EMPTY
    """JSON Schema of the result."""
    mode: Literal["mock", "live", "mcp", "exec", "client"] = "mock"
    """How calls are answered: by a fixed response (``mock``), over HTTP (``live``), by an MCP server (``mcp``), by a
    program (``exec``) or by the user's device (``client``)."""
    timeout_ms: Amount | None = None
    """Time limit for one call, in milliseconds."""
    mock_result: Json = None
    """Result of a ``mock`` tool, whatever the arguments are."""
    mock_template: str | None = None
    """Result of a ``mock`` tool as a template; ``{{.name}}`` stands for an argument of the call. ``if``, ``range``,
    ``with``, variables, pipes and functions are those of Go's ``text/template``."""
    mock_template_file: str | None = None
    """File with such a template, relative to the suite file."""
    mock_parts: Items[JsonObject] = ()
    """Images, audio and video of the result of a ``mock`` tool."""
    http: HttpBinding | None = None
    """Endpoint. Required if ``mode`` is ``live``."""
    exec: ProcessBinding | None = None
    """Program. Required if ``mode`` is ``exec``."""
    client: ClientBinding | None = None
    """Settings for the mode ``client``."""

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> Self:
        needed = {"live": "http", "exec": "exec"}.get(self.mode)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"a tool with 'mode: {self.mode}' to have the field '{needed}'")
        given = [name for name in ("mock_result", "mock_template", "mock_template_file") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"at most one of mock_result, mock_template and mock_template_file; it has {given}")
        return self
