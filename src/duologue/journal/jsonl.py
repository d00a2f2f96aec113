"""Journals as files: one JSON object a line, written and flushed event by event.

A process that is killed loses nothing that was appended. If it dies in the middle of a write, the last line is torn:
reading leaves that line out and says so.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from duologue.errors import JournalError
from duologue.journal.events import Event, RunStarted
from duologue.journal.journal import Entry
from duologue.journal.upgrade import upgrade
from duologue.journal.view import RunView

_EVENT: TypeAdapter[Event] = TypeAdapter(Event, config=ConfigDict(defer_build=True))


class JsonlSink:
    """Writes entries to a new file. The file appears with the first event."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def write(self, entry: Entry) -> None:
        """One unbuffered write per event, so that nothing waits in this process's memory."""
        body = _EVENT.dump_json(entry.event)
        line = b'{"seq":%d,"at":%r,%s\n' % (entry.seq, entry.at, body[1:])
        try:
            if self._file is None:
                self._file = self._create()
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "only a part of the line could be written")
        except OSError as error:
            raise JournalError(f"cannot write the journal {self.path}: {error}") from error

    def _create(self) -> FileIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            raise JournalError(f"{self.path} exists already; a journal is never overwritten")
        return FileIO(self.path, "x")

    def close(self) -> None:
        """Close the file; harmless when it was never opened."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, kw_only=True)
class JournalFile:
    """A journal that was read.

    Attributes:
        entries: its events in order.
        torn: why the last line was left out, or None when the file is whole.
    """

    path: Path
    entries: list[Entry]
    torn: str | None = None

    @property
    def view(self) -> RunView:
        """The fold of all entries."""
        view = RunView()
        for entry in self.entries:
            view.apply(entry.event, entry.at)
        return view

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.entries) and self.entries[-1].event.type == "run_finished"


def read_journal(path: str | Path) -> JournalFile:
    """Read a journal file, whatever version wrote it.

    Raises:
        JournalError: there is no such file, it is no journal, or a line other than the last is broken.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror or error}") from error
    lines = data.split(b"\n")
    tail = lines.pop()
    torn = f"line {len(lines) + 1} is cut off after {len(tail)} bytes" if tail else None
    entries = list(_entries(path, lines))
    if not entries:
        raise JournalError(f"{path} holds no event" + (f"; {torn}" if torn else ""))
    return JournalFile(path=path, entries=entries, torn=torn)


def _entries(path: Path, lines: list[bytes]) -> Iterator[Entry]:
    run_id = ""
    version = 0
    for number, line in enumerate(lines, 1):
        raw = _parse(path, number, line)
        if number == 1:
            version = _version(path, raw)
        try:
            raw = upgrade(raw, version)
            seq, at = raw.pop("seq", None), raw.pop("at", 0.0)
            if seq != number - 1:
                raise JournalError(f"{path}, line {number}: found event number {seq!r}, expected {number - 1}")
            event = _EVENT.validate_python(raw)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise JournalError(f"{path}, line {number}, field '{field}': {first['msg']}") from error
        if isinstance(event, RunStarted):
            run_id = event.run_id
        yield Entry(run_id, seq, at, event)


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        raw: object = json.loads(line)
    except ValueError as error:
        raise JournalError(f"{path}, line {number}: no JSON ({error})") from error
    if not isinstance(raw, dict):
        raise JournalError(f"{path}, line {number}: found a {type(raw).__name__}, expected an event object")
    return cast("dict[str, Any]", raw)


def _version(path: Path, raw: dict[str, Any]) -> int:
    version = raw.get("schema_version")
    if raw.get("type") != "run_started" or not isinstance(version, int):
        raise JournalError(f"{path}, line 1: found no 'run_started' event with a schema_version; is this a journal?")
    return version
