from __future__ import annotations

import asyncio

import pytest

from duologue.errors import ModelAnswerError, ModelUnavailableError
from duologue.messages import assistant_message, text_of, tool_call, user_message
from duologue.models import Model, ModelAnswer, ModelRequest, ScriptedModel


def asked(text: str) -> ModelRequest:
    return ModelRequest(messages=(user_message(text),))


async def test_answers_in_every_form_come_in_order() -> None:
    async def later(request: ModelRequest) -> str:
        await asyncio.sleep(0)
        return "later: " + text_of(request.messages[-1])

    call = tool_call("find", {"q": 1}, "c1")
    whole = ModelAnswer(message=assistant_message("whole"), attempts=3)
    model = ScriptedModel(
        ["one", assistant_message(None, [call]), whole, lambda request: text_of(request.messages[-1]) + "!", later]
    )
    assert isinstance(model, Model)
    answers = [await model.answer(asked(str(number))) for number in range(5)]
    assert [answer.text for answer in answers] == ["one", "", "whole", "3!", "later: 4"]
    assert answers[1].tool_calls == [call]
    assert [answer.finish_reason for answer in answers[:2]] == ["stop", "tool_calls"]
    assert answers[2] is whole
    assert [text_of(request.messages[0]) for request in model.requests] == ["0", "1", "2", "3", "4"]


async def test_exceptions_are_raised_given_or_made() -> None:
    model = ScriptedModel([ModelUnavailableError("down"), lambda _: ModelUnavailableError("made")])
    with pytest.raises(ModelUnavailableError, match="down"):
        await model.answer(asked("?"))
    with pytest.raises(ModelUnavailableError, match="made"):
        await model.answer(asked("?"))


async def test_running_out_says_how_many_there_were() -> None:
    model = ScriptedModel(["only"], name="actor")
    await model.answer(asked("?"))
    with pytest.raises(ModelAnswerError, match=r"actor was asked 2 times and was given 1 answer;.*repeat=True"):
        await model.answer(asked("?"))
    with pytest.raises(ModelAnswerError, match="given 0 answers"):
        await ScriptedModel([], repeat=True).answer(asked("?"))


async def test_the_last_answer_is_repeated_on_request() -> None:
    model = ScriptedModel(["a", "b"], repeat=True)
    assert [(await model.answer(asked("?"))).text for _ in range(4)] == ["a", "b", "b", "b"]
