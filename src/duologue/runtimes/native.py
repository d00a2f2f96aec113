"""An agent that is made of a model, a prompt and tools, and runs in this process.

Its tools are mocked by the test case, or are real: endpoints over HTTP and MCP servers. Code of tools never runs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, Field, ValidationError

from duologue.agents.http.completions import fields_of
from duologue.agents.native.blueprint import Blueprint
from duologue.agents.native.prompt_agent import PromptAgent
from duologue.agents.tools.session import ToolSession
from duologue.agents.tools.toolbox import Toolbox
from duologue.config.spec import EMPTY, Items
from duologue.config.tracebacks import message_of
from duologue.errors import ConfigurationError, DuologueError
from duologue.http import parse_url
from duologue.models.choice import ModelChoice, choose
from duologue.runtimes.base import (
    AgentPlatform,
    AgentSnapshot,
    RuntimeRunArgs,
    RuntimeSession,
    RuntimeTestResult,
    TextRuntimeKind,
)
from duologue.runtimes.config import AgentSimulatorConfig, RunConfig, RuntimeConfig, model_name
from duologue.runtimes.mocked_tools import MockedTools
from duologue.runtimes.over_http import is_private_host
from duologue.runtimes.text import AgentReply, AgentTurn, Said, TextRuntimeBase, terminating_tools
from duologue.specs.agent_definition import AgentDefinition, SamplingParams
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import ToolPolicy
from duologue.specs.suite import McpServer

_WEBHOOKS = {"http", "webhook", "http_webhook"}
_PLATFORM = "platform_config"


class NativeRuntimeConfig(RuntimeConfig):
    """An agent that runs in this process."""

    kind: Literal["native"] = "native"
    """Always ``native``."""
    variables: dict[str, str] = EMPTY
    """Values for ``{{name}}`` in the agent's prompt."""
    mcp_servers: Items[McpServer] = ()
    """MCP servers with tools of the agent, which are used if tools are live."""
    allow_private_addresses: bool = False
    """Whether live tools and MCP servers may be at loopback and private addresses."""
    max_tool_rounds: Annotated[int, Field(ge=1, le=100)] = 16
    """How often the model is asked in one turn."""


@dataclass
class _Native:
    """An agent in one test case."""

    agent: PromptAgent
    toolbox: Toolbox
    mocked: MockedTools


class NativeRuntime(TextRuntimeBase[_Native]):
    """Plays the agent with a model, its prompt and its tools."""

    KIND: ClassVar[str] = TextRuntimeKind.NATIVE
    LABEL: ClassVar[str] = "Native"
    DESCRIPTION: ClassVar[str] = "The agent's prompt and tools, played by a model in this process"
    CONFIG: ClassVar[type[BaseModel] | None] = NativeRuntimeConfig
    MOCKS_TOOLS: ClassVar[bool] = True
    REPEATS: ClassVar[bool] = True

    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """For every agent that has a prompt."""
        return True

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """The agent has a prompt that is complete, and its tools can be read."""
        config = _own(runtime_config)
        for index, server in enumerate(config.mcp_servers):
            host = parse_url(server.url).hostname or "" if server.url and "${" not in server.url else ""
            if not config.allow_private_addresses and is_private_host(host):
                raise ConfigurationError(
                    f"runtime.mcp_servers[{index}].url: '{host}' is not on the public internet; set "
                    "runtime.allow_private_addresses to true if the server is meant to be there"
                )
        definition = _definition(config, agent, RunConfig(), "agent", live=False)
        Blueprint(definition)

    async def test_connection(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None
    ) -> RuntimeTestResult:
        """Whether the model is known and its key is there. Nothing is asked."""
        try:
            self.validate_config(runtime_config, agent, session)
            name = _model(agent, AgentSimulatorConfig()).model.name
        except (DuologueError, ValueError) as error:
            return RuntimeTestResult(ok=False, message=message_of(error))
        return RuntimeTestResult(ok=True, message=f"the agent runs in this process, played by {name}")

    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> _Native:
        """The agent with its tools; servers start when they are first needed."""
        self.validate_config(runtime_config, args.agent_snapshot, session)
        config, agent, run = _own(runtime_config), args.agent_snapshot, args.run_snapshot.run_config
        live = run.tool_mode == "live"
        model = _model(agent, run.agent_simulator)
        definition = _definition(config, agent, run, model.name, live=live)
        toolbox = Toolbox(definition, trust_private=config.allow_private_addresses)
        await toolbox.__aenter__()
        try:
            own = _mocked(definition.tools, agent) if live else definition.tools
            mocked = MockedTools(own, definition, args.test_case.expected_tool_calls)
            tools = ToolSession(lambda name: mocked.find(name, toolbox.find))
            made = PromptAgent(Blueprint(definition, toolbox=toolbox), model=model.model, tools=tools)
        except BaseException:
            await toolbox.aclose()
            raise
        return _Native(agent=made, toolbox=toolbox, mocked=mocked)

    async def do_agent_turn(self, agent_config: _Native, turn: AgentTurn) -> Said | AgentReply:
        """Ask the model until it has answered, and make the calls that it asks for."""
        return await agent_config.agent.call(turn.input)

    def text_agent_metadata(self, agent_config: _Native) -> Mapping[str, Any]:
        """Calls whose answers nobody has written."""
        mocked = agent_config.mocked
        found = {"synthetic_tool_calls": mocked.synthetic, "unmatched_tool_calls": mocked.unmatched}
        return {name: list(calls) for name, calls in found.items() if calls}

    async def close_text_agent(self, agent_config: _Native) -> None:
        """End servers, and close connections."""
        await agent_config.toolbox.aclose()


