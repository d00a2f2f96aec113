"""Scenarios from a table: a scenario with ``cases`` names a CSV, JSON or JSONL file, and each row is a test case.

Where the scenario says ``{{row.order}}`` stands the value of the column ``order``. Rows become scenarios of their own
before anything is checked, so that everything else (plan, filters, reports, resume) sees scenarios like any other,
called ``refund/4711`` after the scenario and the row.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, cast

from duologue.config.files import read_file, shown_path
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.patterns import late
from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems, hint, listed, shown
from duologue.config.templates import expand
from duologue.errors import ConfigurationError, Position
from duologue.frozen import frozen

FIELD = "cases"
NAMES = ("name", "id", "case")
"""Columns that a row is called by, the first that there is; else its number."""
_TEMPLATE = late(r"\{\{\s*row\.([^\s{}]+)\s*\}\}")
_SEPARATORS = {".tsv": "\t"}
_LARGEST = 50_000_000
"""Bytes of a file."""
_MOST = 100_000_000
"""Bytes of all scenarios that one table makes."""
_UNFIT = late(r"[^\w.@+-]+")
_LONGEST_NAME = 60


@frozen
class Row:
    """One row.

    Attributes:
        line: of the file.
        values: by column.
    """

    line: int
    values: Mapping[str, Any]


def with_cases(scenario: PlacedDict, folder: Path, problems: Problems) -> Iterator[PlacedDict]:
    """The scenarios that the rows make; the scenario itself where it names no file.

    Args:
        scenario: as it is written.
        folder: what the path of the file is relative to.
        problems: takes what is wrong; nothing comes of a scenario whose file cannot be read.
    """
    if FIELD not in scenario:
        yield scenario
        return
    written, mark = scenario[FIELD], scenario.mark(FIELD)
    if not isinstance(written, str):
        problems.error(mark, f"found {shown(written)}; expected the path of a CSV, JSON or JSONL file")
        return
    template = scenario.without(FIELD)
    used = dict(_used(template, scenario.home))
    try:
        path = folder / expand(written)
        rows = list(_rows(path))
    except ConfigurationError as error:
        problems.error(mark, str(error))
        return
    if not _fits(template, used, path, rows, mark, problems):
        return
    taken: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        name = _name(row, number)
        where = Position(shown_path(path), row.line)
        if name in taken:
            problems.error(where, f"two rows are called '{name}': those of lines {taken[name]} and {row.line}")
            continue
        taken[name] = row.line
        missing = [column for column in used if column not in row.values]
        if missing:
            problems.error(where, f"the row has no value for {listed(missing)}, which the scenario uses")
            continue
        made = cast("PlacedDict", _filled(template, row.values))
        made["name"] = f"{template.get('name', 'scenario')}/{name}"
        yield made


def _fits(
    template: PlacedDict, used: Mapping[str, Mark], path: Path, rows: list[Row], mark: Mark, problems: Problems
) -> bool:
    columns = dict.fromkeys(name for row in rows for name in row.values)
    unknown = [column for column in used if column not in columns]
    for column in unknown if rows else ():
        told = f"{{{{row.{column}}}}}: {path.name} has no column '{column}'{hint(column, columns)}"
        problems.error(used[column], f"{told} It has: {listed(columns)}")
    if not rows:
        problems.error(mark, f"{shown_path(path)} has no rows; expected at least one")
    elif not used:
        problems.error(mark, "no field of the scenario uses a column, as in {{row.order}}: all cases would be the same")
    written = json.dumps(template, default=str)
    uses = Counter(_TEMPLATE.findall(written))
    size = len(written) * len(rows) + sum(uses[name] * _length(row.values[name]) for row in rows for name in row.values)
    if size > _MOST:
        problems.error(mark, f"the {len(rows):,} rows make scenarios of more than {_MOST // 1_000_000} MB; split them")
    return bool(rows) and bool(used) and not unknown and size <= _MOST


def _used(value: Any, mark: Mark) -> Iterator[tuple[str, Mark]]:
    """The columns that a value uses, and where."""
    match value:
        case str():
            yield from ((column, mark) for column in _TEMPLATE.findall(value))
        case PlacedDict():
            for key, item in value.items():
                yield from _used(item, value.mark(key))
        case PlacedList():
            for index, item in enumerate(value):
                yield from _used(item, value.mark(index))
        case _:
            return


def _filled(value: Any, row: Mapping[str, Any]) -> Any:
    """A copy with the values of the row in it."""
    match value:
        case str():
            whole = _TEMPLATE.fullmatch(value.strip())
            return row[whole[1]] if whole else _TEMPLATE.sub(lambda match: _text(row[match[1]]), value)
        case PlacedDict():
            return PlacedDict(value.home, {key: _filled(item, row) for key, item in value.items()}, value.marks)
        case PlacedList():
            return PlacedList(value.home, [_filled(item, row) for item in value], value.marks)
        case _:
            return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(json.dumps(value))


def _name(row: Row, number: int) -> str:
    given = next((row.values[column] for column in NAMES if row.values.get(column) not in (None, "")), number)
    return _UNFIT.sub("-", _text(given)).strip("-")[:_LONGEST_NAME] or str(number)


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a file.

    Raises:
        ConfigurationError: it cannot be read, or is no table.
    """
    text = _read(path)
    match path.suffix.lower():
        case ".csv" | ".tsv":
            yield from _rows_of_csv(path, text)
        case ".jsonl" | ".ndjson":
            lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
            yield from (_row(path, number, _parsed(path, line, number)) for number, line in lines)
        case ".json":
            found = _parsed(path, text, 1)
            if not isinstance(found, list):
                raise ConfigurationError(f"{shown_path(path)} holds no list; expected a list of objects, one a case")
            items = cast("list[Any]", found)
            yield from (_row(path, 1, item, f", item {number}") for number, item in enumerate(items, 1))
        case _:
            raise ConfigurationError(f"{shown_path(path)}: expected a file that ends in .csv, .tsv, .json or .jsonl")


def _read(path: Path) -> str:
    try:
        return read_file(path, _LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown_path(path)} is not UTF-8 text: {error}") from error


def _rows_of_csv(path: Path, text: str) -> Iterator[Row]:
    first = text.split("\n", 1)[0]
    separator = _SEPARATORS.get(path.suffix.lower()) or max(",;\t", key=first.count)
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise ConfigurationError(f"{shown_path(path)}, line 1: {error}") from error
    if len(set(columns)) < len(columns) or "" in columns:
        raise ConfigurationError(f"{shown_path(path)}, line 1: expected the name of each column once; found {first!r}")
    reader.fieldnames = columns
    try:
        for values in reader:
            if None in values or None in values.values():
                found = len(columns) + len(values.get(None, ())) if None in values else "fewer"  # pyright: ignore[reportArgumentType, reportCallIssue]
                told = f"line {reader.line_num}: expected {len(columns)} values; found {found}"
                raise ConfigurationError(f"{shown_path(path)}, {told}")
            if any(value.strip() for value in values.values()):
                yield Row(line=reader.line_num, values=values)
    except csv.Error as error:
        raise ConfigurationError(f"{shown_path(path)}, line {reader.line_num}: {error}") from error


def _parsed(path: Path, text: str, line: int) -> Any:
    try:
        return json_value(text)
    except NoJsonError as error:
        raise ConfigurationError(f"{shown_path(path)}, line {line}: not JSON: {error}") from error


def _row(path: Path, line: int, value: Any, item: str = "") -> Row:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{shown_path(path)}, line {line}{item}: found {shown(value)}; expected an object")
    return Row(line=line, values=cast("dict[str, Any]", value))
