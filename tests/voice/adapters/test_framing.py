"""Sound on the wire: frames of one size, in pieces of any size, as another implementation of the codecs reads them."""

from __future__ import annotations

import av
import numpy as np
import pytest
from heard_sound import likeness, voice_like

from duologue.voice.adapters.framing import Codec, SoundFromWire, SoundToWire
from duologue.voice.resample import resample

_NAMES = {"mulaw": "pcm_mulaw", "alaw": "pcm_alaw", "pcm16": "pcm_s16le"}
_SIZES = (38, 962, 4_800)


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _read_by_ffmpeg(codec: Codec, rate: int, data: bytes) -> bytes:
    """PCM16 at the same rate."""
    context = av.CodecContext.create(_NAMES[codec], "r")
    context.sample_rate = rate  # type: ignore[attr-defined]
    context.layout = "mono"  # type: ignore[attr-defined]
    frames = context.decode(av.Packet(data))
    return b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in frames)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("codec", "rate", "size"), [("mulaw", 8_000, 160), ("alaw", 8_000, 160), ("pcm16", 16_000, 640)]
)
def test_frames_are_what_ffmpeg_reads(codec: Codec, rate: int, size: int) -> None:
    said = voice_like(1.0)
    wire = SoundToWire(codec, rate)
    frames = [frame for piece in _pieces(said, 962) for frame in wire.frames(piece)] + wire.flush()
    assert {len(frame) for frame in frames} == {size}
    read = _read_by_ffmpeg(codec, rate, b"".join(frames))
    assert likeness(said, resample(read, rate, 24_000)) > 33


@pytest.mark.parametrize(("codec", "rate"), [("mulaw", 8_000), ("alaw", 8_000), ("pcm16", 16_000), ("pcm16", 44_100)])
def test_pieces_of_any_size_are_what_the_whole_is(codec: Codec, rate: int) -> None:
    said = voice_like(0.3)
    whole = SoundToWire(codec, rate)
    expected = b"".join(whole.frames(said) + whole.flush())
    heard = SoundFromWire(codec, rate).pcm(expected)
    for size in _SIZES:
        wire = SoundToWire(codec, rate)
        frames = [frame for piece in _pieces(said, size) for frame in wire.frames(piece)] + wire.flush()
        assert _is_same(SoundFromWire(codec, rate).pcm(b"".join(frames)), heard), size
    for size in (33, 160, 961):
        line = SoundFromWire(codec, rate)
        assert _is_same(b"".join(map(line.pcm, _pieces(expected, size))), heard), size


def _is_same(some: bytes, other: bytes) -> bool:
    """But for what is rounded the other way, by the last bit or by one step of a codec."""
    return len(some) == len(other) and likeness(other, some) > 55


def test_utterances_follow_each_other() -> None:
    """What is flushed is silent to the end of its frame, and leaves nothing behind for the next one."""
    said = voice_like(0.31)
    wire = SoundToWire("mulaw", 8_000)
    first, second = (wire.frames(said) + wire.flush() for _ in range(2))
    assert first == second
    assert len(first) == 16
    assert first[-1][-60:] == b"\xff" * 60
    assert SoundToWire("mulaw", 8_000).flush() == []


def test_frames_cost_little() -> None:
    """A frame is a few calculations of numpy, however long the stream: nothing grows."""
    wire, line = SoundToWire("mulaw", 8_000), SoundFromWire("mulaw", 8_000)
    frame = voice_like(0.02)
    for _ in range(200):
        for out in wire.frames(frame):
            line.pcm(out)
    held = [vars(each) for each in (wire, wire._resampler, line._resampler)]
    sizes = [value.nbytes for each in held for value in each.values() if isinstance(value, np.ndarray)]
    assert len(wire._waiting) < 160
    assert sum(sizes) < 20_000
