"""Journals as files: one JSON object a line, one line a transition.

A process that is killed loses nothing that was flushed. If it dies in the middle of a write, the last line is torn:
reading leaves that line out and says so, so that a transition is never seen in part.

Media in messages are kept as artifacts (see :mod:`duologue.journal.artifacts`), each before the line that names it.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from duologue.config.files import make_private_folder, open_private, set_aside
from duologue.errors import ArtifactError, JournalError, JournalVersionError
from duologue.frozen import frozen
from duologue.journal.artifacts import MEDIA, Artifact, ArtifactStore, FolderArtifacts, load_beside
from duologue.journal.events import (
    SCHEMA_VERSION,
    AgentCalled,
    Entry,
    Event,
    MessageAdded,
    ModelCalled,
    RunFinished,
    RunResumed,
    RunStarted,
    StepStarted,
    Transition,
    TurnStarted,
    UserFinished,
)
from duologue.journal.inline_media import Inline, entries_of, keep, put_back, stored_in, take_out
from duologue.journal.run_journal import RecordedJournal
from duologue.journal.upgrade import Upgrade
from duologue.own_model import adapter


@cache
def _adapter() -> TypeAdapter[Event]:
    """Of events; built by the process that keeps or reads a journal."""
    return adapter(Event)


@cache
def _serializer(kind: type[Any]) -> Callable[[Event], bytes]:
    """Writes events of this class: a third of the time that it takes to find out which of all events it is."""
    return adapter(kind).serializer.to_json


_WITHOUT_MEDIA = frozenset({StepStarted, TurnStarted, AgentCalled, UserFinished, RunResumed, RunFinished})
"""Events that hold names, numbers and sentences only."""
_DATA_URL = "data:"
_ROLE_AND_TEXT = 2


def _may_hold_media(event: Event) -> bool:
    """Whether the JSON of an event is searched for media: it costs as much as writing it, and most events hold none."""
    if isinstance(event, MessageAdded):
        message = event.message
    elif isinstance(event, ModelCalled):
        message = event.response
    else:
        return type(event) not in _WITHOUT_MEDIA
    if message is None:
        return False
    content = message.get("content")
    if not isinstance(content, str) or len(message) != _ROLE_AND_TEXT or "role" not in message:
        return True
    return content[: len(_DATA_URL)].lower() == _DATA_URL


def _names_media(events: bytes) -> bool:
    """Whether events are looked into: without one of these in their JSON they hold no media."""
    return b";base64," in events or b'data":"' in events or b'"b64_json":"' in events  # also "file_data"


class JsonlSink:
    """Writes transitions to a file, which appears with the first of them, for its owner only.

    Args:
        path: of the file. It must not exist, unless ``after`` says that it does.
        after: how many bytes of an existing file are to be kept; what comes after them is torn and is cut off.
        artifacts: keeps media of messages; None for the folder ``media`` beside the file.
    """

    def __init__(self, path: Path, *, after: int | None = None, artifacts: ArtifactStore | None = None) -> None:
        self.path = path
        self._after = after
        self._artifacts = artifacts or FolderArtifacts(path.parent / MEDIA)
        self._file: FileIO | None = None
        self._closed = False
        self._lock = threading.Lock()
        """Held while the file is made or written: whoever gives the run up in another thread waits for that."""
        self._size = 0
        self._process = os.getpid()

    async def write(self, transitions: Sequence[Transition]) -> None:
        """One unbuffered write for all of them: it takes less time than handing it to another thread."""
        if os.getpid() != self._process:  # an agent has doubled the process and returned twice: the run is the parent's
            os._exit(1)
        try:
            lines: list[bytes] = []
            for transition in transitions:
                line, media = encode_with_media(transition)
                for item in media:
                    await keep(item, self._artifacts)
                lines.append(line)
            with self._lock:
                self._write(b"".join(lines))
        except (OSError, ValueError, ArtifactError) as error:
            raise JournalError(f"cannot write the journal {self.path}: {error}") from error

    def _write(self, data: bytes) -> None:
        if self._closed:  # the thread was held up for so long that the run was given up, and may begin anew elsewhere
            raise JournalError(f"cannot write the journal {self.path}: its run was given up")
        if self._file is None:
            self._file = self._open()
            self._size = self._file.tell()
        elif self._file.seek(0, os.SEEK_END) != self._size:  # cheaper than asking for all that is known of the file
            raise OSError(errno.EBUSY, "another process writes to it")
        if self._file.write(data) != len(data):
            raise OSError(errno.ENOSPC, "only a part of the transition could be written")
        self._size += len(data)

    def _open(self) -> FileIO:
        if self._after is not None:
            file = FileIO(self.path, "r+")
            file.truncate(self._after)
            file.seek(self._after)
            return file
        try:
            return FileIO(self.path, "x", opener=open_private)
        except FileNotFoundError:
            make_private_folder(self.path.parent)
            return FileIO(self.path, "x", opener=open_private)
        except FileExistsError:
            raise JournalError(
                f"{self.path} exists already; a journal is never overwritten. Continue that run with resume=True, or "
                "choose another file"
            ) from None

    async def close(self) -> None:
        """Close the file; harmless when it was never opened. Nothing is written any more, and no file is made."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


