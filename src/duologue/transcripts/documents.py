"""Files of recordings as plain data, whoever wrote them: JSON, JSON lines, YAML or a ZIP archive of JSON files.

Size and depth are bounded. A :class:`Node` is a value that knows its place in the file: code that reads a format looks
into it step by step, and errors name the field. What must be there is an error if it is not (``text``, ``each``,
``mapping``). What only describes a conversation (times, costs, names) is left out with a remark if it cannot be read.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from duologue.config.problems import Problems, join, report, shown, similar_file
from duologue.errors import Position, Problem, SuiteError
from duologue.frozen import frozen
from duologue.messages import mended
from duologue.transcripts.packed import GZIP, PackedError, unpacked
from duologue.transcripts.scalars import event_lines, is_amount_unknown, number_in, text_in, time_in

MAX_BYTES = 64_000_000
"""A recording of more bytes is not read."""
MAX_YAML_BYTES = 5_000_000
"""One in YAML, which takes far longer to read, must be smaller."""
MAX_DEPTH = 100
"""Levels of nesting."""
_MAX_MEMBERS = 20_000
"""Files in an archive."""
_TEXTS = {".csv": "a CSV file", ".tsv": "a CSV file", ".vtt": "subtitles", ".srt": "subtitles", ".txt": "plain text"}
_ZIP, _PARQUET = b"PK\x03\x04", b"PAR1"
"""How files of these kinds begin."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half of a character."""
_MOST_REMARKS = 20
"""About one recording."""


@dataclass(slots=True)
class Remarks:
    """What was left out of a recording, and why; each text once, and not more than a reader can take in."""

    texts: list[str] = attribute(default_factory=list[str])
    more: int = 0

    def add(self, text: str) -> None:
        """One more."""
        if text in self.texts:
            return
        if len(self.texts) < _MOST_REMARKS:
            self.texts.append(text)
        else:
            self.more += 1

    def __iter__(self) -> Iterator[str]:
        yield from self.texts
        if self.more:
            yield f"… and {self.more} more"


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file.

    Attributes:
        value: JSON data; None for a field that is not there.
        file: as errors show it.
        field: its path in the file, such as ``events[3].message``.
        line: its line, in a file of lines; 0 in others.
        remarks: where to say what was left out; None to say nothing.
    """

    value: Any
    file: str
    field: str = ""
    line: int = 0
    remarks: Remarks | None = attribute(default=None, compare=False, repr=False)

    def holding(self, value: Any) -> Node:
        """Another value at this place."""
        return Node(value, self.file, self.field, self.line, self.remarks)

    def at(self, *names: str) -> Node:
        """The first of these fields that is there and not None; nothing if there is none, or if this has no fields."""
        fields = self.fields
        for name in names:
            if fields.get(name) is not None:
                return Node(fields[name], self.file, join(self.field, name), self.line, self.remarks)
        return Node(None, self.file, join(self.field, names[0]), self.line, self.remarks)

    def has(self, *names: str) -> bool:
        """Whether all these fields are there."""
        return all(name in self.fields for name in names)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields, if this is a mapping; none otherwise."""
        value: object = self.value
        return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}

    def at_item(self, index: int) -> Node:
        """The item at a place of a list; nothing if there is none."""
        items = self.items
        return items[index] if index < len(items) else self.holding(None)

    @property
    def items(self) -> list[Node]:
        """The items, if this is a list; none otherwise."""
        value: object = self.value
        values = cast("list[Any]", value) if isinstance(value, list) else []
        return [
            Node(item, self.file, join(self.field, index), self.line, self.remarks) for index, item in enumerate(values)
        ]

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
        """A name or an id, which some write as a number; None if it is left out or is no text."""
        if self.value is None or self.value == "":
            return None
        found = text_in(self.value)
        return self._left_out("a text") if found is None else found

    def number(self) -> float | None:
        """A finite number, also one that is written as text; None if it is left out or is none."""
        if self.value is None or self.value == "":
            return None
        found = number_in(self.value)
        return self._left_out("a number") if found is None else found

    def amount(self, scale: float = 1.0) -> float | None:
        """A number of seconds, tokens or dollars, times ``scale``; None if it is left out or not known (-1)."""
        if is_amount_unknown(self.value):
            return None
        value = self.number()
        return None if value is None or value < 0 else value * scale

    def count(self) -> int:
        """A number of tokens; 0 if it is left out."""
        return int(self.amount() or 0)

    def moment(self) -> float | None:
        """A time as seconds since 1970 UTC, from text or a number; None if it is left out, unclear or was never set."""
        if self.value is None or self.value == "":
            return None
        found = time_in(self.value)
        if found is None:
            return self._left_out("a time such as 2026-01-31T10:00:00Z")
        return found or None

    def scalars(self, *names: str) -> dict[str, Any]:
        """Those of these fields that hold a text, a number or yes or no."""
        found = {name: self.at(name).value for name in names}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
        }

    def opened(self) -> Node:
        """The value in a text of JSON; the node itself if it is not such a text."""
        if not isinstance(self.value, str) or self.value.lstrip()[:1] not in {"[", "{"}:
            return self
        try:
            value: Any = json.loads(self.value)
        except (ValueError, RecursionError):
            return self
        return self.holding(value) if is_shallow(value) else self

    def remark(self, message: str) -> None:
        """Say something about this place that the reader of the recording should know."""
        if self.remarks is not None:
            place = f"line {self.line}" if self.line else ""
            self.remarks.add(": ".join(part for part in (place, self.field, message) if part))

    def _left_out(self, expected: str) -> None:
        self.remark(f"left out {shown(self.value)}; expected {expected}")

    def wrong(self, expected: str) -> SuiteError:
        """The error for something else being here."""
        return self.problem(f"found {shown(self.value)}; expected {expected}")

    def problem(self, message: str) -> SuiteError:
        """An error about this place."""
        found = Problem(Position(self.file, self.line, 1 if self.line else 0, self.field), message)
        return SuiteError(report([found]), [found])


