"""A real service with a worker, on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from duologue.server import ServerSettings
from duologue.server.serve import ServeOptions, Serving, serving


@contextmanager
def running_service(folder: Path, *, workers: int | None = 0, port: int = 0, **settings: Any) -> Generator[Serving]:
    """A service on a database in this folder; ``workers``: None for none."""
    begun: Future[tuple[Serving, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        options = ServeOptions(
            settings=ServerSettings(store=folder / "service.db", create=True, **settings),
            port=port,
            workers=workers,
            grace=1.0,
        )
        over = asyncio.Event()
        async with serving(options) as server:
            begun.set_result((server, asyncio.get_running_loop(), over))
            await over.wait()

    def thread_main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = threading.Thread(target=thread_main, name="service")
    thread.start()
    try:
        server, loop, over = begun.result()
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(over.set)
    finally:
        thread.join()
