"""Pipecat bots and other agents for Twilio Media Streams: this side plays Twilio."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check, everything_from, odd_messages, seconds_in
from heard_sound import hear, likeness, sound_of, talk, voice_like
from media_stream_agent import MediaStreamAgent, media_stream_agent
from waiting import LONG, until

import duologue
from duologue.errors import ConfigurationError
from duologue.voice.adapter import UnsupportedCapabilityError, VoiceConnectionError
from duologue.voice.adapters.pipecat import PipecatAgentAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.g711 import mulaw_encode
from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)


def _sound(seconds: float) -> list[str | bytes]:
    def message(part: float) -> str:
        payload = b64encode(b"\xff" * round(part * 8_000)).decode()
        return json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": payload}})

    whole = int(seconds)
    return [message(1.0)] * whole + [message(0.1)] * round((seconds - whole) * 10)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(peer, wire=Wire(sound=_sound, greet=MediaStreamAgent().greet), make=PipecatAgentAdapter)


@pytest.mark.parametrize(
    ("codec", "rate", "least"),
    [("mulaw", 8_000, 33), ("alaw", 8_000, 33), ("pcm16", 16_000, 45), ("pcm16", 24_000, 80)],
)
async def test_sound_goes_there_and_back_without_clicks(codec: Any, rate: int, least: float) -> None:
    said = voice_like(2.0)
    async with media_stream_agent() as agent:
        adapter = PipecatAgentAdapter(agent.url, audio_format=codec, sample_rate=rate)
        await adapter.connect()
        await talk(adapter, said)
        heard = await hear(adapter, 1.99)
        await adapter.disconnect()
    assert likeness(said, sound_of(heard)) > least
    assert agent.start["mediaFormat"]["sampleRate"] == rate


async def test_twenty_milliseconds_are_160_bytes_of_mulaw() -> None:
    async with media_stream_agent() as agent:
        async with PipecatAgentAdapter(agent.url) as adapter:
            await talk(adapter, voice_like(0.5) + b"\0\0" * 100)
            await until(lambda: agent.named("mark"))
        await until(lambda: agent.named("stop"))
    assert {len(frame) for frame in agent.frames()} == {160}
    assert agent.start["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert [event["event"] for event in agent.events[-2:]] == ["mark", "stop"]
    assert agent.named("mark")[0]["mark"] == {"name": "utterance_end"}
    assert agent.named("stop")[0]["stop"]["callSid"] == agent.start["callSid"]


async def test_identifiers_are_those_that_are_given() -> None:
    stream, call = "MZ" + "a" * 32, "CA" + "b" * 32
    async with media_stream_agent() as agent, PipecatAgentAdapter(agent.url, stream_sid=stream, call_sid=call):
        await until(lambda: agent.start)
    assert (agent.start["streamSid"], agent.start["callSid"]) == (stream, call)


async def test_each_call_begins_anew() -> None:
    async with media_stream_agent() as agent:
        adapter = PipecatAgentAdapter(agent.url)
        for _ in range(2):
            agent.events.clear()
            await adapter.connect()
            await talk(adapter, voice_like(0.2))
            await hear(adapter, 0.18)
            await adapter.disconnect()
            await until(lambda: agent.named("stop"))


async def test_clear_of_the_agent_voids_what_nobody_has_heard() -> None:
    async def answers(agent: MediaStreamAgent, event: dict[str, Any]) -> None:
        if event["event"] == "mark" and event["mark"]["name"] == "utterance_end":
            for _ in range(100):
                await agent.say(mulaw_encode(bytes(320)))
            await agent.send("mark", mark={"name": "said"})
            await agent.send("clear")
            await agent.say(mulaw_encode(bytes(320 * 5)))
            await agent.connection.close()  # type: ignore[union-attr]

    async with media_stream_agent(answers) as agent:
        adapter = PipecatAgentAdapter(agent.url)
        await adapter.connect()
        await talk(adapter, voice_like(0.1))
        await until(lambda: not adapter.is_connected)
        items, _ = await everything_from(adapter)
        await adapter.disconnect()
    kinds = [type(item) for item in items if not isinstance(item, AudioChunk)]
    assert kinds == [UserHeard, CallEnded]
    assert seconds_in(items) == pytest.approx(0.1, abs=0.01)


async def test_marks_are_answered_when_the_sound_before_them_was_heard() -> None:
    async def answers(agent: MediaStreamAgent, event: dict[str, Any]) -> None:
        if event["event"] != "mark" or event["mark"]["name"] != "utterance_end":
            return
        await agent.send("mark", mark={"name": "nothing before"})
        await agent.say(mulaw_encode(bytes(320)))
        await agent.send("mark", mark={"name": "soon"})
        for _ in range(30):
            await agent.say(mulaw_encode(bytes(16_000)))
        await agent.send("mark", mark={"name": "in half a minute"})
        await agent.say_json({"label": "rtvi-ai", "type": "bot-stopped-speaking"})

    async with media_stream_agent(answers) as agent:
        adapter = PipecatAgentAdapter(agent.url)
        await adapter.connect()
        await talk(adapter, voice_like(0.1))
        while await adapter.receive(LONG) != AgentTurnEnded():
            continue

        def names() -> list[str]:
            marks = [event["mark"]["name"] for event in agent.named("mark")]
            return [name for name in marks if name != "utterance_end"]

        await until(lambda: len(names()) >= 2)
        agent.on_event = None
        await adapter.end_user_turn()
        await until(lambda: len(agent.named("mark")) - len(names()) == 2)
        assert names() == ["nothing before", "soon"]
        await agent.send("clear")
        await until(lambda: names() == ["nothing before", "soon", "in half a minute"])
        await adapter.disconnect()


async def test_the_user_cuts_in() -> None:
    async with media_stream_agent() as agent:
        adapter = PipecatAgentAdapter(agent.url)
        await adapter.connect()
        await talk(adapter, voice_like(0.5))
        await until(lambda: len(agent.named("media")) >= 25)
        await adapter.interrupt()
        await until(lambda: agent.named("clear"))
        assert agent.named("clear")[0]["streamSid"] == agent.start["streamSid"]
        await adapter.disconnect()


_RTVI: list[tuple[str, Any, list[Incoming]]] = [
    ("bot-tts-text", {"text": "Hello"}, [AgentWords(text="Hello")]),
    ("bot-tts-text", {"text": " there. "}, [AgentWords(text=" there.")]),
    ("bot-output", {"text": "Hello there.", "spoken": True}, []),
    ("bot-stopped-speaking", None, [AgentTurnEnded()]),
    ("bot-tts-text", {"text": "Again"}, [AgentWords(text="Again")]),
    ("user-transcription", {"text": "my kett", "final": False}, []),
    ("user-transcription", {"text": "My kettle leaks.", "final": True}, [UserWords(text="My kettle leaks.")]),
    ("user-started-speaking", None, [UserHeard()]),
    (
        "llm-function-call",
        {"function_name": "order", "tool_call_id": "t1", "args": {"id": 7}},
        [AgentToolCall(call_id="t1", name="order", arguments={"id": 7})],
    ),
    (
        "llm-function-call-stopped",
        {"tool_call_id": "t1", "result": {"ok": 1}},
        [AgentToolResult(call_id="t1", result={"ok": 1})],
    ),
    ("metrics", {"ttfb": []}, []),
    ("bot-tts-text", {"text": 5}, []),
    ("bot-tts-text", [1], []),
    ("error", {"error": "no model", "fatal": True}, [CallEnded(reason="the bot reports an error: no model")]),
]


async def test_what_a_bot_says_of_itself_is_told() -> None:
    async def answers(agent: MediaStreamAgent, event: dict[str, Any]) -> None:
        if event["event"] == "mark":
            for kind, data, _ in _RTVI:
                await agent.say_json({"label": "rtvi-ai", "type": kind, "id": "1", "data": data})
            await agent.say_json({"event": "its own", "what": 1})
            await agent.say_json({"hello": "world"})
            await agent.connection.close()  # type: ignore[union-attr]

    async with media_stream_agent(answers) as agent:
        adapter = PipecatAgentAdapter(agent.url)
        await adapter.connect()
        await talk(adapter, voice_like(0.1))
        items, _ = await everything_from(adapter)
        await adapter.disconnect()
    assert items == [*(item for _, _, told in _RTVI for item in told), CallEnded()]


async def test_messages_of_another_shape_are_an_error_or_nothing() -> None:
    media = {"event": "media", "media": {"payload": "////"}}
    known = [
        media,
        {"event": "mark", "mark": {"name": "x"}},
        {"label": "rtvi-ai", "type": "bot-output", "data": {"text": "a", "spoken": True}},
    ]
    for message in [text for each in known for text in odd_messages(each)]:

        async def answers(agent: MediaStreamAgent, event: dict[str, Any], message: str = message) -> None:
            if event["event"] == "media":
                return
            assert agent.connection is not None
            await agent.connection.send(message)
            await agent.connection.close()

        async with media_stream_agent(answers) as agent:
            adapter = PipecatAgentAdapter(agent.url)
            await adapter.connect()
            await adapter.end_user_turn()
            items, error = await everything_from(adapter)
            await adapter.disconnect()
        assert isinstance(error, VoiceConnectionError)
        assert "does not keep to the protocol" in str(error) or CallEnded() in items, message


def test_what_it_can_do() -> None:
    adapter = duologue.PipecatAgentAdapter("ws://bot.test/ws?token=geheim12")
    can = adapter.capabilities
    assert (can.streaming_transcripts, can.native_vad, can.dtmf, can.interruption) == (True, True, False, True)
    assert can.input_formats == can.output_formats == ("pcm16/24000", "mulaw/8000", "opus")
    assert repr(adapter) == "PipecatAgentAdapter('ws://bot.test/ws?…')"
    assert "geheim12" not in f"{adapter.describe()}"


async def test_it_has_no_keys() -> None:
    with pytest.raises(UnsupportedCapabilityError, match="PipecatAgentAdapter has no 'dtmf'"):
        await PipecatAgentAdapter("ws://bot.test/ws").send_dtmf("1")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "needs url"),
        ({"url": "http://bot.test"}, "must look like ws://"),
        ({"url": "bot.test:80"}, "must look like ws://"),
        ({"url": "ws://"}, "must look like ws://"),
        ({"url": "ws://bot.test", "audio_format": "opus"}, "audio_format is 'opus'"),
        ({"url": "ws://bot.test", "sample_rate": 0}, "sample_rate is 0"),
        ({"url": "ws://bot.test", "transport": "udp"}, "transport is 'udp'"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        PipecatAgentAdapter(**arguments)


async def test_where_only_public_addresses_may_be_used() -> None:
    from duologue.config.access import Access, using

    async with media_stream_agent() as agent:
        adapter = PipecatAgentAdapter(agent.url)
        with using(Access(private_addresses=False)), pytest.raises(ConfigurationError, match="not a public address"):
            await adapter.connect()
    assert agent.events == []
    await asyncio.wait_for(adapter.disconnect(), LONG)
