"""Regular expressions: those of suites, which cannot hang a run, and our own, which cost nothing until they are used.

Those of suites are compiled when a check is built, and searched with a time limit. They come from whoever wrote the
suite, the texts from an agent; together they may need years. The ``regex`` package can be told to stop, the standard
library cannot.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from itertools import accumulate
from typing import Annotated, Any, cast
from unicodedata import normalize

from pydantic import AfterValidator

SEARCH_SECONDS = 0.5
"""A search that takes longer is given up. A sane pattern needs less than a thousandth of it."""

_LETTER = r"(?V1:[\w--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]])"
"""Part of a word, in scripts that put spaces between words."""


class _Late:
    """A pattern that is compiled when one of its methods is first used, and is as fast as any other from then on."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        method = getattr(re.compile(*self._source), name)
        self.__dict__[name] = method
        return method


def late(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """What ``re.compile`` gives, for patterns of modules: compiling all of them takes longer than reading a suite."""
    return cast("re.Pattern[str]", _Late(pattern, flags))


class SlowPatternError(Exception):
    """A search took longer than it may; says which pattern. The text is neither a match nor none."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, *, ignore_case: bool = False) -> Any:
    """The compiled pattern.

    Raises:
        ValueError: it is no regular expression; says what is expected, and where it breaks.
    """
    regex: Any = import_module("regex")
    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"a regular expression: {error}") from error


def found(pattern: str, text: str) -> str | None:
    """What the pattern matches first in the text; None if it matches nothing.

    Raises:
        SlowPatternError: it took too long.
    """
    if _is_plain(pattern):
        return pattern if pattern in text else None
    match = _searched(pattern, text, compiled(pattern).search)
    return None if match is None else str(match[0])


def stands_in(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text, ignoring case.

    Raises:
        SlowPatternError: it took too long.
    """
    return _searched(pattern, text, compiled(pattern, ignore_case=True).search) is not None


def captured(pattern: str, text: str) -> list[str]:
    """What the first group of the pattern holds wherever it is found, ignoring case; not where it takes no part.

    Raises:
        SlowPatternError: it took too long.
    """

    def search(text: str, timeout: float) -> list[str]:
        matches = compiled(pattern, ignore_case=True).finditer(text, timeout=timeout)
        return [match[1] for match in matches if match[1] is not None]

    return _searched(pattern, text, search)


def _searched(pattern: str, text: str, search: Callable[..., Any]) -> Any:
    try:
        return search(text, timeout=SEARCH_SECONDS)
    except TimeoutError as error:
        raise SlowPatternError(
            f"the pattern {pattern!r} took longer than {SEARCH_SECONDS:g} s on a text of {len(text)} characters; "
            "write it without nested repetition"
        ) from error


@lru_cache(maxsize=1024)
def whole_words(text: str, case_sensitive: bool = False) -> Any:
    """A pattern for this very text where it does not begin or end inside a word; cannot hang.

    Marks of Indic and other scripts belong to their word. In scripts that put no spaces between words, such as Chinese,
    Japanese and Thai, nobody can tell where a word ends without a dictionary: there every place counts.
    """
    regex: Any = import_module("regex")
    letter = regex.compile(_LETTER)
    head = f"(?<!{_LETTER})" if letter.match(text[:1]) else ""
    tail = f"(?!{_LETTER})" if letter.match(text[-1:]) else ""
    return regex.compile(head + regex.escape(text) + tail, 0 if case_sensitive else regex.IGNORECASE | regex.FULLCASE)


def occurrences(patterns: Iterable[str], text: str, *, case_sensitive: bool, words: bool) -> list[tuple[str, int, int]]:
    """Where each of these texts first stands in ``text``, as (pattern, start, end); those that do not are left out.

    An accent may be part of its letter or follow it: that makes no difference. Both are composed (Unicode's NFC) first,
    and the places are those in the composed text.
    """
    text = normalize("NFC", text)
    return [
        (pattern, *place)
        for pattern in patterns
        if (place := _place(normalize("NFC", pattern), text, case_sensitive, words)) is not None
    ]


def _place(wanted: str, text: str, case_sensitive: bool, words: bool) -> tuple[int, int] | None:
    if words:
        match = whole_words(wanted, case_sensitive).search(text)
        return match.span() if match else None
    if case_sensitive:
        start = text.find(wanted)
        return (start, start + len(wanted)) if start >= 0 else None
    folded, key = text.casefold(), wanted.casefold()
    start = folded.find(key)
    if start < 0:
        return None
    if len(folded) == len(text):
        return start, start + len(key)
    # Folding makes some letters longer, as 'ß' becomes 'ss': count back to the letters of the text itself.
    ends = list(accumulate(len(char.casefold()) for char in text))
    return bisect_right(ends, start), bisect_left(ends, start + len(key)) + 1


def _is_plain(pattern: str) -> bool:
    """Whether a pattern means its own letters, as most do; then nothing needs to be compiled, or imported for that."""
    return pattern.replace(" ", "").isalnum()


def _check_pattern(pattern: str) -> str:
    if not _is_plain(pattern):
        compiled(pattern)
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A parameter that holds a regular expression; one that does not compile is refused when the check is built."""
