"""What simulated users share: the conversation as a user hears it, and how they notice that it is over.

Every simulated user reads the conversation through this module, so tool calls, tool results, instructions and audio
bytes reach none of them. The patterns are English; every list can be replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Literal, TypeVar

from duologue.config.patterns import SlowPatternError, captured, stands_in
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import ContentPart, Message

T = TypeVar("T")

LeavingReason = Literal["goal_reached", "gave_up", "transferred"]
"""Why a simulated user has nothing more to say."""

AUDIO = "[audio message]"
"""Stands for speech without a transcript."""
_STANDS_FOR = {"input_audio": AUDIO, "audio": AUDIO, "output_audio": AUDIO, "image_url": "[image]", "file": "[file]"}

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
QUESTION_PATTERNS = (
    r"\?[\"')]*$",
    r"^(?:and |please |so )?(?:what|which|when|where|who|how|could you|can you|may i|would you)\b",
    r"\b(?:tell|give|send|provide|let) (?:me|us)\b",
    r"\b(?:i|we)(?:'ll| will| would| also| still)? need\b",
    r"\bplease (?:provide|confirm|enter|say|specify|share)\b",
)
MORE_PATTERNS = (r"\banything else\b", r"\bsomething else\b", r"\belse (?:i|we) can\b", r"\bwhat else\b")
OWN_PATTERNS = frozenset((*SUCCESS_PATTERNS, *TRANSFER_PATTERNS, *QUESTION_PATTERNS))
"""Those that can be given otherwise. They are searched without a time limit, which they do not need."""
_HYPOTHETICAL = re.compile(r"^(?:if|once|when|as soon as|after|before|until|unless)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n+")


class Speaker(StrEnum):
    """Who speaks."""

    USER = "user"
    AGENT = "agent"


_SPEAKERS = {"user": Speaker.USER, "assistant": Speaker.AGENT}


@frozen
class SpokenTurn:
    """What one side said before the other side spoke again."""

    speaker: Speaker
    text: str


def spoken_turns(messages: Iterable[Message]) -> list[SpokenTurn]:
    """What was said, in order. Consecutive messages of one side are one utterance, so the sides alternate."""
    spoken: list[SpokenTurn] = []
    for message in messages:
        speaker = _SPEAKERS.get(message["role"])
        text = spoken_text(message)
        if speaker is None or not text:
            continue
        if spoken and spoken[-1].speaker is speaker:
            text = f"{spoken.pop().text}\n{text}"
        spoken.append(SpokenTurn(speaker=speaker, text=text))
    return spoken


def last_of(spoken: Iterable[SpokenTurn], speaker: Speaker) -> str:
    """The newest words of that side; '' if it has said nothing."""
    return next((item.text for item in reversed(list(spoken)) if item.speaker is speaker), "")


def spoken_text(message: Message) -> str:
    """The words of a message. A message without words leaves a placeholder for each part, such as ``[image]``."""
    content = message.get("content")
    if not isinstance(content, list):
        return (content or "").strip()
    words = "\n".join(part.get("text", "") for part in content if part["type"] == "text").strip()
    return words or " ".join(dict.fromkeys(_placeholder(part) for part in content if part["type"] != "text"))


def sentences(text: str) -> list[str]:
    """The sentences of a text; typographic apostrophes become plain ones."""
    return [part.strip() for part in _SENTENCE_END.split(text.replace("’", "'")) if part.strip()]


def any_match(patterns: Sequence[str], text: str) -> bool:
    """Whether one of our own patterns is found, ignoring case."""
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def any_given_match(patterns: Sequence[str], text: str) -> bool:
    """The same for patterns that may be the user's, each with a time limit: what is searched comes from an agent.

    Raises:
        ConfigurationError: one takes too long.
    """
    given = (pattern for pattern in patterns if pattern not in OWN_PATTERNS)
    return any_match([pattern for pattern in patterns if pattern in OWN_PATTERNS], text) or any(
        _limited(stands_in, pattern, text) for pattern in given
    )


def all_captured(pattern: str, text: str) -> list[str]:
    """What the group of a given pattern holds wherever it is found, ignoring case.

    Raises:
        ConfigurationError: it takes too long.
    """
    return _limited(captured, pattern, text)


def announces(text: str, patterns: Sequence[str]) -> bool:
    """Whether a sentence states it: neither a question, nor a denial, nor a condition."""
    return any(
        any_given_match(patterns, sentence)
        for sentence in sentences(text)
        if not sentence.endswith("?") and not denies(sentence) and not _HYPOTHETICAL.match(sentence)
    )


def denies(text: str) -> bool:
    """Whether the text says that something cannot be, or is not."""
    return any_match(FAILURE_PATTERNS, text)


def reason_for_leaving(agent_said: str) -> LeavingReason:
    """Why a user says goodbye after these words of the agent."""
    if announces(agent_said, TRANSFER_PATTERNS):
        return "transferred"
    refused = denies(agent_said) and not announces(agent_said, SUCCESS_PATTERNS)
    return "gave_up" if refused else "goal_reached"


def _limited(search: Callable[[str, str], T], pattern: str, text: str) -> T:
    try:
        return search(pattern, text)
    except SlowPatternError as error:
        raise ConfigurationError(f"simulated user: {error}") from error


def _placeholder(part: ContentPart) -> str:
    return _STANDS_FOR.get(part["type"], f"[{part['type']}]")
