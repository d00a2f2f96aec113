"""The event loop of voice, in a thread of its own: agents, judges and scripts that block make no frame late."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

THREAD_NAME = "duologue-voice"


class _VoiceThread:
    """A daemon, so that a call that hangs does not keep the process from ending."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name=THREAD_NAME, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_lock = threading.Lock()
_threads: list[_VoiceThread] = []


def _forget_threads() -> None:
    """A forked child has none of its parent's threads, and whoever held the lock is not there."""
    global _lock, _threads
    _lock, _threads = threading.Lock(), []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def voice_loop() -> asyncio.AbstractEventLoop:
    """The event loop that all voice agents of this process are on; started when it is first asked for."""
    with _lock:
        if not _threads:
            _threads.append(_VoiceThread())
        return _threads[0].loop


async def on_voice_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run this on the voice event loop, and wait for it on this one.

    Cancelling the wait cancels the work as well. The wait then ends at once, and not when the work has ended.
    """
    loop = voice_loop()
    if asyncio.get_running_loop() is loop:
        return await work
    future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    future.add_done_callback(_seen)
    return await future


def _seen(future: asyncio.Future[Any]) -> None:
    """Mark the exception of work that nobody waits for any more as retrieved, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()
