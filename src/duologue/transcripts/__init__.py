"""A conversation as data: recordings of other systems, and renderings of messages for judges and people."""

from duologue.transcripts.reading import find_recordings, read_recordings
from duologue.transcripts.recording import RecordedCall, RecordedMessage, Recording

__all__ = ["RecordedCall", "RecordedMessage", "Recording", "find_recordings", "read_recordings"]
