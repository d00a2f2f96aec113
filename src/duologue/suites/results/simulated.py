"""What is kept of a simulated user and of who is to blame, as frozen values in the result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from duologue.frozen import frozen

FidelityKind = Literal["role", "facts", "leading", "repetition", "leak"]
Party = Literal["agent", "simulator", "judge", "environment", "infrastructure"]
"""Who can make a run fail: the agent, the simulated user, the judge, tools around the agent, or the machinery."""


@frozen(slots=True)
class FidelityFault:
    """Something that a user would not have said.

    Attributes:
        kind: what sort of fault.
        message_id: where.
        text: what exactly.
    """

    kind: FidelityKind
    message_id: str
    text: str


@frozen(slots=True)
class FidelityResult:
    """How well a simulated user has played its part.

    Attributes:
        score: from 0 to 1, the mean of the parts.
        parts: for each kind of fault, the share of the user's messages without it.
        faults: what was found.
        messages: how many the user has written.
    """

    score: float
    parts: Mapping[FidelityKind, float]
    faults: tuple[FidelityFault, ...]
    messages: int


@frozen(slots=True)
class BlameResult:
    """Who made a run fail.

    Attributes:
        party: who.
        failure: what failed: the name of a check, of a criterion, or of an error.
        reason: why this party, in a sentence.
        evidence: ids of messages and calls in the journal.
        by: ``rules``, or the name of the model that was asked.
    """

    party: Party
    failure: str
    reason: str
    evidence: tuple[str, ...] = ()
    by: str = "rules"
