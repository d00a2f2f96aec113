"""Data of strangers, looked into step by step. Every step knows its place, and errors tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from duologue.config.positions import join
from duologue.config.problems import report, shown
from duologue.errors import Position, Problem, SuiteError

_MILLISECONDS = 1e11
"""A time of more than this is in milliseconds: as seconds it would be in the year 5138."""
_NO_TIME = 86_400.0 * 365
"""A time in 1970 or before stands for one that was never set."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file.

    Attributes:
        value: JSON data; None for a field that is not there.
        file: as errors show it.
        field: its path in the file, such as ``events[3].message``.
        line: the line that it stands in, in a file of lines; 0 in others.
    """

    value: Any
    file: str
    field: str = ""
    line: int = 0

    def at(self, *names: str) -> Node:
        """The first of these fields that is there and not None; nothing if there is none, or if this has no fields."""
        fields = self.fields
        for name in names:
            if fields.get(name) is not None:
                return Node(fields[name], self.file, join(self.field, name), self.line)
        return Node(None, self.file, join(self.field, names[0]), self.line)

    def has(self, *names: str) -> bool:
        """Whether all these fields are there."""
        return all(name in self.fields for name in names)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields, if this is a mapping; none otherwise."""
        value: object = self.value
        return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items, if this is a list; none otherwise."""
        value: object = self.value
        values = cast("list[Any]", value) if isinstance(value, list) else []
        return [Node(item, self.file, join(self.field, index), self.line) for index, item in enumerate(values)]

    def each(self, expected: str = "a list") -> list[Node]:
        """The items of what must be a list."""
        if not isinstance(self.value, list):
            raise self.wrong(expected)
        return self.items

    def each_or_none(self, expected: str = "a list") -> list[Node]:
        """The items of a list that may be left out."""
        return [] if self.value is None else self.each(expected)

    def mapping(self, expected: str = "a mapping") -> Mapping[str, Any]:
        """The fields of what must be a mapping."""
        if not isinstance(self.value, dict):
            raise self.wrong(expected)
        return self.fields

    def text(self, expected: str = "a text") -> str:
        """What must be a text."""
        if not isinstance(self.value, str):
            raise self.wrong(expected)
        return self.value

    def word(self) -> str | None:
        """A name or an id, which some write as a number; None if it is left out."""
        if self.value is None or self.value == "":
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, (str, int, float)):
            raise self.wrong("a text")
        return str(self.value)

    def number(self) -> float | None:
        """A finite number; None if it is left out."""
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.wrong("a number")
        try:
            value = float(self.value)
        except OverflowError:
            raise self.wrong("a number of an ordinary size") from None
        if not math.isfinite(value):
            raise self.wrong("a finite number")
        return value

    def amount(self, scale: float = 1.0) -> float | None:
        """A number of seconds, tokens or dollars, times ``scale``; None if it is left out or not known (-1)."""
        value = self.number()
        return None if value is None or value < 0 else value * scale

    def count(self) -> int:
        """A number of tokens; 0 if it is left out."""
        return int(self.amount() or 0)

    def moment(self) -> float | None:
        """A time as seconds since 1970 UTC, from ISO 8601 or a number; None if it is left out or was never set."""
        if isinstance(self.value, str):
            try:
                found = datetime.fromisoformat(self.value)
                at = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
            except (ValueError, OverflowError):
                raise self.wrong("a time such as 2026-01-31T10:00:00Z") from None
        else:
            number = self.number()
            at = 0.0 if number is None else number / 1000 if number > _MILLISECONDS else number
        return at if at > _NO_TIME else None

    def wrong(self, expected: str) -> SuiteError:
        """The error for something else being here."""
        return self.problem(f"found {shown(self.value)}; expected {expected}")

    def problem(self, message: str) -> SuiteError:
        """An error about this place."""
        found = Problem(Position(self.file, self.line, 1 if self.line else 0, self.field), message)
        return SuiteError(report([found]), [found])