def _own(runtime_config: BaseModel) -> NativeRuntimeConfig:
    if not isinstance(runtime_config, NativeRuntimeConfig):
        found = type(runtime_config).__name__
        raise ConfigurationError(f"runtime: the native runtime needs a NativeRuntimeConfig; found {found}")
    return runtime_config


def _model(agent: AgentSnapshot, simulator: AgentSimulatorConfig) -> ModelChoice:
    name = model_name(simulator.model, simulator.provider) or model_name(agent.model, agent.provider)
    return choose(
        agent.played_by or name,
        api_base=None if agent.played_by else simulator.api_base,
        temperature=simulator.temperature,
        max_tokens=simulator.max_tokens,
        purpose="the agent",
    )


def _definition(
    config: NativeRuntimeConfig, agent: AgentSnapshot, run: RunConfig, model: str, *, live: bool
) -> AgentDefinition:
    if not agent.system_prompt:
        raise ConfigurationError("runtime: the native runtime plays the agent's prompt, and the agent has none")
    tools = tuple(tool_of(item, index, live=live) for index, item in enumerate(agent.tools or ()))
    simulator = run.agent_simulator
    return AgentDefinition(
        name="agent",
        model=model,
        overrides=SamplingParams(temperature=simulator.temperature, max_tokens=simulator.max_tokens),
        prompts={
            "": Prompt(
                name="agent",
                system_template=agent.system_prompt,
                allowed_tools=tuple(tool.name for tool in tools),
            )
        },
        variables=config.variables,
        tools=tools,
        mcp_servers=config.mcp_servers if live else (),
        tool_policy=ToolPolicy(max_rounds=config.max_tool_rounds),
    )


def _mocked(tools: Sequence[Tool], agent: AgentSnapshot) -> list[Tool]:
    """The live agent's tools that need no answer: those that only end the conversation, and mocks of its own."""
    ending = terminating_tools(agent)
    return [tool for tool in tools if tool.mode == "mock" and (tool.name in ending or tool.mock_result is not None)]


def tool_of(data: Mapping[str, Any], index: int, *, live: bool) -> Tool:
    """A tool in the form of OpenAI's functions, or as a suite has it."""
    place = f"tools[{index}]"
    try:
        if "function" not in data and ("mode" in data or "input_schema" in data):
            known = {name: value for name, value in data.items() if name != _PLATFORM}
            return Tool.model_validate(known)
        function = cast("Mapping[str, Any]", data.get("function") or data)
        fields: dict[str, Any] = {
            "name": function.get("name"),
            "description": function.get("description") or "",
            "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
            "output_schema": function.get("output_schema") or function.get("returns") or {},
        }
        if live:
            fields |= _implementation(data.get(_PLATFORM) or {}, str(function.get("name")), place)
        return Tool.model_validate(fields)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(f"{place}: {told}") from error


def _implementation(platform: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    """How a live tool is carried out."""
    if platform.get("terminating") is True and not platform.get("implementation"):
        return {}
    implementation = fields_of(platform.get("implementation"))
    kind = implementation.get("type")
    if kind in _WEBHOOKS:
        given = {name: implementation[name] for name in ("url", "method", "headers") if implementation.get(name)}
        timeout = implementation.get("timeout_ms")
        return {"mode": "live", "http": {**given, **({"timeout_ms": timeout} if timeout else {})}}
    if kind == "mcp":
        return {"mode": "mcp"}
    where = f"{place}.{_PLATFORM}.implementation.type"
    if kind == "python":
        raise ConfigurationError(
            f"{where}: the tool '{name}' is Python code, which does not run here; put it behind a URL or into an MCP "
            "server, or use tool_mode mock"
        )
    raise ConfigurationError(
        f"{where}: the tool '{name}' cannot be live: expected http_webhook or mcp; found {kind!r}. Say how it is "
        "carried out, or use tool_mode mock"
    )
