"""Cassettes: what the outside world answered, recorded once and replayed for ever.

A cassette belongs to one run. Every model call, agent call over HTTP and tool call that goes through it is found by a
digest of its request; the same request asked twice has two answers, in order. Values that look like secrets are never
written, and do not change the digest.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, cast

from duologue.config.files import make_private_folder, open_private
from duologue.config.redaction import without_secrets
from duologue.errors import CassetteError, CassetteMissError
from duologue.vocabulary import CassetteMode

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such locks
    fcntl = None

_FORMAT = 1
_HEADER = json.dumps({"cassette": _FORMAT}).encode() + b"\n"
_SHOWN_LINES = 24


class Cassette:
    """The tape of one run.

    Args:
        path: a ``.jsonl`` file.
        mode: see :class:`CassetteMode`.

    Raises:
        CassetteError: to replay, the file must be there; to record, it must not; and it must be a cassette.
    """

    def __init__(self, path: str | Path, mode: CassetteMode | str = CassetteMode.AUTO) -> None:
        self.path = Path(path)
        self.mode = CassetteMode(mode)
        self._taken: Counter[str] = Counter()
        self._tape: dict[str, list[Any]] = {}
        self._requests: list[tuple[str, str]] = []
        self._open_line = False
        self._begun = False
        there = self.path.exists()
        if self.mode is CassetteMode.REPLAY and not there:
            raise CassetteError(f"there is no cassette {self.path} to replay; record it first with mode 'record'")
        if self.mode is CassetteMode.RECORD and there:
            raise CassetteError(f"{self.path} exists already; remove it, or use mode 'auto' to add to it")
        if there:
            self._load()

    async def play(self, kind: str, request: object, live: Callable[[], Awaitable[Any]]) -> Any:
        """The recorded answer to this request, or the world's, recorded.

        Args:
            kind: ``model``, ``http`` or ``tool``; part of the digest.
            request: plain JSON data.
            live: asks the world; its answer must be plain JSON data. Not called in ``replay``.

        Raises:
            CassetteMissError: in ``replay``, when the request is not on the tape.
        """
        clean = without_secrets(request, in_texts=True)
        key = _digest(kind, clean)
        position = self._taken[key]
        self._taken[key] += 1
        answers = self._tape.get(key, [])
        if position < len(answers):
            return answers[position]
        if self.mode is CassetteMode.REPLAY:
            raise CassetteMissError(self._miss(kind, clean, position))
        answer = without_secrets(await live())
        self._tape.setdefault(key, answers).append(answer)
        self._write({"kind": kind, "digest": key, "request": clean, "answer": answer})
        return answer

    def pass_over(self, kind: str, request: object) -> None:
        """This request is answered from elsewhere: its next answer on the tape is the one after."""
        self._taken[_digest(kind, without_secrets(request, in_texts=True))] += 1

    def _load(self) -> None:
        *lines, rest = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._take_in(line, number)
        if rest:
            self._load_rest(rest, len(lines) + 1)

    def _load_rest(self, rest: bytes, number: int) -> None:
        """A last line without an end: what was being written when a run was killed, unless it can be read."""
        try:
            self._take_in(rest, number)
        except CassetteError:
            if not self._begun and not _HEADER.startswith(rest):  # no cassette at all
                raise
            if self.mode is CassetteMode.AUTO:
                with self.path.open("r+b") as file:
                    file.truncate(self.path.stat().st_size - len(rest))
        else:
            self._open_line = True

    def _take_in(self, line: bytes, number: int) -> None:
        try:
            entry = cast("dict[str, Any]", json.loads(line))
            if "cassette" in entry:
                self._begun = True
                return
            self._tape.setdefault(entry["digest"], []).append(entry["answer"])
            self._requests.append((entry["kind"], _pretty(entry["request"])))
            self._begun = True
        except (ValueError, KeyError, TypeError) as error:
            raise CassetteError(f"{self.path}, line {number}: this is no cassette entry ({error})") from error

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace") + b"\n"
        try:
            make_private_folder(self.path.parent)
            # Unbuffered, one write a line: runs at once may share a tape.
            with open(self.path, "ab", buffering=0, opener=open_private) as file, _alone(file):
                size = os.fstat(file.fileno()).st_size
                start = b"\n" if self._open_line else _HEADER if size == 0 else b""
                data = start + line
                written = file.write(data)
                if written != len(data):
                    file.truncate(size)  # a part of a line would make the tape unreadable
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._open_line = False
        except OSError as error:
            raise CassetteError(
                f"cannot write the cassette {self.path}: {error.strerror or error}; what was recorded before is kept. "
                "Make room, then run again with mode 'auto'"
            ) from error

    def _miss(self, kind: str, request: object, position: int) -> str:
        """What was asked, and how it differs from the nearest request on the tape."""
        wanted = _pretty(request)
        times = f" for the {_ordinal(position + 1)} time" if position else ""
        recorded = [text for its_kind, text in self._requests if its_kind == kind]
        if not recorded:
            return f"{self.path} has no {kind} call at all; asked{times}:\n{wanted}"
        nearest = max(recorded, key=lambda text: difflib.SequenceMatcher(None, text, wanted).quick_ratio())
        if nearest == wanted:
            return f"{self.path} has this {kind} call, but it was asked{times} and recorded {position} times:\n{wanted}"
        lines = difflib.unified_diff(nearest.splitlines(), wanted.splitlines(), "recorded", "asked", lineterm="", n=1)
        shown = list(lines)[:_SHOWN_LINES]
        return f"{self.path} does not have this {kind} call. The nearest one that was recorded differs:\n" + "\n".join(
            shown
        )


def cassette_path(place: str | Path, scenario: str) -> Path:
    """The file of a scenario's cassette: the ``.jsonl`` file itself, or a file of its own in a folder."""
    path = Path(place)
    if path.suffix == ".jsonl":
        return path
    slug = "".join(char if char.isalnum() else "-" for char in scenario.lower()).strip("-") or "scenario"
    return path / f"{slug[:60]}-{hashlib.blake2b(scenario.encode(), digest_size=4).hexdigest()}.jsonl"


@contextmanager
def _alone(file: FileIO) -> Generator[None]:
    """No other process writes to the file meanwhile, where the system can see to that."""
    if fcntl is None:
        yield
        return
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX)
    yield


def _digest(kind: str, request: object) -> str:
    text = json.dumps([kind, request], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _pretty(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str)


def _ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``4th``, …, ``11th``, …, ``21st``."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
