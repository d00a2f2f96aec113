"""What is rehearsed: a scenario, its turns, and what may happen in them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.specs.checking import CheckSpec
from duologue.specs.content import Part
from duologue.specs.speaking import Duplex, Speech
from duologue.specs.spec import EMPTY, Amount, Count, Items, JsonObject, Name, Resource, Share, Spec

Capability = Literal["text", "streaming", "vision", "tools", "json", "audio", "video", "documents"]
DEFAULT_REGION = "default"
"""Of scenarios and suites that name none."""


class ToolFailure(Spec):
    """A tool call that goes wrong on purpose."""

    tool: Name
    """Which tool."""
    mode: Literal["error", "timeout", "slow"]
    """How: the call fails, is not answered in time, or takes two seconds longer."""
    probability: Share = 1.0
    """How often; decided by the seed of the run."""
    message: str | None = None
    """What the tool says then."""


class Chaos(Spec):
    """What goes wrong on purpose during a turn."""

    tool_failures: Items[ToolFailure] = ()
    """The first that applies to a call decides."""


class ToolPolicy(Spec):
    """What the agent may do with its tools."""

    tool_choice: Literal["auto", "required", "none"] = "auto"
    """Whether the model may, must or must not call a tool at first."""
    max_tool_calls_per_turn: Amount | None = None
    """Calls in one turn; one more is refused."""
    max_total_tool_calls: Amount | None = None
    """Calls in the whole conversation; one more is refused."""
    blocklist: Items[str] = ()
    """Tools that are refused."""
    max_rounds: Amount | None = None
    """How often the model is asked in one turn."""
    max_cost_usd: Annotated[float, Field(ge=0)] | None = None
    """US dollars that one turn may cost."""
    max_identical_tool_calls: Amount | None = None
    """How often one tool may be called with the same arguments in one turn; one more call is refused."""


class Relevance(Spec):
    """How old messages are chosen by their likeness to what is asked."""

    provider: str
    """Who makes the vectors."""
    model: str | None = None
    """Which model makes them."""
    min_recent_messages: Amount = 3
    """The newest messages that are always kept."""
    always_keep_system_role: bool = True
    """Keep instructions, whatever they are about."""
    similarity_threshold: float = 0.0
    """Messages below it go first."""
    query_source: Literal["last_user", "last_n", "custom"] = "last_user"
    """What messages are compared with."""
    last_n_count: Count = 3
    """How many messages, for ``last_n``."""
    custom_query: str | None = None
    """The text, for ``custom``."""
    cache_embeddings: bool = False
    """Keep vectors for the next turn."""


class ContextPolicy(Spec):
    """What becomes of a conversation that is too long for the model."""

    token_budget: Amount = 0
    """Tokens of a request; 0 for no limit."""
    reserve_for_output: Amount = 0
    """Tokens that are left for the answer."""
    strategy: Literal["oldest", "summarize", "relevance", "fail"] = "oldest"
    """What is left out, or that nothing may be."""
    cache_breakpoints: bool = False
    """Mark what a provider may keep between requests."""
    relevance: Relevance | None = None
    """For the strategy ``relevance``."""


class Memory(Spec):
    """Something that the agent remembers from the beginning."""

    content: str
    """What."""
    type: str | None = None
    """Of what kind."""
    confidence: Share | None = None
    """How sure it is."""
    metadata: JsonObject = EMPTY
    """More about it."""


class Background(Spec):
    """What prompts may say about the user's situation."""

    domain: str | None = None
    """The field that the conversation is about."""
    user_role: str | None = None
    """What the user is."""
    project_stage: str | None = None
    """How far the user's project is."""


