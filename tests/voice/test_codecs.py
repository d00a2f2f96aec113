"""Sample rates, telephone codecs and telephone keys."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.voice.effects import background_noise, phone_quality
from duologue.voice.g711 import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from duologue.voice.resample import Resampler, resample
from duologue.voice.tones import dtmf_tones, heard_keys

ALL = np.arange(-32_768, 32_768).astype("<i2").tobytes()
RATES = (8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000)


def sine(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate) * 10_000


def pcm(samples: np.ndarray) -> bytes:
    return np.rint(samples).astype("<i2").tobytes()


@pytest.mark.filterwarnings("ignore:'audioop' is deprecated")
@pytest.mark.parametrize(
    ("law", "encode", "decode"), [("ulaw", mulaw_encode, mulaw_decode), ("alaw", alaw_encode, alaw_decode)]
)
def test_g711_agrees_with_the_standard_library_on_every_sample(law, encode, decode):
    audioop = pytest.importorskip("audioop")
    assert encode(ALL) == getattr(audioop, f"lin2{law}")(ALL, 2)
    every = bytes(range(256))
    assert decode(every) == getattr(audioop, f"{law}2lin")(every, 2)


@pytest.mark.parametrize(("encode", "decode"), [(mulaw_encode, mulaw_decode), (alaw_encode, alaw_decode)])
def test_g711_is_a_fixed_point_and_close(encode, decode):
    once = decode(encode(ALL))
    assert decode(encode(once)) == once
    before = np.frombuffer(ALL, dtype="<i2").astype(float)
    error = np.abs(np.frombuffer(once, dtype="<i2") - before)
    assert (error <= np.maximum(np.abs(before) / 16, 16) + 132 * (np.abs(before) > 32_000) * 8).all()


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", RATES)
def test_a_tone_stays_the_same_tone(source: int, target: int):
    made = np.frombuffer(resample(pcm(sine(440, source)), source, target), dtype="<i2").astype(float)
    expected = sine(440, target)
    assert abs(len(made) - len(expected)) <= 1
    middle = slice(target // 20, -target // 20)
    error = made[: len(expected)][middle] - expected[: len(made)][middle]
    assert 10 * np.log10(np.mean(expected[middle] ** 2) / np.mean(error**2)) > 75


@pytest.mark.parametrize(("source", "target"), [(44_101, 24_000), (23_999, 24_000), (24_000, 44_101), (96_001, 8000)])
def test_a_tone_stays_the_same_tone_between_rates_with_little_in_common(source: int, target: int):
    test_a_tone_stays_the_same_tone(source, target)


@pytest.mark.parametrize(
    ("source", "target", "seconds"), [(44_100, 24_000, 20), (767_999, 24_000, 1), (1001, 24_000, 20)]
)
def test_a_long_sound_is_calculated_in_pieces(source: int, target: int, seconds: int):
    """All at once, ten minutes of a CD took four gigabytes; a filter for a rate of 767,999 two."""
    sound = pcm(sine(440, source, seconds))
    tracemalloc.start()
    try:
        made = resample(sound, source, target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(made) == seconds * target * 2
    assert peak < 128_000_000


@pytest.mark.parametrize(("source", "target", "hertz"), [(24_000, 8000, 5000), (48_000, 16_000, 9000)])
def test_what_the_lower_rate_cannot_hold_is_gone(source: int, target: int, hertz: int):
    made = np.frombuffer(resample(pcm(sine(hertz, source)), source, target), dtype="<i2").astype(float)
    middle = made[target // 20 : -target // 20]
    assert np.sqrt(np.mean(middle**2)) < 10_000 * 10 ** (-65 / 20)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(8000, 24_000), (24_000, 8000), (24_000, 16_000), (44_100, 24_000), (16_000, 16_000)]),
    st.lists(st.integers(0, 900), min_size=1, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_pieces_of_any_size_give_what_the_whole_gives(rates: tuple[int, int], sizes: list[int], seed: int):
    source, target = rates
    whole = np.random.default_rng(seed).integers(-30_000, 30_000, sum(sizes) // 2).astype("<i2").tobytes()
    resampler = Resampler(source, target)
    for _ in range(2):  # after a flush it can be used again
        pieces, at = [], 0
        for size in sizes:
            pieces.append(resampler.process(whole[at : at + size]))
            at += size
        pieces.append(resampler.flush())
        assert b"".join(pieces) == resample(whole, source, target)


def test_the_delay_of_a_stream_is_that_of_half_the_filter():
    resampler = Resampler(8000, 24_000)
    sent = received = 0
    for _ in range(50):
        received += len(resampler.process(bytes(320))) // 2
        sent += 160
        assert 0 <= sent * 3 - received <= 17 * 3


def test_rates_that_nothing_has_are_refused():
    with pytest.raises(ValueError, match="source is 0; expected 1 to 768000"):
        Resampler(0, 8000)


@settings(max_examples=20, deadline=None)
@given(st.text("0123456789ABCD*#", min_size=1, max_size=12))
def test_keys_are_heard_over_a_telephone_in_noise(keys: str):
    line = background_noise("street", snr=20)(phone_quality()(dtmf_tones(keys)))
    assert heard_keys(line) == keys


def test_pauses_between_keys():
    assert len(dtmf_tones("1w2W3")) == 2 * 24_000 * (3 * 0.15 + 1.5)
    assert heard_keys(dtmf_tones("1w2W3")) == "123"


@pytest.mark.parametrize("keys", ["", "12e", "1 2", "€"])
def test_keys_that_no_telephone_has_are_refused(keys: str):
    with pytest.raises(ValueError, match="expected at least one of 0-9"):
        dtmf_tones(keys)


@pytest.mark.parametrize("place", ["cafe", "babble", "airport", "street"])
def test_noise_is_no_key(place: str):
    assert heard_keys(background_noise(place, snr=0)(pcm(sine(300, 24_000, 3.0)))) == ""
