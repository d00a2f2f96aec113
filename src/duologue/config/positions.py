"""Where something is written, and plain data that remembers it.

A file is read into dictionaries and lists that know the place of everything in them, so that whoever finds a mistake
later, in a field or between two files, can say where it stands. What YAML is, is no business of this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from duologue.errors import Position


class Mark(NamedTuple):
    """Where one entry of a dictionary or list is written. ``raw`` is its text, if it is a word without quotes."""

    file: str
    field: str
    line: int
    column: int
    key_line: int
    key_column: int
    raw: str | None = None

    def value(self) -> Position:
        """Where the value begins."""
        return Position(self.file, self.line, self.column, self.field)

    def key(self) -> Position:
        """Where the name of the field stands; for an item of a list, the item."""
        return Position(self.file, self.key_line, self.key_column, self.field)


class PlacedDict(dict[str, Any]):
    """A mapping that knows where it is written, and where each of its fields is."""

    __slots__ = ("bytes", "home", "marks", "size")

    def __init__(
        self, home: Mark, values: Mapping[str, Any] | None = None, marks: dict[str, Mark] | None = None
    ) -> None:
        super().__init__(values or {})
        self.home = home
        self.marks: dict[str, Mark] = marks if marks is not None else {}
        self.size = 1
        """Values in it, itself included."""
        self.bytes = 0
        """Bytes of the texts in it."""

    def mark(self, key: str) -> Mark:
        """The mark of a field; that of the mapping, with the field's path, if the field is not written."""
        found = self.marks.get(key)
        return found or self.home._replace(field=join(self.home.field, key))

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set a field that is written somewhere else."""
        self[key] = value
        self.marks[key] = mark

    def without(self, *keys: str) -> PlacedDict:
        """A copy that lacks some fields."""
        return PlacedDict(self.home, {key: value for key, value in self.items() if key not in keys}, dict(self.marks))


class PlacedList(list[Any]):
    """A list that knows where it is written, and where each of its items is."""

    __slots__ = ("bytes", "home", "marks", "size")

    def __init__(self, home: Mark, values: Sequence[Any] = (), marks: list[Mark] | None = None) -> None:
        super().__init__(values)
        self.home = home
        self.marks: list[Mark] = marks if marks is not None else []
        self.size = 1
        """Values in it, itself included."""
        self.bytes = 0
        """Bytes of the texts in it."""

    def mark(self, index: int) -> Mark:
        """The mark of an item; that of the list if there is none."""
        return self.marks[index] if 0 <= index < len(self.marks) else self.home

    def add(self, value: Any, mark: Mark) -> None:
        """Append an item that is written somewhere else."""
        self.append(value)
        self.marks.append(mark)


def join(path: str, part: str | int) -> str:
    """The path of a field or an item within what has that path."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def locate(data: Any, loc: Sequence[str | int]) -> tuple[Mark | None, bool]:
    """The mark of what a path leads to, and whether all of it is written there. Parts that lead nowhere are skipped."""
    mark: Mark | None = getattr(data, "home", None)
    whole = True
    for part in loc:
        if isinstance(data, PlacedDict) and isinstance(part, str):
            mark, whole = data.mark(part), part in data
            data = data.get(part)
        elif isinstance(data, PlacedList) and isinstance(part, int):
            mark, whole = data.mark(part), True
            data = data[part] if part < len(data) else None
    return mark, whole


def plain(value: Any) -> Any:
    """The same data as ordinary dictionaries and lists that share nothing with it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value
