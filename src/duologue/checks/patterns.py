"""Regular expressions that cannot hang a run: compiled when a check is built, searched with a time limit.

The patterns come from whoever wrote the suite, the texts from an agent; together they may need years. The ``regex``
package can be told to stop, the standard library cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Annotated, Any

from pydantic import AfterValidator

SEARCH_SECONDS = 0.5
"""A search that takes longer is given up. A sane pattern needs less than a thousandth of it."""


class SlowPatternError(Exception):
    """A search took longer than it may; says which pattern. The text is neither a match nor none."""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The compiled pattern.

    Raises:
        ValueError: it is no regular expression; says what is expected, and where it breaks.
    """
    regex: Any = import_module("regex")
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"a regular expression: {error}") from error


def found(pattern: str, text: str) -> str | None:
    """What the pattern matches first in the text; None if it matches nothing.

    Raises:
        SlowPatternError: it took too long.
    """
    try:
        match = compiled(pattern).search(text, timeout=SEARCH_SECONDS)
    except TimeoutError as error:
        raise SlowPatternError(
            f"the pattern {pattern!r} took longer than {SEARCH_SECONDS:g} s on a text of {len(text)} characters; "
            "write it without nested repetition"
        ) from error
    return None if match is None else str(match[0])


@lru_cache(maxsize=1024)
def whole_words(text: str, case_sensitive: bool = False) -> re.Pattern[str]:
    """A pattern for this very text where it does not begin or end inside a word; cannot hang."""
    head = r"(?<!\w)" if text[:1].isalnum() or text[:1] == "_" else ""
    tail = r"(?!\w)" if text[-1:].isalnum() or text[-1:] == "_" else ""
    return re.compile(head + re.escape(text) + tail, 0 if case_sensitive else re.IGNORECASE)


def occurrences(patterns: Iterable[str], text: str, *, case_sensitive: bool, words: bool) -> list[tuple[str, int, int]]:
    """Where each of these texts first stands in ``text``, as (pattern, start, end); those that do not are left out."""
    places: list[tuple[str, int, int]] = []
    folded = text if case_sensitive else text.casefold()
    for pattern in patterns:
        if words:
            match = whole_words(pattern, case_sensitive).search(text)
            if match:
                places.append((pattern, *match.span()))
            continue
        wanted = pattern if case_sensitive else pattern.casefold()
        start = folded.find(wanted)
        if start >= 0:
            places.append((pattern, start, start + len(wanted)))
    return places


def _check_pattern(pattern: str) -> str:
    compiled(pattern)
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A parameter that holds a regular expression; one that does not compile is refused when the check is built."""
