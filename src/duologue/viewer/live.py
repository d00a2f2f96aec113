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
from duologue.suites.calibration.labels import labels_path
from duologue.viewer.library import Library
from duologue.viewer.tree import file_stamp

PAUSE = 0.4
"""Seconds between two looks."""
_ALIVE = 10.0
"""Seconds after which a silent stream says that it is there."""


def watched(library: Library, key: str | None, run: str | None) -> Callable[[], str]:
    """What makes the cursor: the list, an execution, or one of its runs."""
    folder = library.folder(key) if key is not None else None
    if key is None or folder is None:
        return lambda: f"{library.began}-{library.version}-{library.left}-{library.ready}"

    labels = str(labels_path(folder))

    def look() -> str:
        # The list notices a folder later than its files do. Pages can ask only for what is in the list.
        listed = library.folder(key) is not None
        found: tuple[object, ...] = (library.state(key), listed, file_stamp(labels))
        if run is not None and os.path.basename(run) == run:  # noqa: PTH119
            found += (file_stamp(f"{folder / JOURNALS / run}.jsonl"), file_stamp(f"{folder / RUNS / run}.json"))
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
