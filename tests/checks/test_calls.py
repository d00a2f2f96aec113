"""Tool calls as checks read them: whose answer is whose, and which values are the same."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from duologue import checks
from duologue.checks.subject import calls_in, same
from duologue.journal.events import MessageAdded, ToolCalled
from duologue.message_shapes import chat_messages
from duologue.messages import Message, arguments_of, tool_call
from duologue.vocabulary import CheckStatus


def made(name: str, call_id: str = "call_1") -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps({"of": name})}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def answered(text: str, call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def records(*turns: list[dict[str, Any]]) -> list[MessageAdded]:
    lines = [(turn, message) for turn, messages in enumerate(turns) for message in messages]
    return [
        MessageAdded(message_id=f"m{n}", message=cast("Message", line), turn=turn)
        for n, (turn, line) in enumerate(lines, 1)
    ]


def test_an_id_that_an_agent_uses_again_keeps_each_answer_with_its_call() -> None:
    both = records([made("a"), answered("first")], [made("b"), answered("second")])
    assert [(call.name, call.result) for call in calls_in(both)] == [("a", "first"), ("b", "second")]


def test_calls_at_once_with_one_id_are_answered_in_order() -> None:
    message = made("a")
    message["tool_calls"] += made("b")["tool_calls"]
    found = calls_in(records([message, answered("first"), answered("second")]))
    assert [call.result for call in found] == ["first", "second"]


def test_a_call_that_never_was_answered_takes_no_later_answer_of_another_id() -> None:
    found = calls_in(records([made("a", "x"), made("b", "y"), answered("of b", "y")]))
    assert [call.result for call in found] == [None, "of b"]


def test_a_failure_belongs_to_the_call_of_its_turn() -> None:
    run = [
        ToolCalled(name="a", turn=0, call_id="call_1", error="no such order"),
        ToolCalled(name="a", turn=1, call_id="call_1", result="found"),
    ]
    both = records([made("a"), answered("no such order")], [made("a"), answered("found")])
    assert [call.error for call in calls_in(both, run)] == ["no such order", None]


async def test_the_answer_of_each_of_two_calls_with_one_id_is_checked(build: Any) -> None:
    lines = ["u: a", made("find"), answered("one"), "u: b", made("find"), answered("two")]
    for occurrence, text in ((1, "one"), (2, "two")):
        params = {"tool": "find", "patterns": [text], "occurrence": occurrence}
        assert (await checks.create("tool_result_includes", params).evaluate(build(*lines))).status == "passed"


@pytest.mark.parametrize(
    ("actual", "expected", "equal"),
    [
        ("5", 5.0, True),
        ("5.0", 5, True),
        (5, "5", True),
        (1.0, "1", True),
        ("1e3", 1000, True),
        ("-2", -2, True),
        ("12345678901234567890", 12345678901234567890, True),
        ("12345678901234567891", 12345678901234567890, False),
        ("007", 7, False),
        ("+5", 5, False),
        ("five", 5, False),
        (True, 1, False),
        ("true", 1, False),
        ("true", True, True),
        (None, 0, False),
        ("5", "5.0", False),
        ("9" * 5000, 1, False),
    ],
)
def test_a_text_equals_the_number_that_it_spells(actual: Any, expected: Any, equal: bool) -> None:
    assert same(actual, expected) is equal
    assert same({"a": [actual]}, {"a": [expected]}) is equal


SQL = "SELECT *\nFROM orders"
PLAIN_INPUTS: dict[str, Any] = {
    "responses": {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": SQL},
    "completions": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": SQL}}],
    },
    "function": {"role": "assistant", "content": "", "tool_calls": [tool_call("sql", SQL, "c")]},
    "text in JSON": {"role": "assistant", "content": "", "tool_calls": [tool_call("sql", json.dumps(SQL), "c")]},
}


@pytest.mark.parametrize("name", PLAIN_INPUTS)
async def test_plain_text_given_to_a_tool_can_be_checked(name: str, build: Any) -> None:
    [message] = chat_messages([PLAIN_INPUTS[name]])
    wanted = checks.create("tool_calls_with_args", {"tool": "sql", "expected_args": {"input": SQL}})
    assert (await wanted.evaluate(build("u: x", message))).status is CheckStatus.PASSED
    for arguments in ({"input": "SELECT 1"}, {"input": ""}):
        other = checks.create("tool_calls_with_args", {"tool": "sql", "expected_args": arguments})
        assert (await other.evaluate(build("u: x", message))).status is CheckStatus.FAILED


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", {}),
        (" ", {}),
        ("null", {}),
        ("{}", {}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": ', {"input": '{"a": '}),
        ("[1]", {"input": [1]}),
        ("5", {"input": 5}),
        ("ja", {"input": "ja"}),
        ("half \ud800", {"input": "half \ufffd"}),
        ("[" * 100_000, {"input": "[" * 100_000}),
    ],
)
def test_arguments_that_are_no_object_are_kept(written: str, read: dict[str, Any]) -> None:
    assert arguments_of(tool_call("t", written, "c")) == read
