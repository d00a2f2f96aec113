"""Runs the viewer on this machine until it is stopped, on an address that stays the same from one start to the next."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from pathlib import Path

from duologue.errors import ConfigurationError, MissingExtraError
from duologue.viewer.app import create_app
from duologue.viewer.library import Library, cache_file

try:
    import uvicorn
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("the viewer", "view", "uvicorn") from error

HOST = "127.0.0.1"
PORT = 8643
_TRIED = 20


class _Server(uvicorn.Server):
    """The server, whose signals are ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """See the base class."""
        yield


def listener(port: int | None) -> socket.socket:
    """A socket on this machine's own address.

    Args:
        port: 0 for a free one; None for the usual one, or the next that is free.

    Raises:
        ConfigurationError: the port is taken.
    """
    ports = range(PORT, PORT + _TRIED) if port is None else [port]
    for candidate in ports:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, candidate))
        except OSError as error:
            found.close()
            if candidate == ports[-1]:
                raise ConfigurationError(
                    f"--port: {HOST}:{candidate} cannot be used ({error.strerror}); choose another port, or 0 for a "
                    "free one"
                ) from error
            continue
        return found
    raise AssertionError  # pragma: no cover - one of them ends the loop


async def serve(folder: Path, port: int | None, began: Callable[[str], None], stopped: asyncio.Event) -> None:
    """Serve the pages until somebody stops it.

    Args:
        folder: of results folders.
        port: see :func:`listener`.
        began: called with the address once it answers.
        stopped: set to end it.

    Raises:
        ConfigurationError: it cannot listen there.
    """
    with contextlib.closing(listener(port)) as held:
        app = create_app(Library(folder, cache_file(folder)))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=2, server_header=False
        )
        server = _Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[held]))
        waiting = asyncio.ensure_future(stopped.wait())
        await _started(server, serving)
        began(f"http://{HOST}:{held.getsockname()[1]}/")
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        app.state.stopping.set()
        server.should_exit = True
        await serving


async def _started(server: uvicorn.Server, serving: asyncio.Future[None]) -> None:
    from duologue.context import SystemClock

    clock = SystemClock()
    while not server.started and not serving.done():
        await clock.sleep(0.01)
