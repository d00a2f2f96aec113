"""What a coding agent does with the MCP server: the SDK's own client, over standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mcp


@dataclass
class CodingAgent:
    session: Any
    progress: list[tuple[float, float | None, str | None]] = field(default_factory=list)

    async def tools(self) -> dict[str, Any]:
        return {tool.name: tool for tool in (await self.session.list_tools()).tools}

    async def call(self, tool: str, **arguments: Any) -> str:
        """What a tool answers.

        Raises:
            AssertionError: it is an error.
        """
        failed, text = await self._call(tool, arguments)
        assert not failed, text
        return text

    async def refused(self, tool: str, **arguments: Any) -> str:
        """What a tool says that refuses."""
        failed, text = await self._call(tool, arguments)
        assert failed, text
        return text

    async def _call(self, tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
        async def told(done: float, total: float | None, message: str | None) -> None:
            self.progress.append((done, total, message))

        found = await self.session.call_tool(tool, arguments, progress_callback=told)
        text = "\n".join(part.text for part in found.content)
        return bool(getattr(found, "is_error", getattr(found, "isError", False))), text

    async def resource(self, uri: str) -> str:
        return (await self.session.read_resource(uri)).contents[0].text

    async def over(self, text: str) -> str:
        """Wait for the execution that an answer names; its name."""
        name = text.partition("execution ")[2].partition(":" if "db:" not in text else ": ")[0]
        while "over, " not in (found := await self.call("watch_execution", execution=name, timeout_seconds=60)):
            assert "under way" in found
        return name


@asynccontextmanager
async def coding_agent(folder: Path, *options: str, **environment: str) -> AsyncGenerator[CodingAgent]:
    source = Path(__file__).parents[2] / "src"
    given: Mapping[str, str] = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "PYTHONPATH": str(source),
        **environment,
    }
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "duologue", "mcp", *options], env=dict(given), cwd=folder
    )
    async with AsyncExitStack() as stack:
        if hasattr(mcp, "Client"):
            yield CodingAgent(await stack.enter_async_context(mcp.Client(mcp.stdio_client(parameters))))
            return
        streams = await stack.enter_async_context(mcp.stdio_client(parameters))  # version 1 of the package
        session = await stack.enter_async_context(mcp.ClientSession(*streams))
        await session.initialize()
        yield CodingAgent(session)
