"""Agents of the Gemini Live API, against a service on loopback that checks messages by the types of google-genai."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check, everything_from
from gemini_live_service import KEY, Answer, GeminiLiveService, camel
from spoken_turns import alike, check_odd_messages, say, seconds_of_sound, turn_of, voice_like
from waiting import LONG
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

from duologue.errors import MissingKeyError
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentTurnEnded, UserHeard, UserWords
from duologue.voice.resample import resample

WHAT_IT_SAYS = "Your order has been shipped today"
SOUND = voice_like(1.2)
LONG_SOUND = bytes(48_000 * 60)
TOOL = {"name": "find_order", "description": "Finds an order.", "parameters": {"type": "object", "properties": {}}}
VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def service() -> AsyncIterator[GeminiLiveService]:
    async with GeminiLiveService() as found:
        yield found


def adapter_for(service: GeminiLiveService, **options: Any) -> GeminiLiveAgentAdapter:
    return GeminiLiveAgentAdapter("gemini-live", base_url=service.url, api_key=KEY, **options)


@pytest.mark.parametrize("spurious", [False, True])
async def test_sound_and_words_come_both_ways(service: GeminiLiveService, spurious: bool) -> None:
    service.spurious = spurious
    service.answers.append(Answer(WHAT_IT_SAYS, SOUND))
    service.understood.append(" Where is my order?")
    user = voice_like(0.7, 330)
    async with adapter_for(service, system_instruction="Be brief.") as adapter:
        await say(adapter, user)
        heard = await turn_of(adapter)
    assert service.heard == [resample(user, 24_000, 16_000)]
    assert heard.sound == SOUND
    assert heard.words == WHAT_IT_SAYS
    assert heard.of(UserWords, UserHeard) == [UserWords(text="Where is my order?")]
    assert heard.items[-1] == AgentTurnEnded()
    assert service.setup["model"] == "models/gemini-live"
    assert service.setup["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    voice = service.setup["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]
    assert voice == {"voiceName": "Algieba"}


@pytest.mark.filterwarnings("ignore")
async def test_the_vendors_own_client_says_the_same(
    service: GeminiLiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    genai = pytest.importorskip("google.genai")
    monkeypatch.setattr(
        "google.genai.live.ws_connect",
        lambda uri, additional_headers, **_: connect(
            uri.replace("wss://", "ws://"), additional_headers=additional_headers
        ),
    )
    service.answers += [Answer("Hello", SOUND), Answer("Hello", SOUND)]
    tool = {**TOOL, "parameters_json_schema": TOOL["parameters"]}
    del tool["parameters"]
    client = genai.Client(api_key=KEY, http_options={"base_url": service.url.replace("ws://", "http://")})
    config: Any = {
        "response_modalities": ["AUDIO"],
        "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Algieba"}}},
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "realtime_input_config": {"automatic_activity_detection": {"disabled": True}},
        "input_audio_transcription": {},
        "output_audio_transcription": {},
        "tools": [{"function_declarations": [tool]}],
    }
    user = voice_like(0.2)
    async with client.aio.live.connect(model="gemini-live", config=config) as session:
        await session.send_realtime_input(activity_start={})
        blob = {"data": resample(user, 24_000, 16_000), "mime_type": "audio/pcm;rate=16000"}
        await session.send_realtime_input(audio=blob)
        await session.send_realtime_input(activity_end={})
        sound = b"".join([message.data or b"" async for message in session.receive()])
    assert sound == SOUND
    theirs = camel(service.setup)
    async with adapter_for(service, system_instruction="Be brief.", tools=[TOOL]) as adapter:
        await adapter.send_audio(AudioChunk(user))
        await adapter.end_user_turn()
        await turn_of(adapter)
    theirs["systemInstruction"].pop("role", None)
    assert service.setup == theirs
    assert service.heard[0] == service.heard[1]


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_the_rate_of_the_sound_is_what_the_message_says(service: GeminiLiveService, rate: int) -> None:
    service.answers.append(Answer(WHAT_IT_SAYS, resample(SOUND, 24_000, rate), rate=rate))
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
    assert len(heard.sound) == pytest.approx(len(SOUND), abs=8)
    assert alike(heard.sound, SOUND) > 0.99


async def test_several_turns_each_have_one_end(service: GeminiLiveService) -> None:
    service.answers += [Answer("One", SOUND), Answer("Two", SOUND)]
    async with adapter_for(service) as adapter:
        for word in ("One", "Two"):
            await say(adapter, voice_like(0.2))
            assert (await turn_of(adapter)).words == word


async def test_tools_are_answered_and_the_turn_goes_on(service: GeminiLiveService) -> None:
    calls: list[Any] = [("c1", "find_order", {"number": "4"}), ("c2", "count", {})]
    service.answers.append(Answer("Found it", SOUND, calls=calls))

    async def found(arguments: dict[str, Any]) -> object:
        return {"found": arguments["number"]}

    handlers: Any = {"find_order": found, "count": lambda arguments: 3}
    tools = [TOOL, {"function": {"name": "count"}}, {"googleSearch": {}}]
    async with adapter_for(service, tools=tools, tool_handlers=handlers) as adapter:
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
    assert heard.of(AgentToolCall) == [
        AgentToolCall(call_id="c1", name="find_order", arguments={"number": "4"}),
        AgentToolCall(call_id="c2", name="count", arguments={}),
    ]
    assert heard.of(AgentToolResult) == [
        AgentToolResult(call_id="c1", result={"found": "4"}),
        AgentToolResult(call_id="c2", result=3),
    ]
    assert heard.words == "Found it"
    assert [each["response"] for each in service.tool_responses] == [{"found": "4"}, {"output": 3}]
    declared = service.setup["tools"]
    assert [each["name"] for each in declared[0]["functionDeclarations"]] == ["find_order", "count"]
    assert declared[1] == {"googleSearch": {}}


async def test_a_turn_of_nothing_but_tools_that_nobody_answers_ends(service: GeminiLiveService) -> None:
    service.answers += [Answer("", calls=[("c1", "find_order", {})]), Answer("Hello", SOUND)]
    async with adapter_for(service, tools=[TOOL]) as adapter:
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
        await say(adapter, voice_like(0.2))
        assert (await turn_of(adapter)).words == "Hello"
    assert heard.items == [AgentToolCall(call_id="c1", name="find_order", arguments={}), AgentTurnEnded()]


@pytest.mark.parametrize("ends", [True, False])
async def test_an_interruption_while_a_tool_is_answered_ends_the_turn(service: GeminiLiveService, ends: bool) -> None:
    service.ends_interrupted = ends
    service.answers += [Answer("", calls=[("c1", "find_order", {})]), Answer("I see", SOUND)]
    done, began = asyncio.Event(), asyncio.Event()

    async def waits(arguments: dict[str, Any]) -> object:
        began.set()
        await done.wait()
        return "shipped"

    async with adapter_for(service, tools=[TOOL], tool_handlers={"find_order": waits}) as adapter:
        await say(adapter, voice_like(0.2))
        await began.wait()
        await adapter.interrupt()
        done.set()
        await say(adapter, voice_like(0.2))
        cut, heard = await turn_of(adapter), await turn_of(adapter)
    assert cut.items[-1] == AgentTurnEnded(interrupted=True)
    assert heard.words == "I see"
    assert heard.items[-1] == AgentTurnEnded()
    assert service.tool_responses == []


@pytest.mark.parametrize("ends", [True, False])
async def test_an_interruption_ends_the_answer(service: GeminiLiveService, ends: bool) -> None:
    service.ends_interrupted = ends
    service.answers += [Answer(WHAT_IT_SAYS, LONG_SOUND, hold_after=4), Answer("I see", SOUND)]
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await seconds_of_sound(adapter, 0.3)
        await adapter.interrupt()
        await adapter.interrupt()
        await say(adapter, voice_like(0.2))
        cut = await turn_of(adapter)
        heard = await turn_of(adapter)
    assert cut.sound == b""
    assert cut.items[-1] == AgentTurnEnded(interrupted=True)
    assert heard.words == "I see"
    assert heard.sound == SOUND
    assert heard.items[-1] == AgentTurnEnded()


async def test_an_interruption_of_what_is_still_played_has_no_second_end(service: GeminiLiveService) -> None:
    service.answers += [Answer(WHAT_IT_SAYS, SOUND), Answer("I see", SOUND)]
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await turn_of(adapter)
        await adapter.interrupt()
        await say(adapter, voice_like(0.2))
        heard = await turn_of(adapter)
    assert heard.words == "I see"
    assert heard.items[-1] == AgentTurnEnded()


async def test_the_service_may_interrupt_by_itself(service: GeminiLiveService) -> None:
    service.answers.append(Answer(WHAT_IT_SAYS, LONG_SOUND, hold_after=2))
    async with adapter_for(service) as adapter:
        await say(adapter, voice_like(0.2))
        await seconds_of_sound(adapter, 1)
        await service.send(service.connections[0], {"serverContent": {"interrupted": True}})
        await service.send(service.connections[0], {"serverContent": {"turnComplete": True}})
        heard = await turn_of(adapter)
    assert heard.items[-2:] == [UserHeard(), AgentTurnEnded(interrupted=True)]


# What goes wrong


@pytest.mark.parametrize("left", ["0s", "0.05s", None])
async def test_the_announced_end_of_the_session_says_what_to_do(service: GeminiLiveService, left: str | None) -> None:
    async with adapter_for(service) as adapter:
        await service.send(service.connections[0], {"goAway": {"timeLeft": left} if left else {}})
        with pytest.raises(RuntimeError, match=r"go_away.* make the scenario shorter"):
            await adapter.receive(LONG)


@pytest.mark.parametrize("code", [1000, 1001, 1008])
async def test_until_the_announced_end_the_conversation_goes_on(service: GeminiLiveService, code: int) -> None:
    service.answers.append(Answer(WHAT_IT_SAYS, SOUND))
    async with adapter_for(service) as adapter:
        await service.send(service.connections[0], {"goAway": {"timeLeft": "600s"}})
        await say(adapter, voice_like(0.2))
        assert (await turn_of(adapter)).words == WHAT_IT_SAYS
        await service.connections[0].close(code, "Going away")
        _, error = await everything_from(adapter)
    assert "Going away" in str(error)
    assert "(go_away, 600 s before). A connection lasts about 10 minutes" in str(error)


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [
        (1011, "You exceeded your current quota, please check your plan", "raise the quota of the project"),
        (1008, "models/x is not found for API version v1beta, or is not supported", "Is the name of the model right"),
        (1007, "API key not valid. Please pass a valid API key.", "Is GOOGLE_API_KEY"),
    ],
)
async def test_a_closed_connection_has_the_reason_of_the_api_and_says_what_to_do(
    service: GeminiLiveService, code: int, reason: str, advice: str
) -> None:
    async with adapter_for(service) as adapter:
        await service.connections[0].close(code, reason)
        _, error = await everything_from(adapter)
    assert reason.rstrip(".") in str(error)
    assert advice in str(error)


async def test_a_refused_connection_says_why(service: GeminiLiveService) -> None:
    adapter = GeminiLiveAgentAdapter("gemini-live", base_url=service.url, api_key="AIzaSyWrong0123456789abcdefghijkl")
    with pytest.raises(VoiceConnectionError, match=r"status 403: Method doesn't allow .* Is GOOGLE_API_KEY"):
        await adapter.connect()


async def test_the_key_is_a_header_and_is_shown_nowhere(service: GeminiLiveService) -> None:
    adapter = adapter_for(service)
    async with adapter:
        [request] = service.requests
        assert KEY not in request.path
        await service.send(service.connections[0], {"error": {"message": f"bad key {KEY}", "status": "X"}})
        _, error = await everything_from(adapter)
    assert "bad key ***" in str(error)
    assert KEY not in f"{adapter!r} {adapter.describe()} {error} {adapter.where}"


@pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
async def test_keys_and_addresses_come_from_the_environment(
    service: GeminiLiveService, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with pytest.raises(MissingKeyError, match=r"needs a key of Gemini, .*GOOGLE_API_KEY"):
        await GeminiLiveAgentAdapter("gemini-live").connect()
    monkeypatch.setenv(variable, KEY)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", service.url.replace("ws://", "http://"))
    async with GeminiLiveAgentAdapter("gemini-live"):
        assert len(service.requests) == 1


def _told(**event: Any) -> bytes:
    return json.dumps(event).encode()


async def _greet(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.send(_told(setupComplete={}))


def _sound(seconds: float) -> list[str | bytes]:
    blob = {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(silent_chunk(0.1).data).decode()}
    return [_told(serverContent={"modelTurn": {"parts": [{"inlineData": blob}]}})] * round(seconds * 10)


def _made(url: str) -> GeminiLiveAgentAdapter:
    return GeminiLiveAgentAdapter("gemini-live", base_url=url, api_key=KEY)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(peer, wire=Wire(sound=_sound, greet=_greet), make=_made)


MESSAGES: list[dict[str, Any]] = [
    {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA"}}]}}},
    {"serverContent": {"outputTranscription": {"text": "a"}, "inputTranscription": {"text": "b"}, "interrupted": True}},
    {"toolCall": {"functionCalls": [{"id": "c", "name": "f", "args": {}}]}},
    {"goAway": {"timeLeft": "500s"}},
    {"error": {"message": "a", "status": "b"}},
]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
async def test_messages_of_another_shape_are_passed_over_or_are_an_error_of_the_adapter(
    message: dict[str, Any],
) -> None:
    await check_odd_messages(message, _greet, _made)
