"""What was heard in a conversation: segments of both speakers on one timeline, mixed, and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from duologue.config.files import write_atomic
from duologue.context import SystemClock
from duologue.voice.audio import SAMPLE_RATE, wav_from
from duologue.voice.files import encode_audio, save_audio
from duologue.voice.timeline import AudioSegment, Speaker, VoiceEvent

_CHANNELS: tuple[Speaker, ...] = ("user", "agent")
"""Left and right."""


@dataclass(frozen=True, slots=True)
class VoiceRecording:
    """The sound of a conversation.

    Attributes:
        segments: in which somebody spoke, with what was heard.
        timeline: what happened.
    """

    segments: Sequence[AudioSegment] = ()
    timeline: Sequence[VoiceEvent] = ()

    @property
    def duration(self) -> float:
        """Seconds until the last of them was silent."""
        return max((segment.end_time for segment in self.segments), default=0.0)

    @property
    def full_wav(self) -> bytes:
        """The whole conversation as a WAV file: the user left, the agent right, silence and overlap as they were."""
        return wav_from(self.stereo(), channels=2)

    def stereo(self) -> bytes:
        """The whole conversation as PCM16, 24 kHz, two channels: the user left, the agent right."""
        mixed = np.zeros((self._samples(), 2), dtype=np.int32)
        for segment in self.segments:
            sound = np.frombuffer(segment.audio[: len(segment.audio) // 2 * 2], dtype="<i2")
            at = round(segment.start_time * SAMPLE_RATE)
            mixed[at : at + len(sound), _CHANNELS.index(segment.speaker)] += sound
        return np.clip(mixed, -32_768, 32_767).astype("<i2").tobytes()

    def mono(self, speaker: Speaker | None = None) -> bytes:
        """One channel as PCM16, 24 kHz.

        Args:
            speaker: who is heard; None for both.
        """
        both = np.frombuffer(self.stereo(), dtype="<i2").reshape(-1, 2)
        if speaker is not None:
            return both[:, _CHANNELS.index(speaker)].tobytes()
        return np.clip(both.astype(np.int32).sum(axis=1), -32_768, 32_767).astype("<i2").tobytes()

    def save(self, path: str | Path, format: str | None = None) -> Path:
        """Write the conversation into a file, in stereo.

        Args:
            path: of the file.
            format: ``wav``, ``mp3``, ``ogg`` or ``flac``; None for what the name ends on.

        Returns:
            The path.

        Raises:
            ValueError: the format is another.
        """
        return save_audio(path, self.stereo(), format=format, channels=2)

    def encoded(self, format: str) -> bytes:
        """The conversation as the bytes of a file, in stereo; see :meth:`save`."""
        return encode_audio(self.stereo(), format, channels=2)

    def save_segments(self, folder: str | Path, manifest: bool = True) -> Path:
        """Write each segment into a file of its own, the whole into ``full.wav``, and what there is into a manifest.

        Args:
            folder: made if it is missing.
            manifest: whether ``manifest.json`` is written.

        Returns:
            The folder.
        """
        target = Path(folder)
        (target / "segments").mkdir(parents=True, exist_ok=True)
        names = [
            f"segments/{index:02d}-{segment.speaker}-{round(segment.start_time * 1000):04d}ms.wav"
            for index, segment in enumerate(self._ordered())
        ]
        for name, segment in zip(names, self._ordered(), strict=True):
            write_atomic(target / name, wav_from(segment.audio))
        write_atomic(target / "full.wav", self.full_wav)
        if manifest:
            write_atomic(target / "manifest.json", json.dumps(self.manifest(names), indent=2, ensure_ascii=False))
        return target

    def manifest(self, files: Sequence[str] = ()) -> dict[str, Any]:
        """What the recording holds, as JSON.

        Args:
            files: of the segments, in the order in which they begin.
        """
        return {
            "generated_at": datetime.fromtimestamp(SystemClock().now(), UTC).isoformat(),
            "duration": self.duration,
            "segment_count": len(self.segments),
            "segments": [
                _segment(index, segment, files[index] if index < len(files) else None)
                for index, segment in enumerate(self._ordered())
            ],
            "events": [_event(event) for event in sorted(self.timeline, key=lambda event: event.time)],
        }

    def _ordered(self) -> list[AudioSegment]:
        return sorted(self.segments, key=lambda segment: segment.start_time)

    def _samples(self) -> int:
        return max((round(item.start_time * SAMPLE_RATE) + len(item.audio) // 2 for item in self.segments), default=0)


def _segment(index: int, segment: AudioSegment, file: str | None) -> dict[str, Any]:
    described = {
        "idx": index,
        "file": file,
        "role": segment.speaker,
        "start_time": segment.start_time,
        "end_time": segment.end_time,
        "duration": segment.duration,
        "transcript": segment.transcript,
        "purpose": segment.purpose.value,
    }
    return described | ({"transcript_truncated": True} if segment.transcript_truncated else {})


def _event(event: VoiceEvent) -> Mapping[str, Any]:
    more = {
        "latency": event.latency,
        "name": event.name,
        "args": event.args,
        "result": event.result,
        "metadata": event.metadata,
    }
    given = {name: value for name, value in more.items() if value is not None}
    return {"time": event.time, "type": event.type, **given}
