"""All executions below a folder: a list that follows what happens there, and the executions that pages have opened."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from duologue.config.cache import cache_folder
from duologue.config.files import make_private_folder, write_atomic
from duologue.context import SystemClock
from duologue.errors import DuologueError
from duologue.journal.artifacts import JOURNALS
from duologue.reports.html.execution_list import matches
from duologue.runs.store.encoding import RUNS
from duologue.runs.store.folder import is_being_written
from duologue.viewer.execution import Opened
from duologue.viewer.rows import row_of, unreadable_row
from duologue.viewer.tree import ROOT, Stamp, Tree, stamp_of

logger = logging.getLogger("duologue.viewer")

Json = dict[str, Any]

_VERSION = 2
_KEPT = 6
"""Executions that stay in memory."""
_PAUSE = 1.0
"""Seconds between two looks, at least; a look takes at most a tenth of the time."""
_SAVED_EVERY = 20.0
BROKEN = (DuologueError, OSError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading files of others may raise: none of it stops the list."""


@dataclass(slots=True)
class _Known:
    stamp: Stamp
    running: bool
    row: Json | None


@dataclass(slots=True)
class _Held:
    stamp: tuple[Stamp, bool]
    opened: Opened
    took: float
    read_at: float


class Library:
    """The executions below a folder.

    Args:
        root: where to look.
        cache: the file that keeps rows between two starts; None for none. It never lies in the folder itself.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.root = root.resolve()
        self._tree = Tree(self.root)
        self._cache = cache
        self._clock = SystemClock()
        self._known: dict[str, _Known] = {}
        self._saved = self._load()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = Lock()
        self._reading = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self.began = int(self._clock.now() * 1000)
        """What tells this list from those of earlier processes, which counted as well."""
        self.version = 0
        """It grows with every change of the list."""
        self.left = 0
        """Executions that are found and not read yet."""
        self.ready = False
        """Whether everything has been read once."""

    # The list

    def start(self) -> None:
        """Look at the folder again and again, in a thread of its own, until :meth:`close`."""
        self._thread = Thread(target=self._watch, name="duologue-view", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        saved_at, saved_version = self._clock.monotonic(), self.version
        while not self._stop.is_set():
            began = self._clock.monotonic()
            try:
                self.refresh()
            except BROKEN:
                logger.exception("cannot look at %s", self.root)
            now = self._clock.monotonic()
            if self.version != saved_version and (now - saved_at > _SAVED_EVERY or saved_version == 0):
                saved_at, saved_version = now, self.version
                self._save()
            self._stop.wait(max(_PAUSE, 10 * (now - began)) if self.ready else _PAUSE)
        if self.version != saved_version:
            self._save()

    def refresh(self) -> None:
        """Look at the folder once, and read what has changed."""
        found = self._tree.look(int(self._clock.now() * 1e9))
        gone = [key for key in self._known if key not in found]
        changed = [key for key, stamp in found.items() if self._has_changed(key, stamp)]
        with self._lock:
            for key in gone:
                del self._known[key]
        self.version += bool(gone)
        self.left = len(changed)
        for key in sorted(changed, reverse=True):
            if self._stop.is_set():
                return
            self._take(key, found[key])
            self.left -= 1
        self.ready = True

    def _has_changed(self, key: str, stamp: Stamp) -> bool:
        known = self._known.get(key)
        if known is None or known.stamp != stamp:
            return True
        return stamp.kind == "open" and known.running != is_being_written(self._path(key))

    def _take(self, key: str, stamp: Stamp) -> None:
        folder = self._path(key)
        running = stamp.kind == "open" and is_being_written(folder)
        saved = self._saved.pop(key, None)
        if saved is not None and saved.stamp == stamp and saved.running == running:
            known = saved
        else:
            known = _Known(stamp=stamp, running=running, row=self._row(key, stamp))
        with self._lock:
            self._known[key] = known
        self.version += 1

    def _row(self, key: str, stamp: Stamp) -> Json | None:
        """The row of a folder; None where its files are called like ours and are somebody else's."""
        name = key if key != ROOT else self.root.name
        try:
            if stamp.kind == "whole":
                from duologue.runs.store.reader import read_index

                return row_of(key, name, read_index(self._path(key)))
            return row_of(key, name, self.open(key).index)
        except BROKEN as error:
            if not any((self._path(key) / name).is_dir() for name in (RUNS, JOURNALS)):
                return None
            began = datetime.fromtimestamp(max(stamp.values, default=0) / 1e9, UTC).isoformat()
            return unreadable_row(key, name, str(error) or type(error).__name__, began)

    def rows(self, words: str = "", suite: str = "", state: str = "") -> list[Json]:
        """The rows of the list, the newest first.

        Args:
            words: all of them must be in what the row shows.
            suite, state: only these; '' for all.
        """
        with self._lock:
            rows = [known.row for known in self._known.values() if known.row]
        if words:
            rows = [row for row in rows if matches(row, words)]
        if suite:
            rows = [row for row in rows if row["suite"] == suite]
        if state:
            rows = [row for row in rows if row["state"] == state or _outcome(row) == state]
        return sorted(rows, key=lambda row: (row["started"], row["id"]), reverse=True)

    def suites(self) -> list[str]:
        """The names of all suites, in order."""
        with self._lock:
            return sorted({known.row["suite"] for known in self._known.values() if known.row and known.row["suite"]})

    def before(self, key: str) -> Json | None:
        """The execution of the same suite that was started last before this one."""
        with self._lock:
            known = self._known.get(key)
            rows = [item.row for item in self._known.values() if item.row]
        if known is None or known.row is None:
            return None
        mine = known.row
        earlier = [
            row
            for row in rows
            if row["suite"] == mine["suite"] and row["started"] < mine["started"] and row["totals"]["runs"]
        ]
        return max(earlier, key=lambda row: row["started"], default=None)

    # Single executions

    def _path(self, key: str) -> Path:
        return self._tree.place(key)

    def folder(self, key: str) -> Path | None:
        """The folder of an execution; None for any key that is not in the list."""
        known = self._known.get(key)
        return self._path(key) if known is not None and known.row is not None else None

    def state(self, key: str) -> tuple[Stamp, bool] | None:
        """What tells whether an execution has changed; None if it has gone."""
        known = self._known.get(key)
        kind = known.stamp.kind if known else "whole"
        folder = self._path(key)
        stamp = stamp_of(str(folder), kind) or stamp_of(str(folder), "open")
        if stamp is None:
            return None
        if stamp.kind == "open" and (found := stamp_of(str(folder), "whole")) and found.kind == "whole":
            stamp = found
        return stamp, stamp.kind == "open" and is_being_written(folder)

    def open(self, key: str, *, patience: float = 3.0) -> Opened:
        """An execution as it is now. One that changes all the time is read again only every now and then.

        Args:
            key: of the execution.
            patience: how many times as long as reading it takes, what was read may be old.

        Raises:
            ConfigurationError: it cannot be read.
        """
        with self._reading:
            state = self.state(key)
            if state is None:
                raise FileNotFoundError(f"{self._path(key)} has gone")
            held = self._held.get(key)
            now = self._clock.monotonic()
            if held is not None:
                fresh = held.stamp == state
                young = state[1] and held.stamp[1] and now - held.read_at < held.took * patience
                if fresh or young:
                    self._held.move_to_end(key)
                    return held.opened
            opened = Opened.of(self._path(key), state[0].kind)
            took = self._clock.monotonic() - now
            self._held[key] = _Held(stamp=state, opened=opened, took=took, read_at=now + took)
            self._held.move_to_end(key)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
            return opened

    # The cache

    def _load(self) -> dict[str, _Known]:
        if self._cache is None:
            return {}
        try:
            data = json.loads(self._cache.read_bytes())
            if data["version"] != _VERSION or data["root"] != str(self.root):
                return {}
            return {
                key: _Known(stamp=Stamp(kind=kind, values=tuple(values)), running=running, row=row)
                for key, kind, values, running, row in data["rows"]
            }
        except BROKEN:
            return {}

    def _save(self) -> None:
        if self._cache is None:
            return
        with self._lock:
            rows = [
                [key, known.stamp.kind, known.stamp.values, known.running, known.row]
                for key, known in self._known.items()
            ]
        try:
            make_private_folder(self._cache.parent)
            data = {"version": _VERSION, "root": str(self.root), "rows": rows}
            write_atomic(self._cache, json.dumps(data), permissions=0o600, durable=False)
        except OSError as error:
            logger.warning("cannot keep the list of executions in %s: %s", self._cache, error)


def _outcome(row: Json) -> str:
    return {0: "pass", 1: "fail", 3: "undecided"}.get(row["exit"], "") if row["exit"] is not None else ""


def cache_file(root: Path) -> Path:
    """Where the list of a folder is kept: in the user's cache folder, never in the folder itself."""
    name = sha256(str(root.resolve()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return cache_folder() / "view" / f"{name}.json"
