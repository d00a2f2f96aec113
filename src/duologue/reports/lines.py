"""Lines of text in styles. A log that shows no styles gets them without ``rich``, which takes long to load."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from duologue.terminal_text import BAR, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLED_BY = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Environment variables that may ask rich for styles where no terminal is attached."""
_TAB = 8


class Line:
    """Text of which each part has a style, as ``rich`` writes styles; the first one holds for all."""

    def __init__(self, text: str = "", style: str = "") -> None:
        self._style = style
        self._parts: list[tuple[str | Line, str]] = [(text, "")]

    def append(self, part: str | Line, style: str = "") -> Line:
        """This line, with one more part."""
        self._parts.append((part, style))
        return self

    def joined(self, parts: Iterable[Line]) -> Line:
        """These parts, with this line between them."""
        made = Line()
        for place, part in enumerate(parts):
            made = made.append(self).append(part) if place else made.append(part)
        return made

    @property
    def plain(self) -> str:
        """The text alone."""
        return "".join(part if isinstance(part, str) else part.plain for part, _ in self._parts)

    def styled(self) -> Text:
        """The line as ``rich`` prints it."""
        from rich.text import Text

        made = Text(style=self._style)
        for part, style in self._parts:
            made = made.append(part, style or None) if isinstance(part, str) else made.append_text(part.styled())
        return made


Print = Callable[[Line], None]
"""Prints a line that is not broken, with a bar before it where it would begin as a command to a CI service does."""


def printer(console: Console | None = None) -> Print:
    """What prints lines on a console; None for standard output, plainly where that shows no styles."""
    if console is None and not sys.stdout.isatty() and not any(map(os.environ.get, _STYLED_BY)):
        return _print_plainly
    if console is None:
        from rich.console import Console as RichConsole

        console = RichConsole(highlight=False)
    out = console
    return lambda line: out.print(_harmless(line).styled(), soft_wrap=True)


def _print_plainly(line: Line) -> None:
    sys.stdout.write(f"{_harmless(line).plain.expandtabs(_TAB)}\n")


def _harmless(line: Line) -> Line:
    return line if printable(line.plain) == line.plain else Line(BAR).append(line)
