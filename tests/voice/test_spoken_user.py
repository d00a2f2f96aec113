"""A simulated user that speaks by itself, over an adapter whose model does not stop."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from duologue.voice.adapter import VoiceAgentAdapter, VoiceConnectionError
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming
from duologue.voice.spoken_user import SpokenUserSession


class Speaking(VoiceAgentAdapter):
    """Gives what it is told to give; the last of it again and again."""

    response_max_duration = 1.0
    speaks_first = False

    def __init__(self, *items: Incoming) -> None:
        self.items = deque(items)
        self.interrupts = 0

    async def connect(self) -> None:
        return

    async def disconnect(self) -> None:
        return

    async def send_audio(self, chunk: AudioChunk) -> None:
        return

    async def send_text(self, text: str) -> None:
        return

    async def recv_audio(self, timeout: float) -> AudioChunk:
        raise NotImplementedError

    async def receive(self, timeout: float) -> Incoming:
        await asyncio.sleep(0)
        return self.items.popleft() if len(self.items) > 1 else self.items[0]

    async def interrupt(self) -> None:
        self.interrupts += 1


async def test_a_user_that_is_told_to_stop_and_stops_has_said_what_was_heard() -> None:
    adapter = Speaking(*[AgentWords(text="so "), silent_chunk(0.8), silent_chunk(0.8)], AgentTurnEnded())
    spoken = await SpokenUserSession(adapter)._turn()
    assert (spoken.transcript, round(spoken.duration_seconds, 1), adapter.interrupts) == ("so", 1.6, 1)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        pytest.param(silent_chunk(0.4), r"told to stop after 1 s \(response_max_duration\), and speaks on", id="sound"),
        pytest.param(AgentWords(text="and so on " * 1000), "sends without measure", id="words"),
        pytest.param(AgentTurnEnded(interrupted=True), "sends without measure", id="ends"),
    ],
)
async def test_a_user_that_never_stops_is_an_error(item: Incoming, told: str) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(VoiceConnectionError, match=told):
            await SpokenUserSession(Speaking(item))._turn()
