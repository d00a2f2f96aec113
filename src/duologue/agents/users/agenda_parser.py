"""What an agenda-based user understands of the agent's words: what it asks for, what it restates, whether it is done.

Rules and patterns, no model. The first part is about turns and sentences, the second about values as people say them:
"half past seven", "7:30 pm" and "19:30" are one time. A value of no known kind is compared as words. English only. The
user's answer is decided in ``agenda``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from duologue.agents.users.utterances import (
    MORE_PATTERNS,
    OWN_PATTERNS,
    QUESTION_PATTERNS,
    SUCCESS_PATTERNS,
    TRANSFER_PATTERNS,
    all_captured,
    announces,
    any_given_match,
    any_match,
    denies,
    sentences,
)
from duologue.config.patterns import compiled
from duologue.errors import ConfigurationError
from duologue.frozen import frozen


class Kind(StrEnum):
    """The kind of a value, which decides how it is compared and found."""

    TIME = "time"
    DAY = "day"
    EMAIL = "email"
    PHONE = "phone"
    COUNT = "count"
    NAME = "name"
    OTHER = "other"


_RESTATES = (
    r"\b(?:so|then) (?:that|this|it)(?:'s| is| will be| would be)\b",
    r"\bthat(?:'s| is|'d be| would be) (?:a|an|for)\b",
    r"\b(?:to confirm|to sum up|to summari[sz]e|just to|you said|you would like|you'd like|i have you|noted|got it)\b",
    r"\byour (?:booking|order|reservation|appointment|table|request)\b",
    r"\b(?:booked|confirmed|reserved)\b",
    r"\b(?:correct|right)\?",
)
_CONFIRMS = (
    r"^(?:\w+[,.]? )?(?:shall|should|do you want|would you like|do you confirm|can you confirm|could you confirm)\b",
    r"^(?:\w+[,.]? )?(?:is (?:that|this|it|everything)|are (?:these|those)|does (?:that|this))\b",
    r"\b(?:shall i|should i|is that (?:right|correct|ok|okay|fine))\b",
    r"\b(?:correct|right|okay|ok|agreed)\?",
    r"\bplease confirm\b",
)
_ASKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\btime\b", (r"\btimes?\b", r"\bwhen\b", r"\bhow late\b")),
    (r"\b(?:day|date)\b", (r"\bdates?\b", r"\bdays?\b", r"\bwhen\b")),
    (r"mail\b", (r"\be-?mail\b",)),
    (r"\b(?:phone|telephone|mobile)\b", (r"\b(?:phone|telephone|mobile|number to (?:call|reach))\b",)),
    (r"\b(?:people|persons|guests|party|passengers|size)\b", (r"\bhow many\b", r"\bhow large\b", r"\bparty size\b")),
    (r"\bname\b", (r"\bnames?\b", r"\bwho am i (?:speaking|talking)\b")),
    (r"\baddress\b", (r"\baddress\b", r"\bwhere (?:shall|should|do|can|to)\b", r"\bdeliver(?:ed)? to\b")),
    (r"\ballerg", (r"\ballerg", r"\bdiet")),
)


@dataclass(frozen=True)
class Slot:
    """One detail that the user knows."""

    name: str
    """Such as ``party size``. It decides how values are compared and which questions ask for them."""
    value: str
    """The true value, and how the user says it unless ``spoken`` is given."""
    _: KW_ONLY
    ask: Sequence[str] = ()
    """Regular expressions for further questions that ask for this detail; case is ignored."""
    say: str | None = None
    """Template for the user's answer, with ``{value}`` and ``{name}``; None for the usual short phrases."""
    spoken: str | None = None
    """How the user first says the value, such as ``half past seven``. Asked again, the user says ``value``."""
    restated: Sequence[str] = ()
    """Regular expressions with one group that find this detail where the agent restates it. Needed only for kinds that
    are not recognised: times, weekdays, numbers of people, names, telephone numbers and e-mail addresses are."""

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.value.strip():
            raise ConfigurationError(f"a slot needs a name and a value; found name={self.name!r}, value={self.value!r}")
        check_patterns(f"slot '{self.name}'", self.ask)
        check_patterns(f"slot '{self.name}'", self.restated, groups=1)
        _try_template(self)

    @property
    def kind(self) -> Kind:
        """The kind of the value, which decides how it is compared and found."""
        return kind_of(self.name, self.value)

    def wordings(self) -> list[str]:
        """The ways in which the user says the value."""
        return [self.spoken, self.value] if self.spoken else [self.value]

    def given_in(self, text: str) -> bool:
        """Whether the text gives this detail."""
        return any(says(text, self.kind, wording) for wording in self.wordings())

    def asked_in(self, sentence: str) -> bool:
        """Whether this question asks for this detail."""
        if any_given_match(self.ask, sentence):
            return True
        name = plain_name(self.name)
        known = [pattern for named, patterns in _ASKS if re.search(named, name) for pattern in patterns]
        return any_match(known or [rf"\b{re.escape(word)}" for word in name.split() if len(word) > 2], sentence)

    def wrong_in(self, sentence: str) -> bool:
        """Whether the sentence gives this detail another value, and the right one nowhere."""
        own = [mention for pattern in self.restated for mention in all_captured(pattern, sentence)]
        if own and not any(says(mention, Kind.OTHER, wording) for mention in own for wording in self.wordings()):
            return True
        mentions = found(self.kind, sentence)
        return bool(mentions) and not any(
            agrees(self.kind, value, one) for value in self.wordings() for one in mentions
        )


