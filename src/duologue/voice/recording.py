"""What was heard in a conversation: segments of both speakers on one timeline, mixed, and as files."""

from __future__ import annotations

import asyncio
import json
import logging
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np

from duologue.config.files import write_atomic
from duologue.context import SystemClock
from duologue.errors import ArtifactError, ModelError
from duologue.voice.audio import SAMPLE_RATE, AudioChunk, wav_from
from duologue.voice.files import encode_audio, save_audio
from duologue.voice.recognition import STTProvider, get_stt_provider, transcribe
from duologue.voice.timeline import AudioSegment, Speaker, VoiceEvent

logger = logging.getLogger("duologue.voice")

_AT_ONCE = 4
"""Segments that are recognised at a time."""
_CHANNELS: tuple[Speaker, ...] = ("user", "agent")
"""Left and right."""


class StoredSound:
    """The sound of a recording that lies in a WAV file: read when it is asked for, piece by piece.

    Args:
        opened: opens the file. Raises ArtifactError: it is missing.
        duration: seconds; None for as long as the file says.
    """

    def __init__(self, opened: Callable[[], BinaryIO], duration: float | None = None) -> None:
        self._opened, self._duration = opened, duration

    @property
    def duration(self) -> float:
        """Seconds."""
        if self._duration is None:
            with self._opened() as file, _reading(file) as sound:
                self._duration = sound.getnframes() / SAMPLE_RATE
        return self._duration

    def pieces(self, start: float = 0.0, end: float | None = None) -> Iterator[bytes]:
        """PCM16, 24 kHz, two channels, in pieces of a second.

        Args:
            start, end: seconds since the conversation began; None for the end.
        """
        with self._opened() as file, _reading(file) as sound:
            first = min(max(0, round(start * SAMPLE_RATE)), sound.getnframes())
            last = sound.getnframes() if end is None else min(round(end * SAMPLE_RATE), sound.getnframes())
            sound.setpos(first)
            while first < last and (piece := sound.readframes(min(SAMPLE_RATE, last - first))):
                first += len(piece) // 4
                yield piece

    def channel(self, speaker: Speaker, start: float = 0.0, end: float | None = None) -> bytes:
        """What was heard of one of them, as PCM16, 24 kHz, mono."""
        column = _CHANNELS.index(speaker)
        both = (np.frombuffer(piece, dtype="<i2").reshape(-1, 2) for piece in self.pieces(start, end))
        return b"".join(piece[:, column].tobytes() for piece in both)


def _reading(file: BinaryIO) -> wave.Wave_read:
    try:
        sound = wave.open(file)  # noqa: SIM115 - closed by whoever has asked
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk is longer than the file
        raise ArtifactError(f"the recording cannot be read as a WAV file: {error}") from error
    if (sound.getsampwidth(), sound.getnchannels(), sound.getframerate()) != (2, 2, SAMPLE_RATE):
        raise ArtifactError(
            f"the recording has {sound.getnchannels()} channels, {8 * sound.getsampwidth()} bits and "
            f"{sound.getframerate()} samples a second; expected 2, 16 and {SAMPLE_RATE}"
        )
    return sound


class SegmentsWithSound(Sequence[AudioSegment]):
    """Segments whose sound is read when they are asked for, so that a long call is never in memory as a whole."""

    def __init__(self, segments: Sequence[AudioSegment], sound: StoredSound) -> None:
        self._segments, self._sound = segments, sound

    @property
    def silent(self) -> Sequence[AudioSegment]:
        """The same without their sound."""
        return self._segments

    def __len__(self) -> int:
        return len(self._segments)

    @overload
    def __getitem__(self, index: int) -> AudioSegment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[AudioSegment]: ...
    def __getitem__(self, index: int | slice) -> AudioSegment | Sequence[AudioSegment]:
        if isinstance(index, slice):
            return SegmentsWithSound(self._segments[index], self._sound)
        found = self._segments[index]
        return replace(found, audio=self._sound.channel(found.speaker, found.start_time, found.end_time))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SegmentsWithSound) and self._segments == other._segments

    __hash__ = None  # pyright: ignore[reportAssignmentType]


