"""Who takes part: agents, the language models behind them, personas, simulators and judges."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, Field, field_validator, model_validator

from duologue.config.json_path import steps_of
from duologue.config.problems import listed
from duologue.config.request_body import placeholders_in
from duologue.config.spec import EMPTY, Amount, Count, Duration, Items, JsonObject, Name, Resource, Seconds, Spec, Text
from duologue.specs.users import Agenda, Attack
from duologue.specs.voice import UserVoice
from duologue.vocabulary import HttpPreset

Temperature = Annotated[float, Field(ge=0)]


def _path(value: str) -> str:
    steps_of(value)
    return value


AnswerPath = Annotated[str, AfterValidator(_path), Field(examples=["data.reply", "output[0].content"])]
"""A path in an answer, such as ``data.reply`` or ``output[0].content``."""


class Pricing(Spec):
    """Price of a model in US dollars."""

    input_cost_per_1k: Annotated[float, Field(ge=0)]
    """Price of 1,000 input tokens."""
    output_cost_per_1k: Annotated[float, Field(ge=0)]
    """Price of 1,000 output tokens."""


class HttpEndpoint(Spec):
    """An agent behind an HTTP endpoint. ``duologue probe URL`` finds out what to write here."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    url: Text
    """URL of the endpoint. A preset completes a URL that is only a host, or a host and ``/v1``: with ``openai-chat``,
    ``http://host`` becomes ``http://host/v1/chat/completions``. ``{{thread_id}}`` stands for the conversation ID."""
    preset: HttpPreset | None = None
    """Format of requests and answers. Default: ``message`` if there is a ``body``, ``answer`` or ``thread_from``, else
    ``openai-chat``. ``openai-responses`` and ``anthropic-messages`` are those APIs, ``langgraph`` is a LangGraph
    server, ``message`` sends ``body`` and finds the agent's words in any answer."""
    headers: dict[str, str] = EMPTY
    """Headers sent with every request. Keep secrets out of files with ``${NAME}``."""
    model: str | None = None
    """Value of ``model`` in the request. With ``langgraph``, the assistant; default: ``agent``."""
    send: Literal["history", "new"] | None = None
    """Messages sent with each request: the whole conversation, or only the new ones for an agent that remembers (with
    ``openai-responses`` under ``previous_response_id``). Default: ``new`` with ``langgraph``, else ``history``."""
    thread_header: str | None = "X-Thread-Id"
    """Header that carries the conversation ID."""
    body: JsonObject | None = None
    """Request body of an agent with a format of its own. ``{{message}}`` stands for what the user said last,
    ``{{messages}}`` for the whole conversation as chat messages, ``{{history}}`` for all but what the user said last,
    ``{{thread_id}}`` for the conversation ID. Default: ``message`` and ``thread_id``."""
    extra_body: JsonObject = EMPTY
    """Additional fields of the request body."""
    answer: AnswerPath | None = None
    """Where the agent's words are in its answer, such as ``data.reply`` or ``output[0].content``. Default: they are
    looked for under usual names such as ``reply``, ``answer``, ``response``, ``output`` and ``text``."""
    thread_from: AnswerPath | None = None
    """Where the answer has an ID for the conversation. From then on, ``{{thread_id}}`` stands for it."""
    stream: bool = False
    """Whether answers are requested as a stream. Servers that only ever stream are understood without it."""
    retries: Annotated[int, Field(ge=0, le=20)] = 0
    """How often a request is repeated that the agent refuses with status 429, 503 or 529, after the time that its
    ``Retry-After`` says and within the agent's ``timeout``. Leave it at 0 if a refused request may have an effect."""
    pricing: Pricing | None = None
    """Price of the tokens that answers report as their usage. Default: the price of the model that the answer names."""
    reports_tool_calls: bool | None = None
    """Whether the agent's answers show every tool call that it makes. Default: known once they have shown one; until
    then checks of tool calls are skipped."""

    @field_validator("body")
    @classmethod
    def _says_something(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            placeholders_in(value)
        return value

    @model_validator(mode="after")
    def _has_one_format(self) -> Self:
        own = [name for name in ("body", "answer", "thread_from") if getattr(self, name) is not None]
        if own and self.preset not in {None, "message"}:
            raise ValueError(f"no {own[0]} with the preset {self.preset}; it is for the preset message")
        if self.send is not None and (own or self.preset == "message"):
            raise ValueError("no send with the preset message; write {{message}} or {{messages}} in its body")
        return self


_OF_RUNTIMES = ("runtime_mode", "platform", "platform_agent_id", "integration")
"""Fields of agents that only a runtime reads."""


class Agent(Resource):
    """The system under test: a native agent (a model with a prompt), an HTTP endpoint, Python code, or a runtime's."""

    path_fields: ClassVar[tuple[str, ...]] = ("target",)

    environment_fields: ClassVar[tuple[str, ...]] = ("runtime",)

    description: str = ""
    """Free-text description for people; not sent to any model."""
    group: Name = "default"
    """Group of the agent. A scenario rehearses the agents of one group."""
    capabilities: Items[Name] = ()
    """What the agent can do, such as ``tools`` or ``vision``. Scenarios may require capabilities; an agent that lists
    none is assumed to have all."""
    model: str | None = None
    """Model of a native agent: the name of a model of the suite, or a full name such as ``openai/gpt-5-mini``. With a
    ``runtime``, the model that it may play the agent with."""
    prompt: str | None = None
    """Task of the native agent's prompt. Default: the scenario's. With a ``runtime``, the agent's instructions."""
    http: HttpEndpoint | None = None
    """HTTP endpoint of the agent. With a ``runtime``, the URL and headers that it uses where it names none."""
    target: str | None = None
    """Python code of the agent: ``module:name`` or ``file.py:name``."""
    runtime: JsonObject | None = None
    """Runtime that drives the agent, as ``{kind: …}`` with its settings, such as ``{kind: custom_endpoint, url: …}``.
    ``${NAME}`` stands for an environment variable. See the reference of runtimes."""
    runtime_mode: Literal["text", "voice"] | None = None
    """Whether agent and user write or speak. Default: what the runtime can, text first."""
    platform: Name | None = None
    """Platform that hosts the agent, such as ``retell`` or ``vapi``. For agents with a ``runtime``."""
    platform_agent_id: Text | None = None
    """ID of the agent on its platform."""
    integration: Name | None = None
    """Saved key of the platform that the runtime uses."""
    isolation: Literal["none", "processes"] | None = None
    """Where Python code of a ``target`` runs: ``processes`` gives each run a child process, so that an agent that
    blocks, ignores its time limit or ends its process ends its own run only. Default: ``none``, this process."""
    timeout: Seconds | None = None
    """Time limit for one answer: seconds, or a duration such as ``30s``."""

    @field_validator("target")
    @classmethod
    def _names_something(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r".+?::?[A-Za-z_][\w.]*", value):
            raise ValueError("the name of Python code: module:name or file.py:name")
        return value

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("model", "http", "target") if getattr(self, name)]
        if self.runtime is None and len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"exactly one of model, http and target, or a runtime; it has {found}")
        if self.runtime is not None and (len(given) > 1 or self.target):
            raise ValueError(f"with a runtime, at most one of model and http; it has {' and '.join(given)}")
        if self.isolation and not self.target:
            raise ValueError(f"isolation is for agents with a target; this one has {(*given, 'a runtime')[0]}")
        if self.runtime is None and (idle := [name for name in _OF_RUNTIMES if getattr(self, name) is not None]):
            raise ValueError(f"{idle[0]} is for agents with a runtime; this one has {given[0]}")
        return self

    @property
    def is_native(self) -> bool:
        """Whether Duologue plays the agent itself, with a model and a prompt."""
        return self.model is not None and self.runtime is None

    @property
    def runtime_command(self) -> tuple[str, ...]:
        """The program that the runtime starts, with its arguments; empty if it starts none."""
        command: object = (self.runtime or {}).get("command")
        return tuple(map(str, cast("list[object]", command))) if isinstance(command, list) else ()


