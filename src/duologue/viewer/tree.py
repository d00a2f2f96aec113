"""Finds the results folders below a folder, again and again, and reads only what has changed.

A directory changes its time when something in it is added, replaced or removed, and results are written by replacing
files. So a look at ten thousand known folders is ten thousand times one ``stat``. Links to directories are not
followed, and what others have put there is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from duologue.frozen import frozen
from duologue.journal.artifacts import JOURNALS, MEDIA
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS

ROOT = "@"
"""What the folder itself is called: a dot would vanish from the address of a page."""
_DEEPEST = 16
_SKIPPED = frozenset({RUNS, JOURNALS, MEDIA, "node_modules", "__pycache__", "site-packages"})
_RECENT = 2_000_000_000
"""Nanoseconds: a directory that changed so recently may change again without another time."""
_JOURNALS_READ = 8
_BEGINNING = 4096


@frozen(slots=True)
class Stamp:
    """What tells whether results have changed: times and sizes of files, 0 for what is not there.

    Attributes:
        kind: ``whole``, ``open`` (no index yet) or ``journals``.
        values: of the files.
    """

    kind: str
    values: tuple[int, ...]


@dataclass(slots=True)
class _Directory:
    changed: int
    looked: int
    children: list[str] = field(default_factory=list[str])
    kind: str | None = None


class Tree:
    """The results folders below a folder.

    Args:
        root: where to look; it may be a results folder itself.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, _Directory] = {}
        self._places: dict[str, str] = {}

    def place(self, key: str) -> Path:
        """The folder that is called so; one that may not be there for a key that nobody gave."""
        return self.root if key == ROOT else Path(self._places.get(key) or self.root / key)

    def look(self, now: int) -> dict[str, Stamp]:
        """All results folders by their key (see :func:`key_of`), each with its stamp.

        Args:
            now: nanoseconds, on the clock of the file system.
        """
        found: dict[str, Stamp] = {}
        places: dict[str, str] = {}
        seen: dict[str, _Directory] = {}
        for path, directory in self._walk(str(self.root), now, 0):
            seen[path] = directory
            if directory.kind is not None:
                stamp = stamp_of(path, directory.kind)
                if stamp is not None:
                    key = key_of(os.path.relpath(path, self.root))
                    found[key] = stamp
                    places[key] = path
        self._known = seen
        self._places = places
        return found

    def _walk(self, path: str, now: int, depth: int) -> Iterator[tuple[str, _Directory]]:
        directory = self._directory(path, now)
        if directory is None:
            return
        yield path, directory
        if depth < _DEEPEST:
            for name in directory.children:
                yield from self._walk(f"{path}/{name}", now, depth + 1)

    def _directory(self, path: str, now: int) -> _Directory | None:
        try:
            changed = os.stat(path).st_mtime_ns  # noqa: PTH116 - of many directories
        except OSError:
            return None
        known = self._known.get(path)
        if known is not None and known.changed == changed and changed < known.looked - _RECENT:
            return known
        found = _Directory(changed=changed, looked=now)
        names: set[str] = set()
        journals: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    names.add(entry.name)
                    if entry.name.endswith(".jsonl"):
                        journals.append(entry.path)
                    elif _is_child(entry):
                        found.children.append(entry.name)
        except OSError:
            return None
        found.children.sort()
        found.kind = _kind(path, names, sorted(journals))
        return found


def key_of(relative: str) -> str:
    """What pages call a folder: its path relative to the root, as text that can stand in an address.

    The root is :data:`ROOT`, and a folder of that name is ``./@``. A name that is not valid Unicode is shown escaped.
    """
    if relative in {".", ROOT}:
        return ROOT if relative == "." else f"./{ROOT}"
    return relative.encode("utf-8", "backslashreplace").decode()


def _is_child(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _SKIPPED:
        return False
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _kind(path: str, names: set[str], journals: list[str]) -> str | None:
    if LAUNCH in names or INDEX in names:
        return "open" if INDEX not in names else "whole"
    if JOURNALS in names:
        with suppress(OSError):
            inner = sorted(os.scandir(f"{path}/{JOURNALS}"), key=lambda entry: entry.name)
            journals = [entry.path for entry in inner if entry.name.endswith(".jsonl")]
    return "journals" if any(map(_is_journal, journals[:_JOURNALS_READ])) else None


def _is_journal(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - of many files
            return b"run_started" in file.read(_BEGINNING)
    except OSError:
        return False


def stamp_of(path: str, kind: str) -> Stamp | None:
    """The stamp of a results folder; None if it has gone."""
    if kind == "whole":
        index = file_stamp(f"{path}/{INDEX}")
        return Stamp(kind=kind, values=index) if index[0] else stamp_of(path, "open")
    if kind == "open":
        launch = file_stamp(f"{path}/{LAUNCH}")
        if not launch[0]:
            return None
        return Stamp(
            kind=kind, values=(*launch, *file_stamp(f"{path}/{RUNS}")[:1], *file_stamp(f"{path}/{JOURNALS}")[:1])
        )
    inner = f"{path}/{JOURNALS}"
    place = inner if os.path.isdir(inner) else path  # noqa: PTH112
    return Stamp(kind=kind, values=tuple(sorted(_sizes(place)))[-64:] + file_stamp(place)[:1])


def file_stamp(path: str) -> tuple[int, int]:
    """When a file was changed and how long it is; zeros if it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _sizes(folder: str) -> Iterator[int]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".jsonl"):
                with suppress(OSError):
                    yield entry.stat().st_mtime_ns
