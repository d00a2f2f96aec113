"""Sound as it is passed around: PCM with 16 bits, little-endian, one channel, 24,000 samples a second."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

SAMPLE_RATE = 24_000
"""Samples a second."""
CHANNELS = 1
SAMPLE_WIDTH = 2
"""Bytes of a sample."""
FRAME_SECONDS = 0.02
"""Length of the frames in which sound is sent and heard."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of sound.

    Attributes:
        data: PCM16, little-endian, mono, 24 kHz.
        transcript: what is said in it, as far as it is known.
        start_time, end_time: seconds since the conversation began.

    Raises:
        ValueError: the data end in the middle of a sample.
    """

    data: bytes
    transcript: str | None = None
    start_time: float | None = None
    end_time: float | None = None

    def __post_init__(self) -> None:
        if len(self.data) % SAMPLE_WIDTH:
            raise ValueError(f"PCM16 has two bytes for each sample; found {len(self.data)} bytes, an odd number")

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return SAMPLE_RATE

    @property
    def channels(self) -> int:
        """One."""
        return CHANNELS

    @property
    def duration_seconds(self) -> float:
        """How long it is."""
        return seconds_of(len(self.data))

    def wav(self) -> bytes:
        """The chunk as the bytes of a WAV file."""
        return wav_from(self.data)

    @classmethod
    def merged(cls, chunks: Iterable[Self]) -> AudioChunk:
        """Chunks that follow each other, as one; transcripts are joined by spaces."""
        parts = list(chunks)
        said = [chunk.transcript for chunk in parts if chunk.transcript]
        starts = [chunk.start_time for chunk in parts if chunk.start_time is not None]
        ends = [chunk.end_time for chunk in parts if chunk.end_time is not None]
        return AudioChunk(
            data=b"".join(chunk.data for chunk in parts),
            transcript=" ".join(said) if said else None,
            start_time=min(starts, default=None),
            end_time=max(ends, default=None),
        )


def silent_chunk(seconds: float) -> AudioChunk:
    """Silence.

    Args:
        seconds: of it; 0 or more.
    """
    if not 0 <= seconds <= 86_400:
        raise ValueError(f"silence lasts 0 to 86,400 seconds; found {seconds}")
    return AudioChunk(data=bytes(bytes_of(seconds)))


def bytes_of(seconds: float, sample_rate: int = SAMPLE_RATE) -> int:
    """How many bytes of PCM16 a time has, to the nearest sample."""
    return round(seconds * sample_rate) * SAMPLE_WIDTH


def seconds_of(size: int, sample_rate: int = SAMPLE_RATE) -> float:
    """How long so many bytes of PCM16 are."""
    return size / (sample_rate * SAMPLE_WIDTH)


def wav_from(data: bytes, *, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    """PCM16 as a WAV file.

    Args:
        data: with the samples of several channels side by side.
        sample_rate: samples a second, of each channel.
        channels: 1 or 2.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(SAMPLE_WIDTH)
        writer.setframerate(sample_rate)
        writer.writeframes(data)
    return file.getvalue()


def is_wav(data: bytes) -> bool:
    """Whether bytes begin as a WAV file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"