class RateLimit(Spec):
    """How often a provider may be called."""

    rps: Annotated[float, Field(gt=0)]
    """Requests per second."""
    burst: Count = 1
    """Number of requests that may start at once."""


class Credential(Spec):
    """Where the API key of a provider comes from. It is read when the model is first called."""

    path_fields: ClassVar[tuple[str, ...]] = ("credential_file",)

    environment_fields: ClassVar[tuple[str, ...]] = ("api_key",)

    credential_env: str | None = None
    """Environment variable that holds the key."""
    credential_file: str | None = None
    """File that holds the key, relative to the suite file."""
    api_key: str | None = Field(default=None, repr=False)
    """The key itself. Prefer ``${NAME}``, which keeps it out of the file."""


class Platform(Spec):
    """Cloud platform that hosts the model."""

    type: Literal["bedrock", "vertex", "azure"]
    """Amazon Bedrock, Google Vertex AI or Azure."""
    region: str | None = None
    """Cloud region, such as ``eu-west-1``."""
    project: str | None = None
    """Google Cloud project ID."""
    endpoint: str | None = None
    """URL of the endpoint, such as that of an Azure resource."""
    additional_config: JsonObject = EMPTY
    """Further settings of the platform."""


class Sampling(Spec):
    """Sampling parameters of a model, used where nothing more specific is set."""

    temperature: Temperature | None = None
    """Sampling temperature."""
    top_p: float | None = None
    """Nucleus sampling: probability mass of the tokens that are considered, 0 to 1."""
    max_tokens: Amount | None = None
    """Maximum length of an answer in tokens."""


