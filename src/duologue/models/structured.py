"""Ask a model until its answer can be read, a bounded number of times; and find the one object in an answer.

Judges, graders, simulated users and attackers all need an answer in a certain form. Each brings a function that reads
it; this module decides how often the model is asked, and what it is told about an answer that could not be used. What
to do when no answer can be used is up to the caller: a judge raises an error, a scorer leaves a reply without a score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from duologue.config.json_text import RepeatedKeyError, json_spans
from duologue.config.patterns import late
from duologue.errors import ModelAnswerError, ModelTimeoutError
from duologue.frozen import frozen
from duologue.messages import JsonValue, assistant_message, mended, user_message
from duologue.models.ask import ask
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.models.scope import RunScope

T = TypeVar("T")

_SHOWN = 300
"""Characters of a refusal that are quoted to the model, and of an answer that are quoted in an error."""
_SHOWN_VALUE = 80
"""Characters of a value that a complaint quotes."""
_NO_TEXT = "(no answer)"
"""Stands for an empty answer when it is sent back: providers refuse messages without content."""
_THOUGHT = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAKES_BACK = late(
    r"\b(?:not|\w+n['’]t|cannot|no|never|neither|but|however|although|though|actually|wait|instead|rather|correction|"
    r"mistake\w*|wrong\w*|incorrect\w*|fail\w*|unmet|undecided|inconclusive|violat\w+|false|reconsider\w*|disregard|"
    r"ignore|nicht|kein\w*|aber|jedoch|doch|falsch|pas|non|mais|faux|erreur|pero|falso|não|mas|ma|niet|maar|onjuist|"
    r"nie|ale|inte|ikke|men|не|нет|но)\b|[不没錯错但否]|ない|しかし|아니|하지만|لا|لكن",
    re.IGNORECASE,
)
"""Words with which a text after an object denies, limits or replaces it. Some do not, and are asked about in vain."""
_FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)


class UnreadableError(ValueError):
    """The answer is not in the requested form. The text says what was found, for the model to correct it."""


class RuleBrokenError(ValueError):
    """The answer has the requested form and breaks a rule. The text names the rule, for the model to correct it."""


class UnusableAnswerError(ModelAnswerError):
    """No answer could be used, however often the model was asked."""

    def __init__(self, name: str, answer: ModelAnswer, problem: str) -> None:
        self.answer = answer
        """The last answer."""
        self.problem = problem
        """Why it could not be used."""
        super().__init__(f"{name} gave no usable answer: {problem}. It wrote: {self.wrote}", model=name)

    @property
    def wrote(self) -> str:
        """The beginning of the last answer, in quotation marks."""
        text = self.answer.text
        return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


@frozen
class AnswerRetries:
    """How often a model is asked again, and what it is told. The default is one more request at once."""

    pauses: Sequence[float] = (0.0,)
    """Seconds to wait before each further request after an unreadable answer. Their number is the limit."""
    corrections: int = 1
    """How often an answer that breaks a rule is sent back, without a pause."""
    failures: bool = False
    """Whether a timeout or an answer that breaks the provider's format is retried too, after the same pauses."""
    complaint: str = "This cannot be used: {problem}. Answer again, with the whole JSON object."
    """What the model is told about an answer that cannot be used."""
    refused: str = "you declined to answer ({refusal})"
    """The problem with an answer in which the model declines, for ``complaint``."""


async def ask_until_readable(
    model: Model,
    request: ModelRequest,
    read: Callable[[str], T],
    scope: RunScope,
    *,
    retries: AnswerRetries | None = None,
    first: ModelAnswer | None = None,
) -> T:
    """Ask a model until ``read`` accepts its answer.

    An answer that cannot be used is sent back together with the reason. Only the newest one is: a model that reads all
    of its failures tends to repeat them. Refusals and answers that a content filter has cut off count as unreadable.

    Args:
        model: the model.
        request: what to ask.
        read: reads the text of an answer, or raises :class:`UnreadableError` or :class:`RuleBrokenError`.
        scope: the caller's share of the run.
        retries: how often to ask again, and in which words.
        first: an answer to ``request`` that is already there; it is read before anything is asked.

    Raises:
        UnusableAnswerError: no answer could be used.
        ModelError: there was no answer.
        BudgetExceededError: there is not enough left for the next request.
    """
    retries = retries or AnswerRetries()
    failures = retries.pauses if retries.failures else ()
    answer = first if first is not None else await ask_patiently(model, request, scope, failures)
    pauses, corrections = iter(retries.pauses), retries.corrections
    while True:
        try:
            return _read(answer, read, retries)
        except UnreadableError as error:
            pause = next(pauses, None)
            if pause is None:
                raise UnusableAnswerError(model.name, answer, str(error)) from error
            await _wait(pause, scope)
            problem = str(error)
        except RuleBrokenError as error:
            if not corrections:
                raise UnusableAnswerError(model.name, answer, str(error)) from error
            corrections -= 1
            problem = str(error)
        sent_back = _sent_back(request, answer, retries.complaint.format(problem=problem))
        answer = await ask_patiently(model, sent_back, scope, failures)


