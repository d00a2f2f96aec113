"""Who takes part: agents, the language models behind them, personas, judges and simulators."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from duologue.specs.scenario import Capability
from duologue.specs.spec import EMPTY, Amount, Count, Duration, Items, JsonObject, Name, Resource, Spec, Text

Seconds = Annotated[float, Field(gt=0)]
Temperature = Annotated[float, Field(ge=0)]


class HttpEndpoint(Spec):
    """An agent that is called over HTTP, in the format of OpenAI's chat completions."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    url: Text
    """Of the endpoint. ``http://host`` and ``http://host/v1`` are completed to ``…/v1/chat/completions``."""
    headers: dict[str, str] = EMPTY
    """Sent with every request; keep keys out of files with ``${NAME}``."""
    model: str | None = None
    """The ``model`` of the request."""
    send: Literal["history", "new"] = "history"
    """The whole conversation each time, or only what is new, for an agent that remembers."""
    thread_header: str | None = "X-Thread-Id"
    """The header that carries the id of the conversation."""
    extra_body: JsonObject = EMPTY
    """More fields of the request."""


class Agent(Resource):
    """The system under test: a model with a prompt, an endpoint, or Python code."""

    path_fields: ClassVar[tuple[str, ...]] = ("target",)

    description: str = ""
    """For people."""
    group: Name = "default"
    """Scenarios rehearse the agents of one group; ``default`` if they name none."""
    capabilities: Items[Capability] = ()
    """What it can do; scenarios may ask for it."""
    model: str | None = None
    """A model of the suite, or a name such as ``openai/gpt-5-mini``; the scenario's prompt makes an agent of it."""
    prompt: str | None = None
    """The task of its prompt; None for the scenario's."""
    http: HttpEndpoint | None = None
    """An endpoint."""
    target: str | None = None
    """Python code: ``module:name`` or ``file.py:name``."""
    timeout: Seconds | None = None
    """Seconds that one answer may take."""

    @field_validator("target")
    @classmethod
    def _names_something(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r".+?::?[A-Za-z_][\w.]*", value):
            raise ValueError("the name of Python code: module:name or file.py:name")
        return value

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("model", "http", "target") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"exactly one of model, http and target; it has {' and '.join(given) or 'none of them'}")
        return self


class RateLimit(Spec):
    """How often a provider may be asked."""

    rps: Annotated[float, Field(gt=0)]
    """Requests a second."""
    burst: Count = 1
    """Requests at once."""


class Pricing(Spec):
    """What a model costs, in US dollars."""

    input_cost_per_1k: Annotated[float, Field(ge=0)]
    """For 1,000 tokens of a request."""
    output_cost_per_1k: Annotated[float, Field(ge=0)]
    """For 1,000 tokens of an answer."""


class Credential(Spec):
    """Where the key of a provider is found. It is looked for when the model is used, not before."""

    path_fields: ClassVar[tuple[str, ...]] = ("credential_file",)

    environment_fields: ClassVar[tuple[str, ...]] = ("api_key",)

    credential_env: str | None = None
    """An environment variable that holds it."""
    credential_file: str | None = None
    """A file that holds it; relative to the suite file."""
    api_key: str | None = Field(default=None, repr=False)
    """The key itself; better ``${NAME}``."""


class Platform(Spec):
    """The cloud that hosts the model."""

    type: Literal["bedrock", "vertex", "azure"]
    """Which."""
    region: str | None = None
    """Where in it."""
    project: str | None = None
    """Whose."""
    endpoint: str | None = None
    """Its address."""
    additional_config: JsonObject = EMPTY
    """More that it needs."""


class Sampling(Spec):
    """How a model writes, unless something else is said."""

    temperature: Temperature | None = None
    """Of sampling."""
    top_p: float | None = None
    """Of sampling."""
    max_tokens: Amount | None = None
    """Of an answer."""
    prompt_caching: bool | None = None
    """Whether the provider may keep what begins every request."""


