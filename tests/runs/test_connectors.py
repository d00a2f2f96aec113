"""Connectors: the answers that agents give, LangGraph threads, a test that calls, and errors without credentials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from http_agents import HttpAgents, Reply, http_agents

from duologue.errors import ConfigurationError
from duologue.runs.connectors import invoke_connector, probe_connector
from duologue.runs.store.definitions import Connector

HELLO = [{"role": "system", "content": "play Pat"}, {"role": "user", "content": "Hello"}]
ANSWER = {"role": "assistant", "content": "Hi!"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.fixture
def server() -> Iterator[HttpAgents]:
    with http_agents() as running:
        yield running


def connector(url: str, **fields: Any) -> Connector:
    return Connector(**{"id": "c", "project_id": "p", "name": "bot", "type": "http", "base_url": url, **fields})


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ({"message": {"role": "assistant", "content": "Hi!"}}, "application/json"),
        ({"message": {"content": "Hi!"}}, "application/json"),
        ({"content": "Hi!"}, "application/json"),
        ({"response": "Hi!"}, "application/json"),
        ({"messages": [HELLO[1], ANSWER]}, "application/json"),
        ({"messages": [ANSWER]}, "application/json"),
        ('"Hi!"', "application/json"),
        ("Hi!", "text/plain"),
    ],
)
async def test_the_answers_that_are_understood(server: HttpAgents, body: Any, media: str) -> None:
    server.more["/api/chat"] = lambda asked: Reply(body, media=media)
    reply = await invoke_connector(connector(f"{server.url}/api", config={"path": "/chat"}), "c", HELLO)
    assert (reply.success, reply.error) == (True, None)
    assert [(item["role"], item.get("content")) for item in reply.messages] == [("assistant", "Hi!")]
    [asked] = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/api/chat", {"messages": [HELLO[1]]})


async def test_tool_calls_and_usage_are_part_of_a_turn(server: HttpAgents) -> None:
    turn = [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "assistant", "content": "It is here."},
    ]
    usage = {"prompt_tokens": 12, "completion_tokens": 7}
    server.more["/"] = lambda asked: Reply({"messages": [*asked.body["messages"], *turn], "usage": usage})
    reply = await invoke_connector(connector(f"{server.url}/"), "c", HELLO)
    assert [item["role"] for item in reply.messages] == ["assistant", "tool", "assistant"]
    assert reply.messages[0].get("tool_calls") == [CALL]
    assert reply.token_usage == {"input": 12, "output": 7}


async def test_langgraph_has_a_thread_for_each_conversation(server: HttpAgents) -> None:
    asked_for: list[tuple[str, Any]] = []

    def graph(asked: Any) -> Reply:
        asked_for.append((asked.path, asked.body))
        answer = {"type": "ai", "content": "Hi!", "usage_metadata": {"input_tokens": 3, "output_tokens": 2}}
        return Reply({"messages": [{"type": "human", "content": "Hello"}, answer]})

    thread = "7d1f4a52-9a4e-4a53-8d7a-0c9c1b6c8f11"
    server.more[f"/threads/{thread}/runs/wait"] = graph
    made = connector(
        server.url, type="langgraph", config={"assistantId": "shop", "configurable": {"user": "7"}, "timeout": 5}
    )
    reply = await invoke_connector(made, "c", HELLO, thread_id=thread)
    assert reply.success, reply.error
    assert (reply.messages[0].get("content"), reply.thread_id) == ("Hi!", thread)
    assert reply.token_usage == {"input": 3, "output": 2}
    [(_, body)] = asked_for
    assert body["assistant_id"] == "shop"
    assert body["multitask_strategy"] == "enqueue"
    assert body["if_not_exists"] == "create"
    assert body["config"] == {"configurable": {"user": "7"}}
    assert body["input"]["messages"] == [HELLO[1]]


async def test_a_test_says_whether_an_agent_can_be_reached(server: HttpAgents) -> None:
    server.more["/chat"] = lambda asked: Reply({"content": "x" * 900})
    server.more["/info"] = lambda asked: Reply({"version": "1.0", "method": asked.method})
    found = await probe_connector(connector(f"{server.url}/chat"), "c")
    assert (found.success, found.error, len(found.response or "")) == (True, None, 500)
    assert server.asked[-1].body["messages"] == [{"role": "user", "content": "hello"}]
    graph = await probe_connector(connector(server.url, type="langgraph"), "c")
    assert graph.success
    assert json.loads(graph.response or "") == {"version": "1.0", "method": "GET"}


@pytest.mark.parametrize("kind", ["http", "langgraph"])
async def test_what_goes_wrong_is_told_without_a_credential(server: HttpAgents, kind: str) -> None:
    secret = "sk-live-4f9a8b7c6d5e4f3a"
    refused = lambda asked: Reply({"error": f"wrong key {secret}"}, 401)  # noqa: E731
    server.more["/"], server.more["/info"] = refused, refused
    headers = {"Authorization": f"Bearer {secret}"}
    found = await probe_connector(connector(f"{server.url}/", type=kind, headers=headers), "c")
    assert not found.success
    assert "401" in (found.error or "")
    away = await probe_connector(connector("http://127.0.0.1:9/", type=kind, headers=headers), "c")
    assert not away.success
    assert away.error
    assert secret not in f"{found}{away}"


async def test_what_is_not_there_is_told() -> None:
    for asked in (probe_connector(None, "x"), invoke_connector(None, "x", HELLO)):
        found = await asked
        assert (found.success, found.latency_ms, found.error) == (False, 0, 'Connector with id "x" not found')
    nothing = await invoke_connector(connector("http://127.0.0.1:9"), "c", HELLO[:1])
    assert (nothing.success, nothing.error) == (False, "No messages provided")


async def test_headers_may_refer_to_the_environment(server: HttpAgents, monkeypatch: pytest.MonkeyPatch) -> None:
    server.more["/"] = lambda asked: Reply({"content": asked.headers.get("x-shop", asked.headers.get("X-Shop"))})
    made = connector(f"{server.url}/", headers={"X-Shop": "${SHOP_NAME}"})
    missing = await invoke_connector(made, "c", HELLO)
    assert "SHOP_NAME" in (missing.error or "")
    monkeypatch.setenv("SHOP_NAME", "kettles")
    assert (await invoke_connector(made, "c", HELLO)).messages[0].get("content") == "kettles"


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "http://h/base?x=1"),
        ({"path": "/chat"}, "http://h/base/chat?x=1"),
        ({"path": "chat"}, "http://h/base/chat?x=1"),
        ({"method": "POST"}, "http://h/base?x=1"),
    ],
)
def test_the_path_follows_the_base_url(config: dict[str, Any], url: str) -> None:
    http = connector("http://h/base?x=1", config=config).agent().http
    assert http is not None
    assert http.url == url


def test_formats_of_http_agents_can_be_used() -> None:
    http = connector("http://h", config={"preset": "openai-chat", "model": "m", "timeout": "5s"}).agent().http
    assert http is not None
    assert (http.preset, http.model, http.body) == ("openai-chat", "m", None)
    with pytest.raises(ConfigurationError, match="the connector 'bot': preset"):
        connector("http://h", config={"preset": "smoke-signals"}).agent()
