"""Halves of characters in what Python agents, simulated users, models and judges of one's own say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

import duologue
from duologue.messages import Message, arguments_of, assistant_message, tool_call, tool_calls_of, user_message
from duologue.models.ask import ask
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.scope import RunScope

HALF = "a\ud800b"
WHOLE = "a\ufffdb"


class Returning(duologue.AgentAdapter):
    """An agent that always gives the same answer."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def call(self, input: duologue.AgentInput) -> object:  # type: ignore[override]
        return self.answer


@dataclass
class Reply:
    """A message of somebody's own."""

    role: str
    content: str


class Model(BaseModel):
    """Another one."""

    role: str = "assistant"
    content: str


def calling(name: str, arguments: str) -> list[Message]:
    return [
        assistant_message(None, [tool_call(name, arguments, "c1")]),
        {"role": "tool", "tool_call_id": "c1", "content": HALF},
        assistant_message(HALF),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        HALF,
        assistant_message(HALF),
        [assistant_message("x"), assistant_message(HALF)],
        {"role": "assistant", "content": [{"type": "text", "text": HALF}], HALF: {HALF: (HALF,)}},
        Reply("assistant", HALF),
        Model.model_construct(content=HALF),
        [{"role": "assistant", "content": HALF, "metadata": Model.model_construct(content=HALF)}],
        calling(HALF, json.dumps({"a": HALF})),
        calling(HALF, json.dumps({"a": HALF, HALF: [HALF]}, ensure_ascii=False)),
    ],
)
async def test_halves_of_characters_in_an_answer_are_replaced(tmp_path: Path, answer: object) -> None:
    path = tmp_path / "run.jsonl"
    result = await duologue.arun(
        "n", "d", [Returning(answer), duologue.ScriptedUser([HALF])],
        script=[duologue.user(), duologue.agent(), duologue.succeed()], verbose=False, record=path,
    )  # fmt: skip
    assert result.success
    text = json.dumps(result.messages, ensure_ascii=False)
    text.encode()
    assert text.count(WHOLE) >= 2
    assert result.messages[0]["content"] == WHOLE
    for message in result.messages:
        for call in tool_calls_of(message):
            assert call["function"]["name"] == WHOLE
            json.dumps(arguments_of(call), ensure_ascii=False).encode()
    assert WHOLE in path.read_text("utf-8")
    assert WHOLE in result.model_dump_json()


async def test_a_character_that_came_in_two_pieces_is_whole() -> None:
    class Streaming(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> str:
            raise NotImplementedError

        def stream(self, input: duologue.AgentInput) -> AsyncIterator[str]:  # type: ignore[override]
            async def pieces() -> AsyncIterator[str]:
                for piece in ("hello \ud83d", "\ude00 and \ud83d"):
                    yield piece

            return pieces()

    result = await duologue.arun(
        "n", "d", [Streaming(), duologue.ScriptedUser(["x"])],
        script=[duologue.user(), duologue.agent(), duologue.succeed()], verbose=False,
    )  # fmt: skip
    assert result.messages[-1]["content"] == "hello \U0001f600 and \ufffd"


class OwnModel:
    """A model of one's own that cuts its texts anywhere."""

    name = "own/model"

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        message = assistant_message(HALF, [tool_call(HALF, json.dumps({"a": HALF}, ensure_ascii=False), "c")])
        return ModelAnswer(message=message, refusal=HALF)


async def test_halves_of_characters_in_the_answer_of_a_model_are_replaced() -> None:
    answer = await ask(OwnModel(), ModelRequest(messages=(user_message("x"),)), RunScope())
    [call] = tool_calls_of(answer.message)
    assert (answer.message.get("content"), answer.refusal, call["function"]["name"]) == (WHOLE, WHOLE, WHOLE)
    assert arguments_of(call) == {"a": WHOLE}


async def test_halves_of_characters_in_the_result_of_a_judge_are_replaced(tmp_path: Path) -> None:
    class Judge(duologue.AgentAdapter):
        role = duologue.AgentRole.JUDGE

        async def call(self, input: duologue.AgentInput) -> duologue.ScenarioResult:
            return duologue.ScenarioResult(success=False, reasoning=HALF, failed_criteria=[HALF])

    agents = [Returning("hi"), duologue.ScriptedUser(["x"]), Judge()]
    result = await duologue.arun("n", "d", agents, verbose=False, record=tmp_path / "run.jsonl")
    assert (result.error, result.failed_criteria) == (None, [WHOLE])
    assert WHOLE in (result.reasoning or "")
