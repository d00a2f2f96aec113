"""A suite in memory: what its files say, whatever dialect they are in, its defaults, and look-ups by name."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from duologue.config.problems import unknown
from duologue.config.spec import (
    EMPTY,
    Amount,
    Count,
    Duration,
    FolderSpec,
    Items,
    Json,
    JsonObject,
    Name,
    Resource,
    Share,
    Spec,
    Text,
)
from duologue.errors import ConfigurationError
from duologue.specs.agents import Agent, Judge, JudgeDefaults, Model, Persona, Simulator
from duologue.specs.checks import CheckSpec, PackEvalSpec
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import Scenario, Trials

_RESERVED = {"launch.json", "index.json", "runs", "journals", "media"}
"""Names in the folder of the results that are no reports."""


def problem_with_report_name(name: str, *, own_index: bool = False) -> str | None:
    """What is expected in place of that file name of a report; None if a report can have it.

    Args:
        name: relative to the folder of the results; it may lie in folders below.
        own_index: the report is the index of the results.
    """
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or re.search(r"[\\:\0]", name):
        return f"the name of a file in the folder of the results, such as reports/report.html; found '{name}'"
    first = path.parts[0].lower()
    if first in _RESERVED and not (own_index and first == "index.json" and len(path.parts) == 1):
        return f"a name that is not of the results themselves, such as report.html; found '{name}'"
    return None


class Output(Spec):
    """Which reports are written, and where."""

    dir: str = "out"
    """Folder for results, relative to the suite file."""
    formats: Items[str] = ()
    """Report formats: ``json``, ``junit``, ``md``, ``csv``, ``html``."""
    files: dict[str, str] = EMPTY
    """File name for each format, in the folder of the results, such as ``html: report.html``."""
    recording: str | None = None
    """Accepted for compatibility: every run is recorded in the folder ``journals`` unless the command line says
    ``--no-journals``."""

    @field_validator("files")
    @classmethod
    def _within(cls, files: dict[str, str]) -> dict[str, str]:
        for format, name in files.items():
            if problem := problem_with_report_name(name, own_index=format.lower() == "json"):
                raise ValueError(problem)
        return files


class Spending(Spec):
    """A budget for model calls, including those of native agents. The cost is reserved before each call."""

    money: Annotated[float, Field(ge=0)] | None = None
    """Limit in US dollars. Every model that is called must have a price. Default: no limit."""
    tokens: Amount | None = None
    """Limit on input and output tokens together. Default: no limit."""


Percentage = Annotated[str, Field(pattern=r"^(100|\d{1,2}(\.\d{1,6})?)%$")]
"""A share written as ``90%``."""


class Defaults(Spec):
    """Settings that apply where an agent, scenario or the command line sets nothing."""

    temperature: float | None = None
    """Sampling temperature of native agents (a model with a prompt)."""
    max_tokens: Amount | None = None
    """Maximum length of an answer of a native agent, in tokens."""
    seed: int | None = None
    """Seed of the execution; every random choice derives from it. Default: a new one each time, which is recorded."""
    concurrency: Count | None = None
    """Number of test cases that run at the same time."""
    run_timeout: Duration | None = None
    """Time limit for one test case, such as ``5m30s``. Default: none."""
    budget: Spending | None = None
    """Budget for the models of the whole execution."""
    run_budget: Spending | None = None
    """Budget for the models of one test case."""
    stop_on_failed_check: bool = False
    """End a conversation after the first answer that fails a check of its turn. All checks of that turn are
    reported."""
    allow_undecided: Amount | Literal["all"] = 0
    """How many test cases may end without a verdict before the execution fails; ``all`` for any number."""
    allow_errors: Amount | Literal["all"] = 0
    """How many test cases may end in an error before the execution fails; ``all`` for any number."""
    pass_rate: Share | Percentage | None = None
    """Share of the test cases that must pass, such as ``0.9`` or ``90%``; if it is reached, the others may fail.
    Default: all must pass."""
    pass_threshold: Share | Percentage | None = None
    """Share of its trials that a test case with ``trials: auto`` must pass, such as ``0.8`` or ``80%``. Default:
    ``pass_rate``, or else all."""
    max_trials: Count | None = None
    """Trials of a test case with ``trials: auto`` at most. Default: 20."""
    metrics_threshold: Annotated[float, Field(ge=0, le=100)] | None = None
    """Lowest overall metrics score, 0 to 100, with which the execution passes. Default: any score."""
    tool_mode: Literal["mock", "live"] | None = None
    """Whether tools of native agents, and of agents whose runtime plays them here, are mocked: with ``mock`` no tool is
    really called. Default: as each tool says; runtimes mock them."""
    output: Output | None = None
    """Which reports are written, and where."""


class Replay(Resource):
    """Recorded conversations that are evaluated again with today's checks and criteria."""

    path_fields: ClassVar[tuple[str, ...]] = ("recording",)

    description: str = ""
    """Free-text description for people; not sent to any model."""
    recording: Text
    """Path of a recording, or a pattern such as ``recordings/*.json``, relative to the suite file. Each file is a test
    case."""
    format: (
        Literal[
            "session",
            "arena_output",
            "transcript",
            "generic",
            "journal",
            "result",
            "openai",
            "openai_stream",
            "responses",
            "anthropic",
            "gemini",
            "assistants",
            "langfuse",
            "langsmith",
            "otel",
            "inspect_ai",
            "livekit",
            "langchain",
            "pydantic_ai",
            "adk",
            "sharegpt",
            "alpaca",
            "deepeval",
            "promptfoo",
            "swe_agent",
            "tau_bench",
            "retell",
            "vapi",
            "chatgpt_export",
            "claude_export",
            "auto",
        ]
        | None
    ) = None
    """Format of the recording. Default, ``auto`` and ``generic``: detected from the file."""
    reports_tool_calls: bool | None = None
    """Whether the recordings show every tool call that the agent made. Default: known of formats that always do; with
    others, checks of tool calls are skipped for a recording that shows no call."""
    turn_checks: Items[CheckSpec] = ()
    """Checks of each answer."""
    checks: Items[CheckSpec] = ()
    """Checks of the whole conversation."""
    criteria: Items[str] = ()
    """Statements that must be true at the end. A judge decides each one."""
    judge: str | None = None
    """Judge that decides the criteria. Default: the suite's default judge."""
    tags: Items[str] = ()
    """Labels for selecting replays, as with ``duologue run --tag``."""

    @property
    def judged(self) -> bool:
        """Whether a judge decides about the conversation."""
        return bool(self.criteria)


