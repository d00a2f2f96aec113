"""Files of recordings as plain data, whoever wrote them: JSON, JSON lines or YAML, bounded in size and depth.

A :class:`Node` is a value that knows its place in the file: code that reads a format looks into it step by step, and
errors name the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, cast

from duologue.config.positions import join
from duologue.config.problems import Problems, report, shown
from duologue.config.yaml_reader import similar_file
from duologue.errors import Position, Problem, SuiteError
from duologue.frozen import frozen

MAX_BYTES = 64_000_000
"""A recording of more bytes is not read."""
MAX_YAML_BYTES = 5_000_000
"""One in YAML, which takes far longer to read, must be smaller."""
MAX_DEPTH = 100
"""Levels of nesting."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half of a character."""
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


@frozen
class Document:
    """A file that was read.

    Attributes:
        path: the file.
        root: what it holds; for a file of lines, the list of what they hold.
        rows: what the lines hold, each with its number; None for a file that is one value.
        repaired: whether halves of characters were replaced.
        torn: says that the last line breaks off and was left out; None for a file that is whole.
    """

    path: Path
    root: Node
    rows: list[Node] | None = None
    repaired: bool = False
    torn: str | None = None

    @property
    def first(self) -> Node:
        """The first line's value in a file of lines; otherwise the file's, or the first item of it if it is a list."""
        if self.rows:
            return self.rows[0]
        return self.root.items[0] if self.root.items else self.root

    @property
    def entries(self) -> list[Node]:
        """The items where the file holds a list or lines; otherwise what it holds."""
        if self.rows is not None:
            return self.rows
        return self.root.items if isinstance(self.root.value, list) else [self.root]


def read_document(path: Path) -> Document:
    """What a file holds.

    Raises:
        SuiteError: it cannot be read, is too large or nested too deep, or is neither JSON, JSON lines nor YAML.
    """
    place = Node(None, str(path))
    text = _text(path, place)
    if path.suffix.lower() in {".yaml", ".yml"}:
        return _yaml(path, text, place)
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return _lines(path, text)
    try:
        value = _parse(text, place)
    except ValueError as error:
        if "Extra data" in str(error) and text.lstrip()[:1] == "{":
            return _lines(path, text)
        raise place.problem(f"this is no JSON: {error}; expected a recording in JSON, JSON lines or YAML") from error
    return _whole(path, place, value, text)


def _text(path: Path, place: Node) -> str:
    try:
        if not path.exists():
            raise place.problem(f"there is no file '{path}'{similar_file(path)}")
        if not path.is_file():
            raise place.problem(f"'{path}' is no ordinary file; expected a recording")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise place.problem(f"it has {size:,} bytes; expected at most {MAX_BYTES:,}. Split it into several files")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise place.problem(f"this is not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
    except (OSError, ValueError) as error:
        raise place.problem(f"it cannot be read: {error}") from error


def _lines(path: Path, text: str) -> Document:
    rows: list[Node] = []
    lines = text.split("\n")
    repaired, torn = False, None
    for number, line in enumerate(lines, 1):
        place = Node(None, str(path), "", number)
        if not line.strip():
            continue
        try:
            value = _parse(line, place)
        except ValueError as error:
            if number == len(lines) and rows:
                torn = f"line {number} is cut off after {len(line)} characters"
                break  # whoever wrote it was stopped in the middle of the last line
            raise place.problem(f"this line is no JSON: {error}") from error
        one = _whole(path, place, value, line)
        repaired = repaired or one.repaired
        rows.append(one.root)
    if not rows:
        raise Node(None, str(path)).problem("the file is empty; expected a recording")
    root = Node([row.value for row in rows], str(path))
    return Document(path=path, root=root, rows=rows, repaired=repaired, torn=torn)


def _yaml(path: Path, text: str, place: Node) -> Document:
    from duologue.config.yaml_reader import parse

    if len(text) > MAX_YAML_BYTES:
        raise place.problem(f"it has more than {MAX_YAML_BYTES:,} characters of YAML; write it as JSON")
    problems = Problems()
    value = parse(text, str(path), problems)
    problems.raise_errors()
    return Document(path=path, root=Node(value, str(path)))


def _whole(path: Path, place: Node, value: Any, text: str) -> Document:
    _check_depth(value, place)
    repaired = False
    if _HALF.search(text):
        mended = _mended(value)
        repaired, value = mended != value, mended
    return Document(path=path, root=Node(value, place.file, place.field, place.line), repaired=repaired)


def _parse(text: str, place: Node) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise place.problem(f"it is nested more than {MAX_DEPTH} levels deep") from error


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"found {word}, which JSON does not know")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("found a number that is too large")
    return value


def _check_depth(value: Any, place: Node) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for item in level for inner in _within(item)]
        if not level:
            return
    raise place.problem(f"it is nested more than {MAX_DEPTH} levels deep")


def _within(value: Any) -> list[Any]:
    """The lists and mappings in a list or mapping."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        items = cast("list[Any]", value)
    else:
        return []
    return [item for item in items if isinstance(item, (dict, list))]


def _mended(value: Any) -> Any:
    """The value with a replacement character for each half of a character, which no file could hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_mended(item) for item in cast("list[Any]", value)]
    return value
