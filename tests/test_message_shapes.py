"""Tool calls, results and words are found wherever a provider or framework writes them."""

import json
from typing import Any, cast

import pytest

from duologue.message_shapes import ShapeError, ShapeReader, can_be_read, chat_messages, is_plain, items_of
from duologue.messages import Message, arguments_of, text_of, tool_results

ARGS = {"id": "7"}


def _openai_call(id: str = "c1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "find", "arguments": json.dumps(ARGS)}}


CALLED: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"role": "assistant", "content": "Wait.", "tool_calls": [_openai_call()]},
        {"role": "tool", "tool_call_id": "c1", "content": "gone"},
        {"role": "assistant", "content": "Done."},
    ],
    "openai with nulls": [
        {
            "role": "assistant",
            "content": "Wait.",
            "refusal": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [_openai_call()],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "gone", "name": None},
        {"role": "assistant", "content": "Done.", "tool_calls": None},
    ],
    "arguments as a mapping, no ids (Ollama)": [
        {"role": "assistant", "content": "Wait.", "tool_calls": [{"function": {"name": "find", "arguments": ARGS}}]},
        {"role": "tool", "tool_name": "find", "content": "gone"},
        {"role": "assistant", "content": "Done."},
    ],
    "legacy function_call": [
        {"role": "assistant", "content": "Wait.", "function_call": {"name": "find", "arguments": json.dumps(ARGS)}},
        {"role": "function", "name": "find", "content": "gone"},
        {"role": "assistant", "content": "Done."},
    ],
    "Anthropic": [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Wait."},
                {"type": "tool_use", "id": "t1", "name": "find", "input": ARGS},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "gone"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ],
    "Anthropic, tools of the server": [
        {
            "role": "assistant",
            "type": "message",
            "content": [
                {"type": "text", "text": "Wait."},
                {"type": "server_tool_use", "id": "t1", "name": "find", "input": ARGS},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "gone"}],
                },
                {"type": "text", "text": "Done."},
            ],
        },
    ],
    "Bedrock": [
        {
            "role": "assistant",
            "content": [{"text": "Wait."}, {"toolUse": {"toolUseId": "t1", "name": "find", "input": ARGS}}],
        },
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "gone"}]}}]},
        {"role": "assistant", "content": [{"text": "Done."}]},
    ],
    "Vercel, model messages": [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Wait."},
                {"type": "tool-call", "toolCallId": "c1", "toolName": "find", "input": ARGS},
            ],
        },
        {
            "role": "tool",
            "content": [
                {
                    "type": "tool-result",
                    "toolCallId": "c1",
                    "toolName": "find",
                    "output": {"type": "text", "value": "gone"},
                }
            ],
        },
        {"role": "assistant", "content": "Done."},
    ],
    "Vercel, model messages of version 4": [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Wait."},
                {"type": "tool-call", "toolCallId": "c1", "toolName": "find", "args": ARGS},
            ],
        },
        {
            "role": "tool",
            "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "find", "result": "gone"}],
        },
        {"role": "assistant", "content": "Done."},
    ],
    "Vercel, messages for interfaces": [
        {
            "id": "x",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "text", "text": "Wait."},
                {
                    "type": "tool-find",
                    "toolCallId": "c1",
                    "state": "output-available",
                    "input": ARGS,
                    "output": "gone",
                },
                {"type": "text", "text": "Done."},
            ],
        }
    ],
    "Vercel, dynamic tool": [
        {
            "role": "assistant",
            "content": "",
            "parts": [
                {"type": "text", "text": "Wait."},
                {
                    "type": "dynamic-tool",
                    "toolName": "find",
                    "toolCallId": "c1",
                    "state": "output-available",
                    "input": ARGS,
                    "output": "gone",
                },
                {"type": "text", "text": "Done."},
            ],
        }
    ],
    "Vercel, tool invocations of version 4": [
        {"role": "assistant", "content": "Wait."},
        {
            "role": "assistant",
            "content": "Done.",
            "toolInvocations": [
                {"state": "result", "toolCallId": "c1", "toolName": "find", "args": ARGS, "result": "gone"}
            ],
            "parts": [
                {
                    "type": "tool-invocation",
                    "toolInvocation": {
                        "state": "result",
                        "toolCallId": "c1",
                        "toolName": "find",
                        "args": ARGS,
                        "result": "gone",
                    },
                },
                {"type": "text", "text": "Done."},
            ],
        },
    ],
    "Responses": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "find", "arguments": json.dumps(ARGS)},
        {"type": "function_call_output", "call_id": "c1", "output": "gone"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
    ],
    "Responses, remote MCP": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
        {
            "type": "mcp_call",
            "id": "c1",
            "name": "find",
            "arguments": json.dumps(ARGS),
            "output": "gone",
            "error": None,
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
    ],
    "LiveKit": [
        {"type": "message", "role": "assistant", "content": ["Wait."]},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": json.dumps(ARGS)},
        {"type": "function_call_output", "call_id": "c1", "name": "find", "output": "gone", "is_error": False},
        {"type": "agent_handoff", "new_agent_id": "b"},
        {"type": "message", "role": "assistant", "content": ["Done."]},
    ],
    "Gemini": [
        {"role": "model", "parts": [{"text": "Wait."}, {"functionCall": {"name": "find", "args": ARGS}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"result": "gone"}}}]},
        {"role": "model", "parts": [{"text": "Done."}]},
    ],
    "Gemini, as Python writes it": [
        {
            "role": "model",
            "parts": [
                {"text": "Wait.", "function_call": None},
                {"text": None, "function_call": {"id": "a", "name": "find", "args": ARGS}},
            ],
        },
        {
            "role": "user",
            "parts": [{"function_response": {"id": "a", "name": "find", "response": {"result": "gone"}}}],
        },
        {"role": "model", "parts": [{"text": "Done.", "thought": None}]},
    ],
    "ADK events": [
        {
            "author": "desk",
            "content": {
                "role": "model",
                "parts": [{"text": "Wait."}, {"functionCall": {"id": "a", "name": "find", "args": ARGS}}],
            },
        },
        {
            "author": "desk",
            "content": {
                "role": "user",
                "parts": [{"functionResponse": {"id": "a", "name": "find", "response": {"result": "gone"}}}],
            },
        },
        {"author": "desk", "content": {"parts": [{"text": "Done."}]}},
    ],
    "LangChain": [
        {
            "type": "ai",
            "content": "Wait.",
            "tool_calls": [{"name": "find", "args": ARGS, "id": "c1", "type": "tool_call"}],
            "additional_kwargs": {"tool_calls": [_openai_call()]},
            "invalid_tool_calls": [],
        },
        {"type": "tool", "content": "gone", "name": "find", "tool_call_id": "c1", "id": "x", "status": "success"},
        {"type": "AIMessage", "content": "Done.", "tool_calls": []},
    ],
    "LangChain, with blocks of Anthropic": [
        {
            "type": "ai",
            "content": [
                {"type": "text", "text": "Wait."},
                {"type": "tool_use", "id": "c1", "name": "find", "input": ARGS},
            ],
            "tool_calls": [{"name": "find", "args": ARGS, "id": "c1"}],
        },
        {"type": "tool", "content": "gone", "tool_call_id": "c1"},
        {"type": "ai", "content": "Done."},
    ],
    "LangChain, serialised": [
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", "AIMessage"],
            "kwargs": {"content": "Wait.", "tool_calls": [{"name": "find", "args": ARGS, "id": "c1"}]},
        },
        {"type": "tool", "data": {"content": "gone", "tool_call_id": "c1", "type": "tool"}},
        {"type": "ai", "data": {"content": "Done.", "type": "ai"}},
    ],
    "LlamaIndex": [
        {
            "role": "assistant",
            "blocks": [
                {"block_type": "text", "text": "Wait."},
                {"block_type": "tool_call", "tool_call_id": "c1", "tool_name": "find", "tool_kwargs": ARGS},
            ],
            "additional_kwargs": {"tool_calls": [_openai_call()]},
        },
        {
            "role": "tool",
            "blocks": [{"block_type": "text", "text": "gone"}],
            "additional_kwargs": {"tool_call_id": "c1", "name": "find"},
        },
        {"role": "assistant", "blocks": [{"block_type": "text", "text": "Done."}], "additional_kwargs": {}},
    ],
    "pydantic-ai": [
        {
            "kind": "response",
            "parts": [
                {"part_kind": "text", "content": "Wait."},
                {"part_kind": "tool-call", "tool_name": "find", "args": json.dumps(ARGS), "tool_call_id": "c1"},
            ],
        },
        {
            "kind": "request",
            "parts": [{"part_kind": "tool-return", "tool_name": "find", "content": "gone", "tool_call_id": "c1"}],
        },
        {"kind": "response", "parts": [{"part_kind": "text", "content": "Done."}]},
    ],
    "OpenTelemetry": [
        {
            "role": "assistant",
            "parts": [
                {"type": "text", "content": "Wait."},
                {"type": "tool_call", "id": "c1", "name": "find", "arguments": ARGS},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "gone"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "Done."}], "finish_reason": "stop"},
    ],
    "AutoGen": [
        {"type": "TextMessage", "source": "desk", "content": "Wait."},
        {
            "type": "ToolCallRequestEvent",
            "source": "desk",
            "content": [{"id": "c1", "name": "find", "arguments": json.dumps(ARGS)}],
        },
        {
            "type": "ToolCallExecutionEvent",
            "source": "desk",
            "content": [{"call_id": "c1", "name": "find", "content": "gone", "is_error": False}],
        },
        {"type": "TextMessage", "source": "desk", "content": "Done."},
    ],
    "flat calls": [
        {"role": "assistant", "content": "Wait.", "tool_calls": [{"id": "c1", "name": "find", "input": ARGS}]},
        {"role": "tool", "toolCallId": "c1", "content": [{"type": "text", "text": "gone"}]},
        {"role": "ai", "content": ["Done."]},
    ],
}