_PAGES = ("data", "results", "runs", "traces", "calls", "logs", "records", "rows", "entries", "observations")
_WRAPPERS = (
    *("conversations", "sessions", "threads", "items", "dialogs", "dialogues", "chats", "samples", "examples"),
    *("test_cases", "tests", "transcripts"),
)
"""Names that only count where they hold conversations: other formats use them for other things."""
_PAGE_FIELDS = {
    *("object", "has_more", "hasmore", "first_id", "last_id", "next", "next_page", "next_cursor", "previous", "cursor"),
    *("cursors", "meta", "pagination", "page", "limit", "total", "count", "offset", "size", "pagination_key", "links"),
    *("total_count", "totalcount", "total_pages", "status", "success", "error", "errors", "message"),
}
_SAMPLES = 50
"""Entries that are looked at to find out the format."""


@frozen
class Document:
    """A file that was read.

    Attributes:
        path: the file.
        root: what it holds; for a file of lines, the list of what they hold.
        rows: what the lines hold, each with its number; None for a file that is one value.
        repaired: whether halves of characters were replaced.
        torn: says that the last line breaks off and was left out; None for a file that is whole.
        members: the JSON files in a ZIP archive, by name; ``root`` is empty then.
        broken: what is wrong with lines and members that are no JSON, by number and name. Their value is None.
    """

    path: Path
    root: Node
    rows: list[Node] | None = None
    repaired: bool = False
    torn: str | None = None
    members: Mapping[str, Node] = attribute(default_factory=dict[str, Node])
    broken: Mapping[int | str, SuiteError] = attribute(default_factory=dict[int | str, SuiteError])

    def wrong_with(self, entry: Node) -> SuiteError | None:
        """Why an entry could not be read; None for all others."""
        return self.broken.get(entry.line or entry.field) if entry.value is None else None

    @property
    def first(self) -> Node:
        """The first line's value in a file of lines; otherwise the file's, or the first item of it if it is a list."""
        if self.rows:
            return self.rows[0]
        return self._listing.items[0] if self._listing.items else self._listing

    @cached_property
    def _listing(self) -> Node:
        """The list in a page of an answer of an API, such as ``{data: […], has_more}``; otherwise the root."""
        fields = self.root.fields
        name = next((key for key in _PAGES if isinstance(fields.get(key), list)), None)
        if name is None or not all(isinstance(item, dict) for item in fields[name]):
            name = next((key for key in (*_PAGES, *_WRAPPERS) if _are_conversations(self.root.at(key))), None)
        if name is None:
            return self.root
        about = {key for key, value in fields.items() if value is not None} - {name}
        about = {key for key in about if key.lower() not in _PAGE_FIELDS}
        return self.root if about else self.root.at(name)

    @cached_property
    def entries(self) -> list[Node]:
        """The items where the file holds a list or lines; otherwise what it holds. Each has remarks of its own."""
        if self.rows is not None:
            return [with_remarks(row) for row in self.rows]
        root = self._listing
        return [with_remarks(node) for node in (root.items if isinstance(root.value, list) else [root])]

    @property
    def samples(self) -> list[Node]:
        """The first entries, by which a format is recognised: the very first may be one that failed."""
        entries = self.rows if self.rows is not None else self._listing.items or [self._listing]
        return [node for node in entries[:_SAMPLES] if node.value is not None]


