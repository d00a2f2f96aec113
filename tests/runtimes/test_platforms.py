"""What runtimes over HTTP send, and what they make of the answers of the protocols that they speak."""

from __future__ import annotations

from typing import Any

import pytest
from runtime_cases import AGENT, args_for, run, texts
from runtime_peers import HttpPeer, Received, peer_of, served

from duologue.errors import AgentError
from duologue.runtimes import AgentSnapshot, ExpectedCall, get_runtime, read_runtime_config

NULLS = {"content": None, "tool_calls": None, "tool_call_id": None, "name": None}


async def test_contract_has_every_field_with_nulls_and_the_results_of_tools() -> None:
    async with served(peer_of("custom_endpoint")) as peer:
        config = {"kind": "custom_endpoint", "url": f"{peer.url}?tenant=7", "allow_private_addresses": True}
        result = await run({**config, "headers": {"X-Api-Key": "k"}}, args_for("one", "two"))
    first, second = peer.received
    assert (first.path, first.headers["x-api-key"]) == ("/?tenant=7", "k")
    assert first.body == {
        "messages": [{**NULLS, "role": "user", "content": "one"}],
        "metadata": {"test_case_id": "case-1", "turn_index": 0},
    }
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"key": "x"}'}}
    assert second.body["messages"] == [
        {**NULLS, "role": "user", "content": "one"},
        {**NULLS, "role": "assistant", "tool_calls": [{**call, "tool_result": None}]},
        {**NULLS, "role": "tool", "content": "found", "tool_call_id": "c1"},
        {**NULLS, "role": "assistant", "content": "You said one."},
        {**NULLS, "role": "user", "content": "two"},
    ]
    assert second.body["metadata"]["turn_index"] == 1
    assert result.agent_token_usage == {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28}


def assistant(content: Any = "Hi.", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("body", "roles"),
    [
        ({"messages": [assistant()]}, ["assistant"]),
        ({"messages": [assistant(tool_calls=None, tool_call_id=None, name=None)], "usage": None}, ["assistant"]),
        ({"messages": [assistant(None, tool_calls=[{**CALL, "tool_result": None}])]}, ["assistant"]),
        ({"messages": [assistant(None, tool_calls=[{**CALL, "tool_result": {"x": 1}}]), assistant()]},
         ["assistant", "tool", "assistant"]),
        ({"messages": [assistant("Hi.", tool_calls=[{**CALL, "tool_result": "r"}])]},
         ["assistant", "tool", "assistant"]),
        ({"messages": [assistant()], "usage": {"prompt_tokens": None, "total_tokens": 3}}, ["assistant"]),
    ],
)  # fmt: skip
async def test_answers_that_follow_the_contract(body: Any, roles: list[str]) -> None:
    async with served(HttpPeer(lambda _: body, {})) as peer:
        config = {"kind": "custom_endpoint", "url": peer.url, "allow_private_addresses": True}
        result = await run(config, args_for("one"))
    assert [turn.role for turn in result.transcript] == ["user", *roles]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "'messages' with this turn of the agent; it is missing"),
        ([], "must be a JSON object; found list"),
        ("hello", "must be a JSON object; found str"),
        ({"choices": [{"message": assistant()}]}, "it is missing"),
        ({"messages": None}, "messages must be a list; found NoneType"),
        ({"messages": "hi"}, "messages must be a list; found str"),
        ({"messages": []}, "the last of 'messages' must be the agent's answer"),
        ({"messages": [assistant(), {"role": "tool", "content": "x", "tool_call_id": "c"}]}, "the last of 'messages'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
        ({"messages": [assistant(5)]}, r"messages\[0\]\.content must be text"),
        ({"messages": [None]}, r"messages\[0\]"),
        ({"messages": [assistant(tool_calls=["f"])]}, r"messages\[0\]\.tool_calls\[0\]"),
        ({"messages": [assistant()], "usage": 5}, "usage must be an object; found int"),
        ({"messages": [assistant()], "usage": {"prompt_tokens": "5"}}, "usage.prompt_tokens must be a whole number"),
        ({"messages": [assistant()], "usage": {"total_tokens": -1}}, "usage.total_tokens must be a whole number"),
        ({"messages": [assistant()], "error": "quota"}, "reports an error: quota"),
    ],
)
async def test_answers_that_break_the_contract_say_where(body: Any, told: str) -> None:
    async with served(HttpPeer(lambda _: body, {})) as peer:
        config = {"kind": "custom_endpoint", "url": peer.url, "allow_private_addresses": True}
        with pytest.raises(AgentError, match=told):
            await run(config, args_for("one"))


