"""JMESPath expressions, compiled once and kept. Needs the extra ``checks``."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from duologue.errors import MissingExtraError


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
