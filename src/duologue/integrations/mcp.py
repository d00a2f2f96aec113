"""Agents whose tools are servers of the Model Context Protocol, with a loop of their own or a client of OpenAI."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib import import_module
from typing import Any, cast

from duologue.conversation.adapter import AgentInput
from duologue.errors import ConfigurationError
from duologue.integrations.base import Said
from duologue.integrations.openai import CallableTool, ChatDriver, OpenAIChat, answer_of
from duologue.message_shapes import framework_of


class MCPDriver(ChatDriver):
    """One conversation, with its own connections."""

    _sessions: list[Any]

    async def open(self, stack: AsyncExitStack) -> None:
        """Start the servers."""
        await super().open(stack)
        self._sessions = [
            await stack.enter_async_context(_session_of(item)) for item in cast("MCP", self.options).servers
        ]
        if framework_of(self.agent) == "openai":
            offered = [tool for session in self._sessions for tool in await _tools_of(session)]
            self.tools = [*self.tools, *offered]

    def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """What the function gives, or the loop."""
        if framework_of(self.agent) == "openai":
            return super().answer(input)
        return answer_of(self.agent, [input.messages, *self._sessions])


class MCP(OpenAIChat):
    """A client of the OpenAI SDK or a function, with MCP servers that are started for each run and ended after it.

    A client offers the tools of the servers to its model, and calls them. A function is given the messages and then a
    session for each server, whose ``list_tools`` and ``call_tool`` it uses as it likes.
    """

    framework = "MCP"
    package = "mcp"
    driver = MCPDriver

    def __init__(self, agent: Any, *, servers: Sequence[Any], **options: Any) -> None:
        """Wrap the agent.

        Args:
            agent: the client, a function of the messages and the sessions, or a factory: see :class:`Integration`.
            servers: ``StdioServerParameters``, URLs, server objects of this process, or functions without parameters
                that give a context manager of a connected session.
            options: those of :class:`OpenAIChat` and :class:`Integration`.
        """
        super().__init__(agent, **options)
        if isinstance(servers, str) or not servers:
            raise ConfigurationError(f"MCP: servers must be a list of servers; found {servers!r}")
        self.servers = tuple(servers)

    @classmethod
    def expected(cls) -> str:
        """What may be given, in words."""
        return "a client of the OpenAI SDK or a function of the messages and the sessions"

    @property
    def requires(self) -> str | None:
        """The package that has to be installed."""
        return self.package


def _session_of(server: Any) -> AbstractAsyncContextManager[Any]:
    if callable(server) and not isinstance(server, type) and framework_of(server) is None:
        return cast("AbstractAsyncContextManager[Any]", cast("Callable[[], Any]", server)())
    library = import_module("mcp")
    if hasattr(library, "Client"):
        target = library.stdio_client(server) if isinstance(server, library.StdioServerParameters) else server
        return library.Client(target)
    return _SessionOfVersion1(server, library)


class _SessionOfVersion1(AbstractAsyncContextManager[Any]):
    """A session of version 1 of the library, which has no client that does all of this."""

    def __init__(self, server: Any, library: Any) -> None:
        self._server = server
        self._library = library
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Any:
        await self._stack.__aenter__()
        try:
            streams = await self._stack.enter_async_context(self._transport())
            session = await self._stack.enter_async_context(self._library.ClientSession(*streams[:2]))
            await session.initialize()
        except BaseException:
            await self._stack.aclose()
            raise
        return session

    async def __aexit__(self, *details: Any) -> bool | None:
        return await self._stack.__aexit__(*details)

    def _transport(self) -> Any:
        if isinstance(self._server, self._library.StdioServerParameters):
            return self._library.stdio_client(self._server)
        if isinstance(self._server, str):
            return import_module("mcp.client.streamable_http").streamablehttp_client(self._server)
        raise ConfigurationError(
            f"MCP: version 1 of the package 'mcp' cannot connect to a {type(self._server).__name__}; expected "
            "StdioServerParameters, a URL, or a function that gives a context manager of a session"
        )


async def _tools_of(session: Any) -> list[CallableTool]:
    listed = (await session.list_tools()).tools
    return [_tool_of(tool, session) for tool in listed]


def _tool_of(tool: Any, session: Any) -> CallableTool:
    async def call(**arguments: Any) -> str:
        result = await session.call_tool(tool.name, arguments)
        text = "\n".join(part.text for part in result.content if part.type == "text")
        failed = getattr(result, "is_error", None) or getattr(result, "isError", None)
        return f"Error: {text}" if failed else text

    schema = getattr(tool, "input_schema", None) or tool.inputSchema
    spec = {"name": tool.name, "description": tool.description or "", "parameters": schema}
    return CallableTool(spec={"type": "function", "function": spec}, call=call)
