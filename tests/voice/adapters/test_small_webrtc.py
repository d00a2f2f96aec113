"""Pipecat bots over WebRTC: a peer that speaks its protocol, and a real bot where Pipecat is at hand."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from sounds import FRAME, frames, loud_seconds, nothing_left, tone
from waiting import LONG
from webrtc_peer import peer

from duologue.errors import ConfigurationError
from duologue.voice.adapter import UnsupportedCapabilityError, VoiceConnectionError
from duologue.voice.adapters.pipecat import PipecatAgentAdapter
from duologue.voice.adapters.small_webrtc import RtviChannel
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords, CallEnded, Incoming, UserHeard

BOT = Path(__file__).parents[2] / "fakes" / "pipecat_rtc_bot.py"
PYTHON = os.environ.get("PIPECAT_PYTHON", "")
"""Of an environment with pipecat-ai[webrtc], fastapi and uvicorn."""


def rtvi(kind: str, **data: object) -> str:
    return json.dumps({"label": "rtvi-ai", "type": kind, "data": data})


def bot_is_ready(message: str | bytes) -> Sequence[str]:
    return [rtvi("bot-ready", version="1.2.0")] if json.loads(message)["type"] == "client-ready" else []


async def take(adapter: PipecatAgentAdapter, until: type) -> list[Incoming]:
    """What comes, up to the first of a type."""
    came: list[Incoming] = []
    while not came or not isinstance(came[-1], until):
        came.append(await adapter.receive(LONG))
    return came


async def test_a_bot_that_speaks_rtvi():
    async with nothing_left(), peer(on_message=bot_is_ready) as (url, bot):
        adapter = PipecatAgentAdapter(
            transport="webrtc", signaling_url=url, token="token-4711-secret", request_data={"agent": "a1"}
        )
        assert adapter.describe() == {"transport": "webrtc", "url": url}
        assert adapter.capabilities.streaming_transcripts
        assert not adapter.capabilities.interruption
        assert not adapter.ends_turns, "it is not known yet whether the bot speaks RTVI"
        async with adapter:
            await bot.until(lambda: bot.channel is not None and bool(bot.messages))
            assert bot.channel is not None
            assert bot.channel.label == "chat"
            hello = json.loads(bot.messages[0])
            assert (hello["label"], hello["type"]) == ("rtvi-ai", "client-ready")
            assert hello["data"]["about"]["library"] == "duologue"
            asked = json.loads(bot.requests[0].body)
            assert asked["requestData"] == {"agent": "a1"}
            assert bot.requests[0].headers["authorization"] == "Bearer token-4711-secret"
            await bot.say(tone(440, 0.4))
            for message in (
                rtvi("bot-started-speaking"),
                rtvi("bot-tts-text", text="good"),
                rtvi("bot-tts-text", text="day"),
                "pong",
                "[]",
                json.dumps({"type": "signalling", "message": {"type": "renegotiate"}}),
                rtvi("bot-stopped-speaking"),
            ):
                bot.channel.send(message)
            came = await take(adapter, AgentTurnEnded)
            assert "".join(item.text for item in came if isinstance(item, AgentWords)) == "good day"
            assert adapter.ends_turns
            with pytest.raises(UnsupportedCapabilityError, match="PipecatAgentAdapter has no 'interruption'"):
                await adapter.interrupt()
            bot.channel.send(json.dumps({"type": "signalling", "message": {"type": "peerLeft"}}))
            assert (await take(adapter, CallEnded))[-1] == CallEnded(reason="the bot has left")
        assert "4711" not in repr(adapter)


async def test_a_bot_without_rtvi_ends_turns_by_silence():
    async with nothing_left(), peer() as (url, bot):
        adapter = PipecatAgentAdapter(transport="webrtc", signaling_url=url)
        await adapter.connect()
        await bot.say(tone(440, 0.3))
        await take(adapter, AudioChunk)
        assert not adapter.ends_turns
        await adapter.disconnect()


async def test_the_bot_is_not_there():
    async with peer() as (url, _):
        pass
    with pytest.raises(VoiceConnectionError, match=f"PipecatAgentAdapter: cannot connect to {url}: "):
        await PipecatAgentAdapter(transport="webrtc", signaling_url=url).connect()


def test_what_is_missing_is_named():
    with pytest.raises(ConfigurationError, match=r"transport='webrtc' needs signaling_url, such as http://"):
        PipecatAgentAdapter("ws://bot.test", transport="webrtc")
    with pytest.raises(ConfigurationError, match="transport is 'carrier pigeon'; expected 'websocket' or 'webrtc'"):
        PipecatAgentAdapter("ws://bot.test", transport="carrier pigeon")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message", [b"\xff", "", "7", '{"type": "bot-ready"}', '{"label": "other", "type": "bot-ready"}']
)
def test_what_is_no_rtvi_is_passed_over(message: str | bytes):
    ready: list[bool] = []
    assert RtviChannel(lambda: ready.append(True)).decode(message) == []
    assert not ready


@pytest.mark.skipif(not Path(PYTHON).is_file(), reason="PIPECAT_PYTHON names no Python with pipecat-ai[webrtc]")
async def test_a_real_bot_says_what_it_hears_and_stops_when_it_is_talked_over():
    process = await asyncio.create_subprocess_exec(PYTHON, str(BOT), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        adapter = PipecatAgentAdapter(transport="webrtc", signaling_url=f"http://127.0.0.1:{port}/api/offer")
        async with nothing_left(), adapter:
            speaking = asyncio.create_task(_speak(adapter, bytes(FRAME) * 20 + tone(440, 0.6)))
            answer = await take(adapter, AgentTurnEnded)
            await speaking
            assert [item.text for item in answer if isinstance(item, AgentWords)] == ["once", " twice", " thrice"]
            assert loud_seconds(_sound(answer)) > 1.5, "three times what it has heard"
            assert adapter.ends_turns

            speaking = asyncio.create_task(_speak(adapter, tone(440, 0.6)))
            await take(adapter, AgentWords)
            await speaking
            cut_in = asyncio.create_task(_speak(adapter, tone(660, 0.3)))
            await take(adapter, UserHeard)
            rest = await take(adapter, AgentTurnEnded)
            await cut_in
            assert loud_seconds(_sound(rest)) < 1.2, "it has stopped"
    finally:
        process.terminate()
        await process.wait()


def _sound(came: list[Incoming]) -> bytes:
    return b"".join(item.data for item in came if isinstance(item, AudioChunk))


async def _speak(adapter: PipecatAgentAdapter, pcm: bytes) -> None:
    for frame in frames(pcm):
        await adapter.send_audio(frame)
