"""How a user hears that it is over: done, handed over, or refused. English words; every list can be replaced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

_DONE = (
    "booked|confirmed|reserved|cancell?ed|ordered|placed|scheduled|rescheduled|refunded|processed|issued|renewed|moved|"
    "changed|updated|submitted|arranged|completed|done|all set|on its way"
)
_HAS = r"(?:is|are|was|has been|have been|i have|i've|we have|we've)(?: \w+ly| now| all| just| already)?"
SUCCESS_PATTERNS = (
    rf"\b{_HAS} (?:{_DONE})\b",
    r"^(?:all )?(?:booked|confirmed|reserved|cancell?ed|ordered|done)\b",
    r"\b(?:you are|you're|we are|we're) all set\b",
)
TRANSFER_PATTERNS = (
    r"\b(?:transferring|connecting|handing|putting|forwarding) you\b",
    r"\b(?:i will|i'll|i am going to|let me|we will|we'll) (?:now )?(?:transfer|connect|hand|put|forward) you\b",
    r"\byou (?:have been|are being|will be) (?:transferred|connected|handed)\b",
    r"\b(?:will|have) (?:\w+ )?escalate(?:d)?\b",
)
FAILURE_PATTERNS = (
    r"\b(?:unfortunately|unable|impossible|not possible|not available|not allowed|no longer|fully booked)\b",
    r"\b(?:cannot|can't|could not|couldn't|did not|didn't|do not|don't|is not|isn't|are not|aren't|won't|will not)\b",
    r"\bsorry\b",
)
MORE_PATTERNS = (r"\banything else\b", r"\bsomething else\b", r"\belse (?:i|we) can\b", r"\bwhat else\b")
_HYPOTHETICAL = re.compile(r"^(?:if|once|when|as soon as|after|before|until|unless)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text; typographic apostrophes become plain ones."""
    return [part.strip() for part in _SENTENCE_END.split(text.replace("’", "'")) if part.strip()]


def any_match(patterns: Sequence[str], text: str) -> bool:
    """Whether one of the patterns is found, in whatever case."""
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def announces(text: str, patterns: Sequence[str]) -> bool:
    """Whether a sentence states it: not asked, not denied, not only supposed."""
    return any(
        any_match(patterns, sentence)
        for sentence in sentences(text)
        if not sentence.endswith("?") and not denies(sentence) and not _HYPOTHETICAL.match(sentence)
    )


def denies(text: str) -> bool:
    """Whether it says that something cannot be, or is not."""
    return any_match(FAILURE_PATTERNS, text)


def reason_for_leaving(agent_said: str) -> Literal["goal_reached", "gave_up", "transferred"]:
    """Why a user says goodbye after these words of the agent."""
    if announces(agent_said, TRANSFER_PATTERNS):
        return "transferred"
    refused = denies(agent_said) and not announces(agent_said, SUCCESS_PATTERNS)
    return "gave_up" if refused else "goal_reached"
