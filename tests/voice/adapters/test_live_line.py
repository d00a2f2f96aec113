"""Silence of a line is left out; speech, its pauses and its beginnings are not."""

from __future__ import annotations

import numpy as np
from sounds import FRAME, frames, tone

from duologue.voice.adapters.live_line import QUIET, SilenceGate

SILENT = bytes(FRAME)


def passed(pcm: bytes) -> list[bytes]:
    gate = SilenceGate()
    return [gate.passed(frame.data) for frame in frames(pcm)]


def test_a_silent_line_is_nothing():
    hiss = np.random.default_rng(1).integers(-QUIET + 1, QUIET, 24_000).astype("<i2").tobytes()
    assert not any(passed(SILENT * 50))
    assert not any(passed(hiss))


def test_speech_is_whole_with_what_came_just_before_it():
    said = tone(440, 0.2)
    heard = passed(SILENT * 10 + said + SILENT * 50)
    assert b"".join(heard[:20]) == SILENT + said
    assert b"".join(heard) == SILENT + said + SILENT * 10, "200 ms after it stay"


def test_pauses_between_words_stay():
    said = tone(440, 0.1) + SILENT * 9 + tone(440, 0.1)
    assert b"".join(passed(said)) == said


def test_pieces_of_any_size():
    gate = SilenceGate()
    assert gate.passed(b"") == b""
    assert gate.passed(tone(440, 0.013)) == tone(440, 0.013)