@pytest.mark.parametrize("name", CALLED)
def test_calls_results_and_words_of_every_shape_are_found(name: str) -> None:
    messages = chat_messages(CALLED[name])
    calls = [call for message in messages for call in message.get("tool_calls") or []]

    assert [(call["function"]["name"], arguments_of(call)) for call in calls] == [("find", ARGS)]
    assert tool_results(messages) == {calls[0]["id"]: "gone"}
    assert [text for message in messages if message["role"] == "assistant" and (text := text_of(message))] == [
        "Wait.",
        "Done.",
    ]
    assert {message["role"] for message in messages} == {"assistant", "tool"}
    assert all(is_plain(cast("dict[str, Any]", message)) for message in messages)
    assert all(map(can_be_read, CALLED[name]))
    assert chat_messages(CALLED[name]) == messages  # ids that were made are the same in each run


@pytest.mark.parametrize("name", CALLED)
def test_nulls_and_empty_lists_beside_what_is_said_change_nothing(name: str) -> None:
    more: dict[str, Any] = {
        "tool_calls": None,
        "toolInvocations": [],
        "refusal": None,
        "audio": None,
        "annotations": [],
    }
    padded: list[dict[str, Any]] = [{**more, **item} for item in CALLED[name]]
    assert [_meaning(message) for message in chat_messages(padded)] == [
        _meaning(message) for message in chat_messages(CALLED[name])
    ]