@frozen
class ParsedTurn:
    """What the agent's words in one turn mean to the user."""

    asked: tuple[Slot, ...] = ()
    """Slots that the agent asks for, in the user's order."""
    wrong: tuple[Slot, ...] = ()
    """Slots that the agent restates with a wrong value."""
    confirms: bool = False
    """Whether the agent asks for a yes."""
    question: bool = False
    """Whether the agent asks anything at all."""
    more: bool = False
    """Whether the agent asks if there is anything else."""
    success: bool = False
    """Whether the agent says that the goal is reached."""
    transferred: bool = False
    """Whether the agent hands the user over."""
    refuses: bool = False
    """Whether the agent says that something is not possible."""


@frozen
class AgentTurnParser:
    """Reads the agent's turns with given slots and patterns."""

    slots: tuple[Slot, ...]
    """The details that the user knows."""
    questions: tuple[str, ...] = QUESTION_PATTERNS
    """How a question is recognised."""
    success: tuple[str, ...] = SUCCESS_PATTERNS
    """How the agent says that the goal is reached."""
    transfer: tuple[str, ...] = TRANSFER_PATTERNS
    """How the agent says that it hands the user over."""

    def parse(self, text: str) -> ParsedTurn:
        """The meaning of everything that the agent said in one turn."""
        parts = sentences(text)
        questions = [part for part in parts if any_given_match(self.questions, part)]
        confirming = any(any_match(_CONFIRMS, part) for part in questions)
        restated = [part for part in parts if not denies(part) and (confirming or any_match(_RESTATES, part))]
        asked = tuple(slot for slot in self.slots if any(slot.asked_in(part) for part in questions))
        return ParsedTurn(
            asked=asked,
            wrong=tuple(slot for slot in self.slots if _wrong(slot, restated)),
            confirms=confirming,
            question=bool(questions),
            more=any(any_match(MORE_PATTERNS, part) for part in questions),
            success=announces(text, self.success),
            transferred=announces(text, self.transfer),
            refuses=any(denies(part) for part in parts),
        )


def check_patterns(where: str, patterns: Sequence[str], *, groups: int = 0) -> None:
    """Check that each is a regular expression with so many groups at least.

    Raises:
        ConfigurationError: one is not.
    """
    if isinstance(patterns, str):
        raise ConfigurationError(f"{where}: expected a list of regular expressions, got the string {patterns!r}")
    for pattern in patterns:
        try:
            found = 0 if pattern in OWN_PATTERNS else compiled(pattern).groups
        except ValueError as error:
            raise ConfigurationError(f"{where}: {pattern!r} is not {error}") from error
        if found < groups:
            raise ConfigurationError(
                f"{where}: {pattern!r} has no group around the value; write one, such as 'gate (\\w+)'"
            )


def _wrong(slot: Slot, restated: Sequence[str]) -> bool:
    """A detail is wrong if it is restated wrongly in one place and correctly in none."""
    return any(slot.wrong_in(part) for part in restated) and not any(slot.given_in(part) for part in restated)


def _try_template(slot: Slot) -> None:
    try:
        (slot.say or "").format(value=slot.value, name=slot.name)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"slot '{slot.name}': say={slot.say!r} cannot be filled in; only {{value}} and {{name}} are known"
        ) from error


# --- values --------------------------------------------------------------------------------------------------------

