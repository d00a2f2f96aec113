"""Tools as JSON steps: what the engine is asked to enforce, what the model is told, what its answer means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.messages import arguments_of, assistant_message, text_of, tool_call, tool_calls_of, tool_message
from duologue.models.base import ModelRequest, ToolSpec
from duologue.models.local._steps import StepError, answer_schema, plain_messages, read_step

TRACK = ToolSpec(
    name="track",
    description="Where an order is.",
    parameters={"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
)
PING = ToolSpec(name="ping", description="", parameters={})


def request(*messages: Any, **given: Any) -> ModelRequest:
    return ModelRequest(messages=messages or ({"role": "user", "content": "Hi"},), **{"tools": (TRACK, PING), **given})


def test_a_step_is_one_of_the_tools_or_a_reply() -> None:
    schema = answer_schema(request())
    assert schema
    options = schema["anyOf"]
    assert [option["properties"].get("tool") for option in options] == [{"const": "track"}, {"const": "ping"}, None]
    assert options[0]["properties"]["arguments"] == TRACK.parameters
    assert options[2]["properties"] == {"reply": {"type": "string"}}
    assert all(option["required"] == list(option["properties"]) for option in options)
    assert not any(option["additionalProperties"] for option in options)


def test_a_required_tool_leaves_no_reply() -> None:
    schema = answer_schema(request(tool_choice="required"))
    assert schema
    assert [list(option["properties"]) for option in schema["anyOf"]] == [["tool", "arguments"]] * 2


def test_without_tools_the_schema_is_the_one_that_was_asked_for() -> None:
    wanted = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert answer_schema(request(tools=(), response_schema=wanted)) == wanted
    assert answer_schema(request(tool_choice="none", response_schema=wanted)) == wanted
    assert answer_schema(request(tools=())) is None


def test_a_reply_follows_the_schema_that_was_asked_for() -> None:
    schema = answer_schema(request(response_schema={"type": "integer"}))
    assert schema
    assert schema["anyOf"][-1]["properties"]["reply"] == {"type": "integer"}
    assert read_step('{"reply": {"a": 1}}', request())["content"] == '{"a": 1}'


def test_definitions_move_to_the_root_and_do_not_meet() -> None:
    def tool(name: str, kind: str) -> ToolSpec:
        parameters = {
            "type": "object",
            "properties": {"order": {"$ref": "#/$defs/Order"}},
            "$defs": {"Order": {"type": kind, "properties": {"next": {"$ref": "#/$defs/Order"}}}},
        }
        return ToolSpec(name=name, description="", parameters=parameters)

    schema = answer_schema(request(tools=(tool("a", "object"), tool("b", "array"))))
    assert schema
    assert {name: value["type"] for name, value in schema["$defs"].items()} == {"a.Order": "object", "b.Order": "array"}
    assert schema["$defs"]["b.Order"]["properties"]["next"] == {"$ref": "#/$defs/b.Order"}
    arguments = schema["anyOf"][0]["properties"]["arguments"]
    assert arguments == {"type": "object", "properties": {"order": {"$ref": "#/$defs/a.Order"}}}


def test_a_schema_that_refers_to_its_own_root_still_does() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    schema = answer_schema(request(tools=(ToolSpec(name="t", description="", parameters=tree),)))
    assert schema
    assert schema["anyOf"][0]["properties"]["arguments"] == {"$ref": "#/$defs/t"}
    assert schema["$defs"]["t"]["properties"]["child"] == {"$ref": "#/$defs/t"}


def test_a_tool_step_becomes_a_tool_call() -> None:
    message = read_step('{"tool": "track", "arguments": {"id": "48213"}}', request())
    (call,) = tool_calls_of(message)
    assert (call["type"], call["function"]["name"], arguments_of(call)) == ("function", "track", {"id": "48213"})
    assert message["content"] is None


def test_the_same_call_has_another_id_later_in_the_conversation_and_the_same_id_when_it_is_repeated() -> None:
    text = '{"tool": "ping", "arguments": {}}'
    first, again = read_step(text, request()), read_step(text, request())
    later = read_step(text, request({"role": "user", "content": "a"}, {"role": "user", "content": "b"}))
    ids = [tool_calls_of(message)[0]["id"] for message in (first, again, later)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"tool": "track", "argum', "not JSON"),
        ("[]", "not a JSON object"),
        ('{"tool": "erase", "arguments": {}}', "no tool that was offered: 'erase'"),
        ('{"tool": "track", "arguments": []}', "not an object"),
        ("{}", "no tool"),
    ],
)
def test_a_text_that_is_no_step_is_said_to_be_none(text: str, problem: str) -> None:
    with pytest.raises(StepError, match=problem):
        read_step(text, request())


def test_a_reply_is_no_answer_when_a_tool_was_required() -> None:
    with pytest.raises(StepError):
        read_step('{"reply": "hello"}', request(tool_choice="required"))


@given(st.text())
def test_no_text_makes_reading_a_step_raise_anything_else(text: str) -> None:
    for candidate in (text, json.dumps({"reply": text}), json.dumps({"tool": text, "arguments": text})):
        try:
            message = read_step(candidate, request())
        except StepError:
            continue
        assert message["role"] == "assistant"


def test_the_history_is_told_in_steps_and_the_tools_are_explained() -> None:
    asked = request(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Where is it?"}, {"type": "image_url", "image_url": {}}]},
        assistant_message(None, [tool_call("track", {"id": "1"}, "c1")]),
        tool_message("c1", "on its way"),
        assistant_message("On its way."),
    )
    first, *rest = plain_messages(asked)
    assert first["role"] == "system"
    assert first["content"].startswith("Be brief.")
    assert "- track: Where is an order" not in first["content"]
    assert '- track: Where an order is. Arguments: {"id":{"type":"string"}}' in first["content"]
    assert rest == [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": '{"tool": "track", "arguments": {"id": "1"}}'},
        {"role": "user", "content": "Result of track: on its way"},
        {"role": "assistant", "content": '{"reply": "On its way."}'},
    ]


def test_after_a_result_the_model_is_asked_to_tell_it_unless_a_tool_is_required() -> None:
    history = (assistant_message(None, [tool_call("track", {}, "c1")]), tool_message("c1", "gone"))
    assert plain_messages(request(*history))[-1]["content"].endswith('{"reply": ...}')
    assert plain_messages(request(*history, tool_choice="required"))[-1]["content"] == "Result of track: gone"


def test_without_tools_the_conversation_stays_as_it_is() -> None:
    messages = ({"role": "system", "content": "S"}, {"role": "user", "content": "U"}, assistant_message("A"))
    told = plain_messages(request(*messages, tools=()))
    assert told == [{"role": item["role"], "content": text_of(item)} for item in messages]


def test_no_messages_at_all_are_no_reason_to_break() -> None:
    assert plain_messages(ModelRequest(messages=(), tools=(PING,)))[0]["role"] == "system"
