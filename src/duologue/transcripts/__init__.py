"""A conversation as data: recordings of other systems, and renderings of messages for judges and people.

Readers of recordings are only loaded when they are used: judges need the renderings alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.transcripts.reader import find_recordings, read_recordings
    from duologue.transcripts.recording import RecordedCall, RecordedMessage, Recording

__all__ = ["RecordedCall", "RecordedMessage", "Recording", "find_recordings", "read_recordings"]

_HOMES = {
    "RecordedCall": ".recording",
    "RecordedMessage": ".recording",
    "Recording": ".recording",
    "find_recordings": ".reader",
    "read_recordings": ".reader",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
