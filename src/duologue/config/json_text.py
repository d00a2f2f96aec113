"""JSON in text that a model, an agent or a program wrote: the text as a whole, a code fence, or spans within prose.

This module finds and reads it, as far as it is neither deeper nor larger than anything that is meant to be read. Which
of several values counts, and what a value has to hold, is up to the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from duologue.config.patterns import late
from duologue.messages import JsonValue

_FENCED = late(r"```[ \t]*([\w+#.-]*)(.*?)```", re.DOTALL)
_FENCED_WHOLE = late(r"\s*```[a-z]*\s*\n?(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)
_JSON_LANGUAGES = frozenset({"", "json", "jsonc", "json5"})
_MOST_LEVELS = 100
"""Arrays and objects within one another. What recurses over a value later must not run out of stack."""
_MOST_VALUES = 1_000_000
"""A value takes up to a hundred bytes of memory, and three of text."""
_ESCAPE = late(r"\\(?:u(?P<code>[dD][89a-fA-F][0-9a-fA-F]{2})(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|.)", re.DOTALL)
_MOST_STARTS = 200
"""Places where reading is attempted, at most, so that a text made of brackets costs nothing."""


class NoJsonError(ValueError):
    """There is no JSON in the text; the message says why."""


class RepeatedKeyError(NoJsonError):
    """A JSON object has the same key twice; the message is that key."""


class JsonSpan(NamedTuple):
    """A JSON value and its place in the text."""

    value: JsonValue
    start: int
    end: int


def json_value(text: str | bytes, *, constants: bool = False) -> JsonValue:
    """The value that the text as a whole is.

    Half of a surrogate pair, as servers write it that cut texts at any place, is read as U+FFFD.

    Args:
        text: what was written.
        constants: whether ``NaN`` and ``Infinity``, which are not JSON, are read.

    Raises:
        NoJsonError: the text is not JSON, not UTF-8, or too deep or too large.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        if len(text) > _MOST_VALUES and sum(map(text.count, ",[{")) > _MOST_VALUES:
            raise NoJsonError(f"more than {_MOST_VALUES:,} values in one text")
        value = json.loads(_mended(text), parse_constant=None if constants else _refuse)
    except NoJsonError:
        raise
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise NoJsonError(str(error) or type(error).__name__) from error
    if sum(map(text.count, "[{")) > _MOST_LEVELS:
        _check_depth(value)
    return value


def _mended(text: str) -> str:
    return _ESCAPE.sub(_whole, text) if "\\ud" in text or "\\uD" in text else text


def _whole(found: re.Match[str]) -> str:
    code = found["code"]
    if code is None or (found["low"] and code[1] in "89abAB"):
        return found[0]
    return "\\ufffd" * (2 if found["low"] else 1)


def _check_depth(value: JsonValue) -> None:
    level: list[Any] = [value]
    for _ in range(_MOST_LEVELS):
        inner: list[Any] = []
        for item in level:
            inner += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        level = [item for item in inner if isinstance(item, (dict, list))]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> NoJsonError:
    return NoJsonError(f"arrays and objects are nested deeper than {_MOST_LEVELS} levels")


def json_object(text: str | bytes) -> dict[str, JsonValue]:
    """The object that the text as a whole is.

    Raises:
        NoJsonError: the text is not JSON, or another kind of value.
    """
    value = json_value(text)
    if not isinstance(value, dict):
        raise NoJsonError(f"expected a JSON object, found {kind_of_json(value)}")
    return cast("dict[str, JsonValue]", value)


def json_in(text: str, *, fenced: bool = False, anywhere: bool = False) -> JsonValue:
    """The value that a text is or contains.

    Args:
        text: what was written.
        fenced: read the first code fence of JSON or of no language, where there is one.
        anywhere: fall back to the longest object or array in the text.

    Raises:
        NoJsonError: there is none.
    """
    if fenced:
        text = first_fence(text)
    try:
        return json_value(text)
    except NoJsonError:
        if not anywhere:
            raise
    spans = list(json_spans(text))
    if not spans:
        raise NoJsonError("no JSON object or array in the text")
    return max(spans, key=lambda span: span.end - span.start).value


def json_spans(text: str, *, opening: str = "{[", unique_keys: bool = False) -> Iterator[JsonSpan]:
    """The objects and arrays in a text that are not inside another one, in order.

    Args:
        text: what was written.
        opening: ``{`` for objects only.
        unique_keys: refuse an object that has a key twice, where the last value would win silently.

    Raises:
        RepeatedKeyError: ``unique_keys`` is set, and an object has a key twice.
    """
    text = _mended(text)  # as long as before
    decoder = _UNIQUE if unique_keys else _STRICT
    starts = re.compile(f"[{re.escape(opening)}]")
    place = starts.search(text)
    for _ in range(_MOST_STARTS):
        if place is None:
            return
        try:
            value, end = decoder.raw_decode(text, place.start())
            _check_depth(value)
        except RepeatedKeyError:
            raise
        except (ValueError, RecursionError):
            end = place.start() + 1
        else:
            yield JsonSpan(value, place.start(), end)
        place = starts.search(text, end)


def leading_json(text: str, start: int = 0) -> JsonValue:
    """The value that begins at ``start``, whatever follows it. Line breaks within strings are tolerated.

    Raises:
        NoJsonError: no value begins there.
    """
    try:
        value: JsonValue = _LENIENT.raw_decode(_mended(text), start)[0]
    except (ValueError, RecursionError) as error:
        raise NoJsonError(str(error) or type(error).__name__) from error
    _check_depth(value)
    return value


def first_object(text: str) -> dict[str, JsonValue] | None:
    """The first object in a text, whatever stands around it; None if there is none. For answers that may be sloppy."""
    start = text.find("{")
    try:
        value = leading_json(text, start) if start >= 0 else None
    except NoJsonError:
        return None
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else None


def first_fence(text: str) -> str:
    """The content of the first code fence of JSON or of no language; the text itself where there is none."""
    fences = (found for found in _FENCED.finditer(text) if found[1].casefold() in _JSON_LANGUAGES)
    return next((found[2] for found in fences), text)


def unfenced(text: str) -> str:
    """The content of a text that is one code fence and nothing else; the text itself otherwise."""
    found = _FENCED_WHOLE.fullmatch(text)
    return found[1].strip() if found else text


def kind_of_json(value: JsonValue) -> str:
    """What JSON calls a value: object, array, text, number, boolean or null."""
    names = {dict: "object", list: "array", str: "text", bool: "boolean", int: "number", float: "number"}
    return names.get(cast("type[Any]", type(value)), "null")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _without_repeated_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(next(repr(key) for key in keys if keys.count(key) > 1))
    return made


_STRICT = json.JSONDecoder(parse_constant=_refuse)
_UNIQUE = json.JSONDecoder(object_pairs_hook=_without_repeated_keys)
_LENIENT = json.JSONDecoder(strict=False)
