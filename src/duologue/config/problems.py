"""What is wrong with the files of a suite: collected, so that all of it can be reported at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, cast

from duologue.config.positions import Mark
from duologue.errors import Position, Problem, Severity, SuiteError

_SHOWN = 60
_LISTED = 12
_REPORTED = 50


@dataclass(kw_only=True)
class Problems:
    """Everything that was found so far.

    Attributes:
        found: in the order in which it was found.
        bytes_read: how much the files hold that were read until here.
    """

    found: dict[Problem, None] = field(default_factory=dict[Problem, None])
    bytes_read: int = field(default=0, init=False)
    _wrong: set[Position] = field(default_factory=set[Position], init=False, repr=False)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    def error(self, place: Position | Mark, message: str) -> None:
        """Add an error. A mark stands for its value."""
        self._add(place, message, "error")

    def warning(self, place: Position | Mark, message: str) -> None:
        """Add a warning."""
        self._add(place, message, "warning")

    def _add(self, place: Position | Mark, message: str, severity: Severity) -> None:
        position = place.value() if isinstance(place, Mark) else place
        self.found.setdefault(Problem(position, message, severity))
        if severity == "error":
            self._wrong.add(position)

    @property
    def errors(self) -> list[Problem]:
        """Those that keep the suite from being used."""
        return [problem for problem in self.found if problem.severity == "error"]

    def has_error_at(self, position: Position) -> bool:
        """Whether something is known to be wrong there."""
        return position in self._wrong

    def in_order(self) -> tuple[Problem, ...]:
        """By file in the order of reading, then by line."""
        files = {problem.position.file: None for problem in self.found}
        order = {file: place for place, file in enumerate(files)}
        return tuple(
            sorted(self.found, key=lambda item: (order[item.position.file], item.position.line, item.position.column))
        )

    def raise_errors(self) -> None:
        """Raise all errors as one.

        Raises:
            SuiteError: there are errors.
        """
        errors = [problem for problem in self.in_order() if problem.severity == "error"]
        if errors:
            raise SuiteError(report(errors), errors)


def report(problems: Iterable[Problem]) -> str:
    """A line for each problem, the first fifty of them."""
    every = list(problems)
    lines = [str(problem) for problem in every[:_REPORTED]]
    if len(every) > _REPORTED:
        lines.append(f"… and {len(every) - _REPORTED} more")
    return "\n".join(lines)


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the most similar known name, or ''."""
    names = {str(item).lower(): str(item) for item in known}
    matches = get_close_matches(str(name).lower(), list(names), n=1, cutoff=0.6)
    return f"; did you mean '{names[matches[0]]}'?" if matches else ""


def hint(name: str, known: Iterable[str]) -> str:
    """The same where a sentence follows: ``.`` if no name is similar."""
    return nearest(name, known) or "."


def listed(names: Iterable[str], none: str = "none") -> str:
    """Names for an error: the first twelve of them."""
    every = list(names)
    rest = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return (", ".join(every[:_LISTED]) + rest) if every else none


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that nothing has."""
    names = list(dict.fromkeys(known))
    return f"no {what} is called '{cut(name)}'{hint(name, names)} Known: {listed(names)}"


def cut(text: str) -> str:
    """A text short enough for an error."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def shown(value: Any) -> str:
    """A value for an error, with what it is where that is not plain to see."""
    match value:
        case None | bool():
            return "nothing" if value is None else f"{str(value).lower()} (a boolean)"
        case int() | float():
            return f"{cut(str(value))} (a number)"
        case str():
            return cut(json.dumps(value, ensure_ascii=False))
        case dict():
            keys = [str(key) for key in cast("dict[Any, Any]", value)]
            return f"a mapping ({cut(', '.join(keys))})" if keys else "an empty mapping"
        case list() | tuple():
            count = len(cast("list[Any]", value))
            return f"a list of {count}" if count else "an empty list"
        case _:
            return cut(repr(value))
