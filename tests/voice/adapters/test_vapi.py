"""Vapi assistants: a call over REST, its WebSocket, and what the assistant tells beside its sound."""

from __future__ import annotations

import json
from typing import Any

import pytest
from broken_peers import BROKEN_PEERS, NEVER_ANSWERS, BrokenPeer, Peer, Wire, check, everything_from, odd_messages
from heard_sound import hear, likeness, sound_of, talk, voice_like
from loopback import Answer
from vapi_service import ASSISTANT, CALL, KEY, VapiService, vapi_service
from waiting import until
from websockets.asyncio.server import ServerConnection

import duologue
from duologue.errors import ConfigurationError, DuologueError
from duologue.voice.adapters.vapi import VapiAgentAdapter
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
from duologue.voice.port import UnsupportedCapabilityError, VoiceConnectionError


def _adapter(service: VapiService, **options: Any) -> VapiAgentAdapter:
    return VapiAgentAdapter(ASSISTANT, KEY, base_url=service.url, **options)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    async with vapi_service() as service:

        def make(url: str) -> VapiAgentAdapter:
            service.socket_url = url
            return _adapter(service)

        wire = Wire(sound=lambda seconds: [bytes(3_200)] * round(seconds * 10), path="/transport", takes_bytes=True)
        await check(peer, wire=wire, make=make)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
async def test_sound_goes_there_and_back_without_clicks(rate: int) -> None:
    said = voice_like(2.0)
    async with vapi_service() as service, _adapter(service, sample_rate=rate) as adapter:
        await talk(adapter, said)
        heard = await hear(adapter, 1.98)
        assert likeness(said, sound_of(heard)) > 45
        assert {len(frame) for frame in service.sound} == {round(rate * 0.02) * 2}
        assert adapter.call_id == CALL


async def test_the_rate_is_what_vapi_settles_on() -> None:
    async with vapi_service() as service:
        service.format = {"format": "pcm_s16le", "container": "raw", "sampleRate": 8_000}
        async with _adapter(service) as adapter:
            await talk(adapter, voice_like(0.1))
            await until(lambda: service.sound)
            assert len(service.sound[0]) == 320


async def test_a_call_is_created_and_ended() -> None:
    async with vapi_service() as service:
        async with _adapter(service, assistant_overrides={"firstMessage": "Hello."}):
            pass
        await until(lambda: service.messages)
        [asked] = service.api.asked  # type: ignore[union-attr]
        assert asked.json == {
            "assistantId": ASSISTANT,
            "assistantOverrides": {"firstMessage": "Hello."},
            "transport": {
                "provider": "vapi.websocket",
                "audioFormat": {"format": "pcm_s16le", "container": "raw", "sampleRate": 16_000},
            },
        }
        assert service.messages == [{"type": "end-call"}]


_TOOL = {"id": "t1", "type": "function", "function": {"name": "order", "arguments": {"id": 7}}}
_CALL = AgentToolCall(call_id="t1", name="order", arguments={"id": 7})
_MESSAGES: list[tuple[dict[str, Any], list[Incoming]]] = [
    ({"type": "speech-update", "role": "assistant", "status": "started"}, []),
    (
        {"type": "transcript", "role": "assistant", "transcriptType": "partial", "transcript": "Hel"},
        [AgentWords(text="Hel", replaces=True)],
    ),
    (
        {"type": "transcript", "role": "assistant", "transcriptType": "final", "transcript": "Hello."},
        [AgentWords(text="Hello.", replaces=True)],
    ),
    (
        {"type": "transcript", "role": "assistant", "transcriptType": "partial", "transcript": "How may"},
        [AgentWords(text="Hello. How may", replaces=True)],
    ),
    ({"type": "speech-update", "role": "assistant", "status": "stopped"}, [AgentTurnEnded()]),
    ({"type": "speech-update", "role": "user", "status": "started"}, []),
    ({"type": "transcript", "role": "user", "transcriptType": "partial", "transcript": "My"}, []),
    (
        {"type": "transcript", "role": "user", "transcriptType": "final", "transcript": "My kettle leaks."},
        [UserWords(text="My kettle leaks.")],
    ),
    (
        {"message": {"type": "transcript", "role": "assistant", "transcriptType": "final", "transcript": "Oh."}},
        [AgentWords(text="Oh.", replaces=True)],
    ),
    ({"type": "tool-calls", "toolCallList": [_TOOL]}, [_CALL]),
    (
        {"type": "tool-calls", "toolCalls": [{**_TOOL, "function": {"name": "order", "arguments": '{"id": 7}'}}]},
        [_CALL],
    ),
    ({"type": "tool-calls", "toolCallList": [{"id": "t1", "name": "order", "arguments": {"id": 7}}]}, [_CALL]),
    (
        {"type": "function-call", "functionCall": {"name": "order", "parameters": {"id": 7}}},
        [AgentToolCall(call_id="", name="order", arguments={"id": 7})],
    ),
    (
        {"type": "tool-calls-result", "toolCallResult": {"toolCallId": "t1", "result": "on its way"}},
        [AgentToolResult(call_id="t1", result="on its way")],
    ),
    ({"type": "user-interrupted"}, [UserHeard()]),
    ({"type": "model-output", "output": "x"}, []),
    ({"type": "status-update", "status": "in-progress"}, []),
    (
        {"type": "status-update", "status": "ended", "endedReason": "assistant-ended-call"},
        [CallEnded(reason="assistant-ended-call")],
    ),
    ({"type": "status-update", "status": "ended"}, []),
]


