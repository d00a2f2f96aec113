"""A run is its journal: an append-only list of typed events. Everything else is a fold over it or listens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duologue.journal.artifacts import Artifact, ArtifactStore, ArtifactWriter, FolderArtifacts, MemoryArtifacts
    from duologue.journal.events import SCHEMA_VERSION, Entry, Event, Transition
    from duologue.journal.journal import Journal, JournalSink, Listener, MemorySink, RunView, fold
    from duologue.journal.jsonl import JournalFile, JsonlJournal, JsonlSink, read_journal
    from duologue.journal.notes import Note
    from duologue.journal.run_journal import RecordedJournal, RunJournal

__all__ = [
    "SCHEMA_VERSION",
    "Artifact",
    "ArtifactStore",
    "ArtifactWriter",
    "Entry",
    "Event",
    "FolderArtifacts",
    "Journal",
    "JournalFile",
    "JournalSink",
    "JsonlJournal",
    "JsonlSink",
    "Listener",
    "MemoryArtifacts",
    "MemorySink",
    "Note",
    "RecordedJournal",
    "RunJournal",
    "RunView",
    "Transition",
    "fold",
    "read_journal",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for: who only looks at events needs no journal."""
    if name in {"Artifact", "ArtifactStore", "ArtifactWriter", "FolderArtifacts", "MemoryArtifacts"}:
        from duologue.journal import artifacts as home
    elif name in {"SCHEMA_VERSION", "Entry", "Event", "Transition"}:
        from duologue.journal import events as home
    elif name in {"Journal", "JournalSink", "Listener", "MemorySink", "RunView", "fold"}:
        from duologue.journal import journal as home
    elif name in {"JournalFile", "JsonlJournal", "JsonlSink", "read_journal"}:
        from duologue.journal import jsonl as home
    elif name in {"RecordedJournal", "RunJournal"}:
        from duologue.journal import run_journal as home
    elif name == "Note":
        from duologue.journal import notes as home
    else:
        raise AttributeError(f"module 'duologue.journal' has no attribute '{name}'")
    return getattr(home, name)
