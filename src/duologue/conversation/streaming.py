"""A run as an asynchronous iterator of chunks: pieces of text as the agent writes them, messages, the result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult, result_of
from duologue.conversation.stage import Stage
from duologue.journal.events import MessageAdded
from duologue.journal.journal import Entry
from duologue.messages import Message


@dataclass(frozen=True, kw_only=True)
class StreamChunk:
    """A piece of a running conversation.

    Attributes:
        turn: number of the turn, from 0.
        role: role of the message that it belongs to; None on the last chunk.
        agent: name of the participant that speaks; None for lines of the script.
        delta: text that is new; '' where the chunk carries something else.
        message: the whole message, on the chunk that completes it.
        finish_reason: ``message`` when a message is complete, ``run`` on the last chunk, None for a piece of text.
        result: the run so far; on the last chunk, the result.
    """

    turn: int
    role: str | None
    result: ScenarioResult
    agent: str | None = None
    delta: str = ""
    message: Message | None = None
    finish_reason: Literal["message", "run"] | None = None


async def chunks_of(executor: ScenarioExecutor) -> AsyncGenerator[StreamChunk]:
    """Play the scenario and yield what happens. Leaving the iteration early cancels the run."""
    queue: asyncio.Queue[StreamChunk | None] = asyncio.Queue()

    def on_delta(stage: Stage, index: int, text: str) -> None:
        queue.put_nowait(
            StreamChunk(
                turn=stage.view.turn,
                role="assistant",
                agent=stage.agents[index].name,
                delta=text,
                result=result_of(stage.view),
            )
        )

    def on_entry(entry: Entry) -> None:
        if isinstance(entry.event, MessageAdded):
            queue.put_nowait(_message_chunk(executor, entry.event))

    executor.on_delta = on_delta
    executor.listeners = (*executor.listeners, on_entry)
    task = asyncio.get_running_loop().create_task(executor.run())
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (chunk := await queue.get()) is not None:
            yield chunk
        result = await task
        yield StreamChunk(turn=executor.state.current_turn, role=None, finish_reason="run", result=result)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _message_chunk(executor: ScenarioExecutor, event: MessageAdded) -> StreamChunk:
    return StreamChunk(
        turn=event.turn,
        role=event.message["role"],
        agent=None if event.author is None else executor.agents[event.author].name,
        message=event.message,
        finish_reason="message",
        result=result_of(executor.stage.view),
    )
