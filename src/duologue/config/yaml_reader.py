"""YAML or JSON to placed data: a file that is missing, huge or malformed is a problem with a place, never a crash.

The YAML parser's events are used, not its objects, so that nothing is built from a file before it is known to be
harmless: aliases count as what they stand for, tags create no objects, and nesting is limited. A word without quotes
means what it means in YAML 1.2 (null, true and false, numbers): words that older versions took for booleans (``yes``,
``no``, ``on``, ``off``) and dates are text.
"""

from __future__ import annotations

import json
import math
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems, cut, join, shown, similar_file
from duologue.errors import Position

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_OTHER_BASE = re.compile(r"0(?:o([0-7]+)|x([0-9a-fA-F]+))\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_LONGEST_NUMBER = 300
"""Digits; more cannot be meant as a number."""

PREFIX = "tag:yaml.org,2002:"
Scalar = str | int | float | bool | None


class ScalarError(ValueError):
    """A word that cannot be what it claims to be."""


def scalar(text: str, *, is_plain: bool, tag: str | None) -> Scalar:
    """The value of a scalar.

    Args:
        text: as it is written, without quotes.
        is_plain: it has no quotes and is no block of text.
        tag: its tag; None or ``!`` for none.

    Raises:
        ScalarError: what is wrong with it.
    """
    if tag is None:
        return resolved(text) if is_plain else text
    if tag in {"!", PREFIX + "str"}:
        return text
    kind = tag.removeprefix(PREFIX)
    value = resolved(text)
    wanted: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "null": (type(None),),
    }
    if tag.startswith(PREFIX) and kind in wanted and isinstance(value, wanted[kind]):
        return value
    raise ScalarError(f"found the tag '{tag}' at {text[:40]!r}; expected a value without a tag")


def resolved(text: str) -> Scalar:
    """The value of a word without quotes."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return _number(text) if text[0] in _STARTS else text


def _number(text: str) -> str | int | float:
    if _INTEGER.match(text):
        if len(text) > _LONGEST_NUMBER:
            raise ScalarError(f"found a number of {len(text)} digits; expected one of at most {_LONGEST_NUMBER}")
        return int(text)
    other = _OTHER_BASE.match(text)
    if other and len(text) <= _LONGEST_NUMBER:
        return int(other[1], 8) if other[1] else int(other[2], 16)
    if _NO_NUMBER.match(text):
        raise ScalarError(f"found {text}; expected a finite number")
    if _FLOAT.match(text):
        value = float(text)
        if math.isinf(value):
            raise ScalarError(f"found {text[:40]}; expected a number that a computer can hold")
        return value
    return text


MAX_BYTES = 5_000_000
"""Files with more bytes are not read."""
MAX_DEPTH = 60
"""Levels of nesting."""
MAX_NODES = 200_000
"""Values in a file, an alias counted as all that it stands for."""
MAX_EXPANDED = 20_000_000
"""Bytes of all texts in a file, an alias counted as all that it stands for."""
MAX_TOGETHER = 100_000_000
"""Bytes of all texts in the files that are read for one suite, counted in the same way."""

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MERGE = "<<"
"""A field without quotes that brings the fields of other mappings."""
_EVENTS: Any = getattr(yaml, "parse")  # noqa: B009 -- its types are unknown
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HINTS = {
    "cannot start any token": "YAML indents with spaces, never with tabs, and a text that begins with one of "
    "@ ` % & * ! | > needs quotes",
    "found a tab character": "YAML indents with spaces, never with tabs",
    "did not find expected ','": "a bracket or brace is not closed, or a comma is missing",
    "mapping values are not allowed": "check the indentation, and put a text that contains ': ' in quotes",
    "did not find expected key": "check the indentation: fields of one mapping begin in the same column",
    "did not find expected '-' indicator": "check the indentation: items of one list begin in the same column",
    "could not find expected ':'": "each field is written as 'name: value'",
    "unexpected end of stream": "a quote or bracket is not closed",
    "found undefined alias": "an alias such as *name needs an anchor such as &name before it",
}


def read(path: Path, problems: Problems, *, shown_as: str | None = None, asked_by: Position | None = None) -> Any:
    """The value that a YAML or JSON file holds; None, with a problem, if it cannot be read.

    Args:
        path: the file.
        problems: takes what is wrong.
        shown_as: what errors call the file; its path if None.
        asked_by: the field that names the file; a file that is not there is that field's mistake.
    """
    file = shown_as or str(path)
    if problems.bytes_read > MAX_TOGETHER:
        told = (
            f"the files read until here hold more than {MAX_TOGETHER:,} bytes, aliases counted as what they stand for"
        )
        problems.error(asked_by or Position(file), f"'{file}' is not read: {told}; split the suite")
        return None
    text = read_text(path, problems, shown_as=file, asked_by=asked_by)
    if text is None:
        return None
    before = len(problems.found)
    value = parse(text, file, problems)
    problems.bytes_read += max(len(text), getattr(value, "bytes", 0))
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


class _StopError(Exception):
    """The rest of the file cannot be read."""


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read."""

    data: PlacedDict | PlacedList
    anchor: str | None
    mark: Mark
    key: str | None = None
    key_mark: Mark | None = None
    skipping: bool = False
    merges: list[PlacedDict] = field(default_factory=list[PlacedDict])


