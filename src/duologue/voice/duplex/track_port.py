"""Where the sound of a call goes while it takes place."""

from __future__ import annotations

from typing import Protocol

from duologue.voice.timeline import AudioSegment, VoiceEvent


class Track(Protocol):
    """Keeps the sound of a call. Called on the event loop of voice, so none of it may block. Its owner closes it."""

    def frame(self, user: bytes, agent: bytes) -> None:
        """Both sides of the next 20 ms: PCM16, mono, 24 kHz, 960 bytes each."""
        ...

    def segment(self, segment: AudioSegment) -> None:
        """Somebody has spoken; the segment holds no sound."""
        ...

    def event(self, event: VoiceEvent) -> None:
        """Something has happened; events come in the order in which they are known, which may not be that of time."""
        ...


class NoTrack:
    """Keeps nothing."""

    def frame(self, user: bytes, agent: bytes) -> None:
        """Not kept."""

    def segment(self, segment: AudioSegment) -> None:
        """Not kept."""

    def event(self, event: VoiceEvent) -> None:
        """Not kept."""