async def test_probe_is_one_message_ping() -> None:
    async with served(peer_of("custom_endpoint")) as peer:
        config = {"kind": "custom_endpoint", "url": peer.url, "allow_private_addresses": True}
        runtime, made = get_runtime("text", "custom_endpoint"), read_runtime_config(config)
        found = await runtime.test_connection(made, AGENT, None)
        assert found.ok
        assert "You said ping." in found.message
        assert [item["content"] for item in peer.received[0].body["messages"]] == ["ping"]
        peer.fault = "http 500"
        found = await runtime.test_connection(made, AGENT, None)
        assert not found.ok
        assert "HTTP 500" in found.message


async def test_chat_completions_can_be_sent_the_prompt_and_the_model() -> None:
    async with served(peer_of("openai_chat")) as peer:
        agent = AgentSnapshot(agent_id="a", system_prompt="Be kind.", model="acme/big", endpoint_url=peer.url)
        config = {
            "kind": "openai_chat",
            "send_system_prompt": True,
            "temperature": 0.5,
            "allow_private_addresses": True,
        }
        await run(config, args_for("one", agent=agent))
    request = peer.received[0]
    assert request.path == "/v1/chat/completions"
    assert request.body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "one"},
    ]
    assert (request.body["model"], request.body["temperature"]) == ("acme/big", 0.5)