_NUMBERS: Sequence[str] = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_NUMBER = rf"\d{{1,3}}|{'|'.join(_NUMBERS)}"
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_TIME = re.compile(
    rf"\b(?:(?P<part>half past|half|quarter past|quarter to) (?P<about>{_NUMBER})"
    rf"|(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})\s*(?P<half>[ap]\.?m\b)?"
    rf"|(?P<full>{_NUMBER})\s*(?P<mark>[ap]\.?m\b|o'clock))",
    re.IGNORECASE,
)
_DAY = re.compile(rf"\b(?:{_DAYS})\b", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"\+?\d[\d\s()./-]{5,}\d")
_COUNT = re.compile(
    rf"\b(?:(?:table|party|group|room) (?:for|of) (?P<of>{_NUMBER})"
    rf"|(?P<many>{_NUMBER}) (?:of us|people|persons|guests|adults|passengers|seats))\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b(?i:name(?: is|:)?|name of|mr\.?|mrs\.?|ms\.?) ((?:[A-Z][\w'-]+)(?: [A-Z][\w'-]+)*)")
_PARTS = {"half past": 30, "half": 30, "quarter past": 15, "quarter to": -15}
_NAMED: tuple[tuple[str, Kind], ...] = (
    (r"\btime\b", Kind.TIME),
    (r"\b(?:day|date)\b", Kind.DAY),
    (r"mail\b", Kind.EMAIL),
    (r"\b(?:phone|telephone|mobile)\b", Kind.PHONE),
    (r"\b(?:people|persons|guests|party|passengers|size)\b", Kind.COUNT),
    (r"\bname\b", Kind.NAME),
)


def kind_of(name: str, value: str) -> Kind:
    """The kind of a slot's value, judged by its name; OTHER if the value does not look like that kind."""
    kind = next((kind for pattern, kind in _NAMED if re.search(pattern, plain_name(name))), Kind.OTHER)
    if kind is Kind.COUNT:
        return kind if _number(value.strip()) is not None else Kind.OTHER
    if kind is Kind.NAME:
        return kind if value[:1].isupper() else Kind.OTHER
    return kind if kind is Kind.OTHER or found(kind, value) else Kind.OTHER


def found(kind: Kind, text: str) -> list[str]:
    """The values of that kind in a text, each in comparable form."""
    finder = _FINDERS.get(kind)
    return finder(text.replace("’", "'")) if finder else []


def comparable(kind: Kind, value: str) -> str:
    """A slot's value in the comparable form of :func:`found`."""
    if kind is Kind.COUNT:
        return str(_number(value.strip()))
    if kind is Kind.NAME:
        return value.casefold()
    return next(iter(found(kind, value)), plain(value))


def says(text: str, kind: Kind, value: str) -> bool:
    """Whether the text gives that value, in the same words or in equivalent ones."""
    if kind is not Kind.NAME and comparable(kind, value) in found(kind, text):
        return True
    wanted = plain(value)
    return bool(wanted) and f" {wanted} " in f" {plain(text)} "


def agrees(kind: Kind, value: str, mention: str) -> bool:
    """Whether a mention is that value; part of a name counts, such as the surname alone."""
    wanted = comparable(kind, value)
    if kind is not Kind.NAME:
        return mention == wanted
    ours, theirs = set(wanted.split()), set(mention.split())
    return ours <= theirs or theirs <= ours


def plain(text: str) -> str:
    """The words of a text in lower case, without punctuation."""
    return " ".join(re.findall(r"[\w@']+", text.casefold().replace("’", "'")))


def plain_name(name: str) -> str:
    """A slot's name as words: ``party_size`` and ``partySize`` are "party size"."""
    return re.sub(r"[_\-\s]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().lower()


def _time(match: re.Match[str]) -> str:
    """Minutes on a 12-hour clock face: people leave out whether it is morning."""
    if match["part"]:
        minutes = _PARTS[match["part"].lower()] + 60 * (_number(match["about"]) or 0)
    elif match["hour"]:
        minutes = 60 * int(match["hour"]) + int(match["minute"])
    else:
        minutes = 60 * (_number(match["full"]) or 0)
    return str(minutes % 720)


def _number(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    return _NUMBERS.index(text.lower()) if text.lower() in _NUMBERS else None


def _counts(text: str) -> list[str]:
    return [str(_number(match["of"] or match["many"])) for match in _COUNT.finditer(text)]


_FINDERS: dict[Kind, Callable[[str], list[str]]] = {
    Kind.TIME: lambda text: [_time(match) for match in _TIME.finditer(text)],
    Kind.DAY: lambda text: [match[0].lower() for match in _DAY.finditer(text)],
    Kind.EMAIL: lambda text: [match[0].lower() for match in _EMAIL.finditer(text)],
    Kind.PHONE: lambda text: [re.sub(r"\D", "", match[0]) for match in _PHONE.finditer(text)],
    Kind.COUNT: _counts,
    Kind.NAME: lambda text: [match[1].casefold() for match in _NAME.finditer(text)],
}
