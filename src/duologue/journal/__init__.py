"""A run is its journal: an append-only list of typed events. Everything else is a fold over it or listens to it."""

from duologue.journal.artifacts import Artifact, ArtifactStore, ArtifactWriter, FolderArtifacts, MemoryArtifacts
from duologue.journal.events import SCHEMA_VERSION, Entry, Event, Transition
from duologue.journal.journal import Journal, JournalSink, Listener, MemorySink, RunView, fold
from duologue.journal.jsonl import JournalFile, JsonlSink, read_journal
from duologue.journal.notes import Note

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
    "JsonlSink",
    "Listener",
    "MemoryArtifacts",
    "MemorySink",
    "Note",
    "RunView",
    "Transition",
    "fold",
    "read_journal",
]