@dataclass(slots=True)
class VoiceRecording:
    """The sound of a conversation.

    Attributes:
        segments: in which somebody spoke, with what was heard.
        timeline: what happened.
        sound: of the whole conversation, where it was recorded; None for what the segments hold.
    """

    segments: Sequence[AudioSegment] = ()
    timeline: Sequence[VoiceEvent] = ()
    sound: StoredSound | None = field(default=None, repr=False, compare=False)

    @property
    def duration(self) -> float:
        """Seconds until the last of them was silent."""
        return max((segment.end_time for segment in self.silent), default=0.0)

    @property
    def full_wav(self) -> bytes:
        """The whole conversation as a WAV file: the user left, the agent right, silence and overlap as they were."""
        return wav_from(self.stereo(), channels=2)

    def stereo(self) -> bytes:
        """The whole conversation as PCM16, 24 kHz, two channels: the user left, the agent right."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The same in pieces, so that a long call need not be in memory as a whole."""
        if self.sound is not None:
            yield from self.sound.pieces()
            return
        mixed = np.zeros((self._samples(), 2), dtype=np.int32)
        for segment in self.segments:
            sound = np.frombuffer(segment.audio[: len(segment.audio) // 2 * 2], dtype="<i2")
            at = round(segment.start_time * SAMPLE_RATE)
            mixed[at : at + len(sound), _CHANNELS.index(segment.speaker)] += sound
        yield np.clip(mixed, -32_768, 32_767).astype("<i2").tobytes()

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
        return save_audio(path, self.pieces(), format=format, channels=2)

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
            for index, segment in enumerate(self._ordered(self.silent))
        ]
        for name, segment in zip(names, self._with_sound(), strict=True):
            write_atomic(target / name, wav_from(segment.audio))
        self.save(target / "full.wav")
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
                for index, segment in enumerate(self._ordered(self.silent))
            ],
            "events": [_event(event) for event in sorted(self.timeline, key=lambda event: event.time)],
        }

    @property
    def silent(self) -> Sequence[AudioSegment]:
        """The segments, whose sound is not loaded for this."""
        return self.segments.silent if isinstance(self.segments, SegmentsWithSound) else self.segments

    def _with_sound(self) -> Sequence[AudioSegment]:
        """The segments in order of time. Those that are stored are in order, and only one of them is in memory."""
        return self.segments if isinstance(self.segments, SegmentsWithSound) else self._ordered(self.segments)

    @staticmethod
    def _ordered(segments: Sequence[AudioSegment]) -> list[AudioSegment]:
        return sorted(segments, key=lambda segment: segment.start_time)

    def _samples(self) -> int:
        return max((round(item.start_time * SAMPLE_RATE) + len(item.audio) // 2 for item in self.segments), default=0)


async def transcribe_segments(
    recording: VoiceRecording, provider: STTProvider | None = None, only_missing: bool = True
) -> VoiceRecording:
    """Recognise what was said in segments. The recording is changed, and returned.

    A segment that cannot be recognised stays as it is, and that is logged: what was said is never made up.

    Args:
        recording: of a conversation.
        provider: of speech to text; None for the usual one.
        only_missing: leave segments alone that have a transcript. Those that were cut off are recognised, too, unless
            they have been already: less was heard of them than their transcript may say.

    Raises:
        ConfigurationError: there is no provider, or it lacks a key or a package.
    """
    chosen = provider or get_stt_provider()
    slots = asyncio.Semaphore(_AT_ONCE)

    async def recognised(index: int) -> AudioSegment:
        silent = recording.silent[index]
        missing = not silent.transcript or (silent.transcript_truncated and silent.recognised is None)
        if only_missing and not missing:
            return silent
        async with slots:
            heard = recording.segments[index].audio
            if not heard:
                return silent
            try:
                text = await transcribe(AudioChunk(heard[: len(heard) // 2 * 2]), chosen)
            except ModelError as error:
                logger.warning("a segment is not recognised: %s", error)
                return silent
            return replace(silent, transcript=text, recognised=text)

    found = await asyncio.gather(*(recognised(index) for index in range(len(recording.segments))))
    if recording.sound is not None:
        recording.segments = SegmentsWithSound([replace(item, audio=b"") for item in found], recording.sound)
    else:
        recording.segments = found
    return recording


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
