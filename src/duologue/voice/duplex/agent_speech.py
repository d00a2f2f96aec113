"""Whether the agent is speaking, in what is heard of it.

Looked at for every frame of every call, so it has to be cheap: speech is what is louder than the line. A transport that
sends sound only while the agent speaks has no noise; on others the level of the noise is learnt from the quietest
frames of the last seconds. What is as loud as speech counts as speech, tones and music included.
"""

from __future__ import annotations

from collections import deque
from math import log10

import numpy as np

_PEAK = 200
"""Of 32,768: a frame whose loudest sample is below it is silent on every line."""
_OVER_NOISE = 12.0
"""Decibels by which speech is louder than the line."""
_MOST_NOISE, _LEAST_NOISE = -30.0, -65.0
"""Decibels of the loudest possible sample: what is louder than the first is no noise."""
_LEARNT = 200
"""Frames that the noise is learnt from: 4 seconds."""
_FIRST = 50
"""Frames until something is known of it."""
_AGAIN = 25
"""Frames after which it is looked at again."""
HANGOVER = 0.35
"""Seconds of silence after which speech is over."""


class AgentSpeech:
    """Finds speech in frames that follow each other.

    Args:
        learn_noise: the line may have noise.

    Attributes:
        is_speaking: now, short pauses included.
        began: when it began to.
        audible: until when it was heard.
    """

    def __init__(self, *, learn_noise: bool) -> None:
        self.is_speaking = False
        self.began = 0.0
        self.audible = -1.0
        self._levels: deque[float] | None = deque(maxlen=_LEARNT) if learn_noise else None
        self._noise = _LEAST_NOISE
        self._until_again = _FIRST

    def frame(self, frame: bytes | None, at: float, seconds: float) -> bool:
        """The next frame; whether speech is heard in it.

        Args:
            frame: PCM16; None where nothing came.
            at: when it begins.
            seconds: how long it is.
        """
        if frame is not None and self._is_loud(frame):
            if not self.is_speaking:
                self.is_speaking, self.began = True, at
            self.audible = at + seconds
            return True
        if self.is_speaking and at + seconds - self.audible >= HANGOVER:
            self.is_speaking = False
        return False

    def _is_loud(self, frame: bytes) -> bool:
        samples = np.frombuffer(frame, dtype="<i2")
        quiet = samples.max() < _PEAK and samples.min() > -_PEAK
        if self._levels is None:
            return not quiet
        level = _LEAST_NOISE if quiet else _level(samples.astype(np.float32))
        self._levels.append(level)
        self._until_again -= 1
        if not self._until_again:
            self._until_again = _AGAIN
            tenth = sorted(self._levels)[len(self._levels) // 10]
            self._noise = min(max(tenth, _LEAST_NOISE), _MOST_NOISE)
        return not quiet and level >= self._noise + _OVER_NOISE


def _level(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    """Decibels, of which 0 is as loud as can be."""
    return 10 * log10(max(float(np.dot(samples, samples)) / len(samples) / 32_768**2, 1e-10))
