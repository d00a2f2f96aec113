"""One file to placed data. A file that is missing, huge or no YAML is a problem with a place, never a crash."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, cast

from duologue.config.positions import Mark, PlacedDict, PlacedList, Position, join
from duologue.config.problems import Problems, nearest, shown

MAX_BYTES = 5_000_000
"""A manifest of more bytes is not read."""

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(path: Path, problems: Problems, *, shown_as: str | None = None, asked_by: Position | None = None) -> Any:
    """The value that a YAML or JSON file holds; None, with a problem, if it cannot be read.

    Args:
        path: the file.
        problems: takes what is wrong.
        shown_as: what errors call the file; its path if None.
        asked_by: the field that names the file; a file that is not there is that field's mistake.
    """
    file = shown_as or str(path)
    text = read_text(path, problems, shown_as=file, asked_by=asked_by)
    if text is None:
        return None
    before = len(problems.found)
    from duologue.config.parsing import parse

    value = parse(text, file, problems)
    if value is None and path.suffix == ".json":  # JSON has escapes that YAML does not know
        held = _json(text, file)
        if held is not None:
            for problem in list(problems.found)[before:]:
                del problems.found[problem]
            return held
    if value is not None and not isinstance(value, (PlacedDict, PlacedList)):
        problems.error(Position(file, 1, 1), f"found {shown(value)}; expected 'name: value' lines")
        return None
    return value


def read_text(
    path: Path, problems: Problems, *, shown_as: str | None = None, asked_by: Position | None = None
) -> str | None:
    """The text of a file; None, with a problem, if it cannot be read."""
    file = shown_as or str(path)
    blame = asked_by or Position(file)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            problems.error(blame, f"'{file}' is {kind}; expected a file")
            return None
        if status.st_size > MAX_BYTES:
            problems.error(blame, f"'{file}' has {status.st_size:,} bytes; expected at most {MAX_BYTES:,}")
            return None
        data = path.read_bytes()
    except FileNotFoundError:
        problems.error(blame, f"there is no file '{file}'{similar_file(path)}")
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.error(blame, f"'{file}' cannot be read: {reason}")
        return None
    return _decoded(data, file, problems)


def _decoded(data: bytes, file: str, problems: Problems) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _line_of(data[: error.start].decode("utf-8", "replace"))
        what = (
            "looks like UTF-16"
            if data[:2] in {b"\xff\xfe", b"\xfe\xff"}
            else f"found the byte 0x{data[error.start]:02x}"
        )
        problems.error(Position(file, line, column), f"this is not UTF-8 text: {what}; save the file as UTF-8")
        return None
    strange = _CONTROL.search(text)
    if strange:
        line, column = _line_of(text[: strange.start()])
        code = f"U+{ord(strange[0]):04X}"
        problems.error(Position(file, line, column), f"found the control character {code}; expected printable text")
        return None
    return text


def _line_of(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def similar_file(path: Path) -> str:
    """A suggestion of a file with a similar name in the same folder."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for _, entry in zip(range(1000), entries, strict=False)]
    except OSError:
        return ""
    return nearest(path.name, names)


def _json(text: str, file: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # refuses halves of characters, and NaN
        return _placed(value, Mark(file, "", 1, 1, 1, 1))
    except (ValueError, RecursionError):
        return None


def _placed(value: Any, mark: Mark) -> Any:
    """JSON as placed data. Only the file and the path are known, not the line."""
    if isinstance(value, dict):
        made = PlacedDict(mark)
        for key, item in cast("dict[str, Any]", value).items():
            inner = mark._replace(field=join(mark.field, key))
            made.put(key, _placed(item, inner), inner)
        return made
    if isinstance(value, list):
        items = PlacedList(mark)
        for index, item in enumerate(cast("list[Any]", value)):
            inner = mark._replace(field=join(mark.field, index))
            items.add(_placed(item, inner), inner)
        return items
    return value
