"""The shape of a recording, small enough for a page that cannot read the file beside it."""

from __future__ import annotations

import base64
import contextlib
import wave
from pathlib import Path

from duologue.frozen import frozen

MOST = 1600
"""Values for each speaker: more than a wide page has pixels for."""
_SHORTEST = 0.02
"""Seconds that one value stands for at least."""


@frozen
class Peaks:
    """How loud the user (left) and the agent (right) are, from the beginning to the end.

    Attributes:
        user, agent: one byte for each part of the recording, in base64; 255 is as loud as a file can be.
    """

    user: str
    agent: str


def peaks_of(path: Path) -> Peaks | None:
    """The loudest sample of each part of a recording, by speaker.

    Args:
        path: of a WAV file in stereo with 16 bits. It is read piece by piece: a call of an hour needs little memory.

    Returns:
        None where it is not such a file, or numpy is not installed.
    """
    try:
        import numpy as np
    except ImportError:  # whoever only reads results need not have the extra "voice"
        return None
    with contextlib.suppress(OSError, EOFError, wave.Error), wave.open(str(path)) as sound:
        if (sound.getnchannels(), sound.getsampwidth()) != (2, 2) or not sound.getnframes():
            return None
        width = max(round(_SHORTEST * sound.getframerate()), -(-sound.getnframes() // MOST))
        tracks = bytearray(), bytearray()
        while piece := sound.readframes(width):
            samples = np.frombuffer(piece[: len(piece) // 4 * 4], dtype="<i2")
            for channel, track in enumerate(tracks):
                values = np.ascontiguousarray(samples[channel::2])  # ten times as fast as columns
                loudest = max(int(values.max()), -int(values.min()))
                track.append(min(255, -(-loudest // 128)))
        return Peaks(user=_text(tracks[0]), agent=_text(tracks[1]))
    return None


def _text(values: bytearray) -> str:
    return base64.b64encode(values).decode()