class Turn(Spec):
    """What the user does: says something that is written here, or is simulated for some exchanges."""

    role: Literal["user", "simulated_user"] = "user"
    """A fixed line, or a simulated user."""
    content: str | None = None
    """The line. ``{{name}}`` stands for a variable of the prompt, ``{name}`` for one of the perturbations."""
    parts: Items[Part] = ()
    """The pieces of the message, in place of ``content``."""
    simulator: str | None = None
    """Who plays the user: one of the suite's simulators."""
    persona: str | None = None
    """Whom the simulator plays; None for the persona of the test case."""
    exchanges: Count = 1
    """How often the simulated user speaks and the agent answers."""
    max_exchanges: Count | None = None
    """How often at most; the simulated user may end it after ``exchanges``."""
    agent_temperature: float | None = None
    """Of the agent's model in this turn."""
    user_temperature: float | None = None
    """Of the simulator's model in this turn."""
    seed: int | None = None
    """For models that take one."""
    streaming: bool | None = None
    """Ask for the answer piece by piece; None for what the scenario says."""
    speech: Speech | None = None
    """How the line is spoken."""
    consent: dict[str, Literal["grant", "deny", "timeout"]] = EMPTY
    """What the user answers when a tool asks for permission, by tool."""
    perturbations: dict[str, Annotated[Items[str], Field(min_length=1)]] = EMPTY
    """Values for ``{name}`` in the line, by name. Every combination is a test case of its own."""
    chaos: Chaos | None = None
    """What goes wrong on purpose."""
    checks: Items[CheckSpec] = ()
    """What must be true of each answer in this turn."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.role == "user" and self.content is None and not self.parts:
            raise ValueError("a turn of the user to have the field 'content' or 'parts'")
        if self.role == "user" and (self.simulator or self.persona or self.exchanges > 1 or self.max_exchanges):
            raise ValueError("simulator, persona and exchanges in turns with 'role: simulated_user' only")
        if self.max_exchanges is not None and self.max_exchanges < self.exchanges:
            raise ValueError(f"max_exchanges ({self.max_exchanges}) to be at least exchanges ({self.exchanges})")
        return self

    @property
    def most_exchanges(self) -> int:
        """How often the agent answers at most."""
        return max(self.exchanges, self.max_exchanges or 0)


class Scenario(Resource):
    """What is rehearsed."""

    path_fields: ClassVar[tuple[str, ...]] = ("pack",)

    description: str = ""
    """The situation. A simulated user is told of it."""
    goal: str | None = None
    """What the simulated user wants."""
    tags: Items[str] = ()
    """For choosing scenarios."""
    prompt: str | None = None
    """The task of the prompt that agents made of a model get; not needed for agents that have their own."""
    turns: Items[Turn] = ()
    """What the user does. Without turns, a simulated user talks until the goal is reached or ``max_turns`` are over."""
    criteria: Items[str] = ()
    """What must be true at the end; decided by a judge."""
    judge: str | None = None
    """Who decides; None for the suite's default."""
    checks: Items[CheckSpec] = ()
    """What must be true of the whole conversation."""
    agents: Items[str] = ()
    """Who is rehearsed; empty for all agents of the group."""
    agent_group: str | None = None
    """The group of agents that is rehearsed; None for ``default``."""
    required_capabilities: Items[Capability] = ()
    """Only agents that can do all of this are rehearsed."""
    personas: Items[str] = ()
    """Who the simulated user is; each persona is a test case of its own."""
    regions: Items[str] = ()
    """Each region is a test case of its own; empty for those of the suite."""
    trials: Count | None = None
    """How often each test case is repeated; None for what the suite says."""
    max_turns: Count | None = None
    """Turns after which a free conversation ends; None for 10."""
    variables: dict[str, str] = EMPTY
    """Values for the variables of the prompt, over those of the suite."""
    background: Background | None = None
    """What prompts may say about the user's situation."""
    tool_policy: ToolPolicy | None = None
    """What the agent may do with its tools."""
    context_policy: ContextPolicy | None = None
    """What becomes of a conversation that is too long for the model."""
    streaming: bool = False
    """Ask for answers piece by piece."""
    duplex: Duplex | None = None
    """A spoken conversation."""
    voice: str | None = None
    """The voice of fixed lines in a spoken conversation: one of the suite's voices."""
    seed_memories: Items[Memory] = ()
    """What the agent remembers from the beginning."""
    steps: Items[JsonObject] = ()
    """Steps of a workflow scenario."""
    pack: str | None = None
    """The prompt pack of a workflow scenario; relative to the suite file."""

    @model_validator(mode="after")
    def _can_be_played(self) -> Self:
        if not self.turns and not self.steps and not self.personas and not self.goal and not self.description:
            raise ValueError("turns, or a description, goal or persona for a simulated user")
        return self

    @property
    def simulates_a_user(self) -> bool:
        """Whether some or all of the user's lines are made up by a simulator."""
        return not self.turns or any(turn.role == "simulated_user" for turn in self.turns)
