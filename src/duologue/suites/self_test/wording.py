"""How a criterion is worded: whether a judge can decide it, and what it asks of the agent.

Only English is looked at. Words of other languages match nothing, so that nothing is said of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_I = re.IGNORECASE
_AGENT = r"(?:the\s+|an?\s+)?(?:agent|assistant|bot|chatbot|model|system|ai|representative|support)(?:'s)?"
_USER = r"(?:the\s+|an?\s+)?(?:user|customer|caller|client|guest|patient|buyer|visitor|shopper|traveller|passenger)"

_UNFILLED = re.compile(
    r"\{\{[^}]*\}\}|\{%|\bTODO\b|\bTBD\b|\bFIXME\b|\bXXX\b|<[a-z][a-z _-]*>|\[(?:insert|fill|your|add)\b[^\]]*\]"
    r"|lorem ipsum"
)
_VAGUE = re.compile(
    r"\b(?:appropriate(?:ly)?|suitabl[ey]|proper(?:ly)?|reasonabl[ey]|adequate(?:ly)?|acceptabl[ey]"
    r"|satisfactor(?:y|ily)"
    r"|satisfying(?:ly)?|nice(?:ly)?|optimal(?:ly)?|sensibl[ey]|user[- ]friendly|high[- ]quality|great(?!er)"
    r"|good(?!\s*(?:bye|morning|afternoon|evening|night|day))|(?<!as )well(?!-|\s+(?:done|before|known))"
    r"|helpful(?:ly)?|useful(?:ly)?|right way|(?<!as )quickly|effective(?:ly)?|efficient(?:ly)?|smooth(?:ly)?"
    r"|excellent(?:ly)?|decent(?:ly)?|somehow|in a (?:good|nice|sensible) way"
    r"|as (?:needed|required|necessary|appropriate|expected)"
    r"|(?:if|when|where) (?:possible|necessary|appropriate|needed|applicable))\b",
    _I,
)
_RIGHT = re.compile(
    r"\b(?:correct(?:ly)?|accurate(?:ly)?|true|truthful(?:ly)?)\b(?!\s+(?:itself|himself|herself|themselves))", _I
)
_OPEN = re.compile(r"\b(?:etc|and so (?:on|forth)|and/or|or something|or similar|and the like)\b|…|\.\.\.", _I)
_ANCHOR = re.compile(r"""\d|["'“”‘’«»`].+["'“”‘’«»`]""")
_INSIDE = re.compile(
    rf"^\W*{_AGENT}\s+(?:\w+ly\s+)?(?:understands?|knows?|feels?|thinks?|believes?|reali[sz]es?|is aware"
    rf"|intends?|wants?|likes?"
    rf"|considers?|cares?)\b"
    rf"|^\W*{_USER}\s+(?:\w+ly\s+)?(?:is|was|feels?|seems?|becomes?|will be|ends? up|leaves)\s+(?:\w+ly\s+"
    rf"|very\s+|fully\s+)*"
    r"(?:happy|satisfied|pleased|content|convinced|impressed|delighted|glad|reassured|understood|respected"
    r"|valued|calm)\b"
    rf"|^\W*{_USER}\s+(?:will|would|is going to)\b"
    rf"|^\W*{_USER}\s+(?:\w+ly\s+)?(?:likes?|trusts?|enjoys?|understands?|believes?|feels?)\b",
    _I,
)
_ELSEWHERE = re.compile(
    r"\b(?:follow\w*|compl(?:y|ies|iant|iance)\w*|adher\w*|accord\w*|in line|respects?|observes?|consistent|per"
    r"|violat\w*)\b"
    r".*\b(polic(?:y|ies)|guidelines?|handbook|manual|terms|documentation|knowledge base|standards?|rules"
    r"|best practices"
    r"|brand voice|style guide|playbook|procedures?|process(?:es)?)\b",
    _I,
)
_NEGATIVE = re.compile(
    rf"^\W*(?:{_AGENT}|it)\s+(?:\w+ly\s+)?(?:does\s+not|doesn['’]t|do\s+not|don['’]t|did\s+not|didn['’]t|never"
    rf"|must\s+not"
    r"|mustn['’]t|should\s+not|shouldn['’]t|may\s+not|is\s+not|isn['’]t|will\s+not|won['’]t|cannot|can['’]?t"
    r"|has\s+not"
    r"|avoids?|refrains?|at\s+no\s+(?:time|point)|in\s+no\s+way)\b"
    r"|^\W*(?:no|never|nothing|nowhere|do\s+not|don['’]t|must\s+not|avoids?|at\s+no\s+(?:time|point)|without)\b"
    r"|\b(?:is|are|was|were)\s+(?:not|never)\s+\w+ed\b|\b(?:is|are)\s+(?:not|never)\s+(?:told|given|made|shown"
    r"|sent|said)\b",
    _I,
)
_BUT = re.compile(
    r"\b(?:but|instead|rather|until|unless|before|without\s+first|except)\b|;"
    r"|\band\s+(?:then\s+)?(?:offers?|explains?|tells?|says?|asks?|suggests?|refers?|points?|gives?"
    r"|apologi[sz]es?|names?"
    r"|transfers?|hands?|confirms?|states?|informs?|shows?|provides?|books?|sends?)\b",
    _I,
)
_MANNER = re.compile(
    rf"^\W*(?:{_AGENT}|it)\s+(?:is|stays|remains|sounds|keeps|speaks|answers|responds|replies|writes|acts"
    rf"|behaves)\s+(?:\w+\s+)?"
    r"(?:polite|friendly|kind|courteous|respectful|professional|calm|patient|positive|warm|empathetic"
    r"|in character|concise"
    r"|brief|short|cheerful)(?:ly)?(?:\s+(?:and|,)\s+\w+)*(?:\s+(?:throughout|at all times|in every answer"
    r"|always|to the \w+))*\W*$"
    rf"|^\W*(?:{_AGENT}|it)\s+(?:agrees?|accepts?|says?\s+[\"'“]?yes|consents?|complies|responds?|answers?"
    rf"|replies|reacts?)"
    rf"(?:\s+(?:to|with))?(?:\s+(?:everything|anything|{_USER}|{_USER}['’]s?\s+\w+|the\s+\w+))?\W*$",
    _I,
)
_WORD = re.compile(r"[a-z0-9][a-z0-9'’.:-]*[a-z0-9]|[a-z0-9]", _I)
_STOP = frozenset(
    "a an the and or but if then than that this these those is are was were be been being do does did done "
    "has have had "
    "to of in on at by for with from as into about it its he she they them his her their there here when "
    "where who whom "
    "which what how why not no never will would can could should must may might agent assistant bot user "
    "customer caller says say said tells tell gives give offers offer asks ask answers answer states state".split()
)


def problems_of_wording(text: str, about: str = "") -> Iterator[tuple[str, str]]:
    """What keeps a judge from deciding a criterion: a kind, and a sentence.

    Args:
        text: of the criterion.
        about: what the judge reads beside the conversation.
    """
    if found := _UNFILLED.search(text):
        yield "ambiguous", f"it holds a placeholder that nobody has filled in: '{found[0]}'"
        return
    if text.rstrip().endswith("?"):
        yield "ambiguous", "it is a question; write a statement that is true or not"
    if text.isascii() and len(_WORD.findall(text)) < 2:
        yield "ambiguous", f"'{text.strip()}' is no statement; say who does what"
        return
    if found := _OPEN.search(text):
        yield "ambiguous", f"'{found[0]}' leaves open what belongs to it; name everything, or write several criteria"
    if found := _INSIDE.search(text):
        yield "not-observable", f"'{found[0].strip()}' cannot be seen in a conversation; say what is said or done"
    elif (found := _VAGUE.search(text)) and not _ANCHOR.search(text) and not _is_explained(text, found):
        yield (
            "ambiguous",
            f"'{found[0]}' has no measure, so that two judges decide differently; say what exactly counts",
        )
    elif (found := _RIGHT.search(text)) and not _ANCHOR.search(text) and not _ANCHOR.search(about):
        yield "ambiguous", f"the judge does not know what is {found[0]} here; write the answer that counts"


def _is_explained(text: str, found: re.Match[str]) -> bool:
    """Whether what follows a vague word says what is meant: a clause, or a list after a colon."""
    rest = text[found.end() :]
    return bool(re.match(r"\s*(?::|\(|–|—|,?\s+(?:that is|i\.e\.|meaning|by \w+ing|such as)\b)", rest, _I))


def refers_elsewhere(text: str) -> str | None:
    """The document that a criterion refers to, such as ``policy``; None if it refers to none."""
    found = _ELSEWHERE.search(text)
    return found[1] if found and not _ANCHOR.search(text) else None


def asks_only_to_refrain(text: str) -> bool:
    """Whether a criterion is true of an agent that does nothing at all."""
    return bool(_NEGATIVE.search(text)) and not _BUT.search(text)


def asks_only_for_manner(text: str) -> bool:
    """Whether a criterion is true of an agent that agrees politely with everything."""
    return bool(_MANNER.search(text))


def is_about_user(text: str) -> bool:
    """Whether a criterion says what the user does."""
    return bool(re.match(rf"\W*{_USER}\b(?!['’]s)", text, _I))


def all_words(text: str) -> list[str]:
    """The words of a text but articles and the like, in lower case and without endings: verbs of saying stay."""
    return [_stem(word) for word in map(str.lower, _WORD.findall(text)) if word not in _ARTICLES]


def content_words(text: str) -> list[str]:
    """The words of a text that carry its meaning, in lower case and without endings."""
    return [_stem(word) for word in map(str.lower, _WORD.findall(text)) if word not in _STOP]


_ARTICLES = frozenset(
    "a an the and or if then than that this these those is are was were be been being to of in on at by "
    "for with from as it its his her their agent assistant bot user customer caller should must will has have".split()
)


def _stem(word: str) -> str:
    word = word.replace("’", "'").removesuffix("'s").replace("-", "")
    for ending in ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def negated(text: str) -> tuple[str, bool]:
    """What a criterion says, without its negation, and whether there was one."""
    without, count = re.subn(
        r"\b(?:does not|doesn['’]t|do not|don['’]t|did not|never|must not|should not|is not|isn['’]t|are not"
        r"|will not|cannot|can['’]t"
        r"|not|no)\b",
        " ",
        text,
        flags=_I,
    )
    return " ".join(content_words(without)), count % 2 == 1