def _are_conversations(listed: Node) -> bool:
    """Whether each item is a list of messages, or holds one."""
    talks = [item.items or item.at("messages").items for item in listed.items[:_SAMPLES]]
    return bool(talks) and all(talk and all(message.has("role") for message in talk[:3]) for talk in talks)


def with_remarks(node: Node) -> Node:
    """The node with remarks of its own, and those that were made while the file was read."""
    own = Remarks(list(node.remarks.texts) if node.remarks else [])
    return replace(node, remarks=own)


def read_document(path: Path) -> Document:
    """What a file holds.

    Raises:
        SuiteError: it cannot be read, is too large or nested too deep, or is in none of these forms.
    """
    place = Node(None, str(path))
    content, suffix = _bytes(path, place), path.suffix.lower()
    if content.startswith(GZIP):
        try:
            content, suffix = unpacked(content, MAX_BYTES), Path(path.stem).suffix.lower() or suffix
        except PackedError as error:
            raise place.problem(f"this is {error}") from error
    if content.startswith(_ZIP):
        return _archive(path, content, place)
    text = _text(content, place)
    if suffix in {".yaml", ".yml"}:
        return _yaml(path, text, place)
    if suffix in {".jsonl", ".ndjson"} or event_lines(text):
        return _lines(path, text)
    try:
        return _whole(path, place, text)
    except SuiteError:
        raise
    except ValueError as error:
        if kind := _TEXTS.get(suffix):
            told = f"this is {kind}; write each conversation as a JSON line of {{messages: [{{role, content}}]}}"
            raise place.problem(told) from error
        if "Extra data" in str(error) and text.lstrip()[:1] == "{":
            return _lines(path, text)
        raise place.problem(f"this is no JSON: {error}; expected a recording in JSON, JSON lines or YAML") from error


def _bytes(path: Path, place: Node) -> bytes:
    try:
        if not path.exists():
            raise place.problem(f"there is no file '{path}'{similar_file(path)}")
        if not path.is_file():
            raise place.problem(f"'{path}' is no ordinary file; expected a recording")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise place.problem(f"it has {size:,} bytes; expected at most {MAX_BYTES:,}. Split it into several files")
        return path.read_bytes()
    except SuiteError:
        raise
    except (OSError, ValueError) as error:
        raise place.problem(f"it cannot be read: {error}") from error


def _text(content: bytes, place: Node) -> str:
    if content.startswith(GZIP):
        raise place.problem("this is a gzip file; unpack it (gunzip) and give the file that was in it")
    if content.startswith(_PARQUET):
        raise place.problem("this is a Parquet file, which Duologue does not read; save its rows as JSON lines")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise place.problem(f"this is not UTF-8 text (byte {error.start}); save the file as UTF-8") from error