@pytest.mark.parametrize(
    "body",
    [
        {"message": {"content": "Hi."}},
        {"content": "Hi."},
        {"response": "Hi."},
        {"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "Hi."}]},
        "Hi.",
        b"Hi.",
    ],
)
async def test_words_are_found_in_whatever_an_endpoint_answers(body: Any) -> None:
    async with served(HttpPeer(lambda _: body, {})) as peer:
        config = {"kind": "http", "url": peer.url, "path": "/chat", "allow_private_addresses": True}
        result = await run(config, args_for("one"))
    assert texts(result, "assistant") == ["Hi."]
    assert peer.received[0].path == "/chat"
    assert peer.received[0].body == {"messages": [{"role": "user", "content": "one"}]}


async def test_graph_runs_in_one_thread_and_is_sent_what_is_new() -> None:
    async with served(peer_of("langgraph")) as peer:
        config = {
            "kind": "langgraph",
            "url": peer.url,
            "assistant_id": "helper",
            "configurable": {"tier": "gold"},
            "allow_private_addresses": True,
        }
        result = await run(config, args_for("one", "two"))
        other = await run(config, args_for("three"))
    assert texts(result, "assistant") == ["You said one.", "You said two."]
    assert texts(other, "assistant") == ["You said three."]
    paths = [item.path for item in peer.received]
    assert paths[0] == paths[1] != paths[2]
    assert paths[0].startswith("/threads/")
    assert paths[0].endswith("/runs/wait")
    sent = peer.received[1].body
    assert [item["content"] for item in sent["input"]["messages"]] == ["two"]
    assert (sent["assistant_id"], sent["if_not_exists"], sent["multitask_strategy"]) == ("helper", "create", "enqueue")
    assert sent["config"] == {"configurable": {"tier": "gold"}}
    assert result.agent_token_usage["total_tokens"] == 28


@pytest.mark.parametrize("ok", [True, False])
async def test_langgraph_server_is_probed_at_its_info(ok: bool) -> None:
    async with served(HttpPeer(lambda _: {"version": "0.4"}, {}, fault="" if ok else "http 500")) as peer:
        made = read_runtime_config({"kind": "langgraph", "url": peer.url, "allow_private_addresses": True})
        found = await get_runtime("text", "langgraph").test_connection(made, AGENT, None)
    assert (found.ok, peer.received[0].method, peer.received[0].path) == (ok, "GET", "/info")


async def test_a2a_agent_is_talked_to_in_one_conversation_and_its_task_goes_on() -> None:
    async with served(peer_of("a2a")) as peer:
        config = {"kind": "a2a", "url": peer.url, "headers": {"X-Key": "k"}, "allow_private_addresses": True}
        result = await run(config, args_for("one", "a ticket", "the first"))
    assert texts(result, "assistant") == ["You said one.", "Which one?", "You said the first."]
    assert [item.method for item in peer.received] == ["GET", "POST", "POST", "POST"]
    assert {item.headers["x-key"] for item in peer.received} == {"k"}
    sent = [item.body["params"]["message"] for item in peer.received[1:]]
    assert [(item.get("contextId"), item.get("taskId")) for item in sent] == [
        (None, None), ("context-1", None), ("context-1", "task-1"),
    ]  # fmt: skip


async def test_a2a_agent_cannot_begin() -> None:
    async with served(peer_of("a2a")) as peer:
        config = {"kind": "a2a", "url": peer.url, "allow_private_addresses": True}
        with pytest.raises(AgentError, match="begins with the user"):
            await run(config, args_for("one", case={"first_turn": "agent"}))


class Keys:
    async def integration_key(self, integration_id: str) -> str | None:
        return {"i-1": "key-of-the-project"}.get(integration_id)


async def test_retell_is_sent_its_state_again_and_mocks_of_the_test_case() -> None:
    expected = [
        ExpectedCall(tool="look_up", expected_params={"key": "x"}, mock_response={"found": 1}),
        ExpectedCall(tool="other", mock_response="text"),
        ExpectedCall(tool="no_mock"),
    ]
    agent = AgentSnapshot(agent_id="a", platform="retell", platform_agent_id="agent/1", integration_id="i-1")
    async with served(peer_of("retell")) as peer:
        made = read_runtime_config(
            {
                "kind": "retell",
                "url": peer.url,
                "version": 3,
                "dynamic_variables": {"name": "Ann"},
                "allow_private_addresses": True,
            }
        )
        args = args_for("one", "bye", "three", agent=agent, case={"expected_tool_calls": expected})
        runtime = get_runtime("text", "retell")
        runtime.validate_config(made, agent, Keys())
        result = await runtime.run_test_case(made, args, Keys())
    first, second = peer.received
    assert first.path == "/agent-playground-completion/agent%2F1?version=3"
    assert first.headers["authorization"] == "Bearer key-of-the-project"
    assert first.body == {
        "messages": [{"role": "user", "content": "one"}],
        "dynamic_variables": {"name": "Ann"},
        "tool_mocks": [
            {
                "tool_name": "look_up",
                "input_match_rule": {"type": "partial_match", "args": {"key": "x"}},
                "output": '{"found": 1}',
            },
            {"tool_name": "other", "input_match_rule": {"type": "any"}, "output": "text"},
        ],
    }
    assert [item["role"] for item in second.body["messages"]] == [
        "user", "tool_call_invocation", "tool_call_result", "agent", "user",
    ]  # fmt: skip
    assert (second.body["current_state"], second.body["dynamic_variables"]) == ("state_1", {"seen": "1"})
    assert [turn.role for turn in result.transcript] == ["user", "assistant", "tool", "assistant"] * 2
    assert result.runtime_metadata == {"current_state": "state_2", "termination": "agent_done"}


@pytest.mark.parametrize(
    ("config", "agent", "told"),
    [
        ({}, AGENT, "runtime.agent_id"),
        ({"agent_id": "a"}, AGENT, "runtime.api_key"),
        ({"agent_id": "a", "api_key": "${NOT_SET_ANYWHERE_4}"}, AGENT, "runtime.api_key: .*NOT_SET_ANYWHERE_4"),
    ],
)
def test_retell_needs_an_agent_and_a_key(
    config: dict[str, Any], agent: AgentSnapshot, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RETELL_API_KEY", raising=False)
    made = read_runtime_config({"kind": "retell", **config})
    with pytest.raises(ValueError, match=told):
        get_runtime("text", "retell").validate_config(made, agent, None)


async def test_busy_retell_is_asked_again() -> None:
    answers: list[Received] = []

    async with served(peer_of("retell")) as peer:
        good = peer.answer
        peer.fault = "429"

        def answer(request: Received) -> object:
            answers.append(request)
            peer.fault = ""
            return good(request)

        peer.answer = answer
        config = {"kind": "retell", "url": peer.url, "agent_id": "a", "api_key": "k", "allow_private_addresses": True}
        result = await run(config, args_for("one"))
    assert len(peer.received) == 2
    assert texts(result, "assistant") == ["You said one."]