class WorkflowState(Spec):
    """A state of a workflow."""

    prompt_task: str | None = None
    """Task of the prompt that is used in this state."""
    description: str = ""
    """Description that the model gets with the events that lead here."""
    on_event: dict[str, str] = EMPTY
    """Next state for each event."""
    terminal: bool = False
    """Whether the workflow ends here."""
    orchestration: Literal["internal", "external", "hybrid", "composition"] | None = None
    """Who triggers events: the model (``internal``), the caller (``external``) or both."""
    skills: Json = None
    """Skills of the agent in this state."""
    max_visits: Count | None = None
    """How often the state may be entered."""
    on_max_visits: str | None = None
    """State that is entered instead after ``max_visits``."""
    artifacts: JsonObject = EMPTY
    """Results that the agent hands over in this state, by name."""
    composition: str | None = None
    """Composition that runs in this state."""


class Workflow(Spec):
    """States that a native agent goes through, each with its own prompt."""

    version: int | str = 1
    """Version of the workflow format."""
    entry: Name
    """Name of the first state."""
    states: Annotated[dict[str, WorkflowState], Field(min_length=1)]
    """States by name."""
    engine: JsonObject = EMPTY
    """Limits of the workflow, such as ``budget: {max_total_visits: 20}``."""


class ToolFilter(Spec):
    """Which tools of a server, or skills of an agent, are offered. Set one of the two lists."""

    allowlist: Items[str] = ()
    """Offer only these."""
    blocklist: Items[str] = ()
    """Offer all but these."""


class McpServer(Spec):
    """An MCP server whose tools are offered to native agents. Set ``command`` to start a program, or ``url``."""

    path_fields: ClassVar[tuple[str, ...]] = ("working_dir",)

    environment_fields: ClassVar[tuple[str, ...]] = ("command", "url", "headers", "env")

    name: Name
    """Unique name."""
    command: str | None = None
    """Program that is started and spoken to over standard input and output."""
    args: Items[str] = ()
    """Command-line arguments of the program."""
    env: dict[str, str] = EMPTY
    """Environment variables of the program, such as ``TOKEN: ${TOKEN}``."""
    working_dir: str | None = None
    """Working directory of the program, relative to the suite file."""
    url: str | None = None
    """URL of a server that is already running."""
    headers: dict[str, str] = EMPTY
    """Headers sent with every request. Keep secrets out of files with ``${NAME}``."""
    transport: Literal["stdio", "sse", "streamable_http"] | None = None
    """How to connect. Default: ``stdio`` for a command, ``streamable_http`` for a URL."""
    timeout_ms: Amount | None = None
    """Time limit for one call, in milliseconds."""
    tool_filter: ToolFilter | None = None
    """Which tools are offered."""
    source: str | None = None
    """Provider that starts the server. Not supported yet; use ``command`` or ``url``."""
    scope: Literal["run", "scenario", "session"] | None = None
    """How long the server lives. It always lives as long as the execution."""
    source_args: JsonObject = EMPTY
    """Arguments for ``source``."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        given = [name for name in ("command", "url", "source") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"exactly one of command, url and source; it has {' and '.join(given) or 'none of them'}")
        return self


class A2aAgent(Spec):
    """Another agent that native agents may call through the A2A protocol: a real one at a URL, or a mock."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    name: Name
    """Unique name."""
    card: JsonObject | None = None
    """Agent card of a mock: name, description, skills."""
    responses: Items[JsonObject] = ()
    """Responses of a mock, each with the condition under which it is used."""
    url: str | None = None
    """URL of a real agent."""
    auth: JsonObject = EMPTY
    """Authentication: ``scheme``, and ``token`` or ``token_env``."""
    headers: dict[str, str] = EMPTY
    """Headers sent with every request. Keep secrets out of files with ``${NAME}``."""
    headers_from_env: Items[str] = ()
    """Headers from environment variables, each as ``Header-Name=VARIABLE``."""
    timeout_ms: Amount | None = None
    """Time limit for one call, in milliseconds."""
    skill_filter: ToolFilter | None = None
    """Which skills of the agent are offered as tools."""


