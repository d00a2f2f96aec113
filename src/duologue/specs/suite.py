"""A suite in memory: everything that its files say, and nothing of how they said it. The one model of all dialects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from duologue.config.environment import expand
from duologue.specs.checking import CheckSpec, PackEvalSpec
from duologue.specs.participants import Agent, Judge, JudgeDefaults, Model, Persona, Simulator, Voice
from duologue.specs.prompt import Prompt, Tool
from duologue.specs.running import Defaults
from duologue.specs.scenario import Scenario
from duologue.specs.spec import (
    EMPTY,
    Amount,
    Count,
    Items,
    Json,
    JsonObject,
    Name,
    Resource,
    Spec,
    Text,
)


class Replay(Resource):
    """Conversations that took place, to be judged again with today's checks."""

    path_fields: ClassVar[tuple[str, ...]] = ("recording",)

    description: str = ""
    """For people."""
    recording: Text
    """A file, or a pattern such as ``recordings/*.json``: each file is a test case. Relative to the suite file."""
    format: (
        Literal[
            "session",
            "arena_output",
            "transcript",
            "generic",
            "journal",
            "openai",
            "tau_bench",
            "retell",
            "vapi",
            "auto",
        ]
        | None
    ) = None
    """What kind of recording; None, ``generic`` and ``auto`` to find out from the file."""
    turn_checks: Items[CheckSpec] = ()
    """What must be true of each answer."""
    checks: Items[CheckSpec] = ()
    """What must be true of the whole conversation."""
    criteria: Items[str] = ()
    """What must be true at the end; decided by a judge."""
    judge: str | None = None
    """Who decides; None for the suite's default."""
    tags: Items[str] = ()
    """For choosing replays."""


class WorkflowState(Spec):
    """A state that the agent can be in."""

    prompt_task: str | None = None
    """The task of its prompt."""
    description: str = ""
    """What the model is told of it."""
    on_event: dict[str, str] = EMPTY
    """The state that follows each event."""
    terminal: bool = False
    """Whether the workflow is complete here."""
    persistence: str | None = None
    """What is kept between visits."""
    orchestration: Literal["internal", "external", "hybrid", "composition"] | None = None
    """Who decides about events."""
    skills: Json = None
    """What the agent can do here."""
    max_visits: Count | None = None
    """How often it may be entered."""
    on_max_visits: str | None = None
    """The state that is entered instead after that."""
    artifacts: JsonObject = EMPTY
    """What is to be handed over."""
    composition: str | None = None
    """The composition that runs here."""


class Workflow(Spec):
    """States that the agent goes through, each with a prompt of its own."""

    version: int | str = 1
    """Of the format."""
    entry: Name
    """The first state."""
    states: Annotated[dict[str, WorkflowState], Field(min_length=1)]
    """All states by name."""
    engine: JsonObject = EMPTY
    """Limits, such as ``budget: {max_total_visits: 20}``."""


class ToolFilter(Spec):
    """Which tools of a server are offered."""

    allowlist: Items[str] = ()
    """Only these."""
    blocklist: Items[str] = ()
    """All but these."""


