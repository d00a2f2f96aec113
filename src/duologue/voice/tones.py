"""The tones of telephone keys.

Source: ITU-T Recommendation Q.23 (frequencies) and Q.24 (how long tones and pauses are at least).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from duologue.voice.audio import SAMPLE_RATE, bytes_of

KEYS = "123A456B789C*0#D"
"""Row by row."""
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_VALID = re.compile(r"[0-9A-D*#wW]+")
_FRAME = 0.02
"""Seconds that are looked at at once."""
KEY_PAUSES = {"w": 0.5, "W": 1.0}
"""Seconds of the pauses that can stand between keys."""


def dtmf_tones(keys: str, *, tone: float = 0.1, gap: float = 0.05, volume: float = 0.5) -> bytes:
    """The sound of keys that are pressed one after the other.

    Args:
        keys: of ``0-9``, ``A-D``, ``*`` and ``#``; ``w`` is a pause of half a second, ``W`` one of a second.
        tone: seconds of each tone.
        gap: seconds of silence after each.
        volume: 1 is the loudest that there is.

    Returns:
        PCM16, 24 kHz.

    Raises:
        ValueError: there are no keys, or one that no telephone has.
    """
    require_keys(keys)
    return b"".join(_sounds(keys, tone, gap, volume))


def require_keys(keys: str) -> None:
    """Raise ValueError for keys that no telephone has."""
    if not _VALID.fullmatch(keys):
        raise ValueError(f"keys are {keys!r}; expected at least one of 0-9, A-D, * and #, and w or W for a pause")


def _sounds(keys: str, tone: float, gap: float, volume: float) -> Iterator[bytes]:
    times = np.arange(round(tone * SAMPLE_RATE)) / SAMPLE_RATE
    edge = min(len(times) // 4, SAMPLE_RATE // 400)
    envelope = np.ones(len(times))
    if edge:
        envelope[:edge] = np.linspace(0, 1, edge)
        envelope[-edge:] = np.linspace(1, 0, edge)
    for key in keys:
        if key in KEY_PAUSES:
            yield bytes(bytes_of(KEY_PAUSES[key]))
            continue
        row, column = divmod(KEYS.index(key), 4)
        sound = np.sin(2 * np.pi * _ROWS[row] * times) + np.sin(2 * np.pi * _COLUMNS[column] * times)
        yield np.rint(sound * envelope * (volume * 16_383)).astype("<i2").tobytes()
        yield bytes(bytes_of(gap))


def heard_keys(pcm: bytes) -> str:
    """The keys whose tones are in a sound.

    Args:
        pcm: PCM16, 24 kHz.
    """
    size = round(_FRAME * SAMPLE_RATE)
    count = len(pcm) // 2 // size
    if not count:
        return ""
    frames = np.frombuffer(pcm, dtype="<i2", count=count * size).reshape(count, size).astype(np.float64)
    times = np.arange(size) / SAMPLE_RATE
    waves = np.exp(-2j * np.pi * np.outer((*_ROWS, *_COLUMNS), times))
    power = np.abs(frames @ waves.T) ** 2 * (2 / size)  # of each frequency, in the unit of the frame's energy
    energy = (frames**2).sum(axis=1)
    rows, columns = power[:, :4], power[:, 4:]
    row, column = rows.argmax(axis=1), columns.argmax(axis=1)
    strong = rows.max(axis=1), columns.max(axis=1)
    twist = np.minimum(*strong) / np.maximum(np.maximum(*strong), 1e-9)
    share = (strong[0] + strong[1]) / np.maximum(energy, 1e-9)
    heard = (share > 0.7) & (twist > 0.1) & (energy > size * 50.0**2)
    # A key counts once it has been heard in two frames one after the other, and again after a pause.
    keys: list[str] = []
    before: tuple[str, int] = ("", 0)
    for index in range(count):
        key = KEYS[row[index] * 4 + column[index]] if heard[index] else ""
        length = before[1] + 1 if key == before[0] else 1
        before = (key, length)
        if key and length == 2:
            keys.append(key)
    return "".join(keys)
