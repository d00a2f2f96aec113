"""The journal of one run: append an event, and the view, the sinks and the listeners all learn of it.

A *sink* keeps events (a file, later a database): if it fails, the run fails, because a run that cannot be recorded did
not happen. A *listener* only looks (a live transcript, a progress bar, spans): if it fails, that is logged once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from duologue.context import Clock, SystemClock
from duologue.errors import JournalError
from duologue.journal.events import Event, RunFinished
from duologue.journal.view import RunView

logger = logging.getLogger("duologue.journal")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place. ``(run_id, seq)`` is unique; ``at`` is seconds since 1970 UTC."""

    run_id: str
    seq: int
    at: float
    event: Event


class JournalSink(Protocol):
    """Keeps entries."""

    def write(self, entry: Entry) -> None:
        """Keep this entry before returning."""
        ...

    def close(self) -> None:
        """The journal is complete."""
        ...


Listener = Callable[[Entry], None]


class Journal:
    """Append-only; knows its own view. Appending after the run has finished is an error."""

    def __init__(
        self,
        run_id: str,
        *,
        clock: Clock | None = None,
        sinks: Sequence[JournalSink] = (),
        listeners: Iterable[Listener] = (),
    ) -> None:
        self.run_id = run_id
        self.entries: list[Entry] = []
        self.view = RunView()
        self._clock = clock or SystemClock()
        self._sinks = tuple(sinks)
        self._listeners = list(listeners)
        self._lock = threading.Lock()

    def append(self, event: Event) -> Entry:
        """Record an event; returns it with its number and time.

        Raises:
            JournalError: the run has finished, or a sink could not keep the event.
        """
        with self._lock:
            if self.view.finished is not None:
                raise JournalError(f"run {self.run_id} has finished; '{event.type}' cannot be added to its journal")
            entry = Entry(self.run_id, len(self.entries), self._clock.now(), event)
            for sink in self._sinks:
                sink.write(entry)
            self.entries.append(entry)
            self.view.apply(event, entry.at)
        if self._listeners:
            self._tell(entry)
        if isinstance(event, RunFinished):
            for sink in self._sinks:
                sink.close()
        return entry

    @property
    def finished(self) -> bool:
        """Whether the last event is in."""
        return self.view.finished is not None

    def listen(self, listener: Listener) -> None:
        """Tell this listener of every event from now on."""
        self._listeners.append(listener)

    def _tell(self, entry: Entry) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(entry)
            except Exception:
                logger.exception("a listener of run %s failed and is left out from here on", self.run_id)
                self._listeners.remove(listener)