async def test_what_the_assistant_tells() -> None:
    async def behave(service: VapiService, connection: ServerConnection) -> None:
        for message, _ in _MESSAGES:
            await connection.send(json.dumps(message))
        await connection.close()

    async with vapi_service(behave) as service, _adapter(service) as adapter:
        items, _ = await everything_from(adapter)
    assert items == [*(item for _, told in _MESSAGES for item in told), CallEnded()]


async def test_an_interruption_voids_what_nobody_has_heard() -> None:
    async def behave(service: VapiService, connection: ServerConnection) -> None:
        await connection.send(bytes(320_000))
        await connection.send('{"type": "user-interrupted"}')
        await connection.send(bytes(3_200))
        await connection.close()

    async with vapi_service(behave) as service, _adapter(service) as adapter:
        await until(lambda: not adapter.is_connected)
        items, _ = await everything_from(adapter)
    assert items[0] == UserHeard()
    assert len(sound_of(items)) < 9_600


async def test_messages_of_another_shape_are_passed_over_or_an_error() -> None:
    async def behave(service: VapiService, connection: ServerConnection) -> None:
        for message, _ in _MESSAGES[:-2]:
            for odd in odd_messages(message):
                await connection.send(odd)
        await connection.close(1011, "that was all")

    async with vapi_service(behave) as service, _adapter(service) as adapter:
        _, error = await everything_from(adapter)
    assert "that was all" in str(error)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(status=401, body={"message": f"no {KEY}"}), "could not create the call: .*status 401; check the cred"),
        (Answer(status=500, body=b"<html>"), "status 500: <html>"),
        (Answer(status=201, body=b"<html>"), "expected JSON"),
        (Answer(status=201, body=[]), "expected JSON"),
        (Answer(status=201, body={}), "websocketCallUrl is None"),
        (Answer(status=201, body={"transport": None}), "websocketCallUrl is None"),
        (Answer(status=201, body={"transport": {"websocketCallUrl": 7}}), "websocketCallUrl is 7"),
        (Answer(status=201, body={"transport": {"websocketCallUrl": "https://x.test"}}), "websocketCallUrl is 'https"),
        (
            Answer(
                status=201,
                body={"transport": {"websocketCallUrl": "ws://127.0.0.1:1", "audioFormat": {"format": "mulaw"}}},
            ),
            "audio format 'mulaw'",
        ),
        (
            Answer(
                status=201,
                body={"transport": {"websocketCallUrl": "ws://127.0.0.1:1", "audioFormat": {"sampleRate": "x"}}},
            ),
            "sample rate 'x'",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
async def test_an_api_that_breaks(answer: Answer, says: str) -> None:
    async with vapi_service() as service:
        service.answer = answer
        adapter = _adapter(service)
        for _ in range(2):
            with pytest.raises(VoiceConnectionError, match=f"VapiAgentAdapter: .*{says}") as caught:
                await adapter.connect()
            assert KEY not in str(caught.value)
        await adapter.disconnect()


async def test_an_api_that_never_answers() -> None:
    peer = Peer()
    async with NEVER_ANSWERS.serves(Wire(sound=lambda _: []), peer):
        adapter = VapiAgentAdapter(ASSISTANT, KEY, base_url=f"http://127.0.0.1:{peer.port}")
        adapter.connect_timeout = 0.1
        with pytest.raises(VoiceConnectionError, match="waiting for Vapi to create the call"):
            await adapter.connect()


async def test_a_wrong_key_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with vapi_service() as service:
        adapter = VapiAgentAdapter(ASSISTANT, "wrong-key-87654321", base_url=service.url)
        with pytest.raises(VoiceConnectionError, match=r"status 401") as caught:
            await adapter.connect()
    shown = f"{caught.value!r} {adapter!r} {adapter.describe()} {caplog.text}"
    assert "87654321" not in shown


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAPI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="VAPI_API_KEY"):
        VapiAgentAdapter(ASSISTANT)
    monkeypatch.setenv("VAPI_API_KEY", KEY)
    assert KEY not in repr(VapiAgentAdapter(ASSISTANT))


@pytest.mark.parametrize(
    "arguments", [{"assistant_id": ""}, {"sample_rate": 4}, {"base_url": "ws://x"}, {"base_url": "http://u:p@x.test"}]
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="VapiAgentAdapter"):
        VapiAgentAdapter(**{"assistant_id": ASSISTANT, "api_key": KEY, **arguments})


async def test_what_it_can_do() -> None:
    can = duologue.VapiAgentAdapter(ASSISTANT, KEY).capabilities
    assert (can.streaming_transcripts, can.native_vad, can.dtmf, can.interruption) == (True, True, False, False)
    assert can.input_formats == can.output_formats == ("pcm16/16000",)
    for act in (VapiAgentAdapter(ASSISTANT, KEY).interrupt(), VapiAgentAdapter(ASSISTANT, KEY).send_dtmf("1")):
        with pytest.raises(UnsupportedCapabilityError, match="VapiAgentAdapter has no"):
            await act
    assert issubclass(UnsupportedCapabilityError, DuologueError)
