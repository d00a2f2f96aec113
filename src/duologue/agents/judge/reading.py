"""The JSON object in what a model has written: alone, in a code fence, or with prose before or after it.

Never two of them, and never one that the conversation contains: where a model quotes a judgement, drafts one or repeats
what an agent has put into its mouth, nobody can say that it means it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from duologue.messages import JsonValue

_THOUGHT = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)
JUDGEMENT = ("action", "criteria", "verdict")
"""An object with one of these is meant as a judgement."""
_MOST_BRACES = 200
"""Where reading is tried, at most, so that a text made of braces costs nothing."""


class UnreadableError(ValueError):
    """There is no judgement in the text; says what was found."""


class _RepeatedKeyError(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class _Found:
    value: dict[str, JsonValue]
    start: int
    end: int


def object_in(text: str, said: str = "", marks: Sequence[str] = JUDGEMENT) -> dict[str, JsonValue]:
    """The one judgement in the text.

    Args:
        text: what the model has written.
        said: what was said in the conversation.
        marks: an object with one of these keys is meant.

    Raises:
        UnreadableError: none, several, one in the middle of prose, a quotation, or the same key twice.
    """
    text = _THOUGHT.sub("", text).strip()
    if not text:
        raise UnreadableError("the answer is empty")
    try:
        found = [item for item in _objects(text) if any(mark in item.value for mark in marks)]
    except _RepeatedKeyError as error:
        raise UnreadableError(f"the JSON object has the key {error} more than once") from error
    if not found or (text.startswith("{") and found[0].start):
        raise UnreadableError("the answer is not a JSON object of the form that was asked for")
    if any(item.value != found[0].value for item in found):
        raise UnreadableError(f"the answer has {len(found)} different JSON objects; write one and nothing else")
    if _is_inside(text, found[0].start, found[-1].end):
        raise UnreadableError("the JSON object stands in the middle of a text; write the object and nothing else")
    if "{" in said and _pressed(text[found[0].start : found[0].end]) in _pressed(said):
        raise UnreadableError("the JSON object is copied from the conversation; write a judgement of your own")
    return found[0].value


def _objects(text: str) -> Iterator[_Found]:
    """All JSON objects in the text that are not inside another one."""
    start = text.find("{")
    for _ in range(_MOST_BRACES):
        if start < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield _Found(value=cast("dict[str, JsonValue]", value), start=start, end=end)
        start = text.find("{", end)


def _is_inside(text: str, start: int, end: int) -> bool:
    return all(_FENCE.sub("", part).strip() for part in (text[:start], text[end:]))


def _pressed(text: str) -> str:
    return "".join(text.split())


def _without_repeated_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(repr(key) for key in keys if keys.count(key) > 1))
    return made


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeated_keys)
