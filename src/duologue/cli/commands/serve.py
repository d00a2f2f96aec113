"""``duologue serve``: the API, and the workers that carry out its runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.commands.db import DatabaseOption
from duologue.cli.exit_codes import ExitCode
from duologue.cli.interruption import Stopping
from duologue.cli.output import echo
from duologue.cli.store_options import AllowEnvOption, AllowPrivateOption, ConcurrencyOption
from duologue.config.processes import kill_all_groups
from duologue.context import SystemClock
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.server.serve import ServeOptions, Serving


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8642,
    store: DatabaseOption = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Worker processes. Default: none, and one worker in this process.")
    ] = 0,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Serve the API only; others carry out runs.")] = False,
    concurrency: ConcurrencyOption = None,
    token_required: Annotated[
        bool | None,
        typer.Option(
            "--token-required/--no-token-required",
            help="Whether every request needs a token. Default: if the store has one.",
        ),
    ] = None,
    allow_env: AllowEnvOption = [],  # noqa: B006 - typer's way
    allow_private_addresses: AllowPrivateOption = None,
    name: Annotated[
        list[str], typer.Option("--name", help="Host name that it may be asked by without tokens, beside localhost.")
    ] = [],  # noqa: B006 - typer's way
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that runs and requests may take to finish once it is stopped.")
    ] = 30.0,
) -> int:
    """Serve web pages and the API at http://127.0.0.1:8642, and carry out its runs.

    Ctrl-C or SIGTERM lets what is under way finish, for --grace seconds at most; a second one waits for nothing. Runs
    that are not over then go back into the queue.
    """
    from duologue.server import ServerSettings
    from duologue.server.serve import ServeOptions

    settings = ServerSettings(
        store=store,
        token_required=token_required,
        hosts=tuple(name),
        allowed_variables=tuple(allow_env) or None,
        allow_private_addresses=allow_private_addresses,
    )
    options = ServeOptions(
        settings=settings,
        host=host,
        port=port,
        workers=None if no_worker else workers,
        concurrency=concurrency,
        grace=grace,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(options))
    return ExitCode.PASSED


async def _serve(options: ServeOptions) -> None:
    from duologue.server.serve import serving

    begun: list[Serving] = []
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for running in begun:
            running.stop()

    with _stopping(stop).installed():
        async with serving(options) as running:
            begun.append(running)
            if not stopped.is_set():
                _announce(running)
                await running.over.wait()
            echo("stopping", err=True)


def _announce(running: Serving) -> None:
    echo(one_line(f"Duologue serves {running.store} at {running.url}/api/v1"))
    echo(f"Web pages: {running.url}/", err=True)
    needed = "Every request needs a token: duologue tokens create NAME"
    echo(needed if running.token_required else "No token is needed on this machine", err=True)


def _stopping(stop: Callable[[], None]) -> Stopping:
    loop = asyncio.get_running_loop()
    return Stopping(
        lambda: loop.call_soon_threadsafe(stop),
        clock=SystemClock().monotonic,
        hint="Ended at once. Runs under way go on when the lease of the worker is over.",
        leave=kill_all_groups,
        patient=True,
    )