def parse(text: str, file: str, problems: Problems) -> Any:
    """The value of the one document in a text; None, with a problem, if there is none.

    Args:
        text: YAML or JSON.
        file: as errors show it.
        problems: takes what is wrong.
    """
    builder = _Builder(file, problems)
    try:
        for event in _EVENTS(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        problems.error(_place(file, error), _told(error))
        return None
    except yaml.YAMLError as error:
        problems.error(Position(file, 1, 1), f"this is no YAML: {cut(' '.join(str(error).split()))}")
        return None
    except _StopError:
        return None
    if builder.root is None:
        problems.error(Position(file, 1, 1), "the file is empty; expected a manifest")
        return None
    return builder.root


class _Builder:
    def __init__(self, file: str, problems: Problems) -> None:
        self.file = file
        self.problems = problems
        self.root: Any = None
        self.documents = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, Any] = {}
        self._nodes = 0

    def take(self, event: Any) -> None:
        """The next event of the parser."""
        match event:
            case yaml.ScalarEvent():
                mark = self._mark(event)
                self._named(event.anchor, value := self._scalar(event, mark))
                is_special = not isinstance(value, str) or value == _MERGE
                raw = event.value if event.implicit[0] and is_special else None
                self._add(value, mark._replace(raw=raw), event.value, 1, _bytes_of(event.value))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self._stop(self._mark(event), "a second document begins here; expected one in a file")
            case _:
                pass

    def _mark(self, event: Any) -> Mark:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        return Mark(self.file, self._path(), line, column, line, column)

    def _path(self) -> str:
        if not self._stack:
            return ""
        top = self._stack[-1]
        if isinstance(top.data, PlacedList):
            return join(top.mark.field, len(top.data))
        return join(top.mark.field, top.key) if top.key is not None else top.mark.field

    def _scalar(self, event: Any, mark: Mark) -> Any:
        if "\0" in event.value:
            self.problems.error(mark, "found the character U+0000; expected text without it")
            return event.value.replace("\0", "")
        try:
            return scalar(event.value, is_plain=event.implicit[0], tag=event.tag)
        except ScalarError as error:
            self.problems.error(mark, str(error))
            return event.value

    def _open(self, event: Any) -> None:
        mark = self._mark(event)
        if len(self._stack) >= MAX_DEPTH:
            raise self._stop(mark, f"nested more than {MAX_DEPTH} levels deep")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in {None, "!", f"{PREFIX}{'map' if is_mapping else 'seq'}"}:
            self.problems.error(mark, f"found the tag '{cut(event.tag)}'; expected a value without a tag")
        self._need_no_key(mark)
        data = PlacedDict(mark) if is_mapping else PlacedList(mark)
        self._stack.append(_Open(data=data, anchor=event.anchor, mark=mark))

    def _need_no_key(self, mark: Mark) -> None:
        top = self._stack[-1] if self._stack else None
        if top and isinstance(top.data, PlacedDict) and top.key is None:
            raise self._stop(mark, "a list or mapping is the name of a field; expected a text, such as 'name: value'")

    def _close(self) -> None:
        done = self._stack.pop()
        if isinstance(done.data, PlacedDict):
            for source in done.merges:
                for key, value in source.items():
                    if key not in done.data:
                        done.data.put(key, value, source.mark(key))
        self._named(done.anchor, done.data)
        self._add(done.data, done.mark, "", done.data.size, done.data.bytes)

    def _named(self, anchor: str | None, value: Any) -> None:
        if anchor is not None:
            self._anchors[anchor] = value

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        if any(item.anchor == event.anchor for item in self._stack):
            raise self._stop(mark, f"*{cut(event.anchor)} stands inside what it stands for")
        if event.anchor not in self._anchors:
            raise self._stop(mark, f"*{cut(event.anchor)} is not defined; expected &{cut(event.anchor)} before it")
        value = self._anchors[event.anchor]
        held = value.bytes if isinstance(value, (PlacedDict, PlacedList)) else _bytes_of(str(value))
        self._add(value, mark, value if isinstance(value, str) else "", getattr(value, "size", 1), held)

    def _add(self, value: Any, mark: Mark, text: str, size: int, held: int) -> None:
        if not self._stack:
            self.root = value
            return
        top = self._stack[-1]
        top.data.size += size
        if top.data.size > MAX_NODES:
            raise self._stop(mark, f"more than {MAX_NODES} values, aliases counted as what they stand for")
        top.data.bytes += held
        if top.data.bytes > MAX_EXPANDED:
            told = f"'{self.file}' holds more than {MAX_EXPANDED:,} bytes, aliases counted as what they stand for"
            raise self._stop(mark, f"{told}; shorten the text, or use it less often")
        if isinstance(top.data, PlacedList):
            top.data.add(value, mark)
        elif top.key is None:
            self._begin_field(top, value, mark, text)
        else:
            self._end_field(top, top.data, value, mark)

    def _begin_field(self, top: _Open, value: Any, mark: Mark, text: str) -> None:
        if isinstance(value, (PlacedDict, PlacedList)) or value is None:
            raise self._stop(mark, "the name of a field is missing; expected 'name: value'")
        key = text or str(value)
        top.key, top.key_mark = key, mark
        first = top.data.marks.get(key) if isinstance(top.data, PlacedDict) else None
        top.skipping = first is not None and key != _MERGE
        if first is not None and top.skipping:
            place = Position(self.file, mark.line, mark.column, join(top.mark.field, key))
            self.problems.error(place, f"this field is written twice, first in line {first.key_line}; keep one")

    def _end_field(self, top: _Open, data: PlacedDict, value: Any, mark: Mark) -> None:
        key, key_mark = top.key or "", top.key_mark or mark
        if key_mark.raw == _MERGE and isinstance(value, (PlacedDict, PlacedList)):
            top.merges.extend(self._merged(value, mark))
        elif not top.skipping:
            data.put(key, value, mark._replace(key_line=key_mark.line, key_column=key_mark.column))
        top.key = top.key_mark = None

    def _merged(self, value: PlacedDict | PlacedList, mark: Mark) -> list[PlacedDict]:
        sources = [value] if isinstance(value, PlacedDict) else value
        wrong = [item for item in sources if not isinstance(item, PlacedDict)]
        if wrong:
            self.problems.error(mark, "found '<<' with something that is no mapping; expected '<<: *anchor'")
        return [item for item in sources if isinstance(item, PlacedDict)]

    def _stop(self, mark: Mark, message: str) -> _StopError:
        self.problems.error(mark, message)
        return _StopError()


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _place(file: str, error: yaml.MarkedYAMLError) -> Position:
    mark: Any = error.problem_mark or error.context_mark
    return Position(file, mark.line + 1, mark.column + 1) if mark else Position(file, 1, 1)


def _told(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or error).split())
    context: Any = error.context
    begun: Any = error.context_mark
    since = f" ({context}, begun in line {begun.line + 1})" if context and begun else ""
    hint = next((text for part, text in _HINTS.items() if part in problem), "")
    return f"this is no YAML: {cut(problem)}{since}" + (f". {hint[0].upper()}{hint[1:]}" if hint else "")
