"""Sounds that are heard behind a voice, made by arithmetic: the same seed makes the same sound."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from duologue.voice.audio import SAMPLE_RATE

Samples = NDArray[np.float64]
"""Between -1 and 1."""

_BED = 12.0
"""Seconds of a background, which is repeated."""


def white(count: int, random: np.random.Generator) -> Samples:
    """Noise with the same power at all frequencies."""
    return random.standard_normal(count)


def coloured(count: int, random: np.random.Generator, slope: float) -> Samples:
    """Noise whose power falls with the frequency.

    Args:
        count: of samples.
        random: where it comes from.
        slope: 1 for pink noise, 2 for brown noise.
    """
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    return unit(np.fft.irfft(spectrum / np.maximum(frequencies, 20.0) ** (slope / 2), count))


def band(samples: Samples, low: float, high: float) -> Samples:
    """Only the frequencies from ``low`` to ``high``, in hertz."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.fft.irfft(spectrum, len(samples))


def babble(count: int, random: np.random.Generator, voices: int = 8) -> Samples:
    """Many people who talk at once: pulses of voices that pass through vowels, in the rhythm of syllables."""
    mixed = np.zeros(count)
    for _ in range(voices):
        mixed += _voice(count, random)
    return unit(mixed)


def unit(samples: Samples) -> Samples:
    """The samples with a root mean square of 1; silence stays as it is."""
    level = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    return samples / level if level > 1e-9 else samples


def _voice(count: int, random: np.random.Generator) -> Samples:
    """One voice that cannot be understood. Formants after G. E. Peterson and H. L. Barney, JASA 24 (1952)."""
    formants = ((730, 1090, 2440), (270, 2290, 3010), (530, 1840, 2480), (570, 840, 2410), (300, 870, 2240))
    pitch = random.uniform(95, 230)
    times = np.arange(count) / SAMPLE_RATE
    slow = _wander(count, random, 3.0)
    source = np.fft.rfft(_pulses(2 * np.pi * (pitch * times + slow)))
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    sound = np.zeros(count)
    for centres in random.choice(np.array(formants), 3, replace=False):
        bands = (500 / centre * (abs(frequencies - centre) <= 90) for centre in centres)
        vowel = sum(bands, np.zeros(len(frequencies)))
        sound += np.fft.irfft(source * vowel, count) * np.clip(_wander(count, random, 2.5), 0, None)
    syllables = np.clip(_wander(count, random, 4.5) + 0.4, 0, None)
    phrases = _wander(count, random, 0.4) > -0.5
    return unit(sound * syllables * phrases)


def _pulses(phase: Samples) -> Samples:
    """Fifteen harmonics, each weaker than the one before. By the recurrence of sines, which is quicker than sines."""
    before, sine, twice_cosine = np.zeros(len(phase)), np.sin(phase), 2 * np.cos(phase)
    mixed = sine.copy()
    for harmonic in range(2, 16):
        before, sine = sine, twice_cosine * sine - before
        mixed += sine / harmonic
    return mixed


def _wander(count: int, random: np.random.Generator, hertz: float) -> Samples:
    """A smooth curve around 0 that changes about so often."""
    points = random.standard_normal(max(2, int(count / SAMPLE_RATE * hertz * 2) + 2))
    return np.interp(np.arange(count), np.linspace(0, count, len(points)), points)


def _events(
    count: int, random: np.random.Generator, per_second: float, sound: Callable[[np.random.Generator], Samples]
) -> Samples:
    """Short sounds at random times."""
    bed = np.zeros(count)
    for at in random.uniform(0, count, max(1, int(count / SAMPLE_RATE * per_second))).astype(int):
        piece = sound(random)[: count - at]
        bed[at : at + len(piece)] += piece
    return bed


def _struck(frequencies: tuple[float, ...], fall: float) -> Callable[[np.random.Generator], Samples]:
    """Something that is struck and rings."""

    def sound(random: np.random.Generator) -> Samples:
        times = np.arange(round(min(6 / fall, 1.5) * SAMPLE_RATE)) / SAMPLE_RATE
        shift, loud = random.uniform(0.9, 1.1), random.uniform(0.4, 1.2)
        rung = sum((np.sin(2 * np.pi * shift * hertz * times) for hertz in frequencies), np.zeros(len(times)))
        return loud * rung * np.exp(-fall * times)

    return sound


def _passing(random: np.random.Generator) -> Samples:
    """A car that goes by."""
    count = round(random.uniform(2.0, 4.0) * SAMPLE_RATE)
    return 1.5 * coloured(count, random, 1.6) * np.hanning(count)


def _cafe(count: int, random: np.random.Generator) -> Samples:
    dishes = _events(count, random, 1.2, _struck((2900, 4700, 6100), 22))
    return babble(count, random) + 0.4 * coloured(count, random, 1) + 0.5 * dishes


def _street(count: int, random: np.random.Generator) -> Samples:
    return coloured(count, random, 2) + _events(count, random, 0.4, _passing) + 0.1 * white(count, random)


def _office(count: int, random: np.random.Generator) -> Samples:
    hum = np.sin(2 * np.pi * 100 * np.arange(count) / SAMPLE_RATE)
    typed = _events(count, random, 5, _struck((1800, 3100), 160))
    return coloured(count, random, 1) + 0.3 * hum + 0.6 * typed + 0.4 * babble(count, random, 2)


def _airport(count: int, random: np.random.Generator) -> Samples:
    chimes = _events(count, random, 0.25, _struck((523, 659, 784), 3))
    bed = babble(count, random, 12) + 0.6 * coloured(count, random, 1.5) + 0.5 * chimes
    late = round(0.09 * SAMPLE_RATE)
    return bed + 0.4 * np.concatenate([np.zeros(min(late, count)), bed[: max(0, count - late)]])


_PLACES: dict[str, Callable[[int, np.random.Generator], Samples]] = {
    "airport": _airport,
    "babble": babble,
    "cafe": _cafe,
    "office": _office,
    "street": _street,
}
PLACES = tuple(_PLACES)
"""Backgrounds that can be asked for by name."""


def background(place: str, count: int, seed: int) -> Samples:
    """So many samples of a background, with a root mean square of 1 over its length.

    Args:
        place: one of :data:`PLACES`.
        count: of samples.
        seed: decides which piece of it is heard.
    """
    bed = _bed(place)
    start = int(np.random.default_rng(seed).integers(len(bed)))
    return np.resize(np.roll(bed, -start), count)


@lru_cache(maxsize=len(PLACES))
def _bed(place: str) -> Samples:
    return unit(_PLACES[place](round(_BED * SAMPLE_RATE), np.random.default_rng(len(place))))
