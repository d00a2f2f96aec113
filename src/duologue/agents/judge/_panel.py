"""One judgement or several of the same case, and how several become one: the majority on each criterion."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from duologue.agents.judge._evidence import look_things_up, outline, tokens_in
from duologue.agents.judge._judgement import CriterionFinding, Judgement, Question
from duologue.agents.judge._prompt import JudgeModel, RenderedCase, messages_for
from duologue.agents.judge._voice import HeardMessage, with_sounds, within
from duologue.errors import DuologueError
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope
from duologue.transcripts.rendering import TranscriptEntry, transcript_of
from duologue.vocabulary import Decision, Verdict

VOTE_TEMPERATURE = 0.7
"""Sampling temperature for the votes of a judge whose temperature is 0: equal samples would all vote the same."""


@frozen
class JudgeInput:
    """What there is to judge."""

    question: Question
    """What has to be decided."""
    situation: str
    """The scenario's description."""
    entries: list[TranscriptEntry]
    """The conversation."""
    spans: list[TranscriptEntry]
    """The agent's traces."""
    context: str = ""
    """What else the judge was asked to consider."""
    timeline: str = ""
    """Who spoke when; '' for a conversation in text."""
    sounds: Sequence[HeardMessage] = ()
    """Sounds of messages, for a model that takes them."""


@frozen
class JudgePanel:
    """A model that judges, alone or by several votes."""

    choice: ModelChoice
    """The model and its settings."""
    votes: int = 1
    """Samples of one case."""
    system_prompt: str | None = None
    """Replaces the built-in rules; None keeps them."""
    token_threshold: int = 8192
    """Estimated tokens above which the case is shown in outline."""
    max_steps: int = 10
    """How often the model may then look something up."""

    async def judgements(self, case: JudgeInput, scope: RunScope) -> list[Judgement]:
        """The votes.

        If a decision is due they are cast all at once, otherwise only after a first one that favours a decision.

        Raises:
            JudgeError, ModelError: one of the votes failed, so no majority is certain.
        """
        if self.votes == 1:
            return [await self._sample(case, 0, scope)]
        first: list[Judgement] = []
        if not case.question.forced:
            first.append(await self._sample(case, 0, scope))
            if first[0].verdict is Verdict.UNDECIDED:
                return first
        async with asyncio.TaskGroup() as group:
            numbers = range(len(first), self.votes)
            tasks = [group.create_task(self._or_error(case, number, scope)) for number in numbers]
        return [*first, *(_value(task.result()) for task in tasks)]

    async def _or_error(self, case: JudgeInput, number: int, scope: RunScope) -> Judgement | DuologueError:
        """A vote; its error as a value, so that it leaves the task group unwrapped."""
        try:
            return await self._sample(case, number, scope)
        except DuologueError as error:
            return error

    async def _sample(self, case: JudgeInput, number: int, scope: RunScope) -> Judgement:
        model = self._model(number, scope)
        everything = [*case.entries, *case.spans]
        if tokens_in(everything) <= self.token_threshold:
            messages = self._messages(case, transcript_of(case.entries), transcript_of(case.spans))
            return await model.judgement(messages, case.question)
        share = self.token_threshold // (2 if case.spans else 1)
        messages = self._messages(case, outline(case.entries, share), outline(case.spans, share))
        found = await look_things_up(model, messages, everything, self.max_steps)
        return await model.judgement(found.messages, case.question, found.answer)

    def _model(self, number: int, scope: RunScope) -> JudgeModel:
        if self.votes == 1:
            return JudgeModel(choice=self.choice, scope=scope)
        return JudgeModel(
            choice=self.choice,
            scope=scope,
            temperature=VOTE_TEMPERATURE if self.choice.temperature == 0 else None,
            seed=scope.context.random("judge", scope.who, scope.turn, number).getrandbits(31),
        )

    def _messages(self, case: JudgeInput, transcript: str, traces: str) -> list[Message]:
        timeline = within(case.timeline, self.token_threshold // 4)
        rendered = RenderedCase(
            situation=case.situation, transcript=transcript, timeline=timeline, traces=traces, context=case.context
        )
        return with_sounds(messages_for(rendered, case.question, self.system_prompt), case.sounds)


@frozen
class Tally:
    """The result of the votes."""

    judgement: Judgement
    """For each criterion the decision of more than half of the votes, otherwise inconclusive."""
    agreement: tuple[float, ...]
    """For each criterion the share of votes for its most frequent decision, from 0 to 1."""
    votes: tuple[dict[str, int], ...]
    """For each criterion the number of votes for each decision."""


def tally(votes: Sequence[Judgement]) -> Tally:
    """Count votes on the same criteria. A vote to continue counts as inconclusive on each of them."""
    number = max(len(vote.findings) for vote in votes)
    columns = [[_of(vote, index) for vote in votes] for index in range(number)]
    findings = tuple(_majority(column) for column in columns)
    counts = [Counter(finding.decision for finding in column) for column in columns]
    return Tally(
        judgement=Judgement(findings=findings, reasoning=_reasoning(votes, findings)),
        agreement=tuple(max(count.values()) / len(votes) for count in counts),
        votes=tuple({decision.value: times for decision, times in count.items()} for count in counts),
    )


def _of(vote: Judgement, index: int) -> CriterionFinding:
    if vote.continues:
        return CriterionFinding(decision=Decision.INCONCLUSIVE, reason="It is too early to decide.")
    return vote.findings[index]


def _majority(column: Sequence[CriterionFinding]) -> CriterionFinding:
    (decision, times), *_ = Counter(finding.decision for finding in column).most_common()
    if times * 2 > len(column):
        agreeing = [finding for finding in column if finding.decision is decision]
        return _merged(decision, agreeing[0].reason, agreeing)
    reasons = "; ".join(f"{finding.decision.value}: {finding.reason}" for finding in column)
    return _merged(Decision.INCONCLUSIVE, f"No decision has a majority of the votes. {reasons}", column)


def _merged(decision: Decision, reason: str, findings: Sequence[CriterionFinding]) -> CriterionFinding:
    return CriterionFinding(
        decision=decision,
        reason=reason,
        cites=tuple(dict.fromkeys(item for finding in findings for item in finding.cites)),
        spans=tuple(dict.fromkeys(item for finding in findings for item in finding.spans)),
    )


def _reasoning(votes: Sequence[Judgement], findings: Sequence[CriterionFinding]) -> str:
    """The summary of a vote that decided as the majority did; if there is none, the majority's reasons."""
    decisions = [finding.decision for finding in findings]
    for vote in votes:
        if not vote.continues and [finding.decision for finding in vote.findings] == decisions:
            return vote.reasoning
    return " ".join(finding.reason for finding in findings)


def _value(outcome: Judgement | DuologueError) -> Judgement:
    if isinstance(outcome, DuologueError):
        raise outcome
    return outcome
