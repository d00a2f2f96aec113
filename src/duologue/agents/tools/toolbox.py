"""The tools of a suite, shared by all runs of an execution.

What a tool needs is prepared when it is first offered or called: schemas are compiled, templates and files are read.
Programs and servers start when they are first needed, and end with the ``async with`` of the toolbox. One toolbox
belongs to one event loop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING, Any, Self

from duologue.agents.tools.bound_tool import BoundTool, schema_of
from duologue.agents.tools.call import CallContext, Close, Result, Run, ToolFault
from duologue.agents.tools.session import ToolSession
from duologue.config.problems import nearest
from duologue.errors import ConfigurationError
from duologue.messages import JsonValue, tool_call
from duologue.models.base import ToolSpec
from duologue.specs.agent_definition import ToolSource
from duologue.specs.prompts import Tool

if TYPE_CHECKING:
    from duologue.agents.tools.a2a import A2aAgents
    from duologue.agents.tools.mcp_servers import McpServers
    from duologue.agents.tools.web import Web
    from duologue.models.cassette import Cassette


class Toolbox:
    """Every tool that agents of a suite may call.

    Use it as ``async with Toolbox(suite) as toolbox``; a suite whose tools are all mocks needs no ``async with``.

    Args:
        suite: whose tools, MCP servers and A2A agents these are. Nothing is started, read or compiled here.
        trust_private: whether HTTP tools, MCP servers and A2A agents may be at loopback and private addresses.
    """

    def __init__(self, suite: ToolSource, *, trust_private: bool = True) -> None:
        self._suite = suite
        self._trust_private = trust_private
        self._declared = {tool.name: tool for tool in suite.tools}
        self._prepared: dict[str, BoundTool] = {}
        self._stack: AsyncExitStack | None = None
        self._web: Web | None = None
        self._servers = self._mcp_servers() if suite.mcp_servers else None
        self._agents = self._a2a_agents() if suite.a2a_agents else None

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every program and server that was started, and close every connection."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()
        if self._web is not None:
            await self._web.aclose()

    def _open(self) -> None:
        """From here on programs and servers may be started."""
        self._stack = self._stack or AsyncExitStack()

    def _mcp_servers(self) -> McpServers:
        from duologue.agents.tools.mcp_servers import McpServers

        return McpServers(self._suite, self._on_close, trust_private=self._trust_private)

    def _a2a_agents(self) -> A2aAgents:
        from duologue.agents.tools.a2a import A2aAgents

        return A2aAgents(self._suite, self._network)

    def _on_close(self, close: Close, what: str) -> None:
        """Have ``close`` called when the toolbox is closed. Raises ConfigurationError where nothing would close it."""
        if self._stack is None:
            raise ConfigurationError(f"{what} can only be used within 'async with Toolbox(suite)', which ends it")
        self._stack.push_async_callback(close)

    def session(self, seed_random: Random | None = None) -> ToolSession:
        """The tools of one run: with counts of its own.

        Args:
            seed_random: what decides where calls go wrong with some probability; None for the run's own chances.
        """
        return ToolSession(self.find, seed_random)

    async def run(self, name: str, arguments: dict[str, Any]) -> str:
        """Call a tool outside of any conversation, as checks do; what it answers, or how it failed, as text.

        Raises:
            ConfigurationError: there is no such tool.
        """
        if self.find(name) is None:
            raise ConfigurationError(f"there is no tool '{name}'{nearest(name, list(self._declared))}")
        answer = await self.session().call(tool_call(name, arguments, "check"))
        return answer.content if isinstance(answer.content, str) else json.dumps(answer.value, ensure_ascii=False)

    async def specs(self, names: Sequence[str], *, cassette: Cassette | None = None) -> list[ToolSpec]:
        """The tools as a model sees them, each under the name that is given here.

        Args:
            names: of tools of the suite, of its MCP servers (also as ``mcp__server__tool``) and of the skills of its
                A2A agents (``a2a_agent_skill`` or ``a2a__agent__skill``).
            cassette: of the run; what servers say of their tools is recorded on it or replayed from it.

        Raises:
            ConfigurationError: nothing has one of these names, or a server that is needed does not start.
        """
        for name in names:
            self.find(name)  # a tool that cannot work is an error before the conversation begins
        elsewhere = [name for name in names if self._spec_here(name) is None]
        described = await self._described_elsewhere(elsewhere, cassette) if elsewhere else {}
        return [self._spec_here(name) or ToolSpec(strict=False, **described[name]) for name in names]

    def find(self, name: str) -> BoundTool | None:
        """The tool of that name; None if there is none.

        A name that only a server knows is looked up when the tool is run.

        Raises:
            ConfigurationError: what the suite says of the tool cannot be carried out.
        """
        found = self._prepared.get(name)
        if found is not None:
            return found
        if name in self._declared:
            found = self._prepare(self._declared[name])
        else:
            found = (self._agents and self._agents.find(name)) or self._elsewhere(name)
        if found is not None:
            self._prepared[name] = found
        return found

    def _prepare(self, tool: Tool) -> BoundTool:
        return BoundTool(
            names=(tool.name,),
            arguments=schema_of(tool.input_schema, tool=tool.name, field="input_schema"),
            results=schema_of(tool.output_schema, tool=tool.name, field="output_schema") if _compared(tool) else None,
            run=self._run_of(tool),
            outside=tool.mode in {"live", "exec", "mcp"},
        )

    def _run_of(self, tool: Tool) -> Run:
        if tool.mode == "live":
            from duologue.agents.tools.live import live

            return live(tool, self._network())
        if tool.mode == "exec":
            from duologue.agents.tools.programs import program

            return program(tool, self._suite, self._on_close)
        if tool.mode == "mcp":
            return (self._servers or self._mcp_servers()).tool(tool.name, tool.timeout_ms)
        from duologue.agents.tools.mocks import mock, with_consent

        return with_consent(tool, mock(tool, self._suite)) if tool.mode == "client" else mock(tool, self._suite)

    def _network(self) -> Web:
        """The way to addresses, which most suites do not need."""
        if self._web is None:
            from duologue.agents.tools.web import Web

            self._web = Web(trust_private=self._trust_private)
        return self._web

    def _elsewhere(self, name: str) -> BoundTool | None:
        """A tool that some server or agent may have; which one is asked when it is run."""
        agents, servers = self._agents, self._servers
        if servers is None and (agents is None or not agents.remote):
            return None

        async def run(arguments: dict[str, JsonValue], context: CallContext) -> Result:
            found = await agents.discover(name) if agents else None
            found = found or (servers and servers.tool(name, None))
            if found is None:
                raise ToolFault(f"tool not found: {name}")
            return await found(arguments, context)

        names = (name, *(also for known in (agents, servers) if known for also in known.also_called(name)))
        return BoundTool(names=names, arguments=None, results=None, run=run, outside=True)

    def _spec_here(self, name: str) -> ToolSpec | None:
        """What is known of a tool without asking anybody."""
        tool = self._declared.get(name)
        if tool is None:
            return self._agents.spec(name) if self._agents else None
        return ToolSpec(name=name, description=tool.description, parameters=tool.input_schema, strict=False)

    async def _described_elsewhere(self, names: list[str], cassette: Cassette | None) -> dict[str, Any]:
        async def live() -> dict[str, Any]:
            return {name: await self._asked(name) for name in names}

        if cassette is None or not (self._servers or (self._agents and self._agents.remote)):
            return await live()
        return await cassette.play("tools", {"names": names}, live)

    async def _asked(self, name: str) -> dict[str, Any]:
        try:
            data = await self._agents.described(name) if self._agents else None
            if data is None and self._servers is not None:
                data = await self._servers.described(name)
        except ToolFault as fault:
            raise ConfigurationError(f"the tool '{name}' is to be offered, but {fault}") from fault
        if data is None:
            raise ConfigurationError(self._unknown(name))
        return data

    def _unknown(self, name: str) -> str:
        elsewhere = (name for known in (self._agents, self._servers) if known for name in known.names)
        known = sorted({*self._declared, *elsewhere})
        return (
            f"there is no tool '{name}' to offer; the tools are {', '.join(known) or 'none'}. Name one of them in "
            "allowed_tools, or add it to the suite"
        )


def _compared(tool: Tool) -> bool:
    """Whether results of a tool are compared with its schema."""
    return tool.client is None or tool.client.validate_output is not False
