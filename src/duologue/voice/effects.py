"""What happens to a voice on its way: noise, telephones, bad lines, other people.

    from duologue.voice import effects

    line = effects.chain(effects.background_noise("cafe", snr=15), effects.phone_quality())

Each is a function of PCM16 (24 kHz, mono) that gives as many samples as it is given, unless it changes the speed. It
has no state: the same bytes and the same seed give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import numpy as np

from duologue.voice.audio import SAMPLE_RATE
from duologue.voice.noise import PLACES, Samples, background, band, unit, white

Change = Callable[[Samples], Samples]
_LOUDEST = 32_767.0
_NO_NUMBERS = ("preset", "effects")
"""Parameters of effects that are something else."""
_RANGES: Mapping[str, tuple[float, float]] = {
    "volume": (0, 1000),
    "intensity": (0, 1000),
    "factor": (0, 1000),
    "snr": (-100, 100),
    "decibels": (-100, 100),
    "probability": (0, 1),
    "decay": (0, 1),
    "burst": (1, 1_000_000),
    "delay_ms": (0, 60_000),
    "chunk_ms": (0, 60_000),
    "jitter_ms": (0, 60_000),
    "hertz": (0, SAMPLE_RATE / 2),
    "bitrate": (0, 1_000_000),
    "seed": (0, 2**64 - 1),
}
"""What parameters may be, at least and at most: where arithmetic ends, not taste."""
_WHOLE = ("bitrate", "seed")
_OPTIONAL = ("snr",)
_SPEECH = 0.1
"""Of the level of the loudest frame: quieter ones are pauses, which do not count when speech is measured."""


@dataclass(frozen=True, slots=True)
class AudioEffect:
    """An effect. Call it with PCM16 to get PCM16.

    Attributes:
        name: of the function that made it.
        parameters: with which it was made.
    """

    name: str
    change: Change = field(repr=False, compare=False)
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        _require_numbers(self.parameters)

    def __call__(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float64) / _LOUDEST
        return _pcm(self.change(samples)) if len(samples) else b""


def _require_numbers(parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        if name in _NO_NUMBERS or (value is None and name in _OPTIONAL):
            continue
        number = _number(value)
        if number is None:
            raise ValueError(f"{name}: expected a number; found {_shown(value)}")
        low, high = _RANGES.get(name, (-math.inf, math.inf))
        whole = name in _WHOLE
        if not low <= number <= high or (whole and not isinstance(number, int)):
            what = "a whole number" if whole else "a number"
            raise ValueError(f"{name}: expected {what} from {low:,g} to {high:,g}; found {_shown(value)}")


def _number(value: object) -> int | float | None:
    """A finite number of Python; None for anything else."""
    found: object = cast("Any", value).item() if isinstance(value, np.number) else value
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return found if -math.inf < found < math.inf else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def chain(*effects: Callable[[bytes], bytes]) -> AudioEffect:
    """Several effects, one after the other."""

    def change(samples: Samples) -> Samples:
        pcm = _pcm(samples)
        for effect in effects:
            pcm = effect(pcm)
        return np.frombuffer(pcm, dtype="<i2").astype(np.float64) / _LOUDEST

    return AudioEffect("chain", change, {"effects": [getattr(effect, "name", "custom") for effect in effects]})


def custom(function: Callable[[bytes], bytes]) -> AudioEffect:
    """A function of your own, from PCM16 to PCM16."""

    def change(samples: Samples) -> Samples:
        made = function(_pcm(samples))
        if len(made) % 2:
            raise ValueError(f"the effect {function!r} gave {len(made)} bytes; expected PCM16, two for each sample")
        return np.frombuffer(made, dtype="<i2").astype(np.float64) / _LOUDEST

    return AudioEffect("custom", change)


# Other sounds


def background_noise(
    preset: str | Path = "cafe", volume: float = 0.3, *, snr: float | None = None, seed: int = 0
) -> AudioEffect:
    """A place around the speaker.

    Args:
        preset: ``airport``, ``babble``, ``cafe``, ``office`` or ``street``, or the path of a file with a sound.
        volume: how loud it is, where 1 is as loud as speech usually is.
        snr: in place of the volume: decibels by which the speech is louder than it.
        seed: decides which piece of it is heard.

    Raises:
        ValueError: there is no such place and no such file.
    """
    name = str(preset)
    if name not in PLACES and not _is_file(name):
        close = get_close_matches(name, PLACES, 1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"'{name}' is neither a file nor one of {', '.join(PLACES)}{meant}")
    held = None if name in PLACES else _sound_of(name)

    def change(samples: Samples) -> Samples:
        noise = background(name, len(samples), seed) if held is None else unit(_repeated(held, len(samples)))
        return samples + noise * (0.1 * volume if snr is None else _level_for(samples, snr))

    return AudioEffect("background_noise", change, {"preset": name, "volume": volume, "snr": snr, "seed": seed})


def babble(snr: float = 15.0, *, seed: int = 0) -> AudioEffect:
    """Other people who talk, at a signal-to-noise ratio in decibels."""
    effect = background_noise("babble", snr=snr, seed=seed)
    return AudioEffect("babble", effect.change, {"snr": snr, "seed": seed})


def static(intensity: float = 0.05, *, seed: int = 0) -> AudioEffect:
    """The hiss of a bad line; an intensity of 1 is as loud as sound can be."""

    def change(samples: Samples) -> Samples:
        return samples + intensity * white(len(samples), np.random.default_rng(seed))

    return AudioEffect("static", change, {"intensity": intensity, "seed": seed})


def multiple_voices(background_audio: bytes | None = None, volume: float = 0.3, *, seed: int = 0) -> AudioEffect:
    """Somebody else who talks at the same time.

    Args:
        background_audio: what they say, as PCM16; None for voices that cannot be understood.
        volume: of them.
        seed: decides which voices are heard.
    """
    other = None
    if background_audio is not None:
        other = np.frombuffer(background_audio, dtype="<i2").astype(np.float64) / _LOUDEST
        if not len(other):
            raise ValueError("background_audio is empty; expected PCM16")

    def change(samples: Samples) -> Samples:
        if other is None:
            return samples + 0.3 * volume * background("babble", len(samples), seed)
        return samples + volume * np.resize(other, len(samples))

    return AudioEffect("multiple_voices", change, {"volume": volume, "seed": seed})


def echo(delay_ms: float = 200, decay: float = 0.5) -> AudioEffect:
    """The voice once more, and more quietly each time.

    Args:
        delay_ms: milliseconds until it is heard again.
        decay: how loud it is then, from 0 to below 1.
    """
    _require_numbers({"delay_ms": delay_ms, "decay": decay})
    if not delay_ms > 0 or not 0 <= decay < 1:
        raise ValueError(f"expected delay_ms above 0 and decay from 0 to below 1; found {delay_ms} and {decay}")
    late = max(1, round(delay_ms / 1000 * SAMPLE_RATE))

    def change(samples: Samples) -> Samples:
        made = samples.copy()
        loud, shift = decay, late
        while loud > 0.01 and shift < len(samples):
            made[shift:] += loud * samples[: len(samples) - shift]
            loud, shift = loud * decay, shift + late
        return made

    return AudioEffect("echo", change, {"delay_ms": delay_ms, "decay": decay})


# The line


def phone_quality() -> AudioEffect:
    """A telephone: 300 to 3400 Hz, 8,000 samples a second in µ-law."""
    from duologue.voice.g711 import mulaw_decode, mulaw_encode
    from duologue.voice.resample import resample

    def change(samples: Samples) -> Samples:
        narrow = resample(_pcm(band(samples, 300, 3400)), SAMPLE_RATE, 8000)
        wide = resample(mulaw_decode(mulaw_encode(narrow)), 8000, SAMPLE_RATE)
        return _fitted(np.frombuffer(wide, dtype="<i2").astype(np.float64) / _LOUDEST, len(samples))

    return AudioEffect("phone_quality", change)


def low_quality(bitrate: int = 8000) -> AudioEffect:
    """As many bits a second as asked, of which each sample takes eight: less bandwidth and coarse steps."""
    _require_numbers({"bitrate": bitrate})
    from duologue.voice.resample import resample

    rate = max(500, bitrate // 8 * 4)

    def change(samples: Samples) -> Samples:
        narrow = np.frombuffer(resample(_pcm(samples), SAMPLE_RATE, rate), dtype="<i2").astype(np.float64) / _LOUDEST
        coarse = np.round(narrow * 31) / 31
        wide = resample(_pcm(coarse), rate, SAMPLE_RATE)
        return _fitted(np.frombuffer(wide, dtype="<i2").astype(np.float64) / _LOUDEST, len(samples))

    return AudioEffect("low_quality", change, {"bitrate": bitrate})


def packet_loss(
    probability: float = 0.05, chunk_ms: float = 20, *, burst: float = 1.0, jitter_ms: float = 0.0, seed: int = 0
) -> AudioEffect:
    """Packets that are lost, or come too late to be played.

    Args:
        probability: share of packets that are lost.
        chunk_ms: milliseconds of a packet.
        burst: how many are lost one after the other, on average.
        jitter_ms: standard deviation of the delay of a packet; one that is later than 40 ms is lost as well.
        seed: decides which.
    """
    parameters = {
        "probability": probability,
        "chunk_ms": chunk_ms,
        "burst": burst,
        "jitter_ms": jitter_ms,
        "seed": seed,
    }
    _require_numbers(parameters)
    if not 0 <= probability <= 1 or not chunk_ms > 0 or burst < 1 or jitter_ms < 0:
        raise ValueError(
            "expected probability from 0 to 1, chunk_ms above 0, burst of at least 1 and jitter_ms of at least 0; "
            f"found {probability}, {chunk_ms}, {burst} and {jitter_ms}"
        )
    size = max(1, round(chunk_ms / 1000 * SAMPLE_RATE))

    def change(samples: Samples) -> Samples:
        made = samples.copy()
        random = np.random.default_rng(seed)
        lost = _lost(-(-len(samples) // size), probability, burst, random)
        if jitter_ms:
            lost |= random.standard_normal(len(lost)) * jitter_ms > 40
        for index in np.flatnonzero(lost):
            made[index * size : (index + 1) * size] = 0
        return made

    return AudioEffect("packet_loss", change, parameters)


def breaking_up(probability: float = 0.2, chunk_ms: float = 100, *, seed: int = 0) -> AudioEffect:
    """A voice that is gone for a moment, again and again."""
    effect = packet_loss(probability, chunk_ms, seed=seed)
    return AudioEffect("breaking_up", effect.change, dict(effect.parameters))


def robotic(hertz: float = 100) -> AudioEffect:
    """A voice like that of a robot: multiplied with a tone."""

    def change(samples: Samples) -> Samples:
        return samples * np.sin(2 * np.pi * hertz * np.arange(len(samples)) / SAMPLE_RATE) * np.sqrt(2)

    return AudioEffect("robotic", change, {"hertz": hertz})


# Loudness and speed


def low_volume(factor: float = 0.5) -> AudioEffect:
    """A quieter voice."""
    return AudioEffect("low_volume", lambda samples: samples * factor, {"factor": factor})


def high_volume(factor: float = 1.5) -> AudioEffect:
    """A louder voice; what is too loud is cut off."""
    return AudioEffect("high_volume", lambda samples: samples * factor, {"factor": factor})


def clipping(decibels: float = 12.0) -> AudioEffect:
    """A microphone that is set too loud, by so many decibels; the level stays."""
    _require_numbers({"decibels": decibels})
    gain = 10 ** (decibels / 20)

    def change(samples: Samples) -> Samples:
        peak = float(np.abs(samples).max(initial=0.0))
        return np.clip(samples * gain, -peak, peak)

    return AudioEffect("clipping", change, {"decibels": decibels})


def speaking_fast(factor: float = 1.3) -> AudioEffect:
    """Faster speech in the same pitch."""
    return AudioEffect("speaking_fast", _stretch(factor), {"factor": factor})


def speaking_slow(factor: float = 0.7) -> AudioEffect:
    """Slower speech in the same pitch."""
    return AudioEffect("speaking_slow", _stretch(factor), {"factor": factor})


def _stretch(factor: float) -> Change:
    """Overlapping pieces that are put together at the places where they are most alike.

    Source: W. Verhelst, M. Roelands, "An overlap-add technique based on waveform similarity (WSOLA)", ICASSP 1993.
    """
    _require_numbers({"factor": factor})
    if not 0.25 <= factor <= 4:
        raise ValueError(f"factor is {factor}; expected 0.25 to 4, where 1 is the speed as it is")
    size, hop, tolerance = 720, 360, 240  # 30 ms, half of it, and 10 ms to each side
    window = np.hanning(size + 1)[:size]

    def change(samples: Samples) -> Samples:
        count = round(len(samples) / factor)
        if len(samples) < size + 2 * tolerance:
            return np.interp(np.linspace(0, max(0, len(samples) - 1), count), np.arange(len(samples)), samples)
        source = np.concatenate([np.zeros(tolerance), samples, np.zeros(size + 2 * tolerance)])
        made = np.zeros(count + size)
        at = tolerance
        for start in range(0, count, hop):
            wanted = tolerance + round(start * factor)
            if start:
                natural = source[at + hop : at + hop + size]
                searched = source[wanted - tolerance : wanted + tolerance + size]
                if len(natural) == size and len(searched) == size + 2 * tolerance:
                    at = wanted - tolerance + int(np.correlate(searched, natural).argmax())
                else:
                    at = min(wanted, len(source) - size)
            made[start : start + size] += source[at : at + size] * window
        return made[:count]

    return change


def _lost(count: int, probability: float, burst: float, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Which packets are lost: two states, as E. N. Gilbert, "Capacity of a burst-noise channel", BSTJ 39 (1960)."""
    lost = np.zeros(count, dtype=bool)
    if probability >= 1:
        return ~lost
    leave = 1 / burst
    enter = min(1.0, leave * probability / (1 - probability))
    state = random.random() < probability
    for index, draw in enumerate(random.random(count)):
        lost[index] = state
        state = draw >= leave if state else draw < enter
    return lost


