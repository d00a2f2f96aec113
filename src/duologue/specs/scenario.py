"""A scenario, its turns, the content of messages, and what may happen in a turn."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from duologue.config.problems import is_misspelt, listed, nearest
from duologue.config.spec import EMPTY, Amount, Count, Items, Json, JsonObject, Name, Resource, Share, Spec, Text
from duologue.specs.checks import CheckSpec
from duologue.specs.voice import VoiceCall

Trials = Count | Literal["auto"]
"""How often a test case is repeated; ``auto`` for as often as it takes to decide about it."""

CAPABILITIES = ("text", "streaming", "vision", "tools", "json", "audio", "video", "documents")


def _capability(name: str) -> str:
    if name not in CAPABILITIES and is_misspelt(name, CAPABILITIES):
        raise ValueError(f"one of {listed(CAPABILITIES)}{nearest(name, CAPABILITIES)}")
    return name


Capability = Annotated[
    str, Field(min_length=1, json_schema_extra={"examples": list(CAPABILITIES)}), AfterValidator(_capability)
]
"""What an agent can do, and a scenario may ask for: one of these words, or any other."""
DEFAULT_REGION = "default"
"""The region of scenarios and suites that name none."""


class Media(Spec):
    """An image, audio, video or document. Set exactly one source: a file, a URL, the data or a storage reference."""

    path_fields: ClassVar[tuple[str, ...]] = ("file_path",)

    mime_type: str
    """MIME type, such as ``image/png``."""
    file_path: str | None = None
    """Path of the file, relative to the suite file."""
    url: str | None = None
    """URL from which the model or agent loads it."""
    data: str | None = None
    """The content in base64."""
    storage_reference: str | None = None
    """Reference to an object in a media store."""
    detail: Literal["low", "high", "auto"] | None = None
    """Resolution at which a model looks at an image."""
    caption: str | None = None
    """Short description of the content. Some prompts require one."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in ("file_path", "url", "data", "storage_reference") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"exactly one of file_path, url, data and storage_reference; it has {found}")
        return self


class Part(Spec):
    """One part of a message: text, or an image, audio, video or document."""

    type: Literal["text", "image", "audio", "video", "document"]
    """Kind of content."""
    text: str | None = None
    """The text. Required if ``type`` is ``text``."""
    media: Media | None = None
    """The media. Required for every other type."""

    @model_validator(mode="after")
    def _has_its_content(self) -> Self:
        if self.type == "text" and self.text is None:
            raise ValueError("a part of type text to have the field 'text'")
        if self.type != "text" and self.media is None:
            raise ValueError(f"a part of type {self.type} to have the field 'media'")
        return self


class ToolFailure(Spec):
    """A tool failure that is injected on purpose."""

    tool: Name
    """Name of the tool."""
    mode: Literal["error", "timeout", "slow"]
    """What happens to a call: it fails, it times out, or it takes two seconds longer."""
    probability: Share = 1.0
    """Probability of the failure, 0 to 1. Drawn from the run's seed, so that a repeated run fails in the same way."""
    message: str | None = None
    """Error message that the agent gets from the tool."""


class Chaos(Spec):
    """Failures that are injected during a turn."""

    tool_failures: Items[ToolFailure] = ()
    """Tool failures. The first one that applies to a call is used."""


class ToolPolicy(Spec):
    """Limits on the tool calls of a native agent."""

    tool_choice: Literal["auto", "required", "none"] = "auto"
    """Whether the model may (``auto``), must (``required``) or must not (``none``) call a tool in its first answer of
    a turn."""
    max_tool_calls_per_turn: Amount | None = None
    """Maximum number of tool calls per turn. Further calls are rejected."""
    max_total_tool_calls: Amount | None = None
    """Maximum number of tool calls in the conversation. Further calls are rejected."""
    blocklist: Items[str] = ()
    """Names of tools whose calls are rejected."""
    max_rounds: Amount | None = None
    """Maximum number of model calls per turn."""
    max_cost_usd: Annotated[float, Field(ge=0)] | None = None
    """Maximum cost of one turn in US dollars."""
    max_identical_tool_calls: Amount | None = None
    """How often a tool may be called with the same arguments in one turn. Further calls are rejected."""