def encode_transition(transition: Transition) -> bytes:
    """A line of a journal."""
    return encode_with_media(transition)[0]


def encode_with_media(transition: Transition) -> tuple[bytes, Sequence[Inline]]:
    """A line of a journal, and the media that it names."""
    first = transition[0]
    written: list[bytes] = []
    searched = False
    for entry in transition:
        event = entry.event
        written.append(_serializer(type(event))(event))
        searched = searched or _may_hold_media(event)
    events = b",".join(written)
    at = to_json(first.at)  # the digits of repr(), for a quarter of the instructions
    if not searched or not _names_media(events):
        return b'{"seq":%d,"at":%b,"events":[%b]}\n' % (first.seq, at, events), ()
    plain = json.loads(b"[%b]" % events)
    media = take_out(plain)
    if media:
        events = to_json(plain)[1:-1]
    media += [item for number, entry in enumerate(transition) for item in stored_in(entry.event, number)]
    named = b',"artifacts":%b' % to_json([item.as_data() for item in media]) if media else b""
    return b'{"seq":%d,"at":%b,"events":[%b]%b}\n' % (first.seq, at, events, named), media


@frozen
class JournalFile(RecordedJournal):
    """A journal that was read from a file.

    Attributes:
        ends: for each transition, how many bytes of the file there are up to its end.
    """

    path: Path
    ends: list[int]


class JsonlJournal:
    """The journal of one run in a file; see :class:`~duologue.journal.run_journal.RunJournal`.

    Attempts that were set aside lie beside it: ``NAME.jsonl.attempt-1``, ``NAME.jsonl.replaced`` and so on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: JournalFile | None = None

    @property
    def artifacts(self) -> ArtifactStore:
        """The folder ``media`` beside the file."""
        return FolderArtifacts(self.path.parent / MEDIA)

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    def read(self) -> JournalFile:
        """What the file holds."""
        self._read = read_journal(self.path)
        return self._read

    def set_aside(self, why: str) -> None:
        """Rename the file."""
        set_aside(self.path, why)

    def earlier_calls(self) -> Iterator[ModelCalled]:
        """Of the files beside it that were not replaced."""
        names = (f"{self.path.name}.attempt-", f"{self.path.name}.unreadable")
        for item in self.path.parent.iterdir():
            if item.name.startswith(names):
                yield from model_calls_in(item)

    def sink(self, *, kept: int | None = None, artifacts: ArtifactStore | None = None) -> JsonlSink:
        """Writes to the file."""
        after = None if kept is None else (self._read or self.read()).ends[kept - 1]
        return JsonlSink(self.path, after=after, artifacts=artifacts)


def read_journal(path: str | Path, *, artifacts: Callable[[Artifact], bytes] | None = None) -> JournalFile:
    """Read a journal file, whatever version wrote it.

    Args:
        path: the file.
        artifacts: gives the media of its messages; None to read them from the folder ``media`` beside it.

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
    reader = JournalLines(str(path), artifacts or partial(load_beside, path))
    transitions = [reader.read(line) for line in lines]
    if not transitions:
        raise JournalError(f"{path} holds no event" + (f"; {torn}" if torn else ""))
    ends = list(accumulate(len(line) + 1 for line in lines))
    return JournalFile(name=str(path), path=path, transitions=transitions, ends=ends, torn=torn, missing=reader.missing)


