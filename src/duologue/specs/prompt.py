"""What agents are told: prompts with variables, guardrails and evals; and the tools that they may call."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.specs.checking import GuardrailSpec, PackEvalSpec
from duologue.specs.participants import Fragment
from duologue.specs.scenario import ToolPolicy
from duologue.specs.spec import EMPTY, Amount, Count, Items, Json, JsonObject, Name, Resource, Spec, Text


class Variable(Spec):
    """Something that a template leaves open."""

    name: Name
    """What the template calls it."""
    type: str | None = None
    """Of what kind, for people."""
    required: bool = False
    """Whether it must have a value."""
    default: Json = None
    """Its value if none is given."""
    description: str = ""
    """For people."""
    example: Json = None
    """For people."""
    validation: JsonObject = EMPTY
    """What values are good."""
    binding: JsonObject = EMPTY
    """Where a value may be taken from."""


class ModelOverride(Spec):
    """Another text for one model."""

    system_template: str | None = None
    """In place of the template."""
    system_template_suffix: str | None = None
    """After the template."""


class MediaLimits(Spec):
    """Which pictures, sounds or films may be sent."""

    max_size_mb: Amount | None = None
    """Megabytes of one."""
    allowed_formats: Items[str] = ()
    """Such as ``png``."""
    default_detail: str | None = None
    """How closely a model should look at pictures."""
    require_caption: bool | None = None
    """Pictures need a caption."""
    max_images_per_msg: Amount | None = None
    """Pictures in one message."""
    max_duration_sec: Amount | None = None
    """Seconds of one sound or film."""
    require_metadata: bool | None = None
    """Sounds and films need their length."""


class MediaRules(Spec):
    """Which pictures, sounds and films the agent understands."""

    enabled: bool = True
    """Whether it understands any."""
    supported_types: Items[str] = ()
    """Of image, audio and video."""
    image: MediaLimits | None = None
    """For pictures."""
    audio: MediaLimits | None = None
    """For sounds."""
    video: MediaLimits | None = None
    """For films."""
    examples: Items[JsonObject] = ()
    """For people."""


class Parameters(Spec):
    """How a model should write with this prompt."""

    temperature: float | None = None
    """Of sampling."""
    max_tokens: Amount | None = None
    """Of an answer."""
    top_p: float | None = None
    """Of sampling."""
    top_k: Count | None = None
    """Of sampling."""


class Prompt(Resource):
    """What an agent that is made of a model is told."""

    task: str | None = None
    """What scenarios ask for; the prompt's name if None."""
    version: str | None = None
    """For people."""
    description: str = ""
    """For people."""
    system_template: str
    """The instruction. ``{{name}}`` stands for a variable."""
    variables: Items[Variable] = ()
    """What the template leaves open."""
    values: dict[str, str] = EMPTY
    """Values for variables, over their defaults and under those of a scenario."""
    fragments: Items[Fragment] = ()
    """Texts from files, which the template names like variables."""
    model_overrides: dict[str, ModelOverride] = EMPTY
    """Other texts, by model."""
    allowed_tools: Items[str] = ()
    """The tools that are offered to the model."""
    media: MediaRules | None = None
    """Which pictures, sounds and films it understands."""
    guardrails: Items[GuardrailSpec] = ()
    """Checks that are asked about each message."""
    tool_policy: ToolPolicy | None = None
    """What the agent may do with its tools."""
    parameters: Parameters | None = None
    """How a model should write."""
    evals: Items[PackEvalSpec] = ()
    """Evals that run beside a suite's own checks."""
    information: JsonObject = EMPTY
    """Anything worth knowing about it; has no effect."""

    @property
    def answers_to(self) -> str:
        """The task that scenarios ask for."""
        return self.task or self.name


ANY_OBJECT = {"type": "object"}


class ConsentRule(Spec):
    """Whether the user is asked before a tool is called."""

    required: bool = False
    """Whether."""
    message: str | None = None
    """What the user is asked."""
    decline_strategy: str | None = None
    """What the model is told if the user declines."""


class ClientBinding(Spec):
    """A tool that runs where the user is."""

    consent: ConsentRule | None = None
    """Whether the user is asked before."""
    timeout_ms: Amount | None = None
    """Milliseconds."""
    categories: Items[str] = ()
    """For people."""
    validate_output: bool | None = None
    """Whether its answer is compared with the schema."""


class ProcessBinding(Spec):
    """A tool that is a program: JSON in, JSON out."""

    command: Text
    """The program."""
    runtime: Literal["exec", "server"] = "exec"
    """Started for each call, or once."""
    args: Items[str] = ()
    """Its arguments."""
    env: Items[str] = ()
    """Names of the environment variables that it gets."""
    timeout_ms: Amount | None = None
    """Milliseconds that a call may take."""
    sandbox: str | None = None
    """Where it runs."""


class HttpBinding(Spec):
    """A tool that is an address."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    url: Text
    """Of the endpoint."""
    method: str = "POST"
    """Of the request."""
    headers: dict[str, str] = EMPTY
    """Sent with every request."""
    headers_from_env: Items[Annotated[str, Field(pattern=r"^[^=]+=\w+$")]] = ()
    """Headers from environment variables, each as ``Header-Name=VARIABLE``."""
    timeout_ms: Amount | None = None
    """Milliseconds that a call may take."""
    redact: Items[str] = ()
    """JSON paths that are taken out of the answer."""
    request: JsonObject = EMPTY
    """How arguments become a request."""
    response: JsonObject = EMPTY
    """How a response becomes the answer."""
    multimodal: JsonObject = EMPTY
    """How pictures, sounds and films are sent."""


class Tool(Resource):
    """A function that the agent may call."""

    path_fields: ClassVar[tuple[str, ...]] = ("mock_template_file",)

    description: str
    """What the model is told of it."""
    input_schema: JsonObject = ANY_OBJECT
    """JSON Schema of its arguments."""
    output_schema: JsonObject = EMPTY
    """JSON Schema of its answer."""
    mode: Literal["mock", "live", "mcp", "exec", "client"] = "mock"
    """A fixed answer, an address, an MCP server, a program, or something where the user is."""
    timeout_ms: Amount | None = None
    """Milliseconds that a call may take."""
    mock_result: Json = None
    """The answer, whatever the arguments are."""
    mock_template: str | None = None
    """A template of the answer, filled with the arguments."""
    mock_template_file: str | None = None
    """The same in a file; relative to the suite file."""
    mock_parts: Items[JsonObject] = ()
    """Pictures, sounds and films of the answer."""
    http: HttpBinding | None = None
    """For the mode ``live``."""
    exec: ProcessBinding | None = None
    """For the mode ``exec``."""
    client: ClientBinding | None = None
    """For the mode ``client``."""

    @model_validator(mode="after")
    def _has_what_its_mode_needs(self) -> Self:
        needed = {"live": "http", "exec": "exec"}.get(self.mode)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"a tool with 'mode: {self.mode}' to have the field '{needed}'")
        given = [name for name in ("mock_result", "mock_template", "mock_template_file") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"at most one of mock_result, mock_template and mock_template_file; it has {given}")
        return self
