"""Sounds that are told apart after a codec, and what is left running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import numpy as np

from duologue.voice.audio import SAMPLE_RATE, AudioChunk

FRAME = SAMPLE_RATE // 50 * 2
"""Bytes of 20 ms."""


def tone(hertz: float, seconds: float) -> bytes:
    """PCM16, mono, 24 kHz."""
    at = np.arange(round(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    return (np.sin(2 * np.pi * hertz * at) * 8_000).astype("<i2").tobytes()


def vowels(seconds: float, hertz: float = 140, each_second: float = 4) -> bytes:
    """PCM16 of somebody who says vowels, which a detector of speech takes for speech, as it does not take a tone."""
    at = np.arange(round(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    pitch = hertz * (1 + 0.12 * np.sin(2 * np.pi * 0.9 * at))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    open_ = 0.5 + 0.5 * np.sin(2 * np.pi * each_second * at)
    formants = ((700, 320, 120, 1.0), (1200, 2100, 180, 0.6), (2600, 2900, 250, 0.3))
    sound = np.zeros_like(at)
    for number in range(1, 35):
        loudness = 0.01 + sum(
            share * np.exp(-(((number * pitch - first * open_ - second * (1 - open_)) / width) ** 2))
            for first, second, width, share in formants
        )
        sound += loudness * np.sin(number * phase)
    sound *= np.clip(0.6 + 0.6 * np.sin(2 * np.pi * each_second * at + 1), 0.05, 1)
    return (sound / np.abs(sound).max() * 14_000).astype("<i2").tobytes()


def frames(pcm: bytes) -> list[AudioChunk]:
    """Frames of 20 ms."""
    return [AudioChunk(data=pcm[at : at + FRAME]) for at in range(0, len(pcm), FRAME)]


def level(pcm: bytes) -> float:
    """Root mean square; 0 of nothing."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    return float(np.sqrt((samples**2).mean())) if len(samples) else 0.0


def loudest_hertz(pcm: bytes) -> float:
    """The frequency with the most energy."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


def loud_seconds(pcm: bytes, threshold: float = 1_000) -> float:
    """Seconds of the frames that are louder."""
    return sum(0.02 for frame in frames(pcm) if level(frame.data) > threshold)


@asynccontextmanager
async def nothing_left() -> AsyncGenerator[None]:
    """Fails if tasks or threads that were begun in the block are still there after it."""
    tasks = asyncio.all_tasks()
    threads = set(threading.enumerate())
    yield
    left: set[asyncio.Task[object]] = set()
    running: list[threading.Thread] = []
    for _ in range(200):
        left = asyncio.all_tasks() - tasks
        # Threads of the loop's own pool stay until the loop is closed.
        running = [one for one in threading.enumerate() if one not in threads and not one.name.startswith("asyncio_")]
        if not left and not running:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still there: tasks {left}, threads {running}")
