"""The MCP server as a program: a workspace, the tools, and standard input and output."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from duologue.mcp_server.local import LocalWorkspace
from duologue.mcp_server.server import build
from duologue.mcp_server.workspace import Workspace


async def serve(*, url: str | None, folder: Path, store: str | None, project: str | None) -> None:
    """Serve until the other side closes standard input.

    Args:
        url: of a service; None for this machine.
        folder: with suites and results.
        store: the database of this machine.
        project: its name or id.

    Raises:
        ConfigurationError: one of them cannot be used.
        MissingExtraError: the package ``mcp`` is not installed.
    """
    async with _workspace(url, folder, store, project) as workspace:
        await build(workspace).run_stdio_async()


@asynccontextmanager
async def _workspace(
    url: str | None, folder: Path, store: str | None, project: str | None
) -> AsyncGenerator[Workspace]:
    workspace: Workspace
    if url is not None:
        from duologue.client import AsyncClient
        from duologue.mcp_server.service import ServiceWorkspace

        workspace = ServiceWorkspace(AsyncClient(url, project=project))
    else:
        workspace = await LocalWorkspace.open(folder, store=store, project=project)
    try:
        yield workspace
    finally:
        await workspace.close()