class Relevance(Spec):
    """How old messages are selected by similarity. For the context strategy ``relevance``."""

    provider: str
    """Provider of the embedding model, such as ``openai``."""
    model: str | None = None
    """Embedding model. Default: the provider's usual one."""
    min_recent_messages: Amount = 3
    """Number of most recent messages that are always kept."""
    similarity_threshold: float = 0.0
    """Messages with a lower cosine similarity are dropped first."""
    query_source: Literal["last_user", "last_n", "custom"] = "last_user"
    """What messages are compared with: the last user message, the last ``last_n_count`` messages, or
    ``custom_query``."""
    last_n_count: Count = 3
    """Number of messages for ``last_n``."""
    custom_query: str | None = None
    """Text to compare with for ``custom``."""


class ContextPolicy(Spec):
    """How a conversation that is too long for the model is shortened. For native agents."""

    token_budget: Amount = 0
    """Maximum size of a request in tokens; 0 for no limit."""
    reserve_for_output: Amount = 0
    """Tokens of the budget that are kept free for the answer."""
    strategy: Literal["oldest", "summarize", "relevance", "fail"] = "oldest"
    """Drop the oldest messages, summarize them, drop the least relevant ones, or end the run with an error."""
    relevance: Relevance | None = None
    """Settings of the strategy ``relevance``."""


class Memory(Spec):
    """Something that the agent remembers from the start."""

    content: str
    """The memory as text."""
    type: str | None = None
    """Kind of memory, such as ``preference``."""
    confidence: Share | None = None
    """Confidence, 0 to 1."""
    metadata: JsonObject = EMPTY
    """Further fields, passed to the agent unchanged."""


class Background(Spec):
    """Facts about the user's situation that prompts can refer to."""

    domain: str | None = None
    """Subject of the conversation; ``{{domain}}`` in prompts."""
    user_role: str | None = None
    """Role of the user, such as ``manager``; ``{{user_role}}`` in prompts."""
    project_stage: str | None = None
    """Stage of the user's project; ``{{project_stage}}`` in prompts."""


class Turn(Spec):
    """What the user does: says a fixed line, or is simulated for a number of exchanges."""

    role: Literal["user", "simulated_user"] = "user"
    """``user`` says ``content``; ``simulated_user`` is played by a simulator."""
    content: str | None = None
    """The user's line. ``{{name}}`` stands for a variable of the prompt, ``{name}`` for a value of
    ``perturbations``."""
    parts: Items[Part] = ()
    """The message as parts, instead of ``content``: text, images, audio, video."""
    interrupts_after: Count | None = None
    """Words of the agent's answer to the turn before after which the user cuts in with this line. For agents that are
    spoken with, and those that answer bit by bit."""
    simulator: str | None = None
    """Simulator that plays the user. Needed if the suite has several."""
    persona: str | None = None
    """Persona that the simulator plays. Default: the persona of the test case."""
    exchanges: Count = 1
    """Number of exchanges (the user speaks, the agent answers) of a simulated user."""
    max_exchanges: Count | None = None
    """Maximum number of exchanges; the simulated user may stop earlier, but not before ``exchanges``."""
    agent_temperature: float | None = None
    """Sampling temperature of a native agent in this turn."""
    user_temperature: float | None = None
    """Sampling temperature of the simulator in this turn."""
    seed: int | None = None
    """Seed sent to models that support one, in this turn."""
    consent: dict[str, Literal["grant", "deny", "timeout"]] = EMPTY
    """The user's reply when a tool asks for permission, by tool name."""
    perturbations: dict[str, Annotated[Items[str], Field(min_length=1)]] = EMPTY
    """Values for ``{name}`` in the line, by name. Each combination is a test case of its own."""
    chaos: Chaos | None = None
    """Failures that are injected in this turn."""
    checks: Items[CheckSpec] = ()
    """Checks of each answer in this turn."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.role == "user" and self.content is None and not self.parts:
            raise ValueError("a turn of the user to have the field 'content' or 'parts'")
        if self.role == "user" and (self.simulator or self.persona or self.exchanges > 1 or self.max_exchanges):
            raise ValueError("simulator, persona and exchanges in turns with 'role: simulated_user' only")
        if self.interrupts_after is not None and self.role != "user":
            raise ValueError(
                "interrupts_after in turns with 'role: user' only; voice.interruptions is for simulated users"
            )
        if self.max_exchanges is not None and self.max_exchanges < self.exchanges:
            raise ValueError(f"max_exchanges ({self.max_exchanges}) to be at least exchanges ({self.exchanges})")
        return self

    @property
    def most_exchanges(self) -> int:
        """How often the agent answers at most."""
        return max(self.exchanges, self.max_exchanges or 0)


class SeedMessage(Spec):
    """A message with which a conversation begins, as if it had been said before."""

    role: Literal["user", "assistant", "tool"]
    """Who says it: ``user``, ``assistant`` for the agent, ``tool`` for the result of a tool call."""
    content: str | None = None
    """The text. ``{{name}}`` stands for a variable of the scenario or prompt."""
    parts: Items[Part] = ()
    """The message as parts, instead of ``content``: text, images, audio, video."""
    tool_calls: Items[JsonObject] = ()
    """Tool calls of the agent, each as ``{id, type: function, function: {name, arguments}}``."""
    tool_call_id: str | None = None
    """Tool call that the result of a tool belongs to."""
    name: str | None = None
    """Name of the speaker or tool."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not self.parts and not self.tool_calls:
            raise ValueError("a message to have the field 'content', 'parts' or 'tool_calls'")
        if self.content is not None and self.parts:
            raise ValueError("only one of content and parts")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls with 'role: assistant' only")
        if (self.tool_call_id is None) == (self.role == "tool"):
            raise ValueError("tool_call_id with 'role: tool', and only there")
        return self


