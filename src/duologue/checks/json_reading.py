"""The JSON value in what an agent says: the text as a whole, a fenced block of it, or the longest value in it."""

from __future__ import annotations

import json
import re

from duologue.messages import JsonValue

_FENCE = re.compile(r"```[ \t]*([\w+#.-]*)(.*?)```", re.DOTALL)
_JSON_FENCES = frozenset({"", "json", "jsonc", "json5"})
_MOST_STARTS = 200
"""Where reading is tried, at most, so that a text made of brackets costs nothing."""


class NoJsonError(ValueError):
    """There is no JSON in the text; says why."""


def json_in(text: str, *, wrapped: bool = False, extract: bool = False) -> JsonValue:
    """The JSON value in a text.

    Raises:
        NoJsonError: there is none.
    """
    if wrapped:
        text = _first_block(text)
    try:
        return _loads(text)
    except NoJsonError:
        if not extract:
            raise
    found = _longest(text)
    if found is None:
        raise NoJsonError("no JSON object or array in the text")
    return found


def _first_block(text: str) -> str:
    """What the first fenced block of JSON, or of no language, holds; the text itself where there is none."""
    blocks = (found for found in _FENCE.finditer(text) if found[1].casefold() in _JSON_FENCES)
    return next((found[2] for found in blocks), text)


def _loads(text: str) -> JsonValue:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NoJsonError(str(error) or type(error).__name__) from error


def _longest(text: str) -> JsonValue:
    """The longest object or array that stands anywhere in the text; None if there is none."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    best: JsonValue = None
    length, place = 0, 0
    for _ in range(_MOST_STARTS):
        starts = [start for start in (text.find("{", place), text.find("[", place)) if start >= 0]
        if not starts:
            break
        start = min(starts)
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            place = start + 1
            continue
        if end - start > length:
            best, length = value, end - start
        place = end
    return best


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
