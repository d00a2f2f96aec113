"""How a criterion is worded: whether a judge can decide it, and what it asks of the agent.

Only English is looked at. Words of other languages match nothing, so that nothing is said of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_I = re.IGNORECASE
AGENT = (
    r"(?:the\s+|an?\s+)?(?:agent|assistant|bot|chatbot|model|system|ai|representative|rep|support|helper|advis[eo]r"
    r"|clerk|receptionist|dispatcher|pharmacist|operator|consultant|concierge|technician|tutor|teller|librarian|nurse"
    r"|coach|planner|waiter|salesperson|service|help\s?desk|desk|staff)(?:'s)?"
)
"""How criteria and descriptions call the side that is tested."""
_USER = (
    r"(?:the\s+|an?\s+)?(?:user|customer|caller|client|guest|patient|buyer|visitor|shopper|travell?er|passenger|member"
    r"|tenant|renter|driver|student|pupil|parent|subscriber|owner|reader|applicant|borrower|player|citizen|resident"
    r"|learner|policyholder|cardholder|consumer|diner)"
)
_ANYBODY = rf"(?:{AGENT}|it|(?:the|an?|its|his|her|their)\s+(?:\w+\s+)?\w+)"
"""A subject whose name does not matter, because its verb says what kind of statement it is."""

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
    r"|excellent(?:ly)?|decent(?:ly)?|somehow|in a (?:good|nice|sensible) way|competent(?:ly)?|meaningful(?:ly)?"
    r"|fairly|ethical(?:ly)?|promptly|in a timely \w+|thorough(?:ly)?|comprehensive(?:ly)?|its best|expectations"
    r"|fair (?:price|offer|solution|answer|compensation)"
    r"|(?:is|are|be|sounds?|remains?) (?:\w+ly |very |always )*(?:clear|relevant|complete|fair|safe|honest|coherent)"
    r"(?=\W*$| and\b|,)"
    r"|(?:re)?solves? (?:the|this|that|all|any) (?:\S+['’]s? )?(?:issue|problem|request|concern|question|matter"
    r"|situation|complaint|inquiry|query)s?(?=\W*$)"
    r"|as (?:needed|required|necessary|appropriate|expected)"
    r"|(?:if|when|where) (?:possible|necessary|appropriate|needed|applicable))\b",
    _I,
)
_RIGHT = re.compile(
    r"\b(?:correct(?:ly)?|accurate(?:ly)?|true|truthful(?:ly)?)\b(?!\s+(?:itself|himself|herself|themselves))", _I
)
_OPEN = re.compile(r"\b(?:etc|and so (?:on|forth)|and/or|or something|or similar|and the like)\b|…|\.\.\.", _I)
_ANCHOR = re.compile(r"""\d|["'“”‘’«»`].+["'“”‘’«»`]""")
_FEELINGS = (
    r"(?:happy|satisfied|pleased|content|convinced|impressed|delighted|glad|reassured|understood|respected"
    r"|valued|calm|relieved|confident|welcome|appreciated|heard|taken\s+seriously)"
)
_INSIDE = re.compile(
    rf"^\W*{AGENT}\s+(?:\w+ly\s+)?(?:intends?|wants?|likes?|considers?|cares?)\b"
    rf"|^\W*{_ANYBODY}\s+(?:\w+ly\s+)?(?:understands?|knows?|feels?|thinks?|believes?|reali[sz]es?|is\s+aware|trusts?"
    r"|enjoys?)\b"
    rf"|^\W*{_ANYBODY}\s+(?:\w+ly\s+)?(?:is|was|feels?|seems?|becomes?|will be|ends? up|leaves)\s+(?:\w+ly\s+"
    rf"|very\s+|fully\s+)*{_FEELINGS}\b"
    rf"|^\W*{_ANYBODY}\s+(?:leaves?|ends?|finishes|hangs?\s+up|walks?\s+away|goes)\b.*\b(?:feel\w*|{_FEELINGS})\b"
    rf"|^\W*{_ANYBODY}\s+(?:makes?|leaves?|keeps?)\s+{_USER}\s+(?:feel\w*|{_FEELINGS})\b"
    rf"|^\W*{_USER}\s+(?:will|would|is going to|is\s+(?:un)?likely\s+to)\b"
    rf"|^\W*{_USER}\s+(?:\w+ly\s+)?likes?\b",
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
    rf"^\W*{_ANYBODY}\s+(?:\w+ly\s+)?(?:does\s+not|doesn['’]t|do\s+not|don['’]t|did\s+not|didn['’]t|never"
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
_STYLE = (
    r"(?:polite|friendly|kind|courteous|respectful|professional|calm|patient|positive|warm|empathetic|in character"
    r"|concise|brief|short|cheerful|sympathetic|understanding|pleasant|human|natural|encouraging|reassuring|supportive|welcoming|caring)(?:ly)?"
)
_VIRTUE = (
    r"(?:empathy|respect|patience|kindness|understanding|compassion|courtesy|professionalism|sympathy|politeness|warmth"
    r"|interest|care)"
)
_ALWAYS = (
    r"(?:\s+(?:throughout(?:\s+\w+){0,3}|at all times|in every answer|in all (?:its )?answers|always|to the \w+))?"
)
_MANNER = re.compile(
    rf"(?:is|stays?|remains?|sounds?|keeps?|speaks?|answers?|responds?|repl(?:y|ies)|writes?|acts?|behaves?|talks?)"
    rf"\s+(?:\w+\s+)?{_STYLE}(?:\s+(?:to|with|towards)\s+{_USER})?"
    rf"|(?:shows?|expresses|demonstrates?|displays?|treats?\s+{_USER}\s+with)\s+(?:\w+\s+)?{_VIRTUE}"
    rf"(?:\s+(?:for|to|with|towards)\s+{_USER})?"
    rf"|(?:uses?|keeps?|has|maintains?|takes?|(?:answers?|responds?|speaks?|repl(?:y|ies))\s+in)\s+an?\s+(?:\w+\s+)?{_STYLE}"
    r"\s+(?:\w+\s+)?(?:tone|manner|style|voice|language|way)"
    rf"|(?:thanks|greets|welcomes)\s+{_USER}(?:\s+for\s+\w+(?:\s+\w+)?)?|acknowledges\s+the\s+\w+"
    rf"|{_STYLE}|{_VIRTUE}"
    r"|(?:agrees?|accepts?|says?\s+[\"'“]?yes|consents?|complies|responds?|answers?|replies|reacts?)"
    rf"(?:\s+(?:to|with))?(?:\s+(?:everything|anything|{_USER}|{_USER}['’]s?\s+\w+|the\s+\w+))?",
    _I,
)
_SUBJECT = re.compile(rf"\W*{_ANYBODY}\s+(?:always\s+)?", _I)
_AND = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+(?:(?:always|it)\s+)?", _I)
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
    text = re.sub(rf"{_ALWAYS}\W*$", "", text, flags=_I)
    subject = re.match(rf"\W*(?:{AGENT}|it)\s+(?:always\s+)?", text, _I) or _SUBJECT.match(text)
    return subject is not None and all(_MANNER.fullmatch(part) for part in _AND.split(text[subject.end() :]))


def is_about_user(text: str) -> bool:
    """Whether a criterion says what the user does, not what is done to the user."""
    return bool(re.match(rf"\W*{_USER}\b(?!['’]s|\s+(?:is|are|was|were|gets?|receives?|learns?|hears?)\b)", text, _I))


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


_NOT = re.compile(
    r"\b(?:does not|doesn['’]t|do not|don['’]t|did not|never|must not|should not|is not|isn['’]t|are not|will not"
    r"|cannot|can['’]t|not|no|(?:refuses?|declines?|fails?|avoids?|forgets?)\s+to|avoids|without)\b",
    _I,
)
_DETAIL = re.compile(
    r"\s(?:for|of|in|on|at|to|until|till|within|by|with|from|as|if|when|once|during|up\s+to|worth|because)\s", _I
)
_OPPOSITES = (
    (
        r"grants?|offers?|gives?|accepts?|approves?|allows?|permits?",
        r"refuses?|declines?|rejects?|denies|forbids?|withholds?",
    ),
    (r"allowed|permitted|possible", r"forbidden|prohibited|impossible"),
    (r"before", r"after"),
    (r"opens?", r"closes?"),
    (r"includes?|including", r"excludes?|excluding"),
    (r"enables?|activates?", r"disables?|deactivates?"),
    (r"increases?|raises?", r"decreases?|reduces?|lowers?"),
    (r"more than", r"less than|fewer than"),
    (r"available", r"unavailable"),
)
"""Words that say the contrary of each other: the first are left out or kept as one, the second negate them."""


def negated(text: str) -> tuple[str, bool]:
    """What a criterion says, without its negation, and whether there was one.

    The contrary of a word counts as its negation.
    """
    text, count = _NOT.subn(" ", text)
    for number, (one, other) in enumerate(_OPPOSITES):
        text, contrary = re.subn(rf"\b(?:{other})\b", f" contrary{number} ", text, flags=_I)
        text = re.sub(rf"\b(?:{one})\b", f" contrary{number} ", text, flags=_I)
        count += contrary
    return " ".join(content_words(text)), count % 2 == 1


def exclude_each_other(one: str, other: str) -> bool:
    """Whether two criteria cannot both be true: one denies what the other says, with or without further details."""
    first, second = negated(one), negated(other)
    if not first[0] or first[1] == second[1]:
        return False
    denied, said = (first[0], other) if first[1] else (second[0], one)
    return first[0] == second[0] or denied in _heads(said)


def _heads(text: str) -> set[str]:
    """What a criterion says if its details are left out: who grants a refund within 30 days grants a refund."""
    heads = (negated(text[: found.start()])[0] for found in _DETAIL.finditer(text))
    return {head for head in heads if len(head.split()) > 1}