def _meaning(message: Message) -> tuple[Any, ...]:
    return message["role"], text_of(message), message.get("tool_calls") or [], message.get("tool_call_id")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": "", "refusal": "I cannot."},
        {"role": "assistant", "content": [], "refusal": "I cannot."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
        {"role": "assistant", "content": None, "audio": {"id": "a", "data": "", "transcript": "I cannot."}},
        {"role": "assistant", "content": [{"type": "audio", "audio": {"id": "a", "transcript": "I cannot."}}]},
        {"role": "assistant", "content": [{"type": "output_audio", "transcript": "I cannot."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}, "transcript": "I cannot."}
            ],
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "I cannot."}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}], "refusal": "I cannot."},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
    ],
)
def test_a_refusal_and_a_transcript_are_what_was_said(message: dict[str, Any]) -> None:
    (read,) = chat_messages([message])
    assert text_of(read) == "I cannot."


def test_words_beside_an_answer_are_added_to_it() -> None:
    (read,) = chat_messages([{"role": "assistant", "content": "Well.", "refusal": "I cannot."}])
    assert text_of(read) == "Well.\nI cannot."


@pytest.mark.parametrize(
    "result",
    [
        {"type": "tool_result", "tool_use_id": "c1", "content": "no such order", "is_error": True},
        {"type": "tool-result", "toolCallId": "c1", "output": {"type": "error-text", "value": "no such order"}},
        {"type": "tool-result", "toolCallId": "c1", "output": {"type": "execution-denied", "reason": "no such order"}},
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "no such order"}], "status": "error"}},
        {"part_kind": "retry-prompt", "tool_call_id": "c1", "content": "no such order"},
    ],
)
def test_a_result_that_says_it_failed_can_be_recognised(result: dict[str, Any]) -> None:
    call = {"role": "assistant", "tool_calls": [_openai_call()]}
    messages = chat_messages([call, {"role": "user", "content": [result]}])
    assert tool_results(messages) == {"c1": "Error: no such order"}


def test_a_failed_tool_message_can_be_recognised() -> None:
    failed = {"type": "tool", "content": "no such order", "tool_call_id": "c1", "status": "error"}
    assert tool_results(chat_messages([failed])) == {"c1": "Error: no such order"}


def test_two_calls_without_ids_get_their_own_results_in_order() -> None:
    call: dict[str, Any] = {"functionCall": {"name": "find", "args": {}}}
    results = [{"functionResponse": {"name": "find", "response": {"result": text}}} for text in ("one", "two")]
    messages = chat_messages([{"role": "model", "parts": [call, call]}, {"role": "user", "parts": results}])
    assert list(tool_results(messages).values()) == ["one", "two"]


def test_what_the_user_says_beside_results_stays_with_the_user() -> None:
    message = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "gone"}, {"type": "text", "text": "And?"}],
    }
    assert [(item["role"], text_of(item)) for item in chat_messages([message])] == [("tool", "gone"), ("user", "And?")]