async def ask_patiently(model: Model, request: ModelRequest, scope: RunScope, pauses: Sequence[float]) -> ModelAnswer:
    """Ask a model, and again after each pause as long as it times out or breaks its provider's format.

    Raises:
        ModelError: after the last pause, or at once for an error that asking again does not mend. The model itself has
            already retried after a 429 or a 5xx.
    """
    for pause in pauses:
        try:
            return await ask(model, request, scope)
        except (ModelTimeoutError, ModelAnswerError):
            await _wait(pause, scope)
    return await ask(model, request, scope)


def the_object_in(text: str, keys: Sequence[str], *, given: str = "") -> dict[str, JsonValue]:
    """The one JSON object in a model's answer: alone, in a code fence, or with prose before or after it.

    Never one of two, and never one that the model was given to read: if it quotes an object, drafts one or repeats what
    an agent said, nobody can tell whether it means it.

    Args:
        text: the answer.
        keys: only objects with at least one of these keys count.
        given: what the model was given to read.

    Raises:
        UnreadableError: no object, several different ones, one in the middle of prose, a quotation, a repeated key, or
            an object with an error or with words after it that may take it back.
    """
    text = _THOUGHT.sub("", text).strip()
    if not text:
        raise UnreadableError("the answer is empty")
    try:
        objects = json_spans(text, opening="{", unique_keys=True)
        found = [item for item in objects if any(key in cast("dict[str, JsonValue]", item.value) for key in keys)]
    except RepeatedKeyError as error:
        raise UnreadableError(f"the JSON object has the key {error} more than once") from error
    if not found or (text.startswith("{") and found[0].start):
        raise UnreadableError("the answer is not a JSON object of the requested form")
    if any(item.value != found[0].value for item in found):
        raise UnreadableError(f"the answer has {len(found)} different JSON objects; write one and nothing else")
    if _is_inside(text, found[0].start, found[-1].end):
        raise UnreadableError("the JSON object stands in the middle of a text; write the object and nothing else")
    if (taken := _TAKES_BACK.search(text, found[-1].end)) is not None:
        raise UnreadableError(
            f'after the JSON object you write "{taken[0]}", which may take it back; write the object and nothing else'
        )
    if "{" in given and _without_spaces(text[found[0].start : found[0].end]) in _without_spaces(given):
        raise UnreadableError("the JSON object is copied from the conversation; write your own")
    value = cast("dict[str, JsonValue]", mended(found[0].value))
    if (error := error_in(value)) is not None:
        raise UnreadableError(f'the object has an "error", {excerpt(error)}, and so nothing else in it counts')
    return value


def error_in(value: Mapping[str, JsonValue]) -> JsonValue:
    """The error that an answer tells of beside what it was asked for; None if there is none."""
    for key, said in value.items():
        if key.strip().casefold() != "error" or (isinstance(said, (int, float)) and said is not True):
            continue
        if said and not (isinstance(said, str) and said.strip(" .").casefold() in _NO_ERROR):
            return said
    return None


def excerpt(value: JsonValue) -> str:
    """A value for a complaint: as it was written, and not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_VALUE else text[:_SHOWN_VALUE] + "…"


_NO_ERROR = {"", "none", "no", "null", "nil", "n/a", "false", "no error"}


def _read(answer: ModelAnswer, read: Callable[[str], T], retries: AnswerRetries) -> T:
    if answer.refusal is not None:
        raise UnreadableError(retries.refused.format(refusal=answer.refusal[:_SHOWN]))
    if answer.finish_reason == "content_filter":
        raise UnreadableError("a content filter cut the answer off")
    try:
        return read(answer.text)
    except UnreadableError as error:
        if answer.finish_reason != "length":
            raise
        raise UnreadableError("the answer was cut off before its end; write less") from error


def _sent_back(request: ModelRequest, answer: ModelAnswer, complaint: str) -> ModelRequest:
    again = (assistant_message(answer.text or _NO_TEXT), user_message(complaint))
    return replace(request, messages=(*request.messages, *again))


async def _wait(seconds: float, scope: RunScope) -> None:
    if seconds:
        await scope.context.clock.sleep(seconds)


def _is_inside(text: str, start: int, end: int) -> bool:
    return all(_FENCE.sub("", part).strip() for part in (text[:start], text[end:]))


def _without_spaces(text: str) -> str:
    return "".join(text.split())