class Model(Resource):
    """A language model, or a model for speech or vectors, and how to reach it."""

    path_fields: ClassVar[tuple[str, ...]] = ("mock_file", "recording_file")

    environment_fields: ClassVar[tuple[str, ...]] = ("base_url", "headers")

    provider: Name
    """Such as ``openai``, ``anthropic``, ``google``, ``ollama``, ``mock`` or ``replay``."""
    model: str | None = None
    """What the provider calls it."""
    role: Literal["llm", "tts", "stt", "embedding", "image", "video", "inference"] = "llm"
    """What it is for."""
    base_url: str | None = None
    """In place of the provider's own address."""
    headers: dict[str, str] = EMPTY
    """Sent with every request."""
    credential: Credential | None = None
    """Where its key is found; None for the provider's usual variable."""
    platform: Platform | None = None
    """The cloud that hosts it."""
    sampling: Sampling | None = None
    """How it writes."""
    rate_limit: RateLimit | None = None
    """How often it may be asked."""
    pricing: Pricing | None = None
    """What it costs; None for the packaged list of prices."""
    capabilities: Items[str] = ()
    """What it can do."""
    unsupported_params: Items[str] = ()
    """Options that it must not be sent."""
    request_timeout: Duration | None = None
    """How long one request may take."""
    mock_file: str | None = None
    """Answers of a ``mock`` model; relative to the suite file."""
    recording_file: str | None = None
    """Answers of a ``replay`` model; relative to the suite file."""
    include_raw_output: bool = False
    """Keep requests and answers as they were sent."""
    options: JsonObject = EMPTY
    """Options of the provider."""


class PersonaStyle(Spec):
    """How a simulated user speaks and behaves."""

    verbosity: str | None = None
    """Such as ``short``, ``medium`` or ``long``."""
    challenge_level: str | None = None
    """Such as ``low``, ``medium`` or ``high``."""
    friction_tags: Items[str] = ()
    """Such as ``skeptical`` or ``impatient``."""
    expressive: bool = False
    """Write marks of tone such as ``[whispers]``, for speech."""
    characterization_rubric: str | None = None
    """How those marks are used, in place of the voice's own rules."""


class Fragment(Spec):
    """A text from a file that a template can name."""

    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    name: Name
    """What the template calls it."""
    path: str | None = None
    """The file; relative to the suite file."""
    required: bool = False
    """Whether it must be there."""


class Persona(Resource):
    """Who the simulated user is."""

    description: str = ""
    """Who the person is."""
    language: str | None = None
    """The language that the person uses."""
    goals: Items[str] = ()
    """What the person wants."""
    constraints: Items[str] = ()
    """What the person would not do or say."""
    style: PersonaStyle | None = None
    """How the person speaks and behaves."""
    facts: dict[str, str] = EMPTY
    """What the person knows and may tell."""
    system_prompt: str | None = None
    """The whole instruction for the simulator, used as it is."""
    system_template: str | None = None
    """The same with ``{{variables}}``."""
    required_vars: Items[str] = ()
    """Variables that the template must be given."""
    optional_vars: dict[str, str] = EMPTY
    """Variables with their defaults."""
    fragments: Items[Fragment] = ()
    """Texts from files that the template can name."""
    temperature: Temperature | None = None
    """Of the simulator's model."""
    seed: int | None = None
    """Of the simulator's model."""
    voice: str | None = None
    """One of the suite's voices."""


class Simulator(Spec):
    """Who plays users."""

    name: Name
    """What turns call it."""
    model: Name
    """A model of the suite, or a name such as ``openai/gpt-5-mini``."""


class Judge(Resource):
    """Who decides about criteria."""

    model: Name
    """A model of the suite, or a name such as ``openai/gpt-5-mini``."""
    model_name: str | None = None
    """Another model of the same provider."""
    prompt: str | None = None
    """The prompt of the suite that instructs it; None for the built-in one."""
    votes: Count = 1
    """How often it is asked; the majority decides."""


class JudgeDefaults(Spec):
    """What holds where a check or scenario names no judge."""

    judge: str | None = None
    """A judge of the suite."""
    prompt: str | None = None
    """A prompt of the suite."""


class Voice(Spec):
    """A voice, and who speaks with it."""

    id: Name
    """What personas and scenarios call it."""
    provider: Name
    """A model of the suite that speaks."""


READY_MODELS = ("local", "mock")
"""Names of models that every suite has."""


def is_model_name(name: str) -> bool:
    """Whether that could be a model of a provider, such as ``openai/gpt-5-mini``, and needs no entry in the suite."""
    return "/" in name or ":" in name or name in READY_MODELS
