"""A conversation as data: recordings of other systems, and renderings of messages for judges and people.

Readers of recordings are only loaded when they are used: judges need the renderings alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duologue.transcripts.reader import find_recordings, read_recordings
    from duologue.transcripts.recording import RecordedCall, RecordedMessage, Recording

__all__ = ["RecordedCall", "RecordedMessage", "Recording", "find_recordings", "read_recordings"]

_HOMES = {
    "RecordedCall": "recording",
    "RecordedMessage": "recording",
    "Recording": "recording",
    "find_recordings": "reader",
    "read_recordings": "reader",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