class Suite(FolderSpec, Resource):
    """Scenarios, the agents and personas that take part in them, and how they run."""

    path_fields: ClassVar[tuple[str, ...]] = ("pack_file",)

    description: str = ""
    """Free-text description for people; not sent to any model."""
    include: Items[str] = ()
    """Other suite files whose resources belong to this suite, relative to this file. Empty once loaded."""
    agents: Items[Agent] = ()
    """The systems under test."""
    models: Items[Model] = ()
    """Language models used by native agents, simulators and judges."""
    scenarios: Items[Scenario] = ()
    """The situations to rehearse."""
    replays: Items[Replay] = ()
    """Recorded conversations to evaluate again."""
    personas: Items[Persona] = ()
    """Who simulated users are."""
    simulators: Items[Simulator] = ()
    """Models that play simulated users."""
    judges: Items[Judge] = ()
    """Models that decide criteria."""
    judge_defaults: JudgeDefaults | None = None
    """What applies where a check or scenario names no judge."""
    prompts: Items[Prompt] = ()
    """Prompts of native agents."""
    tools: Items[Tool] = ()
    """Functions that native agents may call."""
    mcp_servers: Items[McpServer] = ()
    """MCP servers whose tools are offered to native agents."""
    a2a_agents: Items[A2aAgent] = ()
    """Other agents that native agents may call."""
    workflow: Workflow | None = None
    """States that native agents go through."""
    regions: Items[str] = ()
    """Regions; each is a test case of its own. Default: one region called ``default``."""
    trials: Trials = 1
    """How often each test case is repeated; ``auto`` for as often as it takes to decide about it."""
    checks: Items[CheckSpec] = ()
    """Checks of every conversation of every scenario."""
    pack_file: str | None = None
    """Prompt pack whose evals run in addition to the checks, relative to the suite file."""
    pack_evals: Items[PackEvalSpec] = ()
    """Evals in addition to those of the pack."""
    defaults: Defaults = Defaults.model_construct()
    """Settings that apply where nothing more specific is set."""
    extensions: JsonObject = EMPTY
    """Sections of other tools. They are kept and have no effect."""

    @property
    def runs_python(self) -> bool:
        """Whether Python code of the user runs in this process: agents without isolation, and checks of one's own."""
        if any(agent.target and agent.isolation != "processes" for agent in self.agents):
            return True
        scenarios = [check for scenario in self.scenarios for check in scenario.checks]
        turns = [check for scenario in self.scenarios for turn in scenario.turns for check in turn.checks]
        return any(":" in check.type for check in (*self.checks, *scenarios, *turns))

    @property
    def starts_programs(self) -> bool:
        """Whether programs of the user run beside this process: tools, MCP servers and isolated agents."""
        isolated = any(agent.target and agent.isolation == "processes" for agent in self.agents)
        runtimes = any(agent.runtime_command for agent in self.agents)
        tools = any(tool.exec for tool in self.tools) or any(item.command for item in self.mcp_servers)
        return isolated or runtimes or tools

    def agent(self, name: str) -> Agent:
        """The agent with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "agent", self.agents, name)

    def model(self, name: str) -> Model:
        """The model with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "model", self.models, name)

    def scenario(self, name: str) -> Scenario:
        """The scenario with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "scenario", self.scenarios, name)

    def replay(self, name: str) -> Replay:
        """The replay with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "replay", self.replays, name)

    def persona(self, name: str) -> Persona:
        """The persona with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "persona", self.personas, name)

    def simulator(self, name: str) -> Simulator:
        """The simulator with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "simulator", self.simulators, name)

    def judge(self, name: str) -> Judge:
        """The judge with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "judge", self.judges, name)

    def prompt(self, name: str) -> Prompt:
        """The prompt with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "prompt", self.prompts, name)

    def tool(self, name: str) -> Tool:
        """The tool with that name. Raises ConfigurationError, listing the names, if there is none."""
        return _get(self, "tool", self.tools, name)

    def prompt_for(self, task: str | None) -> Prompt | None:
        """The prompt for a task: the first one with that task, else the one with that name; None if there is none."""
        return next((item for item in self.prompts if item.answers_to == task), None) or find_named(self.prompts, task)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def find_named(items: Sequence[N], name: str | None) -> N | None:
    """The item with that name, such as ``find_named(suite.models, "gpt")``; None if there is none."""
    return next((item for item in items if item.name == name), None)


def _get(suite: Suite, what: str, items: Sequence[N], name: str) -> N:
    found = find_named(items, name)
    if found is None:
        known = [item.name for item in items]
        raise ConfigurationError(f"suite '{suite.name}': {unknown(what, name, known)}")
    return found
