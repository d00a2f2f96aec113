"""Taking what nobody should see out of an answer, by path: ``user.email``, ``$.items[*].card``, ``items[0].card``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from duologue.messages import JsonValue

_STEP = re.compile(r"\[['\"]?([^\]'\"]+)['\"]?\]|([^.\[\]]+)")


def redacted(value: JsonValue, paths: Iterable[str]) -> JsonValue:
    """The value, which is changed in place, without the fields that the paths lead to. ``*`` stands for every item.

    A field without a number or star also is looked for in every item of an array.
    """
    for path in paths:
        steps = [a or b for a, b in _STEP.findall(path.removeprefix("$"))]
        if steps:
            _take_out(value, steps)
    return value


def _take_out(value: JsonValue, steps: list[str]) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        _from_object(cast("dict[str, Any]", value), step, rest)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        numbered = step.lstrip("-").isdecimal()
        inner = rest if numbered or step == "*" else steps
        for item in items[int(step) :][:1] if numbered else items:
            if inner:
                _take_out(item, inner)
        if not inner:
            _clear(items, step)


def _from_object(fields: dict[str, Any], step: str, rest: list[str]) -> None:
    names = list(fields) if step == "*" else [step] if step in fields else []
    for name in names:
        if rest:
            _take_out(fields[name], rest)
        else:
            del fields[name]


def _clear(items: list[Any], step: str) -> None:
    """Items are blanked, not removed: the numbers of the others stay as they are."""
    places = range(len(items)) if step == "*" else [int(step)]
    for place in places:
        if -len(items) <= place < len(items):
            items[place] = None
