"""From one sample rate to another, in pieces of any size, without clicks where two pieces meet.

A polyphase filter: a sinc under a Kaiser window, of which only the taps are calculated that an output needs. Source:
A. V. Oppenheim, R. W. Schafer, *Discrete-Time Signal Processing*, 3rd ed., sections 4.6 and 7.5.3.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_ZEROS = 16
"""Zero crossings of the sinc on each side: the passband reaches 0.91 of the lower of the two Nyquist frequencies."""
_ROLL_OFF = 0.955
"""The filter's cut-off, as a share of the lower Nyquist frequency."""
_BETA = 8.0
"""Of the Kaiser window: what folds back is 80 dB down."""
_FEW_PHASES = 8
_MOST_PHASES = 1024
"""Of a filter. Between rates that have little in common there are more, which are found between two of these: the
error is 120 dB down, and without that a filter would have up to 100 MB."""
_AT_ONCE = 16_384
"""Samples that go in or come out at a time: for each that comes out, all of its taps are in memory."""
MOST = 768_000
"""Samples a second, at most."""


class Resampler:
    """Turns a stream of PCM16 samples into one of another rate.

    What comes out follows what goes in by half the filter, 16 samples of the lower rate; ``flush`` gives the rest.
    All pieces together are what the whole would have given, whatever their sizes.

    Args:
        source: samples a second that go in.
        target: samples a second that come out.
    """

    def __init__(self, source: int, target: int) -> None:
        for name, rate in (("source", source), ("target", target)):
            if not 1 <= rate <= MOST:
                raise ValueError(f"{name} is {rate}; expected 1 to {MOST} samples a second")
        common = gcd(source, target)
        self._up, self._down = target // common, source // common
        self._same = source == target
        self._filter = _phases(self._up, self._down)
        self._taps = int(self._filter.shape[1])
        self._reset()

    def _reset(self) -> None:
        self._held = np.zeros(self._taps // 2 - 1, dtype=np.float32)
        self._first = -(self._taps // 2 - 1)  # place of the first sample held, in all that went in
        self._received = 0
        self._made = 0
        self._odd = b""

    def process(self, pcm: bytes) -> bytes:
        """The samples that can be calculated now.

        Args:
            pcm: the next samples, or some bytes of them.
        """
        data = self._odd + pcm
        even = len(data) // 2 * 2
        self._odd = data[even:]
        if self._same:
            return data[:even]
        samples = np.frombuffer(data, dtype="<i2", count=even // 2)
        self._received += len(samples)
        step = max(1, min(_AT_ONCE, _AT_ONCE * self._down // self._up))
        if len(samples) <= step:
            return self._next(samples)
        return b"".join(self._next(samples[at : at + step]) for at in range(0, len(samples), step))

    def flush(self) -> bytes:
        """The rest, as if silence followed. After it another stream can begin."""
        if self._same:
            self._reset()
            return b""
        ends = ceil(self._received * self._up / self._down)
        rest = self._next(np.zeros(self._taps, dtype=np.float32), ends)
        self._reset()
        return rest

    def _next(self, samples: NDArray[Any], ends: int | None = None) -> bytes:
        self._held = np.concatenate([self._held, samples], dtype=np.float32)
        # An output at the input's place p is made of the samples p - taps/2 + 1 … p + taps/2.
        last = self._first + len(self._held) - 1 - self._taps // 2
        until = (last + 1) * self._up
        count = max(0, -(-until // self._down) - self._made)
        if ends is not None:
            count = min(count, ends - self._made)
        if count <= 0:
            return b""
        at = (self._made + np.arange(count, dtype=np.int64)) * self._down
        places, phases = at // self._up, at % self._up
        begins = places - (self._taps // 2 - 1) - self._first
        windows = sliding_window_view(self._held, self._taps)
        if self._up <= _FEW_PHASES:
            # All phases at once are one product of matrices, which is quicker than choosing the taps of each output.
            used = windows[begins] if self._up == 1 else windows[begins[0] : begins[-1] + 1]
            every = used @ self._filter.T
            made = every[:, 0] if self._up == 1 else every[begins - begins[0], phases]
        elif self._up <= _MOST_PHASES:
            made = np.einsum("ij,ij->i", windows[begins], self._filter[phases])
        else:
            rows, between = np.divmod(phases * _MOST_PHASES, self._up)
            share = (between / self._up).astype(np.float32)[:, None]
            taps = self._filter[rows] * (1 - share) + self._filter[rows + 1] * share
            made = np.einsum("ij,ij->i", windows[begins], taps)
        self._made += count
        keep = (self._made * self._down) // self._up - (self._taps // 2 - 1) - self._first
        self._held, self._first = self._held[keep:], self._first + keep
        return np.clip(np.rint(made), -32_768, 32_767).astype("<i2").tobytes()


def resample(pcm: bytes, source: int, target: int) -> bytes:
    """PCM16 at another rate, of the same duration to the next sample."""
    resampler = Resampler(source, target)
    return resampler.process(pcm) + resampler.flush()


@lru_cache(maxsize=32)
def _phases(up: int, down: int) -> NDArray[np.float32]:
    """The taps of each phase, a row for each: what an input sample contributes to an output between two of them.

    Of more than :data:`_MOST_PHASES`, so many at equal distances, and the one that follows the last of them.
    """
    cut = _ROLL_OFF * min(1.0, up / down)  # of the Nyquist frequency of what goes in
    half = ceil(_ZEROS / cut)
    places = np.arange(up) / up if up <= _MOST_PHASES else np.arange(_MOST_PHASES + 1) / _MOST_PHASES
    offsets = np.arange(-half + 1, half + 1)[None, :] - places[:, None]
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (offsets / half) ** 2, 0, 1))) / np.i0(_BETA)
    taps = cut * np.sinc(cut * offsets) * window
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