class Model(Resource):
    """A language model, or a model for speech or embeddings, and how to reach it."""

    path_fields: ClassVar[tuple[str, ...]] = ("mock_file", "recording_file")

    environment_fields: ClassVar[tuple[str, ...]] = ("base_url", "headers")

    provider: Name
    """Provider, such as ``openai``, ``anthropic``, ``google``, ``ollama``, ``mock`` or ``replay``."""
    model: str | None = None
    """The provider's name of the model, such as ``gpt-5-mini``."""
    role: Literal["llm", "tts", "stt", "embedding", "image", "video", "inference"] = "llm"
    """What the model is used for."""
    base_url: str | None = None
    """URL of an OpenAI-compatible server, instead of the provider's own."""
    headers: dict[str, str] = EMPTY
    """Headers sent with every request. Keep secrets out of files with ``${NAME}``."""
    credential: Credential | None = None
    """Where the API key comes from. Default: the provider's usual environment variable."""
    platform: Platform | None = None
    """Cloud platform that hosts the model."""
    sampling: Sampling | None = None
    """Sampling parameters."""
    rate_limit: RateLimit | None = None
    """How often the provider may be called."""
    pricing: Pricing | None = None
    """Price of the model. Default: the price list that Duologue ships."""
    capabilities: Items[str] = ()
    """What the model can do."""
    unsupported_params: Items[str] = ()
    """Parameters that must not be sent to the model, such as ``temperature``."""
    request_timeout: Duration | None = None
    """Time limit for one request, such as ``90s``."""
    mock_file: str | None = None
    """Response file of a ``mock`` model, relative to the suite file."""
    recording_file: str | None = None
    """Recording from which a ``replay`` model answers, relative to the suite file."""
    options: JsonObject = EMPTY
    """Further options, passed to the provider unchanged."""


class PersonaStyle(Spec):
    """How a simulated user writes and behaves."""

    verbosity: str | None = None
    """Length of messages: ``short``, ``medium`` or ``long``."""
    challenge_level: str | None = None
    """How difficult the user is: ``low``, ``medium`` or ``high``."""
    friction_tags: Items[str] = ()
    """Traits such as ``skeptical`` or ``impatient``."""


class Fragment(Spec):
    """A text file that a template can include by name."""

    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    name: Name
    """Name in the template: ``{{name}}`` is replaced by the text."""
    path: str | None = None
    """Path of the file, relative to the suite file."""
    required: bool = False
    """Whether a missing file is an error. Otherwise the placeholder is empty."""


