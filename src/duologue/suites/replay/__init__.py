"""Recordings of conversations, judged again with today's checks and judges.

    from duologue.suites.replay import read_recordings, replay, replay_file

What was recorded is not asked for again: no agent is called, no tool is run, no key is needed but those of judges.
"""

from duologue.suites.replay.files import RecordingIndex, Replayed, replay_file
from duologue.suites.replay.play import prepare_replay, replay
from duologue.transcripts.reading import find_recordings, read_recordings
from duologue.transcripts.recording import RecordedCall, RecordedMessage, Recording

__all__ = [
    "RecordedCall",
    "RecordedMessage",
    "Recording",
    "RecordingIndex",
    "Replayed",
    "find_recordings",
    "prepare_replay",
    "read_recordings",
    "replay",
    "replay_file",
]
