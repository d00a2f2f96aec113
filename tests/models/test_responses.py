"""Models that are asked through OpenAI's Responses API."""

from __future__ import annotations

import json
from typing import Any

import openai_server as fakes
import pytest

from duologue.errors import (
    ModelAnswerError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelUnavailableError,
)
from duologue.messages import Message, assistant_message, tool_call, tool_message, user_message
from duologue.models import ModelRequest, ToolSpec
from duologue.models._responses_format import read_response
from duologue.models.base import ModelAnswer
from duologue.models.openai_compatible import OpenAICompatibleClient
from duologue.models.provider import ProviderModel, RetryPolicy

HELLO = ModelRequest(messages=(user_message("Hi"),))
SCHEMA = {
    "title": "Mood",
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}
USAGE = {
    "input_tokens": 1000,
    "output_tokens": 7,
    "total_tokens": 1007,
    "input_tokens_details": {"cached_tokens": 600},
    "output_tokens_details": {"reasoning_tokens": 3},
}


def said(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "id": "msg_1", "content": list(content)}


def spoken(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def response(*output: dict[str, Any], **fields: Any) -> fakes.Reply:
    body = {"id": "resp_1", "object": "response", "status": "completed", "error": None, "incomplete_details": None}
    return fakes.Reply(body={**body, "output": list(output), "usage": USAGE, **fields})


async def ask(
    server: Any, request: ModelRequest = HELLO, *, name: str = "openai-responses/gpt-4o", **extra: Any
) -> ModelAnswer:
    client = OpenAICompatibleClient(
        name.partition("/")[2],
        f"{server.url}/responses",
        headers={"Authorization": "Bearer k"},
        key="k",
        responses=True,
    )
    try:
        return await ProviderModel(name, client, extra=extra, retry=RetryPolicy(attempts=1)).answer(request)
    finally:
        await client.aclose()


async def test_text_tokens_and_cost_are_read(server: Any) -> None:
    server.script(response({"type": "reasoning", "summary": []}, said(spoken("Hello"), spoken("!"))))
    found = await ask(server)
    assert (found.text, found.finish_reason, found.usage.total_tokens) == ("Hello!", "stop", 1007)
    # gpt-4o: 2.50 dollars for a million tokens, 1.25 for cached ones, 10 for those written
    assert found.cost == pytest.approx(400 * 2.5e-6 + 600 * 1.25e-6 + 7 * 10e-6)
    assert server.headers[0][""].startswith("POST /v1/responses ")


async def test_a_conversation_becomes_items(server: Any) -> None:
    server.script(response(said(spoken("Hello"))))
    image = {"type": "image_url", "image_url": {"url": "https://example.org/i.png", "detail": "low"}}
    file = {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"}}
    messages: list[Message] = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image, file]},  # type: ignore[list-item]
        assistant_message("Let me see", [tool_call("f", {"a": 1}, "call_1")]),
        tool_message("call_1", "42"),
        assistant_message("It is 42."),
        user_message("Sure?"),
    ]
    tools = (
        ToolSpec(name="f", description="d", parameters={"type": "object", "properties": {"a": {"type": "integer"}}}),
        ToolSpec(name="g", description="e", parameters={"type": "object", "properties": {}}),
    )
    request = ModelRequest(
        messages=tuple(messages),
        tools=tools,
        tool_choice="required",
        max_tokens=50,
        temperature=0.5,
        seed=3,
        stop=("x",),
    )
    await ask(server, request)
    sent = server.requests[0]
    assert sent["input"] == [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "image_url": "https://example.org/i.png", "detail": "low"},
                {"type": "input_file", "file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"},
            ],
        },
        {"role": "assistant", "content": "Let me see"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
        {"role": "assistant", "content": "It is 42."},
        {"role": "user", "content": "Sure?"},
    ]
    assert [(tool["type"], tool["name"], tool["strict"]) for tool in sent["tools"]] == [
        ("function", "f", False),
        ("function", "g", True),
    ]
    rest = {name: value for name, value in sent.items() if name not in {"input", "tools"}}
    assert rest == {"model": "gpt-4o", "max_output_tokens": 50, "temperature": 0.5, "tool_choice": "required"}


async def test_the_form_of_an_answer_and_options_have_their_own_places(server: Any) -> None:
    server.script(response(said(spoken('{"mood": "fine"}'))))
    request = ModelRequest(messages=HELLO.messages, response_schema=SCHEMA, temperature=0.0)
    await ask(
        server,
        request,
        name="openai-responses/gpt-5-mini",
        reasoning_effort="low",
        openai_reasoning_summary="auto",
        verbosity="low",
        store=False,
    )
    sent = server.requests[0]
    assert sent["text"]["verbosity"] == "low"
    form = sent["text"]["format"]
    assert (form["type"], form["name"], form["strict"], form["schema"]["required"]) == (
        "json_schema",
        "Mood",
        True,
        ["mood"],
    )
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}
    assert sent["store"] is False
    assert not {"temperature", "response_format", "reasoning_effort", "messages"} & sent.keys()


async def test_tool_calls_refusals_and_cut_answers_are_read(server: Any) -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_9", "name": "f", "arguments": '{"a": 1}'}
    server.script(
        response(call),
        response(said({"type": "refusal", "refusal": "I cannot."})),
        response(said(spoken("Once")), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        response(status="incomplete", incomplete_details={"reason": "content_filter"}),
    )
    called = await ask(server)
    assert (called.tool_calls, called.finish_reason) == ([tool_call("f", {"a": 1}, "call_9")], "tool_calls")
    assert (await ask(server)).refusal == "I cannot."
    cut = await ask(server)
    assert (cut.text, cut.finish_reason) == ("Once", "length")
    assert (await ask(server)).finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        (
            {"status": "failed", "error": {"code": "server_error", "message": "on fire"}},
            ModelUnavailableError,
            "on fire",
        ),
        (
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}},
            ModelRateLimitError,
            "slow",
        ),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}}, ModelAnswerError, "no"),
        ({"status": "failed"}, ModelAnswerError, "answered with an error"),
        ({"error": {"message": "on fire"}}, ModelAnswerError, "on fire"),
        ({"output": []}, ModelAnswerError, "no choice"),
        ({"output": None}, ModelAnswerError, "no choice"),
        ({"output": [{"type": "function_call", "arguments": 3}]}, ModelAnswerError, "cannot be understood"),
    ],
)
async def test_what_is_no_answer_is_an_error_in_the_words_of_the_provider(
    server: Any, fields: dict[str, Any], kind: type[Exception], words: str
) -> None:
    server.script(response(**fields))
    with pytest.raises(kind, match=words):
        await ask(server)


@pytest.mark.parametrize("usage", [None, [], "n/a", {}, {"input_tokens": None}, {"input_tokens": "x"}])
async def test_usage_that_is_missing_or_odd_leaves_the_answer(server: Any, usage: Any) -> None:
    server.script(response(said(spoken("Hi")), usage=usage))
    found = await ask(server)
    assert (found.text, found.usage.total_tokens, found.cost) == ("Hi", 0, None)


@pytest.mark.parametrize(
    "output", [[None, 3, "x"], [{"type": "message", "content": None}], [{"type": "message"}], [{}], 7]
)
def test_output_that_is_odd_breaks_nothing(output: Any) -> None:
    assert not read_response(json.dumps({"output": output})).choices


async def test_audio_is_refused_with_a_way_out(server: Any) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    message: Any = {"role": "user", "content": [audio]}
    with pytest.raises(ModelRejectedError, match=r"message 0 .*'input_audio'.*'openai/…'"):
        await ask(server, ModelRequest(messages=(message,)))
