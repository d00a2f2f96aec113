"""Runtimes in voice: what each needs, and that a test of the connection says what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from duologue.errors import ConfigurationError
from duologue.runtimes import AgentSnapshot, get_runtime, read_runtime_config
from duologue.runtimes.voice.base import VoiceRuntimeBase
from duologue.runtimes.voice.websocket import WebSocketRuntime

AGENT = AgentSnapshot(agent_id="desk")


@asynccontextmanager
async def listening() -> AsyncIterator[str]:
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
    ],
)
def test_what_is_missing_is_named(data: dict[str, object], told: str) -> None:
    runtime = get_runtime("voice", str(data["kind"]))
    assert isinstance(runtime, VoiceRuntimeBase)
    with pytest.raises(ConfigurationError, match=told):
        runtime.validate_config(read_runtime_config(data, "voice"), AGENT, None)
