"""Answers in what the simulated user says or knows: values that the agent has to supply, and what it should do."""

from __future__ import annotations

import re
from collections.abc import Iterable

from duologue.suites.self_test.wording import AGENT, all_words

_GIVES = re.compile(
    r"\b(?:tells?|says?|gives?|provides?|informs?|answers?|explains?|states?|quotes?|reveals?|finds?|works? out"
    r"|calculates?|computes?|solves?|identif(?:y|ies)|recommends?|looks? up|reports?)\b",
    re.IGNORECASE,
)
"""Verbs for what the agent has to know, as against what it has to take in or confirm."""
_FINDS = re.compile(
    r"\b(?:gives?|provides?|quotes?|reveals?|finds?|works? out|calculates?|computes?|solves?|identif(?:y|ies)"
    r"|looks? up)\b",
    re.IGNORECASE,
)
"""Those of them that leave no doubt, where the user's lines are written down."""
_REQUESTED = re.compile(
    r"\b(?:confirm\w*|repeats?|restates?|reads? back|acknowledg\w*|summari[sz]\w*|recap\w*|books?|booked"
    r"|reserve[sd]?|ordered"
    r"|notes?|noted|record(?:s|ed)?|schedule[sd]?|change[sd]?|cancel\w*|update[sd]?|add(?:s|ed)?|sends?|sent"
    r"|transfers?|move[sd]?)\b",
    re.IGNORECASE,
)
"""Words about what the user has asked for: its details come from the user."""
_ABOUT_AGENT = re.compile(rf"\b{AGENT}\b", re.IGNORECASE)
_ANSWER = re.compile(
    r"\b(?:correct|right|expected|ideal|reference|gold(?:en)?|model)\s+(?:answer|response|reply|solution)\b[^.!?\n]*"
    r"|\bexpected\s+(?:outcome|result|behaviou?r)\b[^.!?\n]*"
    r"|\b(?:the\s+)?(?:answer|solution)\s*(?:is\b|:|=)[^.!?\n]*",
    re.IGNORECASE,
)
_DUTY = re.compile(
    rf"\b{AGENT}\s+(?:should|must|shall|has to|needs to|ought to|is (?:expected|supposed|required) to)\b[^.!?\n]*",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_MOST_OF = 0.7
_QUOTED = re.compile(r"[\"“«]([^\"”»]{2,})[\"”»]|(?<!\w)['‘]([^'’]{2,})['’](?!\w)")
_NUMBER = re.compile(
    r"(?<![\w.,-])(?:[$€£]\s?)?\d[\d.,:/-]*(?:\s?(?:%|€|\$|£)|\s[a-zA-Z]+)?|\b[A-Z]{2,}[-_]?\d+\b|\b\d+[A-Z]+\d*\b"
)
_UNIT = re.compile(
    r"\s(?:for|of|and|to|on|in|at|or|per|from|by|is|are|was|with|after|before|as|if|because|when)$", re.IGNORECASE
)
"""A word after a number that is no unit."""
_NAMED_BY = re.compile(
    r"\b(?:order|booking|reservation|ticket|invoice|case|account|flight|train|room|table|number|no\.?|item"
    r"|customer|id|page|gate"
    r"|policy|contract|tracking|reference)\s*(?:number|no\.?|#|id)?\s*$|#$",
    re.IGNORECASE,
)
"""What stands before a value that only says what is talked about."""
_GOES_ON = re.compile(r"^\W*(?:is|was|are|were|has|have|had|will|can|cannot|does|did|must|should)\b", re.IGNORECASE)


def _answers(text: str, gives: re.Pattern[str]) -> list[str]:
    """The definite values that a criterion has the agent supply: what is quoted, and numbers with what they count."""
    if not gives.search(text) or _REQUESTED.search(text):
        return []
    values = [(found.start(), found.end(), found[1] or found[2]) for found in _QUOTED.finditer(text)]
    values += [
        (found.start(), found.end(), _UNIT.sub("", found[0]).strip(" .,:;/-")) for found in _NUMBER.finditer(text)
    ]
    return [
        value
        for start, end, value in values
        if len(value) > 1 and not _NAMED_BY.search(text[:start]) and not _GOES_ON.match(text[end:])
    ]


def _holds(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value.lower())}(?!\w)", text.lower()) is not None


def leaked_value(criterion: str, text: str, *, written: bool) -> str | None:
    """A value that a criterion has the agent supply, in a text of the user; None if there is none.

    Args:
        criterion: what the agent has to do.
        text: what the user says or knows.
        written: these are lines of the user that are written down.
    """
    values = _answers(criterion, _FINDS if written else _GIVES)
    return next((value for value in values if _holds(text, value)), None)


def told_outcome(text: str, criteria: Iterable[str], *, wish: bool) -> str | None:
    """What a text for the user says that the agent should do; None if it says nothing of that.

    Args:
        text: what the user is told.
        criteria: what the agent has to do.
        wish: the text says what the user wants, so that what the agent should do is a wish.
    """
    if found := _ANSWER.search(text):
        return found[0]
    if not wish and (duty := _DUTY.search(text)):
        return duty[0]
    wanted = [set(all_words(criterion)) for criterion in criteria]
    for sentence in _SENTENCES.split(text):
        words = set(all_words(sentence)) if _ABOUT_AGENT.search(sentence) else set[str]()
        if any(len(item) > 1 and len(item & words) >= _MOST_OF * len(item) for item in wanted):
            return sentence
    return None
