"""Agents behind a WebSocket that need no code here: sound as it is, events as JSON."""

from __future__ import annotations

import json

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check
from websockets.asyncio.server import ServerConnection, serve

from duologue.errors import ConfigurationError
from duologue.runtimes.base import AgentSnapshot
from duologue.runtimes.registry import find_runtime
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.events import EventsProtocol
from duologue.voice.adapters.websocket import WebSocketAgentAdapter
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.incoming import (
    AgentKeys,
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)

_WIRE = Wire(
    sound=lambda seconds: [silent_chunk(0.1).data] * round(seconds * 10), takes_bytes=True, path="/talk?key=abc"
)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(peer, wire=_WIRE, make=lambda url: WebSocketAgentAdapter(url, EventsProtocol()))


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"type": "words", "text": "Hello "}, AgentWords(text="Hello ")),
        ({"type": "words", "text": "Hello.", "replaces": True}, AgentWords(text="Hello.", replaces=True)),
        ({"type": "user_words", "text": "hi"}, UserWords(text="hi")),
        ({"type": "turn_ended"}, AgentTurnEnded()),
        ({"type": "turn_ended", "interrupted": True}, AgentTurnEnded(interrupted=True)),
        ({"type": "user_heard"}, UserHeard()),
        ({"type": "tool_call", "name": "f"}, AgentToolCall(call_id="", name="f", arguments={})),
        (
            {"type": "tool_call", "id": 7, "name": "f", "arguments": '{"a": 1}'},
            AgentToolCall(call_id="7", name="f", arguments={"a": 1}),
        ),
        ({"type": "tool_result", "id": "c", "result": [1]}, AgentToolResult(call_id="c", result=[1])),
        ({"type": "keys", "keys": "12#"}, AgentKeys(keys="12#")),
        ({"type": "call_ended", "reason": "bye"}, CallEnded(reason="bye")),
        ({"type": "ping"}, None),
        ({"no": "type"}, None),
    ],
)
def test_what_events_say(event: dict[str, object], found: Incoming | None) -> None:
    assert EventsProtocol().decode_response(json.dumps(event)) == found


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"wrds": "text"}, "there is no event 'wrds'; did you mean 'words'"),
        ({"audio": "sound"}, "there is no event 'audio'"),
        ({"words": "said", "turn_ended": "said"}, "'said' stands for two events"),
        ({"words": "keys"}, "'keys' stands for two events"),
    ],
)
def test_names_that_cannot_be_used(names: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        EventsProtocol(names=names)
    with pytest.raises(ConfigurationError, match=rf"runtime\.names: .*{told}"):
        find_runtime({"kind": "websocket", "url": "ws://localhost:1/x", "names": names}, AgentSnapshot(agent_id="a"))
    assert EventsProtocol(names={"words": "keys", "keys": "words"})


def test_names_of_the_agent_are_used_both_ways() -> None:
    protocol = EventsProtocol(names={"words": "transcript", "interrupt": "stop"}, type_field="event", interruption=True)
    assert protocol.decode_response('{"event": "transcript", "text": "x"}') == AgentWords(text="x")
    assert protocol.decode_response('{"event": "words", "text": "x"}') is None
    assert json.loads(str(protocol.encode_interrupt())) == {"event": "stop"}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("[1]", "an event is a JSON object; found list"),
        ('{"type": "words", "text": 7}', "the field 'text' is a text; found int"),
        ('{"type": "tool_call", "arguments": {}}', "a tool call has a 'name'"),
        ("{", "decode_response failed"),
    ],
)
async def test_what_breaks_the_protocol_is_an_error_that_quotes_it(message: str, told: str) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(message)
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with WebSocketAgentAdapter(f"ws://127.0.0.1:{port}", EventsProtocol()) as adapter:
            with pytest.raises(VoiceConnectionError, match="EventsProtocol") as raised:
                await adapter.receive(30)
    assert told in str(raised.value)
    assert message in str(raised.value)


async def test_telephone_sound_goes_both_ways_and_turns_are_announced() -> None:
    got: list[str | bytes] = []

    async def talk(connection: ServerConnection) -> None:
        async for message in connection:
            got.append(message)
            if isinstance(message, bytes):
                await connection.send(message)
            elif "user_turn_ended" in message:
                await connection.send('{"type": "turn_ended"}')

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        protocol = EventsProtocol(codec="mulaw", rate=8000, announces_turns=True)
        async with WebSocketAgentAdapter(f"ws://127.0.0.1:{port}", protocol) as adapter:
            await adapter.begin_user_turn()
            for _ in range(10):
                await adapter.send_audio(silent_chunk(0.02))
            await adapter.end_user_turn()
            heard = 0.0
            while isinstance(item := await adapter.receive(30), AudioChunk):
                heard += item.duration_seconds
    assert isinstance(item, AgentTurnEnded)
    assert heard == pytest.approx(0.2, abs=0.03)
    assert [json.loads(item)["type"] for item in got if isinstance(item, str)] == ["user_turn_began", "user_turn_ended"]
    assert {len(item) for item in got if isinstance(item, bytes)} == {160}