class ToolCallSpec(Spec):
    """A tool call that the agent has to make, and what the tool answers then."""

    tool: Name
    """Name of the tool."""
    expected_params: JsonObject = EMPTY
    """Arguments and their values. ``null`` asks only for the argument to be there."""
    match: Literal["subset", "exact", "keys", "any"] = "subset"
    """How arguments are compared: the expected ones are among them, are all of them, are there with any value, or are
    not looked at."""
    must_succeed: bool = True
    """Whether a call that failed does not count."""
    mock_response: Json = None
    """What the tool answers to a call with these arguments, where tools are mocked. Default: the tool's own mock, or
    an answer made from its output schema."""


def _as_answer(written: Any) -> Any:
    """A text as the answer of an agent."""
    return {"role": "assistant", "content": written} if isinstance(written, str) else written


OracleMessage = Annotated[SeedMessage, BeforeValidator(_as_answer, json_schema_input_type=str | SeedMessage)]
"""A message of an agent, or the result of one of its tools; a text is an answer."""

DEFAULT_MAX_MESSAGES = 10
"""Messages after which a conversation with success or failure criteria ends, unless the scenario says otherwise."""


class Scenario(Resource):
    """A situation to rehearse: who the user is, what they want, and what must be true at the end."""

    description: str = ""
    """The situation. Simulated users and judges get this text; the agent under test does not."""
    goal: str | None = None
    """What the simulated user wants to achieve."""
    tags: Items[str] = ()
    """Labels for selecting scenarios, as with ``duologue run --tag``."""
    cases: str | None = None
    """Path of a CSV, JSON or JSONL file, relative to the suite file. Each row is a test case of its own, in which
    ``{{row.order}}`` in the texts of the scenario is the value of the column ``order``."""
    prompt: str | None = None
    """Task of the prompt for native agents. Not needed for agents that name their own prompt."""
    messages: Items[SeedMessage] = ()
    """Messages with which the conversation begins. If the last one is the user's, the agent answers it."""
    turns: Items[Turn] = ()
    """What the user does, in order, after ``messages``. Without turns, a simulated user talks until its goal is reached
    or ``max_turns`` is over."""
    first_turn: Literal["user", "agent"] = "user"
    """Who speaks first in a conversation without ``messages`` and ``turns``, and in one that is spoken."""
    criteria: Items[str] = ()
    """Statements that must be true at the end, such as ``The agent offers a refund``. A judge decides each one."""
    success_criteria: Text | None = None
    """What makes the conversation pass and end as soon as it is true; a judge decides after each answer. Instead of
    ``criteria``."""
    failure_criteria: Text | None = None
    """What makes the conversation fail if it is true. Takes precedence over ``success_criteria``."""
    failure_criteria_mode: Literal["every_turn", "on_max_messages"] = "on_max_messages"
    """When ``failure_criteria`` is evaluated: after each answer, or only when ``max_messages`` is reached without
    success, so that the agent may recover from mistakes."""
    judge: str | None = None
    """Judge that decides the criteria. Default: the suite's default judge."""
    emphasis: Text | None = None
    """What the model that grades by metrics should pay special attention to in this scenario."""
    checks: Items[CheckSpec] = ()
    """Checks of the whole conversation."""
    expected_tool_calls: Items[ToolCallSpec] = ()
    """Tool calls that the agent has to make. Code decides, not a model. Where tools are mocked, each may say what its
    tool answers."""
    agents: Items[str] = ()
    """Names of the agents to rehearse. Default: all agents of the group."""
    agent_group: str | None = None
    """Group of agents to rehearse. Default: the group ``default``."""
    required_capabilities: Items[Capability] = ()
    """Rehearse only agents that have all of these capabilities."""
    personas: Items[str] = ()
    """Personas of the simulated user. Each persona is a test case of its own."""
    regions: Items[str] = ()
    """Regions; each is a test case of its own, and prompts can use ``{{region}}``. Default: those of the suite."""
    trials: Trials | None = None
    """How often each test case is repeated; ``auto`` for as often as it takes to decide about it. Default: what the
    suite says."""
    max_turns: Count | None = None
    """Turns after which a conversation without fixed turns ends. Default: 10."""
    max_messages: Count | None = None
    """Messages of user and agent after which a conversation without fixed turns ends, ``messages`` included; tool
    results do not count. The evaluation after the last answer decides. Default with ``success_criteria`` or
    ``failure_criteria``: 10."""
    variables: dict[str, str] = EMPTY
    """Values for variables of the prompt; they take precedence over those of the prompt itself."""
    background: Background | None = None
    """Facts about the user's situation that prompts can refer to."""
    tool_policy: ToolPolicy | None = None
    """Limits on tool calls; takes precedence over that of the prompt."""
    context_policy: ContextPolicy | None = None
    """How a conversation that is too long for the model is shortened."""
    streaming: bool = False
    """Ask HTTP agents for a streamed answer."""
    voice: VoiceCall | None = None
    """How the scenario is spoken: the user's voice and what happens to it, and how the call is held. With it, an agent
    made of a model is spoken with as well."""
    seed_memories: Items[Memory] = ()
    """What the agent remembers from the start."""
    oracle: Items[OracleMessage] = ()
    """What an agent that does it right says, in order: texts, or messages as in ``messages`` where tools are called.
    ``duologue lint --self-test`` sees that the scenario lets it pass; other commands do not read it."""

    @model_validator(mode="after")
    def _can_be_played(self) -> Self:
        if self.cases is not None:
            raise ValueError("'cases' is read from the file of a suite; in Python, make a scenario for each row")
        if not self.turns and not self.personas and not self.goal and not self.description and not self.messages:
            raise ValueError("turns, or a description, goal or persona for a simulated user, or messages")
        if self.criteria and self.ends_on_criteria:
            raise ValueError("only one of criteria and success_criteria or failure_criteria")
        if self.failure_criteria_mode != "on_max_messages" and self.failure_criteria is None:
            raise ValueError("failure_criteria_mode with failure_criteria only")
        for place, (turn, before) in enumerate(zip(self.turns, (None, *self.turns), strict=False)):
            if turn.interrupts_after is None:
                continue
            if before is None or before.role != "user":
                raise ValueError(f"turns[{place}] to follow a turn of the user, whose answer it interrupts")
            if before.checks:
                raise ValueError(f"no checks in turns[{place - 1}], whose answer is interrupted by the next turn")
        if self.first_turn == "agent" and (self.messages or (self.turns and self.voice is None)):
            given = "messages" if self.messages else "turns"
            raise ValueError(f"'first_turn: agent' in scenarios without messages and turns only; it has {given}")
        if self.turns and self.max_messages is not None:
            raise ValueError("max_messages in scenarios without turns only; a scenario with turns ends after the last")
        return self

    @property
    def ends_on_criteria(self) -> bool:
        """Whether a success or failure criterion ends the conversation."""
        return self.success_criteria is not None or self.failure_criteria is not None

    @property
    def judged(self) -> bool:
        """Whether a judge decides about the conversation."""
        return bool(self.criteria) or self.ends_on_criteria

    @property
    def message_limit(self) -> int | None:
        """Messages of user and agent after which the conversation ends; None for no limit."""
        if self.turns:
            return None
        return self.max_messages or (DEFAULT_MAX_MESSAGES if self.ends_on_criteria else None)

    @property
    def simulates_a_user(self) -> bool:
        """Whether a simulator writes some or all of the user's lines."""
        if self.turns:
            return any(turn.role == "simulated_user" for turn in self.turns)
        return not self._ends_with_first_answer

    @property
    def _ends_with_first_answer(self) -> bool:
        """Whether the agent answers ``messages`` and nobody says more."""
        said = sum(message.role != "tool" for message in self.messages)
        limit = self.message_limit
        return bool(self.messages) and self.messages[-1].role == "user" and limit is not None and said + 1 >= limit
