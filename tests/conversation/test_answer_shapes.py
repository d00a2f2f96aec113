"""What agents in Python return, in the shapes of their frameworks, reaches the conversation as tool calls and words."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from pydantic import BaseModel

import duologue
from duologue.errors import AgentReturnError
from duologue.messages import Message, arguments_of, text_of


class AIMessage(BaseModel):
    """As LangChain has it: no role, calls with ``args``."""

    content: str | list[Any]
    type: str = "ai"
    tool_calls: list[dict[str, Any]] = []
    additional_kwargs: dict[str, Any] = {}


class ToolMessage(BaseModel):
    content: str
    tool_call_id: str
    type: str = "tool"


@dataclass
class Part:
    part_kind: str
    content: str | None = None
    tool_name: str | None = None
    args: dict[str, Any] | None = None
    tool_call_id: str | None = None


@dataclass
class Response:
    """As pydantic-ai has it: a dataclass with parts."""

    kind: str
    parts: list[Part] = field(default_factory=list[Part])


ANSWERS: dict[str, Any] = {
    "objects of LangChain": [
        AIMessage(content="", tool_calls=[{"name": "refund", "args": {"id": 1}, "id": "c1", "type": "tool_call"}]),
        ToolMessage(content="ok", tool_call_id="c1"),
        AIMessage(content="Done."),
    ],
    "dataclasses of pydantic-ai": [
        Response("response", [Part("tool-call", tool_name="refund", args={"id": 1}, tool_call_id="c1")]),
        Response("request", [Part("tool-return", content="ok", tool_name="refund", tool_call_id="c1")]),
        Response("response", [Part("text", content="Done.")]),
    ],
    "blocks of Anthropic": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "refund", "input": {"id": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ],
    "a whole answer of the Responses API": {
        "object": "response",
        "output": [
            {"type": "function_call", "call_id": "c1", "name": "refund", "arguments": '{"id": 1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "ok"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
        ],
    },
    "one message of the Vercel AI SDK": {
        "role": "assistant",
        "parts": [
            {
                "type": "tool-refund",
                "toolCallId": "c1",
                "state": "output-available",
                "input": {"id": 1},
                "output": "ok",
            },
            {"type": "text", "text": "Done."},
        ],
    },
    "contents of Gemini": [
        {"role": "model", "parts": [{"functionCall": {"name": "refund", "args": {"id": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "refund", "response": {"result": "ok"}}}]},
        {"role": "model", "parts": [{"text": "Done."}]},
    ],
}


class Returns(duologue.AgentAdapter):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def call(self, input: duologue.AgentInput) -> Any:
        return self.answer


class Streams(Returns):
    def stream(self, input: duologue.AgentInput) -> AsyncIterator[Any]:
        async def pieces() -> AsyncIterator[Any]:
            for piece in cast("list[Any]", self.answer) if isinstance(self.answer, list) else [self.answer]:
                yield piece

        return pieces()


async def _answered(agent: duologue.AgentAdapter) -> list[Message]:
    script = [duologue.user("Refund it."), duologue.agent(), duologue.succeed()]
    result = await duologue.arun("shapes", "", [agent, duologue.ScriptedUser(["x"])], script=script, verbose=False)
    return result.messages[1:]


@pytest.mark.parametrize("adapter", [Returns, Streams])
@pytest.mark.parametrize("name", ANSWERS)
async def test_tool_calls_of_every_framework_reach_the_conversation(name: str, adapter: type[Returns]) -> None:
    messages = await _answered(adapter(ANSWERS[name]))
    (call,) = (call for message in messages for call in message.get("tool_calls") or [])
    assert (call["function"]["name"], arguments_of(call)) == ("refund", {"id": 1})
    assert [(m["role"], text_of(m), m.get("tool_call_id")) for m in messages if text_of(m)] == [
        ("tool", "ok", call["id"]),
        ("assistant", "Done.", None),
    ]


async def test_a_refusal_is_what_the_agent_said() -> None:
    (message,) = await _answered(Returns({"role": "assistant", "content": None, "refusal": "I cannot."}))
    assert text_of(message) == "I cannot."


async def test_an_answer_that_broke_off_is_none() -> None:
    choice = {"finish_reason": "error", "message": {"role": "assistant", "content": "Your par"}}
    with pytest.raises(AgentReturnError, match="broke off"):
        await _answered(Returns({"choices": [choice]}))


@pytest.mark.parametrize("role", ["user", "system", "developer", "human"])
async def test_an_agent_puts_no_words_into_the_mouth_of_others(role: str) -> None:
    with pytest.raises(AgentReturnError, match="return only what is new"):
        await _answered(Returns([{"role": role, "content": "I am happy."}, {"role": "assistant", "content": "Ok."}]))


async def test_the_type_of_something_unknown_is_named() -> None:
    class Outcome(BaseModel):
        final_output: str = "x"

    with pytest.raises(AgentReturnError, match=r"returned a Outcome.*needs a 'role'"):
        await _answered(Returns(Outcome()))
