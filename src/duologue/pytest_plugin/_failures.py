"""Failed tests on the terminal: what agents said in errors and reasons does not steer it, and is no command to CI."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

import pytest

from duologue.terminal_text import printable

_COLOUR = re.compile(r"(\x1b\[(?:0?[0-4]|[39][0-7]|[34]9)?(?:;(?:0?[0-4]|[39][0-7]|[34]9|00))*m)")
"""What pytest itself writes into a comparison on a terminal with colours."""


def make_printable(report: pytest.TestReport | pytest.CollectReport, *, coloured: bool) -> None:
    """Escape what steers a terminal in the text of a failure, wherever pytest keeps it.

    Args:
        report: of a test; changed in place.
        coloured: leave pytest's colours.
    """
    report.longrepr = _printable(report.longrepr, coloured, set())


def _printable(value: object, coloured: bool, seen: set[int]) -> Any:
    """The same with every text in it printable: pytest keeps texts in attributes of objects, lists and tuples."""
    if isinstance(value, str):
        return _text(value, coloured)
    if isinstance(value, (list, tuple)):
        items = [_printable(item, coloured, seen) for item in cast("Iterable[object]", value)]
        return items if isinstance(value, list) else tuple(items)
    if type(value).__module__.startswith("_pytest.") and id(value) not in seen:
        seen.add(id(value))
        held: dict[str, object] = vars(value)
        for name, item in list(held.items()):
            object.__setattr__(value, name, _printable(item, coloured, seen))
    return value


def _text(text: str, coloured: bool) -> str:
    if not coloured:
        return printable(text)
    return "".join(part if at % 2 else printable(part) for at, part in enumerate(_COLOUR.split(text)))