def _level_for(samples: Samples, snr: float) -> float:
    """How loud a noise is that speech exceeds by so many decibels. Pauses do not count as speech."""
    frame = SAMPLE_RATE // 50
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    levels = np.sqrt((whole**2).mean(axis=1)) if len(whole) else np.array([np.sqrt((samples**2).mean())])
    spoken = levels[levels > _SPEECH * max(float(levels.max(initial=0.0)), 1e-9)]
    level = float(np.sqrt((spoken**2).mean())) if len(spoken) else 0.0
    return level / 10 ** (snr / 20)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # the name is too long
        return False


def _sound_of(path: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    from duologue.voice.files import load_audio

    held = np.frombuffer(load_audio(path), dtype="<i2")
    if not len(held):
        raise ValueError(f"{path} holds no sound")
    return held


def _repeated(held: np.ndarray[Any, np.dtype[np.int16]], count: int) -> Samples:
    """So many samples of a sound that may be hours long: only those are calculated with."""
    return np.resize(held[:count], count).astype(np.float64) / _LOUDEST


def _fitted(samples: Samples, count: int) -> Samples:
    return samples[:count] if len(samples) >= count else np.pad(samples, (0, count - len(samples)))


def _pcm(samples: Samples) -> bytes:
    return np.rint(np.clip(samples, -1, 1) * _LOUDEST).astype("<i2").tobytes()
