"""Ask until an answer counts, a bounded number of times: then it is a JudgeError, and never a verdict.

A model that is slow or garbled is asked the same again, after a pause. One that answers in the wrong form, refuses or
is cut off is told so, after a pause. One that breaks a rule of ``decide`` is told which one, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from duologue.agents.judge.decide import Judgement, Question, RuleBrokenError, read_judgement
from duologue.agents.judge.prompt import answer_schema, asked_again
from duologue.agents.judge.reading import UnreadableError
from duologue.errors import JudgeError, ModelAnswerError, ModelTimeoutError
from duologue.messages import Message
from duologue.models.ask import ask
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope

T = TypeVar("T")

PAUSES = (1.0, 4.0)
"""Seconds before the second and the third request."""
_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class Asker:
    """One judge's line to its model, for one sample.

    Attributes:
        choice: the model.
        scope: the judge's share of the run.
        temperature, seed: of this sample; None for those of the choice, and for none.
    """

    choice: ModelChoice
    scope: RunScope
    temperature: float | None = None
    seed: int | None = None

    async def judgement(
        self, messages: Sequence[Message], question: Question, first: ModelAnswer | None = None
    ) -> Judgement:
        """The judgement of the model. Arguments and errors are those of :meth:`until_read`."""
        return await self.until_read(
            messages, answer_schema(question), lambda text: read_judgement(text, question), first
        )

    async def until_read(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any],
        read: Callable[[str], T],
        first: ModelAnswer | None = None,
    ) -> T:
        """Ask until an answer can be read.

        Args:
            messages: the request.
            schema: JSON Schema of the answer.
            read: reads it, or raises UnreadableError or RuleBrokenError.
            first: an answer that is already there, to be read before anything is asked.

        Raises:
            JudgeError: no answer that counts.
            ModelError: no answer at all.
        """
        answer = first or await self.answer(self._request(messages, schema))
        pauses = iter(PAUSES)
        may_break_a_rule = True
        while True:
            try:
                return _read(answer, read)
            except UnreadableError as problem:
                pause = next(pauses, None)
                if pause is None:
                    raise self._given_up(answer, problem) from problem
                await self.scope.context.clock.sleep(pause)
                complaint = str(problem)
            except RuleBrokenError as problem:
                if not may_break_a_rule:
                    raise self._given_up(answer, problem) from problem
                may_break_a_rule = False
                complaint = str(problem)
            answer = await self.answer(self._request(asked_again(messages, answer.text, complaint), schema))

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """An answer of any kind; asked again after a pause where the model was too slow or broke its own format.

        Raises:
            ModelError: to the end, or one that asking again does not mend. The model itself has already asked again
                after a 429 or a 5xx.
        """
        for pause in PAUSES:
            try:
                return await ask(self.choice.model, request, self.scope)
            except (ModelTimeoutError, ModelAnswerError):
                await self.scope.context.clock.sleep(pause)
        return await ask(self.choice.model, request, self.scope)

    def _request(self, messages: Sequence[Message], schema: dict[str, Any]) -> ModelRequest:
        return self.choice.request(messages, response_schema=schema, temperature=self.temperature, seed=self.seed)

    def _given_up(self, answer: ModelAnswer, problem: Exception) -> JudgeError:
        wrote = answer.text if len(answer.text) <= _SHOWN else answer.text[:_SHOWN] + "…"
        return JudgeError(
            f"{self.choice.name} did not give a judgement that can be used, and was told so: {problem}. It wrote: "
            f"{wrote!r}. There is no verdict; use a larger model, or write the criteria more clearly",
            who=self.scope.who,
        )


def _read(answer: ModelAnswer, read: Callable[[str], T]) -> T:
    if answer.refusal is not None:
        raise UnreadableError(f"you declined to answer ({answer.refusal[:_SHOWN]}); this is a recording to be judged")
    if answer.finish_reason == "content_filter":
        raise UnreadableError("a content filter has cut the answer off")
    try:
        return read(answer.text)
    except UnreadableError as error:
        if answer.finish_reason != "length":
            raise
        raise UnreadableError("the answer was cut off before its end; write shorter reasons") from error
