"""What has changed, as a stream of events: pages ask again for what they show.

An event says that something is new, and its cursor says how it is now. A page that was away asks for everything once
more and goes on listening, so it neither misses anything nor shows anything twice.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable
from hashlib import sha256

from duologue.context import SystemClock
from duologue.journal.artifacts import JOURNALS
from duologue.runs.store.encoding import RUNS
from duologue.viewer.library import Library

PAUSE = 0.4
"""Seconds between two looks."""
_ALIVE = 10.0
"""Seconds after which a silent stream says that it is there."""


def _size(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - several times a second
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def watched(library: Library, key: str | None, run: str | None) -> Callable[[], str]:
    """What makes the cursor: the list, an execution, or one of its runs."""
    folder = library.folder(key) if key is not None else None
    if key is None or folder is None:
        return lambda: f"{library.began}-{library.version}-{library.left}-{library.ready}"

    def look() -> str:
        # The list notices a folder later than its files do. Pages can ask only for what is in the list.
        found: tuple[object, ...] = (library.state(key), library.folder(key) is not None)
        if run is not None and os.path.basename(run) == run:  # noqa: PTH119
            found += (_size(f"{folder / JOURNALS / run}.jsonl"), _size(f"{folder / RUNS / run}.json"))
        return sha256(repr(found).encode()).hexdigest()[:16]

    return look


async def events(look: Callable[[], str], since: str | None, stopping: asyncio.Event) -> AsyncGenerator[bytes]:
    """The stream. The first event says how things are, unless the listener knows that already."""
    clock = SystemClock()
    known, silent = since, 0.0
    yield b"retry: 1000\n: here\n\n"
    while not stopping.is_set():
        now = await asyncio.to_thread(look)
        if now != known:
            kind = "hello" if known is None else "changed"
            known, silent = now, 0.0
            data = json.dumps({"cursor": now, "kind": kind})
            yield f"id: {now}\ndata: {data}\n\n".encode()
        elif silent >= _ALIVE:
            silent = 0.0
            yield b": here\n\n"
        await clock.sleep(PAUSE)
        silent += PAUSE
