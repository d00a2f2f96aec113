"""The adapter and a real Pipecat pipeline with its serializer for Twilio.

Pipecat is far larger than this project, so it is no dependency: name a Python that has ``pipecat-ai[websocket]`` and
``uvicorn`` in ``PIPECAT_PYTHON``. Without it these tests are skipped.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from heard_sound import frames_of, likeness, sound_of, voice_like

from duologue.voice.adapters.pipecat import PipecatAgentAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentWords, Incoming, UserHeard

_BOT = Path(__file__).parents[2] / "fakes" / "pipecat_bot.py"
_PYTHON = os.environ.get("PIPECAT_PYTHON") or (sys.executable if importlib.util.find_spec("pipecat") else "")

pytestmark = pytest.mark.skipif(not _PYTHON, reason="no Pipecat: name a Python that has it in PIPECAT_PYTHON")


@asynccontextmanager
async def _bot() -> AsyncGenerator[str]:
    pipe = asyncio.subprocess.PIPE
    bot = await asyncio.create_subprocess_exec(
        _PYTHON, str(_BOT), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    assert bot.stdin is not None
    assert bot.stdout is not None
    try:
        yield f"ws://127.0.0.1:{int(await bot.stdout.readline())}/ws"
    finally:
        bot.stdin.close()
        await bot.wait()


async def test_a_pipeline_hears_and_is_heard() -> None:
    said = voice_like(2.0)
    items: list[Incoming] = []
    async with _bot() as url, PipecatAgentAdapter(url) as adapter:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, frame in enumerate(frames_of(said + bytes(48_000))):
            await adapter.send_audio(frame)
            await asyncio.sleep(max(0.0, began + number * 0.02 - loop.time()))
        while len(sound_of(items)) < len(said):
            items.append(await adapter.receive(20))
        # Pipecat sends on in pieces of its own, whose resampler may begin anew; the voice is the same.
        assert likeness(said, sound_of(items)) > 20
        await adapter.send_audio(AudioChunk(voice_like(0.02)))


async def test_keys_words_and_interruptions() -> None:
    async with _bot() as url, PipecatAgentAdapter(url) as adapter:
        # The adapter offers no keys, as little as the library that it follows does; the bot understands them.
        await adapter._line._open().send(adapter._line._caller.dtmf("5"))  # type: ignore[attr-defined]
        items: list[Incoming] = []
        while UserHeard() not in items:
            items.append(await adapter.receive(20))
        while not any(isinstance(item, AgentWords) for item in items):
            items.append(await adapter.receive(20))
    assert AgentWords(text="You pressed 5") in items
