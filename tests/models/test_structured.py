from __future__ import annotations

import random

import pytest
from patient_clock import PatientClock

from duologue.context import Context
from duologue.errors import ModelAnswerError, ModelRejectedError, ModelTimeoutError
from duologue.messages import assistant_message, text_of, user_message
from duologue.models import ModelAnswer, ModelRequest, ScriptedModel
from duologue.models.scope import RunScope
from duologue.models.scripted import Scripted
from duologue.models.structured import (
    AnswerRetries,
    RuleBrokenError,
    UnreadableError,
    UnusableAnswerError,
    ask_until_readable,
)

REQUEST = ModelRequest(messages=(user_message("How many?"),), temperature=0.3, seed=4)
PATIENT = AnswerRetries(pauses=(1.0, 4.0), failures=True)


def number(text: str) -> int:
    if not text.isdigit():
        raise UnreadableError(f"{text!r} is not a number")
    if int(text) > 9:
        raise RuleBrokenError(f"{text} is more than 9")
    return int(text)


def cut_off(text: str, reason: str) -> ModelAnswer:
    return ModelAnswer(message=assistant_message(text), finish_reason=reason, model="scripted")


class Asked:
    """A model with these answers, what it was asked, and how long was waited."""

    def __init__(self, *answers: Scripted) -> None:
        self.model = ScriptedModel(answers)
        self.clock = PatientClock()

    async def until_read(self, retries: AnswerRetries | None = None, first: ModelAnswer | None = None) -> int:
        scope = RunScope(context=Context(clock=self.clock))
        return await ask_until_readable(self.model, REQUEST, number, scope, retries=retries, first=first)

    @property
    def texts(self) -> list[list[str]]:
        return [[text_of(message) for message in request.messages] for request in self.model.requests]


async def test_a_readable_answer_is_asked_for_once() -> None:
    asked = Asked("7")
    assert await asked.until_read() == 7
    assert asked.model.requests == [REQUEST]


async def test_what_cannot_be_read_is_sent_back_with_the_reason_and_nothing_older() -> None:
    asked = Asked("some", "", "3")
    assert await asked.until_read(PATIENT) == 3
    complaint = "This cannot be used: {} is not a number. Answer again, with the whole JSON object."
    assert asked.texts[1:] == [
        ["How many?", "some", complaint.format("'some'")],
        ["How many?", "(no answer)", complaint.format("''")],
    ]
    assert {(request.temperature, request.seed) for request in asked.model.requests} == {(0.3, 4)}
    assert asked.clock.sleeps == [1.0, 4.0]


async def test_the_usual_is_one_more_request_without_a_pause() -> None:
    asked = Asked("some", "many")
    with pytest.raises(UnusableAnswerError, match=r"'many' is not a number\. It wrote: 'many'") as caught:
        await asked.until_read()
    assert caught.value.answer.text == "many"
    assert caught.value.problem == "'many' is not a number"
    assert caught.value.model == "scripted"
    assert len(asked.model.requests) == 2
    assert asked.clock.sleeps == []


async def test_a_broken_rule_is_corrected_once_beside_what_cannot_be_read() -> None:
    asked = Asked("some", "11", "5")
    assert await asked.until_read() == 5
    assert "11 is more than 9" in asked.texts[2][-1]
    asked = Asked("11", "some", "12")
    with pytest.raises(UnusableAnswerError, match="12 is more than 9"):
        await asked.until_read()
    asked = Asked("11")
    with pytest.raises(UnusableAnswerError):
        await asked.until_read(AnswerRetries(corrections=0))


async def test_the_caller_says_in_which_words() -> None:
    retries = AnswerRetries(complaint="No: {problem}!", refused="you said {refusal}, but {{this}} is a game")
    asked = Asked(ModelAnswer(message=assistant_message("5"), refusal="{never}"), "some {braces}", "5")
    with pytest.raises(UnusableAnswerError):
        await asked.until_read(retries)
    assert asked.texts[1] == ["How many?", "5", "No: you said {never}, but {this} is a game!"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ModelAnswer(message=assistant_message("5"), refusal="never"), "you declined to answer (never)"),
        (cut_off("5", "content_filter"), "a content filter cut the answer off"),
        (cut_off("fi", "length"), "the answer was cut off before its end; write less"),
    ],
    ids=["refusal", "content filter", "length"],
)
async def test_an_answer_that_was_withheld_or_cut_off_says_so(answer: ModelAnswer, problem: str) -> None:
    asked = Asked(answer, answer)
    with pytest.raises(UnusableAnswerError) as caught:
        await asked.until_read()
    assert caught.value.problem == problem


async def test_what_can_be_read_counts_even_where_it_was_cut_off() -> None:
    assert await Asked(cut_off("5", "length")).until_read() == 5


async def test_timeouts_and_broken_formats_are_asked_the_same_again_where_that_is_wanted() -> None:
    asked = Asked(ModelTimeoutError("slow"), ModelAnswerError("garbled"), "some", ModelTimeoutError("slow"), "6")
    assert await asked.until_read(PATIENT) == 6
    assert [len(texts) for texts in asked.texts] == [1, 1, 1, 3, 3]
    assert asked.clock.sleeps == [1.0, 4.0, 1.0, 1.0]
    for error in (ModelTimeoutError("slow"), ModelAnswerError("garbled")):
        with pytest.raises(type(error)):
            await Asked(error, "6").until_read()


async def test_an_error_that_time_does_not_mend_ends_it_at_once() -> None:
    asked = Asked(ModelRejectedError("no such model"), "6")
    with pytest.raises(ModelRejectedError):
        await asked.until_read(PATIENT)
    assert len(asked.model.requests) == 1


async def test_an_answer_that_is_already_there_is_read_first() -> None:
    there = ModelAnswer(message=assistant_message("8"))
    asked = Asked("9")
    assert await asked.until_read(first=there) == 8
    assert asked.model.requests == []
    broken = ModelAnswer(message=assistant_message("eight"))
    assert await asked.until_read(first=broken) == 9
    assert asked.texts == [
        [
            "How many?",
            "eight",
            "This cannot be used: 'eight' is not a number. Answer again, with the whole JSON object.",
        ]
    ]


async def test_a_long_answer_is_quoted_in_part() -> None:
    text = "".join(random.Random(1).choices("abc", k=1000))
    with pytest.raises(UnusableAnswerError) as caught:
        await Asked(text, text).until_read()
    assert caught.value.wrote == repr(text[:300] + "…")