def model_calls_in(path: Path) -> Iterator[ModelCalled]:
    """All model calls that a journal holds, also one that is damaged: lines that cannot be read are passed over."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return
    yield from model_calls_of(lines)


def model_calls_of(lines: Iterable[bytes]) -> Iterator[ModelCalled]:
    """All model calls in lines of a journal. Lines that cannot be read are passed over."""
    for number, line in enumerate(lines, 1):
        if b'"model_called"' not in line:
            continue
        try:
            raw = _parse("", number, line)
            events = [item for item in raw.get("events", [raw]) if item.get("type") == "model_called"]
            found = [_adapter().validate_python(item) for item in events]
        except (JournalError, ValidationError, TypeError, AttributeError):
            continue
        yield from (event for event in found if isinstance(event, ModelCalled))


def events_of_line(line: bytes) -> list[dict[str, Any]]:
    """The events of a line as plain data, each with its ``seq`` and ``at``. Media stay where the artifacts are.

    Raises:
        JournalError: the line is damaged.
    """
    raw = _parse("a line of a journal", 1, line)
    first, at = raw.get("seq"), raw.get("at")
    if not isinstance(first, int):
        raise JournalError(f"a line of a journal: found seq {first!r}, expected the number of its first event")
    events: list[dict[str, Any]] = raw.get("events") or [raw]
    return [{**event, "seq": seq, "at": at} for seq, event in enumerate(events, first)]


def transition_of(events: Sequence[Mapping[str, Any]]) -> Transition:
    """What :func:`events_of_line` has read, as the engine knows it.

    Raises:
        JournalError: it is no transition of the current version.
    """
    try:
        return tuple(
            Entry("", item["seq"], item["at"], _adapter().validate_python(_without_place(item))) for item in events
        )
    except (LookupError, ValidationError) as error:
        raise JournalError(f"a line of a journal cannot be read: {error}") from error


def _without_place(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in {"seq", "at"}}


class JournalLines:
    """Reads the lines of one journal in their order, wherever they are kept and whatever version wrote them.

    Args:
        name: of the journal, for errors.
        load: gives media of messages.
    """

    def __init__(self, name: str, load: Callable[[Artifact], bytes]) -> None:
        self._name = name
        self._load = load
        self._missing: dict[str, None] = {}
        self._run_id = ""
        self._version: int | None = None
        self._upgrade: Upgrade | None = None  # of a journal that another version wrote
        self._number = 0
        self._seen = 0

    @property
    def missing(self) -> list[str]:
        """Media that could not be had, a sentence each."""
        return list(self._missing)

    def read(self, line: bytes) -> Transition:
        """The transition in the next line.

        Raises:
            JournalError: the line is damaged, or is not the one that comes next.
        """
        self._number += 1
        raw = _parse(self._name, self._number, line)
        seq, at = raw.pop("seq", None), raw.pop("at", 0.0)
        events = raw.get("events", [raw])
        if "events" in raw and "artifacts" in raw:
            try:
                self._missing |= dict.fromkeys(put_back(events, entries_of(raw["artifacts"]), self._load))
            except ValueError as error:
                raise self._broken(f", field 'artifacts': {error}") from error
        if self._version is None:
            self._version = _version(self._name, events)
            self._upgrade = None if self._version == SCHEMA_VERSION else _upgrade(self._name, self._version)
        if isinstance(at, bool) or not isinstance(at, (int, float)):
            raise self._broken(f", field 'at': found {at!r}, expected seconds since 1970")
        if seq != self._seen:
            raise self._broken(f": found event number {seq!r}, expected {self._seen}")
        try:
            made = [_adapter().validate_python(self._upgrade(item) if self._upgrade else item) for item in events]
        except (AttributeError, TypeError) as error:
            raise self._broken(f": not an event of its version ({error})") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise self._broken(f", field '{field}': {first['msg']}") from error
        if isinstance(made[0], RunStarted):
            self._run_id = made[0].run_id
        first, self._seen = self._seen, self._seen + len(made)
        return tuple(Entry(self._run_id, seq, at, event) for seq, event in enumerate(made, first))

    def _broken(self, why: str) -> JournalError:
        return JournalError(f"{self._name}, line {self._number}{why}")


def _upgrade(name: str, version: int) -> Upgrade:
    try:
        return Upgrade(version)
    except JournalVersionError as error:
        raise JournalVersionError(f"{name}: {error}") from None


def _parse(name: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        raw: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(f"{name}, line {number}: not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise JournalError(f"{name}, line {number}: found a {type(raw).__name__}, expected an object with events")
    found = cast("dict[str, Any]", raw)
    events: object = found.get("events", [])
    if not isinstance(events, list) or not all(isinstance(item, dict) for item in cast("list[object]", events)):
        raise JournalError(f"{name}, line {number}, field 'events': expected a list of event objects")
    if "events" in found and not events:
        raise JournalError(f"{name}, line {number}, field 'events': the list is empty")
    return found


def _version(name: str, events: list[dict[str, Any]]) -> int:
    version = events[0].get("schema_version")
    if events[0].get("type") != "run_started" or not isinstance(version, int):
        raise JournalError(f"{name}, line 1: found no 'run_started' event with a schema_version; is this a journal?")
    return version
