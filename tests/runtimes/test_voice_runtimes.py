"""Runtimes in voice: what each needs, and that a test of the connection says what is wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from duologue.errors import ConfigurationError
from duologue.runtimes import AgentSnapshot, ExpectedCall, get_runtime, read_runtime_config
from duologue.runtimes.voice.base import VoiceCallSetup, VoiceRuntimeBase
from duologue.runtimes.voice.mocked import tools_of
from duologue.runtimes.voice.websocket import WebSocketRuntime

AGENT = AgentSnapshot(agent_id="desk")


@asynccontextmanager
async def listening() -> AsyncGenerator[str]:
    """A server that accepts calls and says nothing."""

    async def talk(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/desk?key=abc"


async def test_a_call_is_tried_and_hung_up() -> None:
    async with listening() as url:
        config = read_runtime_config({"kind": "websocket", "url": url}, "voice")
        found = await get_runtime("voice", "websocket").test_connection(config, AGENT, None)
        assert found.ok, found.message
        assert "connected in" in found.message
        endpoint = AgentSnapshot(agent_id="desk", endpoint_url=url)
        config = read_runtime_config({"kind": "websocket"}, "voice")
        assert (await get_runtime("voice", "websocket").test_connection(config, endpoint, None)).ok
    config = read_runtime_config({"kind": "websocket", "url": url}, "voice")
    found = await get_runtime("voice", "websocket").test_connection(config, AGENT, None)
    assert not found.ok
    assert "cannot connect to ws://127.0.0.1" in found.message
    assert "abc" not in found.message


async def test_limits_of_the_configuration_are_those_of_the_adapter() -> None:
    given = {"answer_within": "5s", "silence": 1.5, "longest_turn": 7, "connect_within": "2s"}
    config = read_runtime_config({"kind": "websocket", "url": "ws://127.0.0.1:1", **given}, "voice")
    runtime = get_runtime("voice", "websocket")
    assert isinstance(runtime, WebSocketRuntime)
    adapter = await runtime.voice_agent(config, AGENT, None)
    assert adapter.response_timeout == 5
    assert adapter.response_tail_silence == 1.5
    assert adapter.response_max_duration == 7
    assert adapter.connect_timeout == 2


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"kind": "websocket"}, "runtime.url: .*needs the address of the agent"),
        ({"kind": "websocket", "url": "http://x"}, "runtime.url must look like ws://"),
        ({"kind": "pipecat"}, "runtime.url: .*needs the URL of the bot's WebSocket"),
        ({"kind": "pipecat", "url": "http://x"}, "runtime.url must look like ws://"),
        ({"kind": "webrtc"}, "runtime.url: .*needs the URL that takes the offer"),
        ({"kind": "openai_realtime"}, "runtime.model: .*needs the name of a model"),
        ({"kind": "openai_realtime", "model": "m"}, "runtime.api_key: .*set OPENAI_API_KEY"),
        ({"kind": "gemini_live"}, "runtime.model: .*needs the name of a model"),
        ({"kind": "gemini_live", "model": "m"}, "runtime.api_key: .*set GOOGLE_API_KEY"),
        ({"kind": "elevenlabs"}, "runtime.agent_id: .*needs the agent's ID"),
        ({"kind": "elevenlabs", "agent_id": "a"}, "runtime.api_key: .*set ELEVENLABS_API_KEY"),
        ({"kind": "vapi"}, "runtime.assistant_id: .*needs the assistant's ID"),
        ({"kind": "vapi", "assistant_id": "a"}, "runtime.api_key: .*set VAPI_API_KEY"),
        ({"kind": "retell_web_call"}, "runtime.agent_id: .*needs the agent's ID at Retell"),
        ({"kind": "retell_web_call", "agent_id": "a"}, "runtime.api_key: .*set RETELL_API_KEY"),
        ({"kind": "livekit"}, "runtime.url: .*needs the URL of the LiveKit server"),
        ({"kind": "livekit", "url": "wss://x"}, "runtime.api_key: .*set LIVEKIT_API_KEY"),
        ({"kind": "twilio"}, "runtime.call_to: .*needs the telephone number"),
        ({"kind": "twilio", "call_to": "+41445550100"}, "runtime.public_url: .*needs the URL"),
        ({"kind": "composable"}, "runtime.model: .*needs the name of a model"),
    ],
)
def test_what_is_missing_is_named(data: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "GOOGLE_API_KEY",
        "ELEVENLABS_API_KEY",
        "VAPI_API_KEY",
        "RETELL_API_KEY",
        "LIVEKIT_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    runtime = get_runtime("voice", str(data["kind"]))
    assert isinstance(runtime, VoiceRuntimeBase)
    with pytest.raises(ConfigurationError, match=told):
        runtime.validate_config(read_runtime_config(data, "voice"), AGENT, None)


class Keys:
    """The service, which has the key of the integration."""

    async def integration_key(self, integration_id: str) -> str | None:
        return "sk-of-the-project" if integration_id == "saved" else None


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "openai_realtime", "model": "openai/gpt-realtime"},
        {"kind": "gemini_live", "model": "m"},
        {"kind": "elevenlabs", "agent_id": "a"},
        {"kind": "vapi", "assistant_id": "a"},
        {"kind": "retell_web_call", "agent_id": "a"},
        {"kind": "livekit", "url": "wss://rooms.example.com", "api_secret": "sk-of-the-room"},
    ],
    ids=lambda data: data["kind"],
)
async def test_the_key_of_the_integration_is_used_and_not_shown(data: dict[str, object]) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    agent = AgentSnapshot(agent_id="desk", integration_id="saved", system_prompt="You help.", tools=[tool])
    runtime = get_runtime("voice", str(data["kind"]))
    assert isinstance(runtime, VoiceRuntimeBase)
    config = read_runtime_config(data, "voice")
    runtime.validate_config(config, agent, Keys())
    adapter = await runtime.voice_agent(config, agent, Keys())
    assert "sk-of" not in repr(adapter)
    assert "sk-of" not in str(adapter.describe())
    assert "sk-own" not in repr(read_runtime_config({**data, "api_key": "sk-own"}, "voice"))


async def test_a_tool_that_this_side_carries_out_answers_what_the_test_case_says() -> None:
    tools: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
        for name in ("look_up", "other")
    ]
    agent = AgentSnapshot(agent_id="desk", tools=tools)
    expected = [ExpectedCall(tool="look_up", expected_params={"order": "4279"}, mock_response={"parcel": "lamp"})]
    described, handlers = tools_of(VoiceCallSetup(agent=agent, expected=expected))
    assert [item["function"]["name"] for item in described] == ["look_up", "other"]
    assert await handlers["look_up"]({"order": "4279"}) == {"parcel": "lamp"}
    assert await handlers["other"]({}) == {"status": "ok"}
    assert "nothing was found" in (await handlers["look_up"]({"order": "1"}))["error"]


async def test_a_composable_agent_has_the_tools_of_the_test_case() -> None:
    tool = {"name": "find_order", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}
    runtime = get_runtime("voice", "composable")
    assert isinstance(runtime, VoiceRuntimeBase)
    assert runtime.MOCKS_TOOLS
    config = read_runtime_config({"kind": "composable", "model": "mock/echo"}, "voice")
    agent = AgentSnapshot(agent_id="desk", tools=[tool])
    expected = [ExpectedCall(tool="find_order", mock_response={"status": "shipped"})]
    made = await runtime.voice_agent(config, agent, None, expected)
    assert [item.name for item in made._tools] == ["find_order"]  # type: ignore[attr-defined]
    assert await made._handlers["find_order"]({}) == {"status": "shipped"}  # type: ignore[attr-defined]
