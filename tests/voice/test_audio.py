"""Pieces of sound, messages with them, and files."""

from __future__ import annotations

import base64
import io
import struct
import wave

import numpy as np
import pytest

from duologue.errors import ConfigurationError
from duologue.voice.audio import AudioChunk, silent_chunk, wav_from
from duologue.voice.files import FORMATS, decode_audio, encode_audio, load_audio, save_audio
from duologue.voice.messages import create_audio_message, extract_audio, message_has_audio


def tone(hertz: float = 440.0, seconds: float = 0.5, rate: int = 24_000) -> bytes:
    times = np.arange(round(seconds * rate)) / rate
    return np.rint(np.sin(2 * np.pi * hertz * times) * 12_000).astype("<i2").tobytes()


def pitch(pcm: bytes, rate: int = 24_000) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])


def test_a_chunk_knows_how_long_it_is():
    chunk = AudioChunk(tone(seconds=0.25))
    assert (chunk.duration_seconds, chunk.sample_rate, chunk.channels) == (0.25, 24_000, 1)
    assert silent_chunk(1.5).duration_seconds == 1.5
    assert set(silent_chunk(0.1).data) == {0}


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError, match="found 3 bytes, an odd number"):
        AudioChunk(b"abc")


def test_merged_chunks_keep_what_is_said_and_when():
    first = AudioChunk(tone(seconds=0.1), "hello", start_time=1.0, end_time=1.1)
    second = AudioChunk(tone(seconds=0.2), start_time=1.1, end_time=1.3)
    third = AudioChunk(tone(seconds=0.1), "there", start_time=1.3, end_time=1.4)
    whole = AudioChunk.merged([first, second, third])
    assert (whole.transcript, whole.start_time, whole.end_time) == ("hello there", 1.0, 1.4)
    assert whole.data == first.data + second.data + third.data
    assert AudioChunk.merged([]) == AudioChunk(b"")


@pytest.mark.parametrize("said", ["Where is my order?", None, ""])
def test_a_message_holds_the_sound_and_the_words(said: str | None):
    chunk = AudioChunk(tone(), said)
    message = create_audio_message(chunk, "user")
    assert message_has_audio(message)
    found = extract_audio(message)
    assert found is not None
    assert (found.data, found.transcript) == (chunk.data, said or None)


def test_messages_without_sound_have_none():
    assert not message_has_audio({"role": "user", "content": "hi"})
    assert extract_audio({"role": "user", "content": [{"type": "text", "text": "hi"}]}) is None
    assert extract_audio({"role": "assistant", "content": None}) is None


@pytest.mark.parametrize(
    ("data", "told"),
    [("not base64!", "not base64"), (7, "must be a text in base64; found int"), ("UklGRgAAAABXQVZF", "decoded as wav")],
)
def test_a_sound_that_cannot_be_decoded_is_named(data: object, told: str):
    message = {
        "role": "user",
        "content": [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}],
    }
    with pytest.raises(ConfigurationError, match=told):
        extract_audio(message)  # pyright: ignore[reportArgumentType]


def test_raw_sound_is_taken_as_it_is():
    encoded = base64.b64encode(tone()).decode()
    message = {
        "role": "user",
        "content": [{"type": "input_audio", "input_audio": {"data": encoded, "format": "pcm16"}}],
    }
    found = extract_audio(message)  # pyright: ignore[reportArgumentType]
    assert found is not None
    assert found.data == tone()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_heard_again(format: str, channels: int, tmp_path):
    pcm = tone(523.0, 1.0)
    if channels == 2:
        pcm = np.repeat(np.frombuffer(pcm, dtype="<i2"), 2).tobytes()
    path = save_audio(tmp_path / f"sound.{format}", pcm, channels=channels)
    heard = load_audio(path)
    assert pitch(heard) == pytest.approx(523, abs=2)
    assert len(heard) / 48_000 == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 2), (44_100, 2), (48_000, 1)])
def test_wav_files_of_other_rates_and_in_stereo(rate: int, channels: int):
    pcm = np.repeat(np.frombuffer(tone(440, 0.5, rate), dtype="<i2"), channels).tobytes()
    heard = decode_audio(wav_from(pcm, sample_rate=rate, channels=channels))
    assert len(heard) / 48_000 == pytest.approx(0.5, abs=0.001)
    assert pitch(heard) == pytest.approx(440, abs=3)


def test_wav_files_of_other_widths():
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(24_000)
        samples = np.frombuffer(tone(440), dtype="<i2").astype(float) / 256 + 128
        writer.writeframes(np.clip(samples, 0, 255).astype(np.uint8).tobytes())
    assert pitch(decode_audio(file.getvalue())) == pytest.approx(440, abs=3)


