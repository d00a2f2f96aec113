"""Values as people say them: whether two of them mean the same, and which ones a sentence mentions.

"half past seven", "7:30 pm" and "19:30" are one time. A value of no known kind is compared as words. English only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum


class Kind(StrEnum):
    """What a value is, which decides how it is compared and found."""

    TIME = "time"
    DAY = "day"
    EMAIL = "email"
    PHONE = "phone"
    COUNT = "count"
    NAME = "name"
    OTHER = "other"


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
    """What a slot holds, from its name; OTHER where its value does not look like that."""
    kind = next((kind for pattern, kind in _NAMED if re.search(pattern, plain_name(name))), Kind.OTHER)
    if kind is Kind.COUNT:
        return kind if _number(value.strip()) is not None else Kind.OTHER
    if kind is Kind.NAME:
        return kind if value[:1].isupper() else Kind.OTHER
    return kind if kind is Kind.OTHER or found(kind, value) else Kind.OTHER


def found(kind: Kind, text: str) -> list[str]:
    """The values of that kind in a text, each in a form that can be compared."""
    finder = _FINDERS.get(kind)
    return finder(text.replace("’", "'")) if finder else []


def comparable(kind: Kind, value: str) -> str:
    """A slot's value in the form of :func:`found`."""
    if kind is Kind.COUNT:
        return str(_number(value.strip()))
    if kind is Kind.NAME:
        return value.casefold()
    return next(iter(found(kind, value)), plain(value))


def says(text: str, kind: Kind, value: str) -> bool:
    """Whether the text gives that value, in the same words or in others that mean the same."""
    if kind is not Kind.NAME and comparable(kind, value) in found(kind, text):
        return True
    wanted = plain(value)
    return bool(wanted) and f" {wanted} " in f" {plain(text)} "


def agrees(kind: Kind, value: str, mention: str) -> bool:
    """Whether what was found is that value; part of a name is, such as the surname alone."""
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
    """Minutes on a clock face of twelve hours: people leave out whether it is morning."""
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
