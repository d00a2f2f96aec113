"""``duologue mcp``: the MCP server for coding agents, on standard input and output."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.commands.db import DatabaseOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.store_options import ProjectOption
from duologue.errors import ConfigurationError


def mcp(
    url: Annotated[
        str | None, typer.Option(help="URL of a Duologue service. Default: DUOLOGUE_API_URL, else this machine.")
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Folder with suites and results; nothing outside of it is read or run.")
    ] = Path(),
    store: DatabaseOption = None,
    project: ProjectOption = None,
) -> int:
    """Let a coding agent list, run, watch, explain and compare: an MCP server on standard input and output.

    With the URL of a service, its token is taken from DUOLOGUE_API_TOKEN. Without, suites and results folders of this
    folder are used, and the database of runs if there is one.
    """
    from duologue.mcp_server.program import serve

    chosen = url or os.environ.get("DUOLOGUE_API_URL")
    if chosen and store is not None:
        raise ConfigurationError("--url names a service, and --database the one of this machine; give one of the two")
    if not folder.is_dir():
        raise ConfigurationError(f"--folder: {folder} is no folder")
    asyncio.run(serve(url=chosen, folder=folder, store=store, project=project))
    return ExitCode.PASSED
