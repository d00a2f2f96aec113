"""Agents of ElevenLabs, against a service on loopback that speaks the protocol of its agents platform."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check, everything_from
from elevenlabs_agents_service import KEY, Answer, ElevenLabsAgentsService
from spoken_turns import Heard, alike, check_odd_messages, frames, seconds_of_sound, turn_of, voice_like
from waiting import LONG, until
from websockets.asyncio.server import ServerConnection

from duologue.voice.adapter import UnsupportedCapabilityError, VoiceConnectionError
from duologue.voice.adapters.elevenlabs_agent import ElevenLabsAgentAdapter
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentWords, CallEnded, UserHeard, UserWords

WHAT_IT_SAYS = "Your order has been shipped today"
SOUND = voice_like(1.5)
FORMATS = ["pcm_8000", "pcm_16000", "pcm_24000", "pcm_44100", "ulaw_8000"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ELEVENLABS_API_KEY", "ELEVENLABS_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def service() -> AsyncIterator[ElevenLabsAgentsService]:
    async with ElevenLabsAgentsService() as found:
        yield found


def adapter_for(service: ElevenLabsAgentsService, **options: Any) -> ElevenLabsAgentAdapter:
    return ElevenLabsAgentAdapter("agent_1", KEY, base_url=service.url, **options)


async def speak(adapter: ElevenLabsAgentAdapter, pcm: bytes) -> None:
    """A turn of the user, with the silence after it that the line carries."""
    for frame in frames(pcm + silent_chunk(0.7).data):
        await adapter.send_audio(frame)


async def sound_of(adapter: ElevenLabsAgentAdapter, seconds: float) -> Heard:
    return await seconds_of_sound(adapter, seconds - 0.02)


@pytest.mark.parametrize("form", FORMATS)
async def test_sound_and_words_come_both_ways_in_the_formats_of_the_agent(form: str) -> None:
    async with ElevenLabsAgentsService(heard_format=form, spoken_format=form) as service:
        service.answers.append(Answer(WHAT_IT_SAYS, SOUND))
        service.understood.append("Where is my order? ")
        user = voice_like(0.7, 330)
        async with adapter_for(service) as adapter:
            assert adapter.wants_silence
            await speak(adapter, user)
            heard = await sound_of(adapter, 1.5)
            assert adapter.conversation_id == "conv_1"
            await until(lambda: len(service.pongs) == 2)
        assert service.pongs == [0, 1]
        assert alike(service.heard[0], user) > 0.95
        assert alike(heard.sound, SOUND) > 0.95
        assert heard.words == WHAT_IT_SAYS
        assert heard.of(UserWords) == [UserWords(text="Where is my order?")]


async def test_prompt_first_message_and_variables_are_passed_on(service: ElevenLabsAgentsService) -> None:
    service.greets = True
    service.answers.append(Answer("Hi there", SOUND))
    adapter = adapter_for(
        service,
        system_prompt_override="Be brief.",
        first_message_override="Hi there",
        dynamic_variables={"customer": "Ada", "orders": 3},
    )
    async with adapter:
        assert (await sound_of(adapter, 1.5)).words == "Hi there"
    assert service.initiation == {
        "type": "conversation_initiation_client_data",
        "conversation_config_override": {"agent": {"prompt": {"prompt": "Be brief."}, "first_message": "Hi there"}},
        "dynamic_variables": {"customer": "Ada", "orders": 3},
    }


async def test_client_tools_are_answered(service: ElevenLabsAgentsService) -> None:
    calls: list[Any] = [("c1", "find_order", {"number": "4"}), ("c2", "count", {}), ("c3", "unknown", {})]
    service.answers.append(Answer("Found it", SOUND, calls=calls))

    async def found(arguments: dict[str, Any]) -> object:
        return {"found": arguments["number"]}

    handlers: Any = {"find_order": found, "count": lambda arguments: "three"}
    async with adapter_for(service, tool_handlers=handlers) as adapter:
        await speak(adapter, voice_like(0.2))
        heard = await sound_of(adapter, 1.5)
    assert [call.name for call in heard.of(AgentToolCall) if isinstance(call, AgentToolCall)] == [
        "find_order",
        "count",
        "unknown",
    ]
    assert heard.of(AgentToolResult)[0] == AgentToolResult(call_id="c1", result={"found": "4"})
    assert heard.words == "Found it"
    assert service.tool_results == [
        {"tool_call_id": "c1", "result": '{"found": "4"}', "is_error": False},
        {"tool_call_id": "c2", "result": "three", "is_error": False},
        {"tool_call_id": "c3", "result": '{"error": "there is no tool \'unknown\' here"}', "is_error": True},
    ]


async def test_an_agent_that_is_talked_over_stops_and_corrects_its_words(service: ElevenLabsAgentsService) -> None:
    service.answers += [Answer(WHAT_IT_SAYS, SOUND, hold_after=2, heard="Your order"), Answer("I see", SOUND)]
    async with adapter_for(service) as adapter:
        with pytest.raises(UnsupportedCapabilityError):
            await adapter.interrupt()
        await speak(adapter, voice_like(0.2))
        await sound_of(adapter, 1.0)
        await adapter.send_audio(AudioChunk(voice_like(0.1)))
        cut = await turn_of(adapter, AgentWords)
        await speak(adapter, voice_like(0.1))
        heard = await sound_of(adapter, 1.5)
    assert cut.items == [UserHeard(), AgentWords(text="Your order", replaces=True, corrects=True)]
    assert heard.words.strip() == "I see"


async def test_sound_that_waits_is_void_once_the_agent_was_interrupted(service: ElevenLabsAgentsService) -> None:
    service.answers.append(Answer(WHAT_IT_SAYS, SOUND * 4, hold_after=10, heard="Your"))
    async with adapter_for(service) as adapter:
        await speak(adapter, voice_like(0.2))
        await until(lambda: adapter._inbox._bytes > 200_000)  # pyright: ignore[reportPrivateUsage]
        await adapter.send_audio(AudioChunk(voice_like(0.1)))
        await until(lambda: adapter._interrupted_at > 0)  # pyright: ignore[reportPrivateUsage]
        assert (await turn_of(adapter, UserHeard)).sound == b""
        assert isinstance(await adapter.receive(LONG), AgentWords)


async def test_several_answers_to_one_turn_are_corrected_in_their_last(service: ElevenLabsAgentsService) -> None:
    async with adapter_for(service) as adapter:
        for text in ("One moment.", "It is on its way."):
            await _told(service, agent_response={"agent_response": f" {text} ", "event_id": 1})
        await _told(service, agent_response_correction={"corrected_agent_response": "It is", "event_id": 1})
        items = [await adapter.receive(LONG) for _ in range(3)]
    assert items == [
        AgentWords(text="One moment."),
        AgentWords(text=" It is on its way."),
        AgentWords(text="One moment. It is", replaces=True, corrects=True),
    ]


async def test_an_agent_that_hangs_up_ends_the_call(service: ElevenLabsAgentsService) -> None:
    async with adapter_for(service) as adapter:
        await service.connections[0].close(1000, "Agent ended the call")
        assert await adapter.receive(LONG) == CallEnded(reason="Agent ended the call")


# What goes wrong


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            {"code": 1008, "error_type": "missing_dynamic_variable", "message": "Missing: customer"},
            "Missing: customer (missing_dynamic_variable). Pass it as dynamic_variables.",
        ),
        ({"code": 1002, "error_type": "llm_timeout", "reason": "LLM timed out"}, "LLM timed out (llm_timeout)"),
        ({"code": 1000, "error_type": "max_duration_exceeded"}, "make the scenario shorter."),
        ({"code": 1008, "message": "This request exceeds your quota limit"}, "no credit left for this."),
    ],
)
async def test_errors_have_the_reason_of_the_api_and_say_what_to_do(
    service: ElevenLabsAgentsService, error: dict[str, Any], told: str
) -> None:
    async with adapter_for(service) as adapter:
        await service.fail(**error)
        _, found = await everything_from(adapter)
    assert told in str(found)


async def test_overrides_that_the_agent_does_not_allow_are_an_error_that_says_so(
    service: ElevenLabsAgentsService,
) -> None:
    service.allows_overrides = False
    with pytest.raises(VoiceConnectionError, match=r"is not allowed .*Allow overrides in the security settings"):
        await adapter_for(service, system_prompt_override="Be brief.").connect()


@pytest.mark.parametrize("form", ["opus_48000", "pcm_", "pcm_9", "mp3_22050_32"])
async def test_formats_that_are_unknown_are_an_error(form: str) -> None:
    async with ElevenLabsAgentsService(spoken_format=form) as service:
        with pytest.raises(VoiceConnectionError, match=f"the agent's sound is '{form}'; expected pcm_8000"):
            await adapter_for(service).connect()


async def test_a_refused_key_is_named_and_shown_nowhere(service: ElevenLabsAgentsService) -> None:
    wrong = "xi-wrong-0123456789abcdef"
    adapter = ElevenLabsAgentAdapter("agent_1", wrong, base_url=service.url)
    service.refuses.append((401, json.dumps({"detail": {"message": f"Invalid API key {wrong}"}})))
    with pytest.raises(
        VoiceConnectionError, match=r"status 401: Invalid API key \*\*\*. Is ELEVENLABS_API_KEY"
    ) as error:
        await adapter.connect()
    assert wrong not in f"{adapter!r} {adapter.describe()} {error.value} {adapter.where}"


async def test_keys_and_addresses_come_from_the_environment_and_public_agents_need_no_key(
    service: ElevenLabsAgentsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVENLABS_BASE_URL", service.url.replace("ws://", "http://"))
    service.public = True
    async with ElevenLabsAgentAdapter("agent_1"):
        assert "xi-api-key" not in service.requests[-1].headers
    service.public = False
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    async with ElevenLabsAgentAdapter("agent_1"):
        assert service.requests[-1].headers["xi-api-key"] == KEY


async def test_it_is_closed_in_any_order_and_while_a_tool_is_answered(service: ElevenLabsAgentsService) -> None:
    service.answers.append(Answer("Found it", SOUND, calls=[("c1", "find_order", {})]))
    began = asyncio.Event()

    async def waits(arguments: dict[str, Any]) -> object:
        began.set()
        return await asyncio.Event().wait()

    adapter = adapter_for(service, tool_handlers={"find_order": waits})
    await adapter.disconnect()
    for _ in range(2):
        await adapter.connect()
        await speak(adapter, voice_like(0.2))
        await until(lambda: began.is_set() or len(service.requests) > 1)
        await asyncio.gather(adapter.disconnect(), adapter.disconnect())
    await adapter.disconnect()


async def _told(service: ElevenLabsAgentsService, **events: Any) -> None:
    for kind, data in events.items():
        await service.send(service.connections[0], {"type": kind, f"{kind}_event": data})


async def _greet(connection: ServerConnection) -> None:
    await connection.recv()
    data = {"conversation_id": "c", "agent_output_audio_format": "pcm_24000", "user_input_audio_format": "pcm_24000"}
    message = {"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event": data}
    await connection.send(json.dumps(message))


def _sound(seconds: float) -> list[str | bytes]:
    data = {"audio_base_64": base64.b64encode(silent_chunk(0.1).data).decode(), "event_id": 1}
    return [json.dumps({"type": "audio", "audio_event": data})] * round(seconds * 10)


def _made(url: str) -> ElevenLabsAgentAdapter:
    return ElevenLabsAgentAdapter("agent_1", KEY, base_url=url)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(peer, wire=Wire(sound=_sound, greet=_greet), make=_made)


MESSAGES: list[dict[str, Any]] = [
    {"type": "audio", "audio_event": {"audio_base_64": "AAAA", "event_id": 1}},
    {"type": "agent_response", "agent_response_event": {"agent_response": "a", "event_id": 1}},
    {"type": "agent_response_correction", "agent_response_correction_event": {"corrected_agent_response": "a"}},
    {"type": "user_transcript", "user_transcription_event": {"user_transcript": "a"}},
    {"type": "interruption", "interruption_event": {"event_id": 1}},
    {"type": "client_tool_call", "client_tool_call": {"tool_name": "a", "tool_call_id": "b", "parameters": {}}},
    {"type": "ping", "ping_event": {"event_id": 1}},
    {"type": "error", "error_event": {"code": 1008, "message": "a", "error_type": "b"}},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["type"])
async def test_messages_of_another_shape_are_passed_over_or_are_an_error_of_the_adapter(
    message: dict[str, Any],
) -> None:
    await check_odd_messages(message, _greet, _made)
