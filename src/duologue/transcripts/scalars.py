"""Texts, numbers and times in the forms in which systems write them down: as text, or as values of a database."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

_NUMBER = re.compile(r"[$€£]?\s*(-?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*", re.ASCII)
_SCALES = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""A time of more than the first is in nano-, micro- or milliseconds: as seconds it would be in the year 5138."""
_NO_TIME = 86_400.0 * 365
"""A time in 1970 or before stands for one that was never set."""
_FORMS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%d %H:%M:%S %Z",
    "%Y-%m-%d %H:%M:%S %z",
    "%d %B %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%B %d, %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%B %d, %Y %I:%M:%S %p",
    "%b %d, %Y %I:%M:%S %p",
    "%B %d, %Y %I:%M %p",
    "%b %d, %Y %I:%M %p",
    "%B %d, %Y, %I:%M %p",
    "%b %d, %Y, %I:%M %p",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
)
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:,?\s+(.*))?", re.ASCII)
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H:%M:%S.%f")
_WRAPPED_NUMBERS = ("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "integerValue", "doubleValue")


_EVENTS = re.compile(r"\s*(?:data|event|id):|:")
"""How server-sent events begin."""


def event_lines(text: str) -> list[str]:
    """The data of server-sent events, line by line; every other line is empty. Empty for any other text."""
    return [_data(line) for line in text.split("\n")] if _EVENTS.match(text) else []


def _data(line: str) -> str:
    name, _, rest = line.strip().partition(":")
    return "" if name != "data" or rest.strip() == "[DONE]" else rest.strip()


def text_in(value: object) -> str | None:
    """The text of a text, a number or MongoDB's id; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return str(value)
        except ValueError:  # more digits than Python writes
            return None
    inner = _only(value)
    found = inner.get("$oid", inner.get("$uuid"))
    if isinstance(found, str):
        return found
    number = number_in(value) if inner else None
    return None if number is None else f"{number:g}"


def number_in(value: object) -> float | None:
    """A finite number, also one that is written as text or wrapped; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.strip())
        digits = found[1].replace(",", "") if found else ""
        return _finite(digits) if any(map(str.isdigit, digits)) else None
    if isinstance(value, (int, float)):
        return _finite(value)
    inner = _only(value)
    return next((number_in(inner[name]) for name in _WRAPPED_NUMBERS if name in inner), None)


def _finite(value: str | float) -> float | None:
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def is_amount_unknown(value: object) -> bool:
    """Whether an amount is said not to be known, in words."""
    return isinstance(value, str) and value.strip().lower() in {"", "n/a", "none", "null", "nan", "unknown", "-"}


def time_in(value: object) -> float | None:
    """Seconds since 1970 UTC; 0 for a time that was never set; None for what is no time, or may be one of two."""
    if isinstance(value, str):
        number = number_in(value)
        at = _written(value.strip()) if number is None else _scaled(number)
    elif isinstance(value, Mapping):
        return _wrapped(cast("Mapping[str, Any]", value))
    else:
        number = number_in(value)
        at = None if number is None else _scaled(number)
    if at is None:
        return None
    return at if at > _NO_TIME else 0.0


def _only(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _scaled(number: float) -> float:
    return next((number / scale for limit, scale in _SCALES if number > limit), number)


def _wrapped(value: Mapping[str, Any]) -> float | None:
    """MongoDB's ``$date``, Firestore's and protobuf's seconds and nanoseconds."""
    if "$date" in value:
        return time_in(value["$date"])
    if (number := number_in(value)) is not None:
        return time_in(number)
    for seconds, nanos in (("_seconds", "_nanoseconds"), ("seconds", "nanos"), ("seconds", "nanoseconds")):
        if (whole := number_in(value.get(seconds))) is not None:
            return time_in(whole + (number_in(value.get(nanos)) or 0.0) / 1e9)
    return None


def _written(text: str) -> float | None:
    found = _iso(text) or _slashed(text) or _by_form(text) or _mail(text)
    if found is None:
        return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC").removesuffix(" GMT").strip())
    except ValueError:
        return None


def _by_form(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 -- UTC is assumed where the text has no zone
        except ValueError:
            continue
    return None


def _slashed(text: str) -> datetime | None:
    """``31/01/2026 10:00:00`` or ``01/31/2026``; nothing where the day and the month could be exchanged."""
    found = _SLASHED.fullmatch(text)
    if found is None:
        return None
    first, second, year = int(found[1]), int(found[2]), int(found[3])
    if first <= 12 and second <= 12 and first != second:
        return None
    day, month = (first, second) if first > 12 else (second, first)
    clock = None
    for form in _CLOCKS if found[4] else ():
        try:
            clock = datetime.strptime(found[4], form).time()  # noqa: DTZ007 -- a time of day
            break
        except ValueError:
            continue
    if found[4] and clock is None:
        return None
    try:
        date = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None
    return date if clock is None else date.replace(hour=clock.hour, minute=clock.minute, second=clock.second)


def _mail(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