class McpServer(Spec):
    """A server of tools, in the Model Context Protocol."""

    path_fields: ClassVar[tuple[str, ...]] = ("working_dir",)

    environment_fields: ClassVar[tuple[str, ...]] = ("command", "url", "headers", "env")

    name: Name
    """What it is called."""
    command: str | None = None
    """A program to start."""
    args: Items[str] = ()
    """Its arguments."""
    env: dict[str, str] = EMPTY
    """Its environment."""
    working_dir: str | None = None
    """Where it runs; relative to the suite file."""
    url: str | None = None
    """An address."""
    headers: dict[str, str] = EMPTY
    """Sent with every request."""
    transport: Literal["stdio", "sse", "streamable_http"] | None = None
    """How to speak with it; None for what follows from the rest."""
    timeout_ms: Amount | None = None
    """Milliseconds that a call may take."""
    tool_filter: ToolFilter | None = None
    """Which tools are offered."""
    source: str | None = None
    """Who provides the server."""
    scope: Literal["run", "scenario", "session"] | None = None
    """How long it lives."""
    source_args: JsonObject = EMPTY
    """For whoever provides it."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        given = [name for name in ("command", "url", "source") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"exactly one of command, url and source; it has {' and '.join(given) or 'none of them'}")
        return self


class A2aAgent(Spec):
    """Another agent that the agent may call: at an address, or made up from rules."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    name: Name
    """What it is called."""
    card: JsonObject | None = None
    """What a made-up agent says of itself: name, description, skills."""
    responses: Items[JsonObject] = ()
    """What a made-up agent answers."""
    url: str | None = None
    """The address of a real one."""
    auth: JsonObject = EMPTY
    """How to sign in: scheme, and token or token_env."""
    headers: dict[str, str] = EMPTY
    """Sent with every request."""
    headers_from_env: Items[str] = ()
    """Headers from environment variables, each as ``Header-Name=VARIABLE``."""
    timeout_ms: Amount | None = None
    """Milliseconds that a call may take."""
    skill_filter: ToolFilter | None = None
    """Which of its skills are offered."""


class Suite(Resource):
    """Scenarios, who takes part in them, and how they are run."""

    path_fields: ClassVar[tuple[str, ...]] = ("pack_file",)

    description: str = ""
    """For people."""
    include: Items[str] = ()
    """Other suite files whose resources belong to this one; relative to this file. Empty once they are loaded."""
    agents: Items[Agent] = ()
    """The systems under test."""
    models: Items[Model] = ()
    """Language models behind agents, simulators and judges."""
    scenarios: Items[Scenario] = ()
    """What is rehearsed."""
    replays: Items[Replay] = ()
    """Recordings that are judged again."""
    personas: Items[Persona] = ()
    """Who simulated users are."""
    simulators: Items[Simulator] = ()
    """Who plays them."""
    judges: Items[Judge] = ()
    """Who decides about criteria."""
    judge_defaults: JudgeDefaults | None = None
    """What holds where a check names no judge."""
    prompts: Items[Prompt] = ()
    """What agents made of a model are told."""
    tools: Items[Tool] = ()
    """Functions that agents may call."""
    mcp_servers: Items[McpServer] = ()
    """Servers of tools."""
    a2a_agents: Items[A2aAgent] = ()
    """Other agents that agents may call."""
    workflow: Workflow | None = None
    """States that the agent goes through."""
    regions: Items[str] = ()
    """Each region is a test case of its own; without any there is one, called ``default``."""
    trials: Count = 1
    """How often each test case is repeated."""
    checks: Items[CheckSpec] = ()
    """What must be true of every conversation of every scenario."""
    pack_file: str | None = None
    """A prompt pack whose evals run beside the checks; relative to the suite file."""
    pack_evals: Items[PackEvalSpec] = ()
    """Evals like those of a pack."""
    voices: Items[Voice] = ()
    """Voices by the names that personas and scenarios use."""
    state_store: JsonObject = EMPTY
    """Where agents keep what they remember."""
    defaults: Defaults = Defaults()
    """What holds where nothing else is said."""
    extensions: JsonObject = EMPTY
    """Sections of other systems that have no counterpart here; kept, without effect."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """The folder that paths in the suite are relative to."""
        return self._folder

    def path(self, written: str) -> Path:
        """The file or folder that a path of the suite means; environment variables in it are filled in."""
        return self._folder / expand(written)

    def within(self, folder: Path) -> Self:
        """The same suite, with its paths relative to that folder."""
        made = self.changed()
        made._folder = folder
        return made

    def named(self, section: str, name: str | None) -> Any:
        """The resource of that name in a section such as ``agents``; None if there is none."""
        return next((item for item in getattr(self, section) if item.name == name), None)

    def prompt_for(self, task: str | None) -> Prompt | None:
        """The prompt for a task: the first that answers to it, or has that name."""
        return next((item for item in self.prompts if item.answers_to == task), None) or self.named("prompts", task)
