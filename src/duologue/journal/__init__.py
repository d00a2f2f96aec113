"""A run is its journal: an append-only list of typed events. Everything else is a fold over it or listens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.journal.artifacts import Artifact, ArtifactStore, ArtifactWriter, FolderArtifacts, MemoryArtifacts
    from duologue.journal.events import SCHEMA_VERSION, Entry, Event, Transition
    from duologue.journal.journal import Journal, JournalSink, Listener, MemorySink, RunView, fold
    from duologue.journal.jsonl import JournalFile, JsonlJournal, JsonlSink, read_journal
    from duologue.journal.notes import Note
    from duologue.journal.run_journal import RecordedJournal, RunJournal

_HOMES = {
    "Artifact": ".artifacts",
    "ArtifactStore": ".artifacts",
    "ArtifactWriter": ".artifacts",
    "Entry": ".events",
    "Event": ".events",
    "FolderArtifacts": ".artifacts",
    "Journal": ".journal",
    "JournalFile": ".jsonl",
    "JournalSink": ".journal",
    "JsonlJournal": ".jsonl",
    "JsonlSink": ".jsonl",
    "Listener": ".journal",
    "MemoryArtifacts": ".artifacts",
    "MemorySink": ".journal",
    "Note": ".notes",
    "RecordedJournal": ".run_journal",
    "RunJournal": ".run_journal",
    "RunView": ".journal",
    "SCHEMA_VERSION": ".events",
    "Transition": ".events",
    "fold": ".journal",
    "read_journal": ".jsonl",
}

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
