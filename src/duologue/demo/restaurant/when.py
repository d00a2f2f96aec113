"""Dates, times and numbers as people write them. Each reader returns what it found and the text without it."""

from __future__ import annotations

import re
from datetime import date, time, timedelta

NUMBERS = {
    word: number
    for number, word in enumerate(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split(), start=1
    )
} | {"twenty": 20}
NUMBER = rf"(?:\d{{1,2}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_HOUR = rf"(?:1[0-9]|2[0-3]|0?\d|{'|'.join(word for word, number in NUMBERS.items() if number <= 12)})"
_MINUTES = {"fifteen": 15, "twenty": 20, "thirty": 30, "forty-five": 45, "forty five": 45, "forty": 40, "ten": 10}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_NOON_OR_LATER = r"(?:p\.?m\b\.?|in the (?:evening|afternoon)|at night|tonight|this evening)"
_MORNING = r"(?:a\.?m\b\.?|in the morning)"

_RELATIVE_TIMES = (
    (re.compile(rf"\bhalf past ({_HOUR})\b"), 30),
    (re.compile(rf"\bquarter past ({_HOUR})\b"), 15),
    (re.compile(rf"\bquarter to ({_HOUR})\b"), -15),
)
_CLOCK = re.compile(rf"\b([01]?\d|2[0-3])[:.h]([0-5]\d)\s*({_NOON_OR_LATER}|{_MORNING})?")
_SPOKEN = re.compile(rf"\b({_HOUR})[ -]({'|'.join(_MINUTES)})\b\s*({_NOON_OR_LATER}|{_MORNING})?")
_HOUR_ONLY = re.compile(rf"\b({_HOUR})\s*(o'?clock\b|{_NOON_OR_LATER}|{_MORNING})")
_AT_HOUR = re.compile(
    rf"\b(?:at|around|about|by|from|time(?: is| to|:)?)\s+({_HOUR})\b(?!\s*(?:people|persons?|guests?|of us|adults))"
)


def number(text: str) -> int:
    """``four`` or ``4`` as 4."""
    return NUMBERS[text] if text in NUMBERS else int(text)


def read_time(text: str, *, bare: bool = False) -> tuple[time | None, str]:
    """The last time of day in a text in lower case. ``bare``: a lone number counts, because a time was asked for.

    Without am or pm an hour up to eleven means the evening: nobody dines at seven in the morning.
    """
    if match := re.search(r"\b(noon|midday|midnight)\b", text):
        return (time(0, 0) if match[1] == "midnight" else time(12, 0)), _without(text, match)
    for pattern, minutes in _RELATIVE_TIMES:
        if match := _last(pattern, text):
            total = _evening(number(match[1])) * 60 + minutes
            return time(total // 60 % 24, total % 60), _without(text, match)
    for pattern in (_CLOCK, _SPOKEN):
        if match := _last(pattern, text):
            minutes = _MINUTES.get(match[2]) or int(match[2] if match[2].isdigit() else 0)
            return time(_hour(match[1], match[3]), minutes), _without(text, match)
    patterns = (_HOUR_ONLY, _AT_HOUR, *((re.compile(rf"\b({_HOUR})\b"),) if bare else ()))
    for pattern in patterns:
        if match := _last(pattern, text):
            return time(_hour(match[1], match[2] if pattern is _HOUR_ONLY else None), 0), _without(text, match)
    return None, text


def read_date(text: str, today: date) -> tuple[date | None, str]:
    """The last date in a text in lower case."""
    for read in (_iso_date, _named_day, _weekday, _month_day, _day_of_month):
        day, rest = read(text, today)
        if day:
            return day, rest
    return None, text


def _iso_date(text: str, today: date) -> tuple[date | None, str]:
    match = re.search(r"\b(20\d\d)-(\d\d)-(\d\d)\b", text)
    if not match:
        return None, text
    return _date(int(match[1]), int(match[2]), int(match[3])), _without(text, match)


def _named_day(text: str, today: date) -> tuple[date | None, str]:
    for pattern, days in ((r"day after tomorrow", 2), (r"tomorrow", 1), (r"today|tonight|this evening", 0)):
        if match := _last(re.compile(rf"\b(?:the )?(?:{pattern})\b"), text):
            kept = "in the evening" if match[0] in {"tonight", "this evening"} else ""
            return today + timedelta(days=days), _without(text, match, kept)
    return None, text


def _weekday(text: str, today: date) -> tuple[date | None, str]:
    match = _last(re.compile(rf"\b(next |this |coming )?({'|'.join(_WEEKDAYS)})s?\b"), text)
    if not match:
        return None, text
    ahead = (_WEEKDAYS.index(match[2]) - today.weekday()) % 7
    if match[1] == "next ":
        ahead = 7 - today.weekday() + _WEEKDAYS.index(match[2])
    rest = _without(text, match)
    exact, shorter = _month_day(rest, today)
    return (exact, shorter) if exact else (today + timedelta(days=ahead), rest)


def _month_day(text: str, today: date) -> tuple[date | None, str]:
    day_first = re.search(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}\b(?:,? 20\d\d)?", text)
    month_first = re.search(rf"\b{_MONTH} (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? 20\d\d)?", text)
    match = day_first or month_first
    if not match:
        return None, text
    day, month = (match[1], match[2]) if day_first else (match[2], match[1])
    found = _date(today.year, _MONTHS.index(month) + 1, int(day))
    if found and found < today:
        found = _date(today.year + 1, found.month, found.day)
    return found, _without(text, match)


def _day_of_month(text: str, today: date) -> tuple[date | None, str]:
    match = re.search(r"\b(?:on )?the (\d{1,2})(?:st|nd|rd|th)\b", text)
    if not match:
        return None, text
    in_next_month = int(match[1]) < today.day
    month = today.month % 12 + 1 if in_next_month else today.month
    year = today.year + 1 if in_next_month and month == 1 else today.year
    return _date(year, month, int(match[1])), _without(text, match)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _hour(text: str, half: str | None) -> int:
    hour = number(text)
    if half and re.match(_MORNING, half):
        return hour % 12 if hour <= 12 else hour
    return _evening(hour) if half or not text.startswith("0") else hour


def _evening(hour: int) -> int:
    return hour + 12 if 1 <= hour <= 11 else hour


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match: who corrects himself says the right one last."""
    matches = list(pattern.finditer(text))
    return matches[-1] if matches else None


def _without(text: str, match: re.Match[str], instead: str = "") -> str:
    return f"{text[: match.start()]} {instead} {text[match.end() :]}"
