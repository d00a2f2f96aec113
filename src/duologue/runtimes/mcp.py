"""An agent that is a tool of an MCP server (extra ``mcp``): the server is a program that runs for one test case."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from duologue.agents.http.completions import ContractError
from duologue.agents.http.plain import read_plain
from duologue.agents.tools.call import Close, ToolFault
from duologue.agents.tools.mcp_connection import McpConnection
from duologue.config.problems import nearest
from duologue.config.spec import EMPTY, Items, JsonObject, Name, Text
from duologue.errors import AgentError, ConfigurationError
from duologue.messages import text_of
from duologue.runtimes.base import AgentPlatform, AgentSnapshot, RuntimeRunArgs, RuntimeSession, TextRuntimeKind
from duologue.runtimes.config import RuntimeConfig
from duologue.runtimes.text import AgentReply, AgentTurn, Said, TextRuntimeBase
from duologue.settings import DEFAULT_AGENT_TIMEOUT
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.agents import AnswerPath
from duologue.specs.suite import McpServer

_LONGER = 5.0
"""Seconds that the connection waits longer than the caller, whose error says what was sent."""


class McpRuntimeConfig(RuntimeConfig):
    """An agent that is a tool of an MCP server."""

    environment_fields: ClassVar[tuple[str, ...]] = ("env",)

    kind: Literal["mcp"] = "mcp"
    """Always ``mcp``."""
    command: Items[Text] = Field(min_length=1)
    """The program of the server and its arguments. No shell is used."""
    env: dict[str, str] = Field(default=EMPTY, repr=False)
    """Environment variables of the program, such as ``TOKEN: ${TOKEN}``."""
    working_dir: str | None = None
    """Folder in which the program runs."""
    tool: Name
    """The tool that is the agent."""
    message_argument: Name = "message"
    """Argument for what the user says."""
    history_argument: Name | None = None
    """Argument for the conversation before that, as chat messages."""
    thread_argument: Name | None = None
    """Argument for the ID of the conversation."""
    arguments: JsonObject = EMPTY
    """Further arguments of each call."""
    answer: AnswerPath | None = None
    """Where the agent's words are in a result that is data. Default: they are looked for."""


@dataclass
class _Served:
    """A server that runs for one test case."""

    config: McpRuntimeConfig
    connection: McpConnection
    closes: list[Close] = field(default_factory=list[Close])


class McpRuntime(TextRuntimeBase[_Served]):
    """Starts an MCP server for each test case, and calls one of its tools for each turn."""

    KIND: ClassVar[str] = TextRuntimeKind.MCP
    LABEL: ClassVar[str] = "MCP"
    DESCRIPTION: ClassVar[str] = "A tool of an MCP server on this machine"
    CONFIG: ClassVar[type[BaseModel] | None] = McpRuntimeConfig
    STARTS_PROGRAM: ClassVar[bool] = True

    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """For agents that no platform hosts."""
        return platform is None

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """There is a program to start, and no argument is given twice."""
        config = _own(runtime_config)
        if not config.command[0].strip():
            raise ConfigurationError("runtime.command: expected a program and its arguments; found none")
        named = [config.message_argument, config.history_argument, config.thread_argument, *config.arguments]
        given = [name for name in named if name is not None]
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise ConfigurationError(f"runtime.arguments: the argument '{twice[0]}' is given more than once")

    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> _Served:
        """Start the server, and look whether it has the tool."""
        config = _own(runtime_config)
        seconds = (args.run_snapshot.run_config.agent_timeout or DEFAULT_AGENT_TIMEOUT) + _LONGER
        server = McpServer(
            name=self.LABEL,
            command=config.command[0],
            args=tuple(config.command[1:]),
            env=config.env,
            working_dir=config.working_dir,
            timeout_ms=round(seconds * 1000),
        )
        closes: list[Close] = []
        source = AgentDefinition(name="agent", model="none")
        connection = McpConnection(server, source, lambda close, _: closes.append(close))
        served = _Served(config=config, connection=connection, closes=closes)
        try:
            tools = await connection.tools()
            if config.tool not in tools:
                known = ", ".join(sorted(tools)) or "none"
                hint = nearest(config.tool, sorted(tools))
                raise ConfigurationError(f"runtime.tool: the server has no tool '{config.tool}'{hint}; it has {known}")
        except ToolFault as fault:
            await self.close_text_agent(served)
            raise AgentError(f"[{self.LABEL}] {fault}; nothing was sent", who=self.LABEL) from fault
        except BaseException:
            await self.close_text_agent(served)
            raise
        return served

    async def do_agent_turn(self, agent_config: _Served, turn: AgentTurn) -> Said | AgentReply:
        """Call the tool with what the user has said."""
        config, new = agent_config.config, turn.input.new_messages
        said = "\n".join(text_of(message) for message in new if message["role"] == "user")
        if not said:
            raise turn.failure("a conversation with a tool begins with the user")
        arguments: dict[str, Any] = {**config.arguments, config.message_argument: said}
        if config.history_argument:
            before = turn.input.messages
            arguments[config.history_argument] = [dict(message) for message in before[: len(before) - len(new)]]
        if config.thread_argument:
            arguments[config.thread_argument] = turn.input.thread_id
        try:
            result = await agent_config.connection.call(config.tool, arguments, None)
        except ToolFault as fault:
            raise turn.failure(str(fault)) from fault
        if isinstance(result.value, str):
            return result.value
        text = json.dumps(result.value, ensure_ascii=False)
        try:
            return read_plain(text, "application/json", config.answer)[1]
        except ContractError as error:
            raise turn.failure(f"the result of the tool cannot be read: {error}", text) from error

    async def close_text_agent(self, agent_config: _Served) -> None:
        """End the server."""
        closes, agent_config.closes[:] = [*agent_config.closes], []
        await asyncio.gather(*(close() for close in closes))


def _own(runtime_config: BaseModel) -> McpRuntimeConfig:
    if not isinstance(runtime_config, McpRuntimeConfig):
        found = type(runtime_config).__name__
        raise ConfigurationError(f"runtime: the mcp runtime needs a McpRuntimeConfig; found {found}")
    return runtime_config
