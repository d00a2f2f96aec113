"""The MCP servers of a suite together: which of them has a tool. One connection is ``mcp_connection``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duologue.agents.tools.bound_tool import Schema, schema_of
from duologue.agents.tools.call import CallContext, OnClose, Result, Run, ToolFault
from duologue.errors import ConfigurationError
from duologue.messages import JsonValue
from duologue.specs.agent_definition import ToolSource
from duologue.specs.suite import McpServer

if TYPE_CHECKING:
    from duologue.agents.tools.mcp_connection import McpConnection

_PREFIX = "mcp__"


class McpServers:
    """Tools keep the names that their servers give them; where two have the same, the first server's is meant.

    ``mcp__server__tool`` names the tool of one server.
    """

    def __init__(self, suite: ToolSource, on_close: OnClose, *, trust_private: bool = True) -> None:
        self._connections = [_connection(server, suite, on_close, trust_private) for server in suite.mcp_servers]
        self._schemas: dict[tuple[str, str], Schema | None] = {}
        self.names: set[str] = set()
        """The names of tools that are known by now."""

    def tool(self, name: str, timeout_ms: int | None) -> Run:
        """What runs a tool of that name, whichever server has it."""

        async def run(arguments: dict[str, JsonValue], context: CallContext) -> Result:
            connection, data = await self._found(name)
            if connection is None:
                raise ToolFault(f"tool not found: {name}")
            schema = self._schema(connection, data, name)
            if schema is not None:
                schema.check_arguments(arguments)
            return await connection.call(data["name"], arguments, timeout_ms)

        return run

    def also_called(self, name: str) -> tuple[str, ...]:
        """What the server itself calls a tool that is named with its server."""
        return tuple({tool for _, tool in self._candidates(name)} - {name})

    async def described(self, name: str) -> dict[str, Any] | None:
        """Name, description and parameters of a tool; None if no server has it.

        Raises:
            ToolFault: no server has it, and not all of them can be asked.
        """
        connection, data = await self._found(name)
        if connection is None:
            return None
        parameters = data.get("inputSchema") or {"type": "object"}
        return {"name": name, "description": data.get("description") or "", "parameters": parameters}

    async def _found(self, name: str) -> tuple[McpConnection | None, dict[str, Any]]:
        broken: ToolFault | None = None
        for connection, tool in self._candidates(name):
            try:
                tools = await connection.tools()
            except ToolFault as fault:
                broken = fault
                continue
            self.names.update(tools)
            if tool in tools:
                return connection, tools[tool]
        if broken is not None:
            raise broken
        return None, {}

    def _candidates(self, name: str) -> list[tuple[McpConnection, str]]:
        """Servers that may have the tool, and what they call it."""
        named = [
            (connection, name.removeprefix(f"{_PREFIX}{connection.name}__"))
            for connection in self._connections
            if name.startswith(f"{_PREFIX}{connection.name}__")
        ]
        return named or [(connection, name) for connection in self._connections]

    def _schema(self, connection: McpConnection, data: dict[str, Any], name: str) -> Schema | None:
        key = (connection.name, data["name"])
        if key not in self._schemas:
            try:
                self._schemas[key] = schema_of(data.get("inputSchema") or {}, tool=name, field="input_schema")
            except ConfigurationError:
                self._schemas[key] = None  # the server knows its own schema best
        return self._schemas[key]


def _connection(server: McpServer, suite: ToolSource, on_close: OnClose, trust_private: bool) -> McpConnection:
    from duologue.agents.tools.mcp_connection import McpConnection

    return McpConnection(server, suite, on_close, trust_private=trust_private)
