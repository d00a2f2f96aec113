"""The JSON object in what a model has written: alone, in a code fence, or with prose before or after it.

Never two of them, and never one that the conversation contains: where a model quotes a judgement, drafts one or repeats
what an agent has put into its mouth, nobody can say that it means it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from duologue.config.json_text import RepeatedKeyError, json_spans
from duologue.messages import JsonValue

_THOUGHT = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)
JUDGEMENT = ("action", "criteria", "verdict")
"""An object with one of these is meant as a judgement."""


class UnreadableError(ValueError):
    """There is no judgement in the text; says what was found."""


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
        objects = json_spans(text, opening="{", unique_keys=True)
        found = [item for item in objects if any(mark in cast("dict[str, JsonValue]", item.value) for mark in marks)]
    except RepeatedKeyError as error:
        raise UnreadableError(f"the JSON object has the key {error} more than once") from error
    if not found or (text.startswith("{") and found[0].start):
        raise UnreadableError("the answer is not a JSON object of the form that was asked for")
    if any(item.value != found[0].value for item in found):
        raise UnreadableError(f"the answer has {len(found)} different JSON objects; write one and nothing else")
    if _is_inside(text, found[0].start, found[-1].end):
        raise UnreadableError("the JSON object stands in the middle of a text; write the object and nothing else")
    if "{" in said and _pressed(text[found[0].start : found[0].end]) in _pressed(said):
        raise UnreadableError("the JSON object is copied from the conversation; write a judgement of your own")
    return cast("dict[str, JsonValue]", found[0].value)


def _is_inside(text: str, start: int, end: int) -> bool:
    return all(_FENCE.sub("", part).strip() for part in (text[:start], text[end:]))


def _pressed(text: str) -> str:
    return "".join(text.split())
