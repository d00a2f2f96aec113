"""What a word without quotes means in YAML 1.2: null, true and false, numbers; everything else is text.

Words that older versions of YAML took for booleans (``yes``, ``no``, ``on``, ``off``) and dates are text here.
"""

from __future__ import annotations

import math
import re

OLD_BOOLEANS = {"y", "yes", "n", "no", "on", "off"}
"""What YAML 1.1 took for booleans, in lower case."""

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_OTHER_BASE = re.compile(r"0(?:o([0-7]+)|x([0-9a-fA-F]+))\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_LONGEST_NUMBER = 300
"""Digits; more cannot be meant as a number."""

PREFIX = "tag:yaml.org,2002:"
Scalar = str | int | float | bool | None


class ScalarError(ValueError):
    """A word that cannot be what it claims to be."""


def scalar(text: str, *, is_plain: bool, tag: str | None) -> Scalar:
    """The value of a scalar.

    Args:
        text: as it is written, without quotes.
        is_plain: it has no quotes and is no block of text.
        tag: its tag; None or ``!`` for none.

    Raises:
        ScalarError: what is wrong with it.
    """
    if tag is None:
        return resolved(text) if is_plain else text
    if tag in {"!", PREFIX + "str"}:
        return text
    kind = tag.removeprefix(PREFIX)
    value = resolved(text)
    wanted: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "null": (type(None),),
    }
    if tag.startswith(PREFIX) and kind in wanted and isinstance(value, wanted[kind]):
        return value
    raise ScalarError(f"found the tag '{tag}' at {text[:40]!r}; expected a value without a tag")


def resolved(text: str) -> Scalar:
    """The value of a word without quotes."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return _number(text) if text[0] in _STARTS else text


def _number(text: str) -> str | int | float:
    if _INTEGER.match(text):
        if len(text) > _LONGEST_NUMBER:
            raise ScalarError(f"found a number of {len(text)} digits; expected one of at most {_LONGEST_NUMBER}")
        return int(text)
    other = _OTHER_BASE.match(text)
    if other and len(text) <= _LONGEST_NUMBER:
        return int(other[1], 8) if other[1] else int(other[2], 16)
    if _NO_NUMBER.match(text):
        raise ScalarError(f"found {text}; expected a finite number")
    if _FLOAT.match(text):
        value = float(text)
        if math.isinf(value):
            raise ScalarError(f"found {text[:40]}; expected a number that a computer can hold")
        return value
    return text
