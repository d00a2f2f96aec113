"""The functions of Go's ``text/template``, for JSON values. What Go answers with an error is one here, too."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote_plus

from duologue.config.templates import as_text

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d+)?(?:\.(?P<precision>\d*))?(?P<verb>.)?", re.DOTALL)
_MOST_WIDTH = 1000
"""Characters that a number or a text is filled up to, and digits behind the point."""
_MOST_WRITTEN = 1_000_000
_BIGGEST = 10**30
"""Numbers above it are written with an exponent."""


class TemplateValueError(Exception):
    """A template cannot be filled in with the values that it was given; says why."""


class Missing:
    """A value that is not there: false, and empty text."""


def is_true(value: Any) -> bool:
    """Whether a value counts as true: not if it is missing, false, zero or empty."""
    return not isinstance(value, Missing) and bool(value)


def _written(value: Any) -> str:
    return "" if isinstance(value, Missing) else as_text(value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    one, other = (None if isinstance(item, Missing) else item for item in (one, other))
    if _number(one) and _number(other):
        return one == other
    return type(one) is type(other) and one == other


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateValueError("eq: a second value is missing")
    return any(_same(first, other) for other in others)


def _different(one: Any, other: Any) -> bool:
    return not _same(one, other)


def _negated(value: Any) -> bool:
    return not is_true(value)


def _compared(name: str, decide: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def function(one: Any, other: Any) -> bool:
        texts = isinstance(one, str) and isinstance(other, str)
        if not texts and not (_number(one) and _number(other)):
            raise TemplateValueError(f"{name}: {_shown(one)} and {_shown(other)} cannot be compared")
        return decide(one, other)

    return function


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    if isinstance(value, (list, dict)):
        return len(cast("list[Any]", value))
    raise TemplateValueError(f"len: {_shown(value)} has no length")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(str(key), Missing())
        elif isinstance(value, (list, str)):
            items = cast("list[Any]", value)
            if not isinstance(key, int) or isinstance(key, bool) or not 0 <= key < len(items):
                raise TemplateValueError(f"index: {_shown(key)} is no place among {len(items)} items")
            value = items[key]
        else:
            raise TemplateValueError(f"index: {_shown(value)} has no items")
    return value


def _slice(value: Any, *ends: Any) -> Any:
    if not isinstance(value, (str, list)) or len(ends) > 3:
        raise TemplateValueError(f"slice: {_shown(value)} cannot be cut")
    items = cast("list[Any]", value)
    first, last = (*ends[:2], len(items))[:2] if len(ends) == 1 else (*ends[:2], 0, len(items))[:2]
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in (first, last))
    if not whole or not 0 <= first <= last <= len(items):
        raise TemplateValueError(f"slice: {_shown(first)} to {_shown(last)} is no part of {len(items)} items")
    return items[first:last]


def _print(*values: Any) -> str:
    """As Go does: a space between two values of which neither is a text."""
    made = ""
    for place, value in enumerate(values):
        gap = place and not isinstance(value, str) and not isinstance(values[place - 1], str)
        made = _joined(made, (" " if gap else "") + _written(value))
    return made


def _print_line(*values: Any) -> str:
    return _joined(" ".join(map(_written, values)), "\n")


def _joined(text: str, more: str) -> str:
    if len(text) + len(more) > _MOST_WRITTEN:
        raise TemplateValueError(f"a text has more than {_MOST_WRITTEN:,} characters")
    return text + more


def _formatted(form: Any, *values: Any) -> str:
    if not isinstance(form, str):
        raise TemplateValueError(f"printf: {_shown(form)} is no format")
    rest = list(values)
    made, place = "", 0
    for found in _VERB.finditer(form):
        made = _joined(made, form[place : found.start()])
        made = _joined(made, _verb(found, rest))
        place = found.end()
    made = _joined(made, form[place:])
    extra = ", ".join(f"{_kind(value)}={_written(value)}" for value in rest)
    return _joined(made, f"%!(EXTRA {extra})" if rest else "")


def _verb(found: re.Match[str], rest: list[Any]) -> str:
    verb = found["verb"]
    if verb is None:
        return "%!(NOVERB)"
    if verb == "%":
        return "%"
    if not rest:
        return f"%!{verb}(MISSING)"
    width, precision = (int(number) if number else 0 for number in (found["width"], found["precision"]))
    if max(width, precision) > _MOST_WIDTH:
        raise TemplateValueError(f"printf: {found[0]} asks for more than {_MOST_WIDTH} characters")
    value = rest.pop(0)
    text = _of_verb(verb, value, None if found["precision"] is None else precision, found["flags"])
    if text is None:
        return f"%!{verb}({_kind(value)}={_written(value)})"
    return _filled_up(text, width, found["flags"], numeric=_number(value) and verb not in "sqv")


def _of_verb(verb: str, value: Any, precision: int | None, flags: str) -> str | None:  # noqa: PLR0911 - one a verb
    """A value as its verb says; None if the two do not go together."""
    if verb == "v":
        return _written(value)
    if verb == "t":
        return _written(value) if isinstance(value, bool) else None
    if isinstance(value, str):
        return _of_text(verb, value, precision)
    if not _number(value) or (isinstance(value, int) and abs(value) > _BIGGEST and verb != "d"):
        return _written(value)[:precision] if verb == "s" and not isinstance(value, bool) else None
    sign = "+" if "+" in flags and value >= 0 else ""
    if verb in "dxXobc":
        return None if value != int(value) else sign + _of_whole(verb, int(value))
    if verb in "feEgG":
        return sign + (f"{value:g}" if verb in "gG" and precision is None else f"{value:.{_digits(precision)}{verb}}")
    return _written(value) if verb == "s" else None


def _of_text(verb: str, value: str, precision: int | None) -> str | None:
    match verb:
        case "s":
            return value[:precision]
        case "q":
            return json.dumps(value[:precision], ensure_ascii=False)
        case "x" | "X":
            return format_hex(value, upper=verb == "X")
        case _:
            return None


def format_hex(text: str, *, upper: bool) -> str:
    """The bytes of a text as hexadecimal digits."""
    digits = text.encode("utf-8", "replace").hex()
    return digits.upper() if upper else digits


def _of_whole(verb: str, value: int) -> str:
    if verb == "c":
        return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
    return f"{value:{verb}}" if abs(value) < _BIGGEST else f"{value:.6e}"


def _digits(precision: int | None) -> int:
    return 6 if precision is None else precision


def _filled_up(text: str, width: int, flags: str, *, numeric: bool) -> str:
    if "-" in flags:
        return text.ljust(width)
    return text.zfill(width) if numeric and "0" in flags else text.rjust(width)


def _kind(value: Any) -> str:
    kinds = {"bool": "bool", "int": "int", "float": "float64", "str": "string", "dict": "map", "list": "[]"}
    return kinds.get(value.__class__.__name__, "nil")


def _shown(value: Any) -> str:
    text = _written(value)
    return f"{_kind(value)} {text if len(text) <= 40 else text[:39] + '…'}".strip()


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose errors are about the template."""

    def called(*values: Any) -> Any:
        try:
            return function(*values)
        except (TypeError, ValueError, OverflowError) as error:
            raise TemplateValueError(f"{name}: it cannot be called with {len(values)} values such as these") from error

    return called


_GIVEN: dict[str, Callable[..., Any]] = {
    "and": lambda *values: values,
    "or": lambda *values: values,
    "not": _negated,
    "eq": _equal,
    "ne": _different,
    "lt": _compared("lt", lambda one, other: one < other),
    "le": _compared("le", lambda one, other: one <= other),
    "gt": _compared("gt", lambda one, other: one > other),
    "ge": _compared("ge", lambda one, other: one >= other),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": _formatted,
    "println": _print_line,
    "html": lambda *values: html.escape(_print(*values)),
    "js": lambda *values: json.dumps(_print(*values))[1:-1].replace("'", "\\'"),
    "urlquery": lambda *values: quote_plus(_print(*values)),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {name: _checked(name, function) for name, function in _GIVEN.items()}
"""By name. ``and`` and ``or`` are decided by the template itself, which looks at no more than it must."""