def test_a_result_without_a_call_shows_that_the_tool_was_called() -> None:
    messages = chat_messages([{"role": "function", "name": "find", "content": "gone"}])
    assert [message["role"] for message in messages] == ["assistant", "tool"]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({}, "needs a 'role'"),
        ({"role": "robot", "content": "x"}, "found 'robot'"),
        ({"role": "assistant", "content": 5}, "'content' is a int"),
        ({"role": "assistant", "content": [5]}, "a part of its 'content' is a int"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "expected a list"),
        ({"role": "assistant", "tool_calls": [{"x": 1}]}, "each of its 'tool_calls' needs"),
        ({"role": "assistant", "tool_calls": ["find"]}, "each of its 'tool_calls' needs"),
        ({"role": "assistant", "tool_calls": [{"name": "find", "args": [1]}]}, "arguments of the call of 'find'"),
        ({"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}, "needs a name"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(item: dict[str, Any], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        ShapeReader().read(item)


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"index": 1, "message": {"content": "B"}}, {"index": 0, "message": {"content": "A"}}]},
        {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A"}]}]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "A"}]}}]},
    ],
)
def test_whole_answers_of_providers_hold_their_items(answer: dict[str, Any]) -> None:
    items = items_of(answer)
    assert items is not None
    assert [text_of(message) for message in chat_messages(items)] == ["A"]


@pytest.mark.parametrize("value", [{}, {"role": "user", "content": "x"}, {"output": "text"}, {"choices": []}])
def test_other_values_are_no_whole_answer(value: dict[str, Any]) -> None:
    assert items_of(value) is None


def test_media_and_unknown_parts_stay_in_the_message() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "Look."},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"type": "thinking", "thinking": "hm"},
    ]
    (read,) = chat_messages([{"role": "assistant", "content": parts}])
    content = cast("list[dict[str, Any]]", read.get("content"))
    assert [part["type"] for part in content] == ["text", "image_url", "image_url", "thinking"]


LOOKED_UP = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("earlier", "result", "made_up"),
    [
        ([], {"role": "tool", "tool_call_id": "zz", "name": "refund", "content": "done"}, "refund"),
        ([], {"role": "tool", "tool_call_id": "", "name": "refund", "content": "done"}, "refund"),
        ([], {"role": "tool", "name": "refund", "content": "done"}, "refund"),
        ([], {"role": "function", "name": "refund", "content": "done"}, "refund"),
        ([], {"role": "tool", "tool_call_id": "zz", "content": "done"}, None),
        ([{"role": "assistant", "tool_calls": [LOOKED_UP]}], {"tool_call_id": "c1", "name": "look_up"}, None),
        ([{"role": "assistant", "tool_calls": [LOOKED_UP]}], {"tool_call_id": "c1", "name": "executor"}, None),
        (
            [{"role": "assistant", "tool_calls": [LOOKED_UP]}, {"role": "tool", "tool_call_id": "c1", "content": "x"}],
            {"tool_call_id": "c1", "name": "refund"},
            "refund",
        ),
    ],
)
@pytest.mark.parametrize("same_answer", [True, False])
def test_a_result_with_a_name_shows_that_its_tool_was_called(
    earlier: list[Any], result: dict[str, Any], made_up: str | None, same_answer: bool
) -> None:
    reader = ShapeReader()
    if same_answer:
        for message in earlier:
            reader.read(message)
    else:
        reader.earlier = lambda: earlier
    found = reader.read({"role": "tool", "content": "done", **result})
    calls = [call for message in found for call in message.get("tool_calls", [])]
    assert [call["function"]["name"] for call in calls] == ([made_up] if made_up else [])
    assert found[-1]["role"] == "tool"
    assert all(call["id"] == found[-1].get("tool_call_id") for call in calls)


def test_results_find_their_calls_in_any_order_and_number():
    count = 15_000
    calls: list[dict[str, Any]] = [{"id": f"c{number}", "name": "find", "args": {}} for number in range(count)]
    results: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": f"c{number}", "content": [], "name": "find"} for number in range(count)
    ]
    read = chat_messages([{"type": "ai", "content": "", "tool_calls": calls}, *reversed(results)])
    assert [message.get("tool_call_id") for message in read[1:]] == [f"c{n}" for n in reversed(range(count))]


def test_results_without_ids_take_the_oldest_open_call_of_their_name():
    calls: list[dict[str, Any]] = [{"id": f"c{number}", "name": name, "args": {}} for number, name in enumerate("abab")]
    results: list[dict[str, Any]] = [{"role": "tool", "name": name, "content": []} for name in "baba"]
    read = chat_messages([{"type": "ai", "content": "", "tool_calls": calls}, *results])
    assert [message.get("tool_call_id") for message in read[1:]] == ["c1", "c0", "c3", "c2"]
