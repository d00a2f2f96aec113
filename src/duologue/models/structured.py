"""Ask a model until its answer can be read, a bounded number of times.

Judges, graders, simulated users and attackers all need an answer in a certain form. Each brings a function that reads
it; this module decides how often the model is asked, and what it is told about an answer that could not be used. What
to do when no answer can be used is up to the caller: a judge raises an error, a scorer leaves a reply without a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from duologue.errors import ModelAnswerError, ModelTimeoutError
from duologue.messages import assistant_message, user_message
from duologue.models.ask import ask
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.models.scope import RunScope

T = TypeVar("T")

_SHOWN = 300
"""Characters of a refusal that are quoted to the model, and of an answer that are quoted in an error."""
_NO_TEXT = "(no answer)"
"""Stands for an empty answer when it is sent back: providers refuse messages without content."""


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
        super().__init__(f"{name} gave no usable answer: {problem}. It wrote: {self.excerpt}", model=name)

    @property
    def excerpt(self) -> str:
        """The beginning of the last answer, in quotation marks."""
        text = self.answer.text
        return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


@dataclass(frozen=True, kw_only=True)
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
