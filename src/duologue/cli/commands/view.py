"""``duologue view``: pages over a folder of results."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.interruption import Stopping
from duologue.cli.output import echo
from duologue.context import SystemClock
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line


def view(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="A folder of results folders, or one of them.")
    ] = Path(),
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0 for a free one. Default: 8643, or the next free one."
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
) -> int:
    """Browse results in a web browser: executions, runs, trends, comparisons, labels; live while a suite runs.

    Pages are served to this machine only, and follow what happens in the folder. Nothing is written into it but labels.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder; expected one that holds what 'duologue run' wrote")
    asyncio.run(_serve(folder, port, no_open=no_open))
    return ExitCode.PASSED


async def _serve(folder: Path, port: int | None, *, no_open: bool) -> None:
    from duologue.viewer.serving import serve

    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def began(address: str) -> None:
        echo(one_line(f"{folder.resolve()} at {address}   Ctrl-C stops"))
        sys.stdout.flush()  # who waits for the address may read it through a pipe
        if not no_open:
            loop.run_in_executor(None, _open, address)

    stopping = Stopping(
        lambda: loop.call_soon_threadsafe(stopped.set),
        clock=SystemClock().monotonic,
        hint="Stopped at once.",
        leave=lambda: None,
        patient=True,
    )
    with stopping.installed():
        await serve(folder, port, began, stopped)


def _open(address: str) -> None:
    import webbrowser

    webbrowser.open(address)
