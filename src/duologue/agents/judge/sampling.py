"""One judgement or several of the same case: what is shown to the model, in full or in outline, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from duologue.agents.judge.asking import Asker
from duologue.agents.judge.decide import Judgement, Question
from duologue.agents.judge.discovery import explore, outline, tokens_in
from duologue.agents.judge.prompt import Case, messages_for
from duologue.agents.judge.transcript import Entry
from duologue.agents.judge.votes import VOTE_TEMPERATURE
from duologue.errors import DuologueError
from duologue.messages import Message
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope
from duologue.vocabulary import Verdict


@dataclass(frozen=True, kw_only=True)
class Record:
    """What there is to judge.

    Attributes:
        question: what has to be decided.
        situation: the scenario's description.
        entries, spans: the conversation, and the agent's traces.
        context: what else the judge was asked to consider.
    """

    question: Question
    situation: str
    entries: list[Entry]
    spans: list[Entry]
    context: str = ""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A model that judges, and how.

    Attributes:
        votes: samples of one case.
        system_prompt: in place of the built-in rules; None for those.
        token_threshold: estimated tokens from which a record is shown in outline.
        max_steps: how often the model may then look something up.
    """

    choice: ModelChoice
    votes: int = 1
    system_prompt: str | None = None
    token_threshold: int = 8192
    max_steps: int = 10

    async def judgements(self, record: Record, scope: RunScope) -> list[Judgement]:
        """The votes: all at once when there has to be a decision, else only after a first one that wants one.

        Raises:
            JudgeError, ModelError: one of them came to nothing, so there is no majority to be sure of.
        """
        if self.votes == 1:
            return [await self._sample(record, 0, scope)]
        first: list[Judgement] = []
        if not record.question.forced:
            first.append(await self._sample(record, 0, scope))
            if first[0].verdict is Verdict.UNDECIDED:
                return first
        async with asyncio.TaskGroup() as group:
            numbers = range(len(first), self.votes)
            tasks = [group.create_task(self._or_error(record, number, scope)) for number in numbers]
        return [*first, *(_value(task.result()) for task in tasks)]

    async def _or_error(self, record: Record, number: int, scope: RunScope) -> Judgement | DuologueError:
        """A vote; its error as a value, so that it leaves the task group as itself."""
        try:
            return await self._sample(record, number, scope)
        except DuologueError as error:
            return error

    async def _sample(self, record: Record, number: int, scope: RunScope) -> Judgement:
        asker = self._asker(number, scope)
        everything = [*record.entries, *record.spans]
        if tokens_in(everything) <= self.token_threshold:
            return await asker.judgement(
                self._messages(record, _full(record.entries), _full(record.spans)), record.question
            )
        share = self.token_threshold // (2 if record.spans else 1)
        messages = self._messages(record, outline(record.entries, share), outline(record.spans, share))
        explored = await explore(asker, messages, everything, self.max_steps)
        return await asker.judgement(explored.messages, record.question, explored.answer)

    def _asker(self, number: int, scope: RunScope) -> Asker:
        if self.votes == 1:
            return Asker(choice=self.choice, scope=scope)
        return Asker(
            choice=self.choice,
            scope=scope,
            temperature=VOTE_TEMPERATURE if self.choice.temperature == 0 else None,
            seed=scope.context.random("judge", scope.who, scope.turn, number).getrandbits(31),
        )

    def _messages(self, record: Record, transcript: str, traces: str) -> list[Message]:
        case = Case(situation=record.situation, transcript=transcript, traces=traces, context=record.context)
        return messages_for(case, record.question, self.system_prompt)


def _full(entries: list[Entry]) -> str:
    return "\n".join(entry.text for entry in entries)


def _value(outcome: Judgement | DuologueError) -> Judgement:
    if isinstance(outcome, DuologueError):
        raise outcome
    return outcome
