"""What is wrong with a scenario that is valid."""

from __future__ import annotations

from typing import Literal

from duologue.errors import Position
from duologue.frozen import frozen

FindingKind = Literal[
    "nothing-decides",
    "ambiguous",
    "not-observable",
    "contradiction",
    "unreachable",
    "leaked-answer",
    "passes-when-silent",
    "passes-when-agreeing",
    "passes-when-echoing",
    "oracle-fails",
]
"""Kinds of weaknesses; the page of the guide explains each."""


@frozen
class LintFinding:
    """One weakness of a scenario.

    Attributes:
        kind: what sort of weakness.
        scenario: the name of the scenario.
        field: where in it, such as ``criteria[1]``.
        text: what was found, and what to do about it.
        position: where that is written; None for what code made.
    """

    kind: FindingKind
    scenario: str
    field: str
    text: str
    position: Position | None = None