def test_a_torn_file_is_read_as_far_as_it_goes_or_refused():
    whole = encode_audio(tone(440, 2.0), "mp3")
    assert pitch(decode_audio(whole[: len(whole) // 2])) == pytest.approx(440, abs=3)
    for cut in (5, 40, 100):
        with pytest.raises(ConfigurationError, match="decoded as mp3"):
            decode_audio(whole[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello world, this is text",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://169.254.169.254/latest\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD/>",
    ],
)
def test_what_is_no_sound_is_refused_before_a_decoder_sees_it(data: bytes):
    with pytest.raises(ConfigurationError, match="no known format of sound"):
        decode_audio(data)


def test_urls_and_missing_files_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match="is a URL; expected the path of a file"):
        load_audio("https://example.com/a.wav")
    with pytest.raises(ConfigurationError, match=r"missing\.wav"):
        load_audio(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(ConfigurationError, match=r"text\.wav: no known format"):
        load_audio(tmp_path / "text.wav")
    with pytest.raises(ValueError, match="expected one of wav, mp3, ogg, flac"):
        save_audio(tmp_path / "sound.xyz", tone())


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("rate", [1, 8, 999])
def test_a_small_wav_file_that_would_be_hours_of_sound_is_refused(rate: int, width: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(bytes(240_000))
    with pytest.raises(ConfigurationError, match=f"the WAV file has {rate} samples a second; expected at least 1,000"):
        decode_audio(file.getvalue())


def wav_file(
    *,
    form: int = 1,
    channels: int = 1,
    rate: int = 24_000,
    bits: int = 16,
    data: bytes = bytes(4800),
    riff: int | None = None,
    size: int | None = None,
    before: bytes = b"",
) -> bytes:
    """A WAV file whose header says so."""
    width = max(1, channels * bits // 8) & 0xFFFF
    said = struct.pack("<HHIIHH", form, channels, rate, (rate * width) & 0xFFFFFFFF, width, bits)
    body = before + b"fmt " + struct.pack("<I", len(said)) + said + b"data"
    body += struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(body) if riff is None else riff) + b"WAVE" + body


LYING = {
    "riff of 4 GB": (wav_file(riff=0xFFFFFFFF), 0.1),
    "riff of nothing": (wav_file(riff=0), 0.1),
    "data of 4 GB": (wav_file(size=0xFFFFFFFF), 0.1),
    "data of nothing": (wav_file(size=0), 0.0),
    "no channel": (wav_file(channels=0), "cannot be decoded"),
    "65535 channels": (wav_file(channels=65_535), "cannot be decoded"),
    "eight channels": (wav_file(channels=8, data=bytes(16 * 2400)), 0.1),
    "384 kHz": (wav_file(rate=384_000, data=bytes(76_800)), 0.1),
    "4 GHz": (wav_file(rate=0xFFFFFFFF), "4294967295 samples a second"),
    "no rate": (wav_file(rate=0), "0 samples a second"),
    "float": (wav_file(form=3, bits=32, data=bytes(9600)), 0.1),
    "float, not a number": (wav_file(form=3, bits=32, data=b"\x00\x00\xc0\x7f" * 2400), 0.1),
    "float, 1 Hz": (wav_file(form=3, bits=32, rate=1), "1 samples a second"),
    "A-law": (wav_file(form=6, bits=8, rate=8000, data=bytes(800)), 0.1),
    "A-law, 1 Hz": (wav_file(form=6, bits=8, rate=1, data=bytes(400_000)), "1 samples a second"),
    "MP3 in it": (wav_file(form=85, bits=0), "cannot be decoded"),
    "no bits": (wav_file(bits=0), "cannot be decoded"),
    "odd": (wav_file(data=bytes(4801)), 0.1),
    "a chunk longer than the file": (wav_file(before=b"LIST\xff\xff\xff\x7f"), "cannot be decoded"),
    "no chunk": (b"RIFF\x04\0\0\0WAVE", "cannot be decoded"),
    "AU, 1 Hz": (b".snd" + struct.pack(">IIIII", 24, 0xFFFFFFFF, 3, 1, 1) + bytes(480_000), "1 samples a second"),
    "a tag of 256 MB": (b"ID3\x03\0\0\x7f\x7f\x7f\x7f", "cannot be decoded"),
}


@pytest.mark.parametrize("name", LYING)
def test_headers_that_lie_are_read_as_far_as_there_is_sound_or_refused(name: str, tmp_path) -> None:
    data, expected = LYING[name]
    (tmp_path / "sound").write_bytes(data)
    if isinstance(expected, str):
        with pytest.raises(ConfigurationError, match=f"sound: .*{expected}"):
            load_audio(tmp_path / "sound")
    else:
        assert len(load_audio(tmp_path / "sound")) / 48_000 == pytest.approx(expected, abs=0.01)
