"""``duologue --help`` and ``duologue --version``: asked first, and answered without importing a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from duologue.cli.catalogue import COMMANDS
from duologue.version import __version__

ABOUT = "Rehearse AI agents before real users meet them."
_OPTIONS = {
    "--version": "Show the version.",
    "-h, --help": "Show this page; after the name of a command, its options.",
    "--install-completion": "Let the shell complete commands and options.",
    "--show-completion": "Print the script that does so.",
}
_INDENT = 2
_NARROWEST, _WIDEST = 60, 110


def answer(arguments: Sequence[str]) -> int | None:
    """Answer, if nothing but the version or the help page is asked for; the exit code, None for anything else."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"duologue {__version__}\n")
        return 0
    if list(arguments) in ([], ["--help"], ["-h"]):
        sys.stdout.write(page(width=_width(), styled=_styled()))
        return 0 if arguments else 2
    return None


def page(*, width: int, styled: bool) -> str:
    """The help page.

    Args:
        width: of the terminal, in characters.
        styled: headings and names are bold.
    """
    bold = "\x1b[1m{}\x1b[0m".format if styled else str
    first = max(map(len, (*COMMANDS, *_OPTIONS))) + 2
    lines = [f"{bold('Usage:')} duologue COMMAND [OPTIONS] ...", "", ABOUT]
    for section in dict.fromkeys(command.section for command in COMMANDS.values()):
        lines += ["", bold(f"{section}:")]
        for name, command in COMMANDS.items():
            if command.section == section:
                lines += _entry(name, command.line, first, width)
    lines += ["", bold("Options:")]
    for name, line in _OPTIONS.items():
        lines += _entry(name, line, first, width)
    return "\n".join([*lines, "", "'duologue COMMAND --help' shows the options of a command.", ""])


def _entry(name: str, text: str, first: int, width: int) -> list[str]:
    """A name, and beside it what it means, over as many lines as that takes."""
    lines = [""]
    for word in text.split():
        if lines[-1] and _INDENT + first + len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [f"{' ' * _INDENT}{name if place == 0 else '':<{first}}{line}" for place, line in enumerate(lines)]


def _width() -> int:
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):  # no terminal, or none that tells
        width = 100
    return min(max(width, _NARROWEST), _WIDEST)


def _styled() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
