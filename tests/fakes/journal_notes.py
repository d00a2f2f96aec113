"""Notes as plain data, for tests that compare them field by field."""

from __future__ import annotations

from typing import Any

from duologue.journal.notes import Note, note_to_data


def note_fields(note: Note) -> dict[str, Any]:
    """The fields of a note that are not at their defaults' None, without its kind."""
    return {name: value for name, value in note_to_data(note).items() if name != "kind" and value is not None}