class Persona(Resource):
    """Who the simulated user is: played by a simulator, or by ``lines``, an ``agenda`` or an ``attack``."""

    environment_fields: ClassVar[tuple[str, ...]] = ("headers",)

    for_models: ClassVar[tuple[str, ...]] = (
        *("language", "goals", "constraints", "style", "facts", "system_prompt", "system_template", "required_vars"),
        *("optional_vars", "fragments", "temperature", "seed"),
    )
    """Fields that only a user whom a simulator plays has."""

    description: str = ""
    """Who the person is, as the simulator is instructed. Free text where no simulator plays the person."""
    lines: Annotated[Items[Text], Field(min_length=1)] | None = None
    """What the user says, in this order; after the last line it is done. No model is needed. Lines that a scenario's
    turns give are not counted."""
    agenda: Agenda | None = None
    """Goal and details of a user that is played by rules. No model is needed, and the same seed gives the same
    conversation with the same agent."""
    attack: Attack | None = None
    """Attack on the agent, as by a red team. A successful attack fails the run."""
    headers: dict[str, str] = EMPTY
    """Headers sent to an HTTP agent while this person is the user, over those of the agent: who is logged in, for
    example. Keep secrets out of files with ``${NAME}``."""
    voice: UserVoice | None = None
    """How the person sounds and behaves where the agent is spoken with. What is set here counts before what the
    scenario says."""
    language: str | None = None
    """Language in which the person writes, such as ``German``."""
    goals: Items[str] = ()
    """What the person wants to achieve."""
    constraints: Items[str] = ()
    """What the person would not do or say."""
    style: PersonaStyle | None = None
    """How the person writes and behaves."""
    facts: dict[str, str] = EMPTY
    """What the person knows and may tell, such as ``order number: A-1042``."""
    system_prompt: str | None = None
    """The simulator's whole instruction, used unchanged instead of the fields above."""
    system_template: str | None = None
    """The simulator's whole instruction as a template with ``{{variables}}``."""
    required_vars: Items[str] = ()
    """Variables of the template that must have a value."""
    optional_vars: dict[str, str] = EMPTY
    """Default values for variables of the template."""
    fragments: Items[Fragment] = ()
    """Text files that the template can include."""
    temperature: Temperature | None = None
    """Sampling temperature of the simulator's model."""
    seed: int | None = None
    """Seed sent to the simulator's model if it supports one."""

    @model_validator(mode="after")
    def _is_played_one_way(self) -> Self:
        ways = [name for name in ("lines", "agenda", "attack") if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"only one of lines, agenda and attack; it has {' and '.join(ways)}")
        way = self.way
        given = [name for name in self.for_models if getattr(self, name) not in (None, (), {})] if way else []
        if given:
            raise ValueError(f"no {listed(given)} with {way}: only a simulator reads it")
        return self

    @property
    def way(self) -> Literal["lines", "agenda", "attack"] | None:
        """How the user is played without a simulator; None if a simulator plays it."""
        return "lines" if self.lines else "agenda" if self.agenda else "attack" if self.attack else None


def merged_headers(headers: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Headers of which some are replaced or added. Names that differ in case only are the same header."""
    replaced = {name.lower() for name in over}
    return {**{name: value for name, value in headers.items() if name.lower() not in replaced}, **over}


def metaprompt_of(persona: Persona) -> str:
    """The name in response files of what plans a persona's attack and scores the answers."""
    return f"{persona.name} metaprompt"


class Simulator(Spec):
    """A model that plays simulated users."""

    name: Name
    """Unique name, used by turns."""
    model: Name
    """A model of the suite, or a full name such as ``openai/gpt-5-mini``."""


class Judge(Resource):
    """A model that decides whether criteria are met."""

    model: Name
    """A model of the suite, or a full name such as ``openai/gpt-5-mini``."""
    model_name: str | None = None
    """Another model of the same provider, instead of the one named there."""
    prompt: str | None = None
    """Prompt of the suite with the judge's instruction. Default: the built-in one."""
    votes: Count = 1
    """How often the judge is asked about each conversation. The majority decides."""
    min_turns: Annotated[int, Field(ge=0)] = 0
    """Turns after which the judge may first end a conversation. It always decides at the end."""


class JudgeDefaults(Spec):
    """What applies where a check or scenario names no judge."""

    judge: str | None = None
    """Name of a judge of the suite."""
    prompt: str | None = None
    """Name of a prompt of the suite."""


READY_MODELS = ("local", "mock")
"""Names of models that every suite has."""


def is_model_name(name: str) -> bool:
    """Whether this can be the full name of a provider's model, which needs no entry in the suite."""
    return "/" in name or ":" in name or name in READY_MODELS
