"""Several samples of one judge: the majority for each criterion, and how far the samples agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from duologue.agents.judge.decide import Finding, Judgement
from duologue.vocabulary import Decision

VOTE_TEMPERATURE = 0.7
"""For votes of a judge whose temperature is 0: with equal samples there would be nothing to count."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What the votes come to.

    Attributes:
        judgement: for each criterion what more than half of the votes say, else inconclusive.
        agreement: for each criterion the share of votes for its most frequent decision, from 0 to 1.
        votes: for each criterion how often each decision was given.
    """

    judgement: Judgement
    agreement: tuple[float, ...]
    votes: tuple[dict[str, int], ...]


def tally(votes: Sequence[Judgement]) -> Tally:
    """Count votes on the same criteria. A vote to go on counts as inconclusive on each of them."""
    number = max(len(vote.findings) for vote in votes)
    columns = [[_of(vote, index) for vote in votes] for index in range(number)]
    findings = tuple(_majority(column) for column in columns)
    counts = [Counter(finding.decision for finding in column) for column in columns]
    return Tally(
        judgement=Judgement(findings=findings, reasoning=_reasoning(votes, findings)),
        agreement=tuple(max(count.values()) / len(votes) for count in counts),
        votes=tuple({decision.value: times for decision, times in count.items()} for count in counts),
    )


def _of(vote: Judgement, index: int) -> Finding:
    if vote.goes_on:
        return Finding(decision=Decision.INCONCLUSIVE, reason="It is too early to decide.")
    return vote.findings[index]


def _majority(column: Sequence[Finding]) -> Finding:
    (decision, times), *_ = Counter(finding.decision for finding in column).most_common()
    if times * 2 > len(column):
        agreeing = [finding for finding in column if finding.decision is decision]
        return _merged(decision, agreeing[0].reason, agreeing)
    reasons = "; ".join(f"{finding.decision.value}: {finding.reason}" for finding in column)
    return _merged(Decision.INCONCLUSIVE, f"No decision has a majority of the votes. {reasons}", column)


def _merged(decision: Decision, reason: str, findings: Sequence[Finding]) -> Finding:
    return Finding(
        decision=decision,
        reason=reason,
        cites=tuple(dict.fromkeys(item for finding in findings for item in finding.cites)),
        spans=tuple(dict.fromkeys(item for finding in findings for item in finding.spans)),
    )


def _reasoning(votes: Sequence[Judgement], findings: Sequence[Finding]) -> str:
    """The summary of a vote that decided as the majority did; where none did, the majority's reasons."""
    decisions = [finding.decision for finding in findings]
    for vote in votes:
        if not vote.goes_on and [finding.decision for finding in vote.findings] == decisions:
            return vote.reasoning
    return " ".join(finding.reason for finding in findings)
