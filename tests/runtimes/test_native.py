"""Agents that run in this process: tools mocked by argument and by order, synthetic, over HTTP, of MCP servers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer, calls, openai_server
from openai_server import text as model_says
from runtime_cases import args_for, run, texts
from runtime_peers import HttpPeer, served

from duologue.errors import DuologueError, ToolUnavailableError
from duologue.runtimes import (
    AgentSimulatorConfig,
    AgentSnapshot,
    ExpectedCall,
    TestCaseRunResult,
    get_runtime,
    read_runtime_config,
)
from duologue.runtimes.mocked_tools import matches, synthetic

NATIVE: dict[str, Any] = {"kind": "native"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str, **more: Any) -> dict[str, Any]:
    function = {"name": name, "description": f"Does {name}.", "parameters": CITY, **more.pop("function", {})}
    return {"type": "function", "function": function, **more}


def agent(*tools: dict[str, Any], prompt: str = "You know the weather.") -> AgentSnapshot:
    return AgentSnapshot(agent_id="a", system_prompt=prompt, tools=tools, model="gpt-5-mini", provider="openai")


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as started:
        yield started


async def played(
    server: OpenAIServer, who: AgentSnapshot, *lines: str, config: dict[str, Any] | None = None, **more: Any
) -> TestCaseRunResult:
    expected = more.pop("expected", ())
    simulator = AgentSimulatorConfig(api_base=server.url)
    args = args_for(*lines, agent=who, agent_simulator=simulator, case={"expected_tool_calls": expected}, **more)
    return await run(config or NATIVE, args)


def results(result: TestCaseRunResult) -> list[Any]:
    return [json.loads(content) for content in texts(result, "tool")]


async def test_model_plays_the_prompt_and_its_usage_is_the_agents(server: OpenAIServer) -> None:
    server.script(model_says("Sunny."))
    result = await played(server, agent(prompt="You know the weather in {{town}}."), "hi", config={
        "kind": "native", "variables": {"town": "Bonn"},
    })  # fmt: skip
    assert texts(result, "assistant") == ["Sunny."]
    assert result.agent_token_usage == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert result.agent_cost_usd > 0
    assert result.platform_token_usage == {}
    assert server.requests[0]["messages"][0] == {"role": "system", "content": "You know the weather in Bonn."}


async def test_tools_answer_by_argument_and_then_in_order(server: OpenAIServer) -> None:
    server.script(
        calls(("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})),
        calls(("weather", {"city": "Oslo"}), ("weather", {"city": "Lima"}), ("weather", {"city": "Rome"})),
        model_says("Done."),
    )
    expected = [
        ExpectedCall(tool="weather", expected_params={"city": "Oslo"}, mock_response={"sky": "snow"}),
        ExpectedCall(tool="weather", mock_response={"sky": "any"}),
        ExpectedCall(tool="weather", expected_params={"city": "Rome"}, mock_response={"sky": "sun"}),
        ExpectedCall(tool="weather", expected_params={"city": "Rome"}, mock_response={"sky": "rain"}),
        ExpectedCall(tool="other", mock_response={"sky": "not this"}),
    ]
    result = await played(server, agent(tool("weather")), "hi", expected=expected)
    assert [found["sky"] for found in results(result)] == ["sun", "snow", "rain", "snow", "any", "rain"]


async def test_arguments_that_no_answer_fits_are_told_and_counted(server: OpenAIServer) -> None:
    server.script(calls(("weather", {"city": "Lima"})), model_says("Sorry."))
    expected = [ExpectedCall(tool="weather", expected_params={"city": "Oslo"}, mock_response={"sky": "snow"})]
    result = await played(server, agent(tool("weather")), "hi", expected=expected)
    assert texts(result, "tool") == ["Error: tool weather: nothing was found for these arguments"]
    assert (result.runtime_metadata or {})["unmatched_tool_calls"] == ["weather"]


async def test_tool_that_nobody_mocks_answers_what_its_schema_says(server: OpenAIServer) -> None:
    server.script(calls(("weather", {"city": "Lima"}), ("save", {"city": "Lima"})), model_says("Well."))
    schema = {"type": "object", "properties": {"sky": {"enum": ["sun", "rain"]}, "degrees": {"type": "integer"}}}
    who = agent(tool("weather", function={"output_schema": schema}), tool("save"))
    result = await played(server, who, "hi")
    assert results(result) == [{"sky": "sun", "degrees": 1}, {"status": "ok"}]
    assert (result.runtime_metadata or {})["synthetic_tool_calls"] == ["weather", "save"]


async def test_terminating_tool_of_a_model_ends_the_conversation(server: OpenAIServer) -> None:
    server.script(calls(("end_call", {"city": "x"})), model_says("Bye."))
    result = await played(server, agent(tool("end_call", platform_config={"terminating": True})), "one", "two")
    assert texts(result, "user") == ["one"]
    assert (result.runtime_metadata or {})["termination"] == "agent_done"


async def test_live_tool_is_called_over_http(server: OpenAIServer) -> None:
    server.script(calls(("weather", {"city": "Rome"})), model_says("Sunny."))
    async with served(HttpPeer(lambda request: {"sky": f"over {request.body['city']}"}, {})) as peer:
        webhook = {"implementation": {"type": "http_webhook", "url": f"{peer.url}/weather", "headers": {"X-Key": "k"}}}
        who, config = agent(tool("weather", platform_config=webhook)), {**NATIVE, "allow_private_addresses": True}
        result = await played(server, who, "hi", tool_mode="live", config=config)
        assert results(result) == [{"sky": "over Rome"}]
        assert peer.received[0].headers["x-key"] == "k"


async def test_live_tool_at_a_private_address_is_not_called_unless_allowed(server: OpenAIServer) -> None:
    server.script(calls(("weather", {"city": "Rome"})), model_says("Sunny."))
    async with served(HttpPeer(lambda _: {}, {})) as peer:
        webhook = {"implementation": {"type": "http_webhook", "url": f"{peer.url}/weather"}}
        with pytest.raises(ToolUnavailableError, match="not a public address"):
            await played(server, agent(tool("weather", platform_config=webhook)), "hi", tool_mode="live")
        assert peer.received == []


def test_mcp_server_at_a_url_has_to_be_allowed() -> None:
    config = read_runtime_config({"kind": "native", "mcp_servers": [{"name": "n", "url": "http://10.0.0.1/mcp"}]})
    with pytest.raises(ValueError, match=r"runtime\.mcp_servers\[0\]\.url"):
        get_runtime("text", "native").validate_config(config, agent(), None)


@pytest.mark.parametrize("path", ["mcp", "sse"])
async def test_mcp_server_whose_name_leads_to_a_private_address_is_not_called(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    server.script(calls(("weather", {"city": "Rome"})), model_says("Sunny."))
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def rebound(host: Any, *args: Any, **options: Any) -> Any:
        return await real("127.0.0.1" if host == "tools.example" else host, *args, **options)

    monkeypatch.setattr(type(loop), "getaddrinfo", lambda _, *args, **options: rebound(*args, **options))
    async with served(HttpPeer(lambda _: {}, {})) as peer:
        url = f"http://tools.example:{peer.url.rpartition(':')[2]}/{path}"
        config = {**NATIVE, "mcp_servers": [{"name": "n", "url": url, "timeout_ms": 3000}]}
        who = agent(tool("weather", platform_config={"implementation": {"type": "mcp"}}))
        with pytest.raises(DuologueError):
            await played(server, who, "hi", tool_mode="live", config=config)
        assert peer.received == []


async def test_live_tool_comes_from_an_mcp_server(server: OpenAIServer) -> None:
    script = Path(__file__).parents[1] / "agents" / "tools" / "plain_mcp_server.py"
    server.script(calls(("add", {"a": 2, "b": 3})), model_says("Five."))
    add = {"type": "function", "function": {"name": "add"}, "platform_config": {"implementation": {"type": "mcp"}}}
    config = {"kind": "native", "mcp_servers": [{"name": "n", "command": sys.executable, "args": [str(script)]}]}
    result = await played(server, agent(add), "hi", config=config, tool_mode="live")
    assert results(result) == [{"sum": 5}]


@pytest.mark.parametrize(
    ("implementation", "told"),
    [
        ({"type": "python", "code": "import os"}, "is Python code, which does not run here"),
        ({"type": "fax"}, "expected http_webhook or mcp; found 'fax'"),
        ({}, "cannot be live"),
        (None, "cannot be live"),
    ],
)
async def test_live_tool_that_cannot_be_carried_out_is_an_error(
    server: OpenAIServer, implementation: Any, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        await played(
            server, agent(tool("weather", platform_config={"implementation": implementation})), "hi", tool_mode="live"
        )
    assert server.requests == []


@pytest.mark.parametrize(
    ("who", "told"),
    [
        (AgentSnapshot(agent_id="a"), "the agent has none"),
        (agent(prompt="Hello {{name}}."), "'{{name}}', which nothing gives a value"),
        (agent({"type": "function", "function": {"description": "x"}}), r"tools\[0\]: name"),
    ],
)
def test_agent_that_cannot_be_played_is_refused_when_it_is_saved(who: AgentSnapshot, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        get_runtime("text", "native").validate_config(read_runtime_config(None), who, None)


async def test_connection_is_tried_without_asking_the_model() -> None:
    runtime = get_runtime("text", "native")
    good = await runtime.test_connection(
        read_runtime_config(None), AgentSnapshot(agent_id="a", system_prompt="Hi", model="mock/echo"), None
    )
    bad = await runtime.test_connection(
        read_runtime_config(None), AgentSnapshot(agent_id="a", system_prompt="Hi", model="nobody/knows"), None
    )
    assert good.ok, good
    assert not bad.ok


@pytest.mark.parametrize(
    ("expected", "found", "fits"),
    [
        ({}, {"a": 1}, True),
        ({"a": 1}, {"a": 1.0, "b": 2}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": None}, {}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 3}]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": []}, {"a": []}, True),
        ({"a": "x"}, {"a": None}, False),
    ],
)
def test_arguments_match_field_by_field(expected: Any, found: Any, fits: bool) -> None:
    assert matches(expected, found) is fits


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, None),
        ({"type": "string"}, "example"),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "array", "items": {"type": "number", "minimum": 3}}, [3]),
        ({"type": "string", "examples": ["a"]}, "a"),
        ({"const": 0}, 0),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"properties": {"x": {"default": None}}}, {"x": None}),
        (True, None),
    ],
)
def test_synthetic_answers_follow_their_schema(schema: Any, value: Any) -> None:
    assert synthetic(schema) == value
