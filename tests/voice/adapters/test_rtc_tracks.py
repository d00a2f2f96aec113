"""The outgoing track: what is written is sent at once, gaps are silence, and nothing is lost."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from sounds import FRAME, level, tone
from waiting import until

from duologue.voice.adapters.rtc_tracks import MOST_WAITING, Microphone, SoundFromTrack
from duologue.voice.audio import FRAME_SECONDS

SILENT = bytes(FRAME)


def pcm_of(frame: AudioFrame) -> bytes:
    left, right = frame.to_ndarray().reshape(-1, 2).T
    assert (left == right).all()
    return left.astype("<i2").tobytes()


async def test_a_frame_that_is_written_completes_a_frame_to_send():
    microphone = Microphone()
    loud = tone(440, 1.0)
    for at in range(0, len(loud), FRAME):
        await microphone.write(loud[at : at + FRAME])
        frame = await microphone.recv()
        assert not microphone._frames
        assert level(pcm_of(frame)) > 4_000, f"frame {at // FRAME}"
        microphone._due = None  # the next one is not early


async def test_what_is_written_while_a_frame_is_waited_for_is_sent_at_once():
    microphone = Microphone()
    await microphone.recv()
    loop = asyncio.get_running_loop()
    asking = asyncio.create_task(microphone.recv())
    await asyncio.sleep(0)
    await microphone.write(tone(440, FRAME_SECONDS))
    steps = 0
    while not asking.done():
        await asyncio.sleep(0)
        steps += 1
    assert steps < 20, "it waits for nothing but the frame"
    assert loop.time() > 0


async def test_gaps_are_silence_at_the_pace_of_frames():
    microphone = Microphone()
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = [await microphone.recv() for _ in range(11)]
    assert all(not any(pcm_of(frame)) for frame in sent)
    assert loop.time() - began >= 10 * FRAME_SECONDS - 0.01
    assert [frame.pts for frame in sent] == [960 * place for place in range(11)]


async def test_speech_that_comes_at_once_is_paced_and_whole():
    microphone = Microphone()
    said = tone(440, 0.5)
    await microphone.write(said + bytes(FRAME))
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = b"".join([pcm_of(await microphone.recv()) for _ in range(26)])
    assert loop.time() - began >= 0.5 - 0.08, "three frames may be early"
    samples = np.frombuffer(sent, dtype="<i2").astype(float)[::2]
    expected = np.frombuffer(said, dtype="<i2").astype(float)
    alike = [np.corrcoef(samples[late : late + 11_000], expected[:11_000])[0, 1] for late in range(24)]
    assert max(alike) > 0.999
    assert alike.index(max(alike)) <= 20, "the resampler delays by less than a millisecond"


async def test_silence_is_left_out_while_frames_are_late():
    microphone = Microphone()
    loud = tone(440, FRAME_SECONDS)
    for _ in range(5):
        await microphone.write(loud)
    for _ in range(50):
        await microphone.write(SILENT)
    # The resampler rings into the first silent frame.
    assert 5 <= len(microphone._frames) <= 6
    for _ in range(5):
        await microphone.write(loud)
    assert 10 <= len(microphone._frames) <= 11, "speech is never left out"


async def test_who_speaks_without_pause_has_to_wait():
    microphone = Microphone()
    writing = asyncio.create_task(microphone.write(tone(440, 60)))
    await until(lambda: len(microphone._frames) == MOST_WAITING)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(microphone._frames) == MOST_WAITING
    assert not writing.done()
    microphone.stop()
    await writing
    with pytest.raises(MediaStreamError):
        await microphone.recv()


@pytest.mark.parametrize(
    ("rate", "layout", "form"),
    [
        (48_000, "stereo", "s16"),
        (48_000, "mono", "s16"),
        (8_000, "mono", "s16"),
        (16_000, "stereo", "s16p"),
        (48_000, "stereo", "fltp"),
    ],
)
def test_frames_of_every_codec_become_the_same_sound(rate: int, layout: str, form: str):
    at = np.arange(rate) / rate
    wave = np.sin(2 * np.pi * 440 * at) * (0.25 if form.startswith("flt") else 8_000)
    listener, heard = SoundFromTrack(), b""
    for begin in range(0, rate, rate // 50):
        mono = wave[begin : begin + rate // 50].astype("<f4" if form.startswith("flt") else "<i2")
        channels = np.stack([mono] * (2 if layout == "stereo" else 1))
        array = channels if form.endswith("p") else channels.T.reshape(1, -1)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(array), format=form, layout=layout)
        frame.sample_rate = rate
        heard += listener.heard(frame)
    assert len(heard) / 48_000 == pytest.approx(1.0, abs=0.01)
    assert level(heard) == pytest.approx(8_000 / 2**0.5, rel=0.05)


def test_a_codec_may_change():
    listener = SoundFromTrack()
    for rate in (48_000, 8_000, 48_000):
        frame = AudioFrame.from_ndarray(np.zeros((1, rate // 50), dtype="<i2"), format="s16", layout="mono")
        frame.sample_rate = rate
        assert len(listener.heard(frame)) > 0
