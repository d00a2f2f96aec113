"""Silence of a line is left out; speech, its pauses and its beginnings are not."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from sounds import FRAME, frames, tone
from waiting import until

from duologue.voice.adapters import live_line
from duologue.voice.adapters.live_line import QUIET, AfterSound, SilenceGate

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


async def test_the_end_of_a_turn_waits_for_the_sound_before_it():
    released: list[str] = []
    after = AfterSound(lambda: released.append("ended"))
    after.heard(silent=False)
    after.hold(0.01)
    await asyncio.sleep(0.05)
    assert not released, "the line is not silent"
    after.heard(silent=False)
    assert not released
    after.heard(silent=True)
    after.heard(silent=True)
    assert released == ["ended"]


async def test_the_end_of_a_turn_comes_also_where_no_sound_does():
    released: list[str] = []
    after = AfterSound(lambda: released.append("ended"))
    after.hold(0.01)
    await until(lambda: released == ["ended"])


async def test_the_end_of_a_turn_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live_line, "LONGEST_SECONDS", 0.02)
    released: list[str] = []
    after = AfterSound(lambda: released.append("ended"))
    after.heard(silent=False)
    after.hold(0.01)
    await until(lambda: released == ["ended"])
    after.hold(0.01)
    after.hold(0.01)
    assert released == ["ended"] * 2, "of two turns the first is over"
    after.drop()
    await asyncio.sleep(0.05)
    assert released == ["ended"] * 2
