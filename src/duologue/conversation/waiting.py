"""Waiting for a part of an answer that is given in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from duologue.conversation.conversation import Call
from duologue.conversation.result import ScenarioResult
from duologue.errors import RunError


async def wait_for_words(call: Call, task: asyncio.Task[ScenarioResult | None], words: int, seconds: float) -> None:
    """Wait until that many words were said, the task is over or the time has passed."""
    enough = asyncio.Event()

    utterance = call.utterance

    def heard() -> None:
        if utterance is not None and (utterance.words >= words or utterance.said):
            enough.set()

    heard()
    if utterance is not None:
        utterance.heard = heard
    waiting = asyncio.ensure_future(enough.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if utterance is not None:
            utterance.heard = None


async def wait_for_first(task: asyncio.Task[ScenarioResult | None], other: Awaitable[object]) -> object:
    """Wait for the first of the two; the other awaitable is not waited for any longer, and the task goes on.

    Returns:
        What the other one gave; None where the task was first. A connection that breaks is the task's to report.
    """
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not waiting.done() or waiting.cancelled():
        return None
    return None if isinstance(waiting.exception(), RunError) else waiting.result()
