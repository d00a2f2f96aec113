"""Which observer shows an execution while it goes on: a live page, a bar or plain lines."""

from __future__ import annotations

import sys
from typing import TextIO

from duologue.reports.progress import Bar, PlainLines
from duologue.suites.execution.observers import Observer


def progress(*, live: bool = False, plain: bool = False, out: TextIO | None = None) -> Observer:
    """The observer that fits: a page or a bar needs a terminal, everything else gets plain lines.

    Args:
        live: a page with the runs that are under way.
        plain: lines, even on a terminal.
        out: where to; None for standard error, so that standard output holds only the results.
    """
    stream = out or sys.stderr
    if plain or not stream.isatty():
        return PlainLines(stream)
    if live:
        from duologue.reports.live import LivePage

        return LivePage(stream)
    return Bar(stream)
