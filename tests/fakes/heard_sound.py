"""Sound that was sent, and what of it has arrived: how alike they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np

from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.incoming import Incoming

FRAME = 960
"""Bytes of 20 ms."""


def voice_like(seconds: float, pitch: float = 180.0) -> bytes:
    """A sound with the spectrum and the rhythm of a voice, below the limits of a telephone: PCM16, 24 kHz."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * at))) / SAMPLE_RATE
    sound = sum(np.sin(number * phase) / number for number in range(1, 15))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.1 * at)
    edges = np.minimum(1.0, np.minimum(at, at[::-1]) / 0.05)
    return np.rint(sound * syllables * edges * 5_000).astype("<i2").tobytes()


def frames_of(pcm: bytes) -> list[AudioChunk]:
    """Frames of 20 ms."""
    return [AudioChunk(pcm[at : at + FRAME]) for at in range(0, len(pcm), FRAME)]


def sound_of(items: Iterable[Incoming]) -> bytes:
    """All sound among what came."""
    return b"".join(item.data for item in items if isinstance(item, AudioChunk))


def likeness(sent: bytes, heard: bytes) -> float:
    """Decibels by which the sound is stronger than what was added to it on its way, where the two fit best.

    A single click between two frames costs 10 dB or more of what telephones keep.
    """
    a = np.frombuffer(sent, dtype="<i2").astype(np.float64)
    b = np.frombuffer(heard, dtype="<i2").astype(np.float64)
    size = 1 << int(np.ceil(np.log2(len(a) + len(b))))
    correlation = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    lag = int(np.argmax(correlation))
    lag = lag - size if lag > size // 2 else lag
    if lag >= 0:
        b = b[lag:]
    else:
        a = a[-lag:]
    count = min(len(a), len(b)) - 800  # the ends, where filters begin and end
    a, b = a[400:count], b[400:count]
    gain = float(a @ b / (a @ a))
    rest = b - gain * a
    return float(10 * np.log10((gain * gain * (a @ a)) / max(1e-9, float(rest @ rest))))


async def talk(adapter: VoiceAgentAdapter, pcm: bytes) -> None:
    """Send a turn of the user, frame by frame, as fast as it goes."""
    await adapter.begin_user_turn()
    for frame in frames_of(pcm):
        await adapter.send_audio(frame)
        await asyncio.sleep(0)
    await adapter.end_user_turn()


async def hear(adapter: VoiceAgentAdapter, seconds: float, timeout: float = 600.0) -> list[Incoming]:
    """What comes, until there is so much sound among it."""
    items: list[Incoming] = []
    heard = 0.0
    while heard < seconds - 1e-6:
        items.append(await adapter.receive(timeout))
        if isinstance(items[-1], AudioChunk):
            heard += items[-1].duration_seconds
    return items
