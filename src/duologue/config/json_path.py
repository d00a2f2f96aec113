"""Paths to a value in JSON: plain ones such as ``data.items[0].price``, and JMESPath expressions.

Expressions are compiled once and kept, and need the extra ``checks``. Paths need nothing.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from duologue.config.patterns import late
from duologue.errors import MissingExtraError

_STEP = late(r"\.?([^.\[\]\s]+)|\[(-?\d+)\]")


@lru_cache(maxsize=512)
def compiled_path(expression: str, feature: str) -> Any:
    """A compiled JMESPath expression; its ``search`` applies it to a value.

    Args:
        expression: such as ``items[0].price``.
        feature: what needs it, for the error where the package is missing.

    Raises:
        ValueError: it is no JMESPath expression; the message says what is expected.
        MissingExtraError: the extra ``checks`` is not installed.
    """
    try:
        jmespath = import_module("jmespath")
    except ImportError as error:
        raise MissingExtraError(feature, "checks", "jmespath") from error
    try:
        return jmespath.compile(expression)
    except ValueError as error:
        hint = " JMESPath has no '$': remove '$.'." if expression.lstrip().startswith("$") else ""
        raise ValueError(f"a JMESPath expression: {' '.join(str(error).split())}{hint}") from error


@lru_cache(maxsize=512)
def steps_of(path: str) -> tuple[str | int, ...]:
    """The steps of a path.

    Raises:
        ValueError: it is no path.
    """
    steps, end = list[str | int](), 0
    for found in _STEP.finditer(path):
        if found.start() != end:
            break
        steps.append(found[1] if found[1] is not None else int(found[2]))
        end = found.end()
    if not steps or end != len(path) or path.startswith("."):
        raise ValueError(f"a path such as 'reply', 'data.reply' or 'output[0].content'; found '{path}'")
    return tuple(steps)
