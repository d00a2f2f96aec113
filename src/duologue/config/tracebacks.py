"""Where code of the user broke: the line for one sentence, and the whole traceback as text.

Code of the user is what belongs neither to this package, nor to Python, nor to an installed package.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple, cast

from duologue.config.files import short_path
from duologue.config.patterns import late
from duologue.config.redaction import (
    HIDDEN,
    MAX_ERROR,
    excerpt,
    is_secret,
    names_secret,
    redacted,
    text_without_secrets,
    without_values,
)
from duologue.errors import DuologueError

MAX_TRACEBACK = 16_000
"""Characters of a traceback that are kept: its beginning and its end."""
_MAX_MESSAGE = 2_000
"""Characters of an exception's own text that a one-line description shows."""
_MAX_GROUPED = 5
"""Exceptions of a group that a text shows."""
_FOLDERS = frozenset(("PWD", "OLDPWD"))
"""Environment variables whose names look like those of passwords: a shell keeps its folders in them."""
_SHORTEST_SECRET = 8
"""Characters. A shorter value of an environment variable is looked for nowhere."""

_IN_CODE = late(
    r"""(?P<head>\b(?P<name>\w{2,64})['"]?\s*[:=]\s*[bfru]{0,2}(?P<q>['"]))(?P<value>[^'"\n]+)(?P=q)""", re.IGNORECASE
)
"""A text that has a name in Python: ``password="…"``, ``{'api_key': '…'}``."""


class Place(NamedTuple):
    """A line of code: its file, relative to the current folder if it is in it, its number and its function."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def place_of(error: BaseException) -> Place | None:
    """The innermost line of the user's code that an exception, or else what caused it, went through."""
    for link in _chain(error):
        if (place := _innermost(_steps(link))) is not None:
            return place
    return None


def place_of_thread(ident: int) -> Place | None:
    """The innermost line of the user's code that a thread is at."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(ident)  # pyright: ignore[reportPrivateUsage] - nothing else shows other threads
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return _innermost((frame.f_code, frame.f_lineno) for frame in reversed(frames))


def place_of_coroutine(run: object) -> Place | None:
    """The innermost line of the user's code that a suspended coroutine waits at."""
    steps: list[tuple[CodeType, int]] = []
    while run is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(run, f"{kind}_frame")), None)
        if kind is None:
            break
        frame: FrameType | None = getattr(run, f"{kind}_frame")
        if frame is not None:
            steps.append((frame.f_code, frame.f_lineno))
        run = getattr(run, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return _innermost(steps)


def error_text(error: BaseException) -> str:
    """What is kept of an exception outside of a run: its text, if it is one of this package, else its description.

    Without secrets, and no longer than errors that are kept.
    """
    return redacted(message_of(error, whole=True)) if isinstance(error, DuologueError) else redacted(describe(error))


def describe(error: BaseException) -> str:
    """An exception in one line: its type, its text and where it was raised."""
    return f"{_typed(ungrouped(error))}{_at(place_of(error))}"


def describe_after_name(name: str, error: BaseException) -> str:
    """The same behind the name of whose code it is, beginning with the exception's own words if those are a sentence.

    ``[Bot] no route to the kitchen (OSError), at bot.py:3 in call`` and ``[Bot] KeyError: 'x', at bot.py:3 in call``.
    """
    place, error = _at(place_of(error)), ungrouped(error)
    message = message_of(error)
    if isinstance(error, DuologueError):  # its text says what the matter is
        return f"[{name}] {message}{place}"
    if " " in message.strip():
        return f"[{name}] {message} ({type(error).__name__}){place}"
    return f"[{name}] {_typed(error)}{place}"


def traceback_of(error: BaseException) -> str | None:
    """The traceback of an exception and of what caused it, without secrets; None if no code of the user is in it."""
    if place_of(error) is None:
        return None
    return excerpt("".join(traceback.format_exception(error)), without_known_secrets, MAX_TRACEBACK)


def without_known_secrets(text: str) -> str:
    """A text without what stands in it under the name of a secret, or is the value of a secret in the environment."""
    values = [
        value
        for name, value in os.environ.items()
        if names_secret(name) and name not in _FOLDERS and len(value) >= _SHORTEST_SECRET
    ]
    return text_without_secrets(_IN_CODE.sub(_hidden, without_values(text, values)))


def _hidden(found: re.Match[str]) -> str:
    return f"{found['head']}{HIDDEN}{found['q']}" if is_secret(found["name"], found["value"]) else found[0]


def _typed(error: BaseException) -> str:
    message, kind = message_of(error), type(error).__name__
    return f"{kind}: {message}" if message else kind


def message_of(error: BaseException, *, whole: bool = False) -> str:
    """What an exception says itself. One of the user may break, or end the process, while it makes its text.

    Args:
        error: that was raised.
        whole: up to the length of errors that are kept, and not only as much as fits in one line.
    """
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) was called"
    try:
        text = _text_of_group(held) if (held := held_by(error)) else str(error)
    except BaseException:  # noqa: BLE001 - an exception of the user that cannot be printed
        return "(its text cannot be read)"
    if whole:
        return text if len(text) <= MAX_ERROR else excerpt(text, without_known_secrets)
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def ungrouped(error: BaseException) -> BaseException:
    """The exception that a group holds, if it holds one only: task groups wrap what is raised in them."""
    while len(held := held_by(error)) == 1:
        error = held[0]
    return error


def held_by(error: BaseException) -> Sequence[BaseException]:
    """The exceptions that a group holds; none for an exception that is no group."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions
    return ()


def _text_of_group(held: Sequence[BaseException]) -> str:
    """What the exceptions in a group say; the text of the group itself hides it."""
    if len(held) == 1:
        return _typed(ungrouped(held[0]))
    shown = "; ".join(_typed(ungrouped(item)) for item in held[:_MAX_GROUPED])
    more = len(held) - _MAX_GROUPED
    return f"{len(held)} errors: {shown}{f'; and {more} more' if more > 0 else ''}"


def _at(place: Place | None) -> str:
    return f", at {place}" if place else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What caused the exception, the first cause first, and the exception itself."""
    links = [error]
    while (cause := cause_of(links[-1])) is not None and cause not in links:
        links.append(cause)
    return reversed(links)


def cause_of(error: BaseException) -> BaseException | None:
    """What an exception was raised from, or while handling; None for the first of a chain.

    The cause of a group is the first exception in it.
    """
    if held := held_by(error):
        return held[0]
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _steps(error: BaseException) -> Iterator[tuple[CodeType, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_code, line


def _innermost(steps: Iterable[tuple[CodeType, int]]) -> Place | None:
    """The last of these lines that is the user's code."""
    found: tuple[CodeType, int] | None = None
    for code, line in steps:
        if _is_users(code.co_filename):
            found = code, line
    return None if found is None else Place(short_path(found[0].co_filename), found[1], found[0].co_qualname)


@cache
def _is_users(file: str) -> bool:
    if file.startswith("<"):
        return False
    return not any(file.startswith(folder) for folder in _foreign())


@cache
def _foreign() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own = str(Path(__file__).resolve().parent.parent)
    return tuple(f"{folder}{os.sep}" for folder in (*folders, own))
