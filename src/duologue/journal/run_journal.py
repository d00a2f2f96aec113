"""Where the journal of one run is kept, whether that is a file or a database: the port that runs are resumed through.

It is read before the run begins, and written by the sink that continues it. Reading does not wait for anything: what is
not on this machine has been loaded before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Protocol

from duologue.frozen import frozen
from duologue.journal.artifacts import ArtifactStore
from duologue.journal.events import Entry, ModelCalled, Transition
from duologue.journal.journal import JournalSink, RunView


@frozen
class RecordedJournal:
    """A journal that was read.

    Attributes:
        name: of the journal, for messages: its file, or which run it is of.
        transitions: what happened at once, in order; at least one.
        torn: why its end was left out, or None when it is whole.
        missing: media that could not be read, a sentence each; a sentence takes their place in the events.
    """

    name: str
    transitions: list[Transition]
    torn: str | None = None
    missing: Sequence[str] = field(default_factory=tuple)

    @property
    def entries(self) -> list[Entry]:
        """All events in order."""
        return [entry for transition in self.transitions for entry in transition]

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
        return bool(self.transitions) and self.transitions[-1][-1].event.type == "run_finished"


class RunJournal(Protocol):
    """Where the journal of one run is kept. It holds the current attempt; those before it are kept as well."""

    @property
    def path(self) -> Path | None:
        """Its file; None where it is kept in something else."""
        ...

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps media of the run, unless the run has a store of its own."""
        ...

    @property
    def exists(self) -> bool:
        """Whether anything of the run is recorded."""
        ...

    def read(self) -> RecordedJournal:
        """What is recorded of the current attempt.

        Raises:
            JournalError: there is nothing, or it is damaged. It cannot be read now if the cause is an OSError.
        """
        ...

    def set_aside(self, why: str) -> None:
        """Keep what is recorded as an earlier attempt, so that a new one begins. Harmless if there is nothing.

        Args:
            why: ``attempt-1`` and so on for one that cannot be continued, ``replaced`` or ``unreadable``.
        """
        ...

    def earlier_calls(self) -> Iterable[ModelCalled]:
        """The model calls of attempts that were set aside and still count: not those that were replaced."""
        ...

    def sink(self, *, kept: int | None = None, artifacts: ArtifactStore | None = None) -> JournalSink:
        """What continues the journal.

        Args:
            kept: how many transitions of the recorded ones stay; what comes after them is removed with the first write.
                None to begin a journal: there must be none.
            artifacts: keeps media of messages; None for :attr:`artifacts`.
        """
        ...