def _archive(path: Path, content: bytes, place: Node) -> Document:
    """The JSON files in a ZIP archive. What it says about their sizes is not trusted."""
    members: dict[str, Node] = {}
    broken: dict[int | str, SuiteError] = {}
    room = MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [item for item in archive.infolist() if item.filename.endswith(".json")]
            if len(names) > _MAX_MEMBERS:
                raise place.problem(f"the archive holds {len(names):,} JSON files; expected at most {_MAX_MEMBERS:,}")
            for item in names:
                with archive.open(item) as file:
                    data = file.read(room + 1)
                room -= len(data)
                if room < 0:
                    raise place.problem(f"it unpacks to more than {MAX_BYTES:,} bytes; split it into several files")
                inner = members[item.filename] = Node(None, str(path), item.filename)
                try:
                    members[item.filename] = _whole(path, inner, _text(data, inner)).root
                except ValueError as error:
                    broken[item.filename] = error if isinstance(error, SuiteError) else _no_json(inner, error)
    except SuiteError:
        raise
    except NotImplementedError as error:
        raise place.problem(
            f"this archive cannot be unpacked ({error}); unpack it and pack it again with zip"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise place.problem(f"this is a broken ZIP archive: {error}") from error
    if broken and len(broken) == len(members):
        raise next(iter(broken.values()))
    return Document(path=path, root=place, members=members, broken=broken)


def _lines(path: Path, text: str) -> Document:
    rows: list[Node] = []
    lines = event_lines(text) or text.split("\n")
    repaired, torn = False, None
    broken: dict[int | str, SuiteError] = {}
    for number, line in enumerate(lines, 1):
        place = Node(None, str(path), "", number)
        if not line.strip():
            continue
        try:
            one = _whole(path, place, line)
        except ValueError as error:
            if number == len(lines) and rows:
                torn = f"line {number} is cut off after {len(line)} characters"
                break  # whoever wrote it was stopped in the middle of the last line
            broken[number] = error if isinstance(error, SuiteError) else _no_json(place, error)
            rows.append(place)
            continue
        repaired = repaired or one.repaired
        rows.append(one.root)
    if not rows:
        raise Node(None, str(path)).problem("the file is empty; expected a recording")
    if len(broken) == len(rows):
        raise next(iter(broken.values()))
    root = Node([row.value for row in rows], str(path), remarks=Remarks())
    return Document(path=path, root=root, rows=rows, repaired=repaired, torn=torn, broken=broken)


def _no_json(place: Node, error: ValueError) -> SuiteError:
    return place.problem(f"this {'line' if place.line else 'file'} is no JSON: {error}")


def _yaml(path: Path, text: str, place: Node) -> Document:
    from duologue.config.yaml_reader import parse

    if len(text) > MAX_YAML_BYTES:
        raise place.problem(f"it has more than {MAX_YAML_BYTES:,} characters of YAML; write it as JSON")
    problems = Problems()
    value = parse(text, str(path), problems)
    problems.raise_errors()
    return Document(path=path, root=Node(value, str(path), remarks=Remarks()))


def _whole(path: Path, place: Node, text: str) -> Document:
    """What a text of JSON holds.

    Raises:
        ValueError: it is no JSON.
    """
    unknown: list[str] = []
    value = _parse(text, place, unknown)
    _check_depth(value, place)
    repaired = False
    if _HALF.search(text):
        whole = mended(value)
        repaired, value = whole != value, whole
    node = Node(value, place.file, place.field, place.line, Remarks())
    for word in unknown:
        node.remark(f"found {word}, which is no number in JSON; it was left out")
    return Document(path=path, root=node, repaired=repaired)


def _parse(text: str, place: Node, unknown: list[str]) -> Any:
    """The value of a text. Numbers that JSON does not know become None, and are added to ``unknown``."""

    def left_out(word: str) -> None:
        unknown.append(word)

    def finite(word: str) -> float | None:
        value = float(word)
        return value if math.isfinite(value) else left_out(shown(word))

    try:
        return json.loads(text, parse_constant=left_out, parse_float=finite)
    except RecursionError as error:
        raise place.problem(f"it is nested more than {MAX_DEPTH} levels deep") from error


def _check_depth(value: Any, place: Node) -> None:
    if not is_shallow(value):
        raise place.problem(f"it is nested more than {MAX_DEPTH} levels deep")


def is_shallow(value: Any) -> bool:
    """Whether a value is nested no deeper than may be read."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for item in level for inner in _within(item)]
        if not level:
            return True
    return False


def _within(value: Any) -> list[Any]:
    """The lists and mappings in a list or mapping."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        items = cast("list[Any]", value)
    else:
        return []
    return [item for item in items if isinstance(item, (dict, list))]
