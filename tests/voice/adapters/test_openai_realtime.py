"""Agents of OpenAI's Realtime API, against a service on loopback that checks events by OpenAI's own types."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check, everything_from
from openai_realtime_service import KEY, Answer, OpenAIRealtimeService
from spoken_turns import check_odd_messages, say, seconds_of_sound, turn_of, voice_like
from waiting import LONG
from websockets.asyncio.server import ServerConnection

from duologue.errors import ConfigurationError, MissingKeyError
from duologue.vocabulary import AgentRole
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter
from duologue.voice.audio import silent_chunk
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentTurnEnded, CallEnded, UserHeard, UserWords

WHAT_IT_SAYS = "Your order has been shipped today"
SOUND = voice_like(1.2) + b"\x01\x00"
LONG_SOUND = bytes(48_000 * 60)
TOOL = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Finds an order.",
        "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
    },
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["ga", "beta"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[OpenAIRealtimeService]:
    async with OpenAIRealtimeService(beta=request.param == "beta") as found:
        yield found


def adapter_for(service: OpenAIRealtimeService, **options: Any) -> OpenAIRealtimeAgentAdapter:
    return OpenAIRealtimeAgentAdapter("gpt-realtime", base_url=f"{service.url}/v1", api_key=KEY, **options)


async def test_sound_and_words_come_both_ways(service: OpenAIRealtimeService) -> None:
    service.answers.append(Answer(WHAT_IT_SAYS, SOUND))
    service.understood.append(" Where is my order? ")
    user = voice_like(0.7, 330)
    adapter = adapter_for(service, instructions="Be brief.", transcription_model="gpt-4o-mini-transcribe")
    async with adapter:
        await say(adapter, user)
        heard = await turn_of(adapter)
    assert service.heard == [user]
    assert heard.sound == SOUND
    assert heard.words == WHAT_IT_SAYS
    assert heard.items[-1] == AgentTurnEnded()
    assert heard.of(UserWords) == [UserWords(text="Where is my order?")]
    assert service.errors == []


async def test_a_turn_that_is_shorter_than_can_be_committed_is_filled_with_silence(
    service: OpenAIRealtimeService,
) -> None:
    service.answers.append(Answer("Yes?", SOUND))
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.04))
        assert (await turn_of(adapter)).words == "Yes?"
    assert service.errors == []


async def test_without_anything_said_the_agent_is_asked_to_speak(service: OpenAIRealtimeService) -> None:
    service.answers.append(Answer("Hello", SOUND))
    async with adapter_for(service) as adapter:
        await adapter.end_user_turn()
        assert (await turn_of(adapter)).words == "Hello"
    assert service.errors == []


async def test_it_may_speak_first(service: OpenAIRealtimeService) -> None:
    service.answers.append(Answer("Good morning", SOUND))
    async with adapter_for(service, speaks_first=True) as adapter:
        assert (await turn_of(adapter)).words == "Good morning"


@pytest.mark.parametrize("is_async", [False, True])
async def test_tools_are_answered_and_the_turn_goes_on(service: OpenAIRealtimeService, is_async: bool) -> None:
    service.answers += [
        Answer("One moment", SOUND, calls=[("c1", "find_order", '{"number": "4"}'), ("c2", "find_order", "")]),
        Answer("Found it", SOUND),
    ]

    async def later(arguments: dict[str, Any]) -> object:
        return {"found": arguments.get("number")}

    def now(arguments: dict[str, Any]) -> object:
        return {"found": arguments.get("number")}

    handlers = {"find_order": later if is_async else now}
    async with adapter_for(service, tools=[TOOL], tool_handlers=handlers) as adapter:
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
    assert heard.of(AgentToolCall) == [
        AgentToolCall(call_id="c1", name="find_order", arguments={"number": "4"}),
        AgentToolCall(call_id="c2", name="find_order", arguments={}),
    ]
    assert heard.of(AgentToolResult) == [
        AgentToolResult(call_id="c1", result={"found": "4"}),
        AgentToolResult(call_id="c2", result={"found": None}),
    ]
    assert heard.words == "One momentFound it"
    assert len(heard.of(AgentTurnEnded)) == 1
    assert [json.loads(item["output"]) for item in service.outputs] == [{"found": "4"}, {"found": None}]
    assert service.errors == []


async def test_a_turn_of_nothing_but_tools_that_nobody_answers_ends(service: OpenAIRealtimeService) -> None:
    service.answers += [Answer(calls=[("c1", "find_order", '{"number": ')]), Answer("Hello", SOUND)]
    async with adapter_for(service, tools=[TOOL]) as adapter:
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
        await say(adapter, voice_like(0.2))
        assert (await turn_of(adapter)).words == "Hello"
    call = AgentToolCall(call_id="c1", name="find_order", arguments={"arguments": '{"number": '})
    assert heard.items == [call, AgentTurnEnded()]


async def test_a_handler_that_fails_is_reported_to_the_agent(service: OpenAIRealtimeService) -> None:
    service.answers += [Answer(calls=[("c1", "find_order", "{}")]), Answer("Sorry", SOUND)]

    def fails(arguments: dict[str, Any]) -> object:
        raise LookupError("no database")

    async with adapter_for(service, tools=[TOOL], tool_handlers={"find_order": fails}) as adapter:
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
    assert heard.of(AgentToolResult) == [AgentToolResult(call_id="c1", result={"error": "LookupError: no database"})]
    assert heard.words == "Sorry"


async def test_an_interruption_while_a_tool_is_answered_ends_the_turn(service: OpenAIRealtimeService) -> None:
    service.answers += [Answer(calls=[("c1", "find_order", "{}")]), Answer("I see", SOUND)]
    done, began = asyncio.Event(), asyncio.Event()

    async def waits(arguments: dict[str, Any]) -> object:
        began.set()
        await done.wait()
        return "shipped"

    async with adapter_for(service, tools=[TOOL], tool_handlers={"find_order": waits}) as adapter:
        await say(adapter, voice_like(0.2))
        await began.wait()
        await adapter.interrupt()
        assert (await turn_of(adapter)).items[-1] == AgentTurnEnded(interrupted=True)
        done.set()
        await service.until_heard(lambda event: event["type"] == "conversation.item.create")
        await say(adapter, voice_like(0.2))
        assert (await turn_of(adapter)).words == "I see"
    assert service.errors == []


async def test_an_interruption_cancels_and_cuts_off_what_was_not_heard(service: OpenAIRealtimeService) -> None:
    service.answers += [Answer(WHAT_IT_SAYS, LONG_SOUND, hold_after=4), Answer("I see", SOUND)]
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await seconds_of_sound(adapter, 0.3)
        await adapter.interrupt()
        await adapter.interrupt()
        cut = await turn_of(adapter)
        await say(adapter, voice_like(0.2))
        assert (await turn_of(adapter)).words == "I see"
    assert cut.sound == b""
    assert cut.items[-1] == AgentTurnEnded(interrupted=True)
    [(item, milliseconds)] = service.truncated
    assert item == "item_1"
    assert 0 <= milliseconds < 40_000
    assert service.errors == []


async def test_an_interruption_of_what_is_still_played_only_cuts_it_off(service: OpenAIRealtimeService) -> None:
    service.answers.append(Answer(WHAT_IT_SAYS, LONG_SOUND))
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await turn_of(adapter)
        await adapter.interrupt()
        await service.until_heard(lambda event: event["type"] == "conversation.item.truncate")
    assert not any(event["type"] == "response.cancel" for event in service.received)
    assert service.errors == []


async def test_the_next_turn_waits_until_the_answer_that_it_cuts_off_is_cancelled(
    service: OpenAIRealtimeService,
) -> None:
    service.answers += [Answer(WHAT_IT_SAYS, SOUND, hold_after=2), Answer("Yes", SOUND)]
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await seconds_of_sound(adapter, 0.3)
        await say(adapter, voice_like(0.2))  # nobody has interrupted
        assert (await turn_of(adapter)).items[-1] == AgentTurnEnded(interrupted=True)
        assert (await turn_of(adapter)).words == "Yes"
    assert service.errors == []


async def test_cancelling_too_late_is_no_error(service: OpenAIRealtimeService) -> None:
    service.answers.append(Answer("Done", SOUND))
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await turn_of(adapter)
        adapter._idle.clear()  # as if its end had not come yet  # pyright: ignore[reportPrivateUsage]
        await adapter.interrupt()
        assert (await turn_of(adapter)).items == [AgentTurnEnded(interrupted=True)]
    assert [error["code"] for error in service.errors] == ["response_cancel_not_active"]


async def test_with_turn_detection_the_server_finds_turns_and_interruptions(service: OpenAIRealtimeService) -> None:
    service.answers += [Answer(WHAT_IT_SAYS, LONG_SOUND, hold_after=3), Answer("I see", SOUND)]
    adapter = adapter_for(service, turn_detection="server_vad")
    assert adapter.wants_silence
    async with adapter:
        await say(adapter, voice_like(0.4) + bytes(24_000))
        await seconds_of_sound(adapter, 0.4)
        await say(adapter, voice_like(0.4))
        cut = await turn_of(adapter)
        await adapter.send_audio(silent_chunk(0.6))
        assert (await turn_of(adapter)).words == "I see"
    assert cut.of(UserHeard) == [UserHeard()]
    assert cut.items[-1] == AgentTurnEnded(interrupted=True)
    assert len(service.truncated) == 1
    assert service.errors == []


@pytest.mark.parametrize("role", [AgentRole.AGENT, AgentRole.USER])
async def test_text_is_said_by_the_user_or_told_to_a_simulated_one(
    service: OpenAIRealtimeService, role: AgentRole
) -> None:
    service.answers.append(Answer("I want a refund", SOUND))
    async with adapter_for(service, role=role) as adapter:
        assert adapter.role is role
        await adapter.send_text("I want a refund")
        assert (await turn_of(adapter)).words == "I want a refund"
    [item] = service.outputs
    assert item["role"] == ("user" if role is AgentRole.AGENT else "system")
    assert item["content"][0]["text"].endswith("I want a refund")


# What goes wrong


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("rate_limit_exceeded", "Rate limit reached", "Run fewer calls at once"),
        ("insufficient_quota", "You exceeded your current quota", "no credit left"),
        ("session_expired", "Your session hit the maximum duration of 60 minutes.", "make the scenario shorter"),
        ("server_error", "The server had an error", r"\(server_error\)$"),
    ],
)
async def test_errors_have_the_reason_of_the_api_and_say_what_to_do(
    service: OpenAIRealtimeService, code: str, message: str, advice: str
) -> None:
    async with adapter_for(service) as adapter:
        await service.fail(code, message)
        _, error = await everything_from(adapter)
        assert str(error).startswith(f"OpenAIRealtimeAgentAdapter: {message.rstrip('.')}")
    service.answers.append(Answer(failure=(code, message)))
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        _, failed = await everything_from(adapter)
    assert re.search(advice, str(failed))


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, '{"error": {"message": "Incorrect API key"}}', "status 401: Incorrect API key. Is OPENAI_API_KEY right"),
        (404, "", "status 404. Is the address right"),
        (429, '{"detail": "slow down"}', "status 429: slow down. Run fewer calls"),
        (500, "<html>", "status 500: <html>"),
    ],
)
async def test_a_refused_connection_says_why(service: OpenAIRealtimeService, status: int, body: str, told: str) -> None:
    service.refuses.append((status, body))
    with pytest.raises(VoiceConnectionError, match="cannot connect to ws://") as error:
        await adapter_for(service).connect()
    assert told in str(error.value)


async def test_the_end_of_the_session_by_the_service_is_the_end_of_the_call(service: OpenAIRealtimeService) -> None:
    async with adapter_for(service) as adapter:
        await service.connections[0].close(1000, "bye")
        assert await adapter.receive(LONG) == CallEnded(reason="bye")


async def test_the_key_is_shown_nowhere(service: OpenAIRealtimeService) -> None:
    adapter = adapter_for(service)
    service.refuses.append((401, f"the key {KEY} is wrong"))
    with pytest.raises(VoiceConnectionError) as error:
        await adapter.connect()
    assert KEY not in f"{adapter!r} {adapter.describe()} {error.value} {adapter.where}"


async def test_keys_and_addresses_come_from_the_environment(
    service: OpenAIRealtimeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingKeyError, match=r"OpenAIRealtimeAgentAdapter needs a key of OpenAI, .*OPENAI_API_KEY"):
        await OpenAIRealtimeAgentAdapter("gpt-realtime").connect()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", service.url.replace("ws://", "http://") + "/v1/")
    service.answers.append(Answer("Hello", SOUND))
    async with OpenAIRealtimeAgentAdapter("gpt-realtime", speaks_first=True) as adapter:
        assert (await turn_of(adapter)).words == "Hello"


@pytest.mark.parametrize("url", ["ftp://host", "nothing", "ws://", "wss://user:secret-pw-1@host/v1"])
def test_addresses_that_cannot_be_used_are_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the address of OpenAIRealtimeAgentAdapter") as error:
        OpenAIRealtimeAgentAdapter("gpt-realtime", base_url=url, api_key=KEY)
    assert "secret-pw-1" not in str(error.value)


@pytest.mark.parametrize("tool", [{"type": "function"}, {"function": "find"}, {}])
def test_tools_that_are_none_are_refused_at_once(tool: Any) -> None:
    with pytest.raises(ConfigurationError, match="OpenAIRealtimeAgentAdapter: "):
        OpenAIRealtimeAgentAdapter("gpt-realtime", tools=[tool])


def _told(kind: str, **event: Any) -> str:
    return json.dumps({"type": kind, **event})


async def _greet(connection: ServerConnection) -> None:
    await connection.send(_told("session.created", session={"type": "realtime"}))
    await connection.recv()
    await connection.send(_told("session.updated", session={}))


def _sound(seconds: float) -> list[str | bytes]:
    encoded = base64.b64encode(silent_chunk(0.1).data).decode()
    message = _told("response.output_audio.delta", response_id="r", item_id="i", content_index=0, delta=encoded)
    return [message] * round(seconds * 10)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(
        peer,
        wire=Wire(sound=_sound, greet=_greet, path="/v1"),
        make=lambda url: OpenAIRealtimeAgentAdapter("gpt-realtime", base_url=url, api_key=KEY),
    )


MESSAGES: list[dict[str, Any]] = [
    {"type": "response.output_audio.delta", "item_id": "i", "content_index": 0, "delta": "AAAA"},
    {"type": "response.output_audio_transcript.delta", "item_id": "i", "content_index": 0, "delta": "a"},
    {"type": "response.output_audio_transcript.done", "item_id": "i", "transcript": "a"},
    {"type": "response.function_call_arguments.done", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "response.output_item.done", "item": {"type": "function_call", "call_id": "c", "name": "f"}},
    {"type": "conversation.item.input_audio_transcription.completed", "transcript": "a"},
    {
        "type": "response.done",
        "response": {
            "status": "failed",
            "output": [{"type": "function_call", "call_id": "c", "arguments": "{}"}],
            "status_details": {"error": {"code": "a", "message": "b"}},
        },
    },
    {"type": "error", "error": {"type": "a", "code": "b", "message": "c", "event_id": "d"}},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["type"])
async def test_messages_of_another_shape_are_passed_over_or_are_an_error_of_the_adapter(
    message: dict[str, Any],
) -> None:
    await check_odd_messages(
        message, _greet, lambda url: OpenAIRealtimeAgentAdapter("gpt-realtime", base_url=url, api_key=KEY)
    )
