"""Sound from files of other formats, and into them, by the codecs of PyAV. Never from a URL."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from duologue.config.files import atomic_writer, read_file, shown_path
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.voice.audio import SAMPLE_RATE, SAMPLE_WIDTH, AudioChunk, is_wav, seconds_of
from duologue.voice.resample import resample

MOST_BYTES = 200_000_000
"""Of a file that is read."""
LEAST_RATE = 1000
"""Samples a second of a file: at one a second, a few bytes would be hours of sound."""
MOST_SECONDS = 4 * 3600.0
"""Of sound that a file may hold, so that a small file that decodes to days of silence does not fill the memory."""
FORMATS = ("wav", "mp3", "ogg", "flac")
"""That can be written."""
_CODECS = {"mp3": "libmp3lame", "ogg": "libopus", "flac": "flac"}
_OPUS_RATE = 48_000

# Formats are recognised by how files begin, and no other reader is tried: some formats name other files and URLs, which
# their readers open.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b".snd", "au"),
    (0, b"#!AMR", "amr"),
    (0, b"caff", "caf"),
)


def load_audio(path: str | Path) -> bytes:
    """The sound of a file as PCM16, mono, 24 kHz.

    Args:
        path: of a file: WAV, MP3, OGG, FLAC, M4A, WebM, AIFF, AU, CAF or AMR.

    Raises:
        ConfigurationError: there is no such file, or it holds no sound that can be decoded. URLs are not files.
    """
    if "://" in str(path):
        raise ConfigurationError(f"{path} is a URL; expected the path of a file: download it first")
    file = Path(path)
    try:
        return decode_audio(read_file(file, MOST_BYTES))
    except ConfigurationError as error:
        if shown_path(file) in str(error):
            raise
        raise ConfigurationError(f"{shown_path(file)}: {error}") from error


def decode_audio(data: bytes) -> bytes:
    """The sound in the bytes of a file as PCM16, mono, 24 kHz.

    Raises:
        ConfigurationError: they hold no sound that can be decoded.
        MissingExtraError: PyAV is needed and not installed.
    """
    name = format_of(data)
    if name is None:
        raise ConfigurationError(
            f"no known format of sound: it begins with {data[:8]!r}; expected WAV, MP3, OGG, FLAC, M4A, WebM, AIFF, "
            "AU, CAF or AMR"
        )
    if name == "wav" and (plain := _plain_wav(data)) is not None:
        return plain
    av = _av()
    try:
        with closing(av.open(io.BytesIO(data), format=name)) as container:
            return b"".join(_decoded(av, container))
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise ConfigurationError(f"the sound cannot be decoded as {name}: {error}") from error


def encode_audio(pcm: bytes, format: str, *, sample_rate: int = SAMPLE_RATE, channels: int = 1) -> bytes:
    """PCM16 as the bytes of a file.

    Args:
        pcm: with the samples of several channels side by side.
        format: one of :data:`FORMATS`.
        sample_rate: samples a second.
        channels: 1 or 2.

    Raises:
        ValueError: the format is another.
        MissingExtraError: PyAV is needed and not installed.
    """
    file = io.BytesIO()
    write_audio(file, [pcm], format, sample_rate=sample_rate, channels=channels)
    return file.getvalue()


def write_audio(
    file: BinaryIO, pieces: Iterable[bytes], format: str, *, sample_rate: int = SAMPLE_RATE, channels: int = 1
) -> None:
    """Write PCM16 that comes in pieces, so that a long call is never in memory as a whole.

    Args:
        file: that can be written at any place.
        pieces: with the samples of several channels side by side; each ends with a sample of the last channel.
        format: one of :data:`FORMATS`.
        sample_rate: samples a second.
        channels: 1 or 2.

    Raises:
        ValueError: the format is another.
        MissingExtraError: PyAV is needed and not installed.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
    if format == "wav":
        with wave.open(file, "wb") as writer:
            writer.setnchannels(channels)
            writer.setsampwidth(SAMPLE_WIDTH)
            writer.setframerate(sample_rate)
            for piece in pieces:
                writer.writeframesraw(piece)
        return
    import numpy as np

    av = _av()
    codec = _CODECS[format]
    layout = "mono" if channels == 1 else "stereo"
    with closing(av.open(file, "w", format=format)) as container:
        rate = _OPUS_RATE if codec == "libopus" else sample_rate
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        converter = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate)
        for piece in pieces:
            samples = np.frombuffer(piece, dtype="<i2").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            frame.sample_rate = sample_rate
            for part in converter.resample(frame):
                container.mux(stream.encode(part))
        for part in converter.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def save_audio(
    path: str | Path,
    pcm: AudioChunk | bytes | Iterable[AudioChunk | bytes],
    *,
    format: str | None = None,
    channels: int = 1,
) -> Path:
    """Write sound into a file.

    Args:
        path: of the file.
        pcm: a chunk, or PCM16 at 24 kHz with the samples of several channels side by side; as a whole or in pieces.
        format: one of :data:`FORMATS`; None for what the name ends on.
        channels: 1 or 2.

    Returns:
        The path.

    Raises:
        ValueError: the format is not known.
    """
    file = Path(path)
    chosen = format or file.suffix.lstrip(".").lower() or "wav"
    if chosen not in FORMATS:
        raise ValueError(f"format is {chosen!r}; expected one of {', '.join(FORMATS)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(file) as writer:
        pieces = [pcm] if isinstance(pcm, AudioChunk | bytes | bytearray | memoryview) else pcm
        sounds = (piece.data if isinstance(piece, AudioChunk) else bytes(piece) for piece in pieces)
        write_audio(writer, sounds, chosen, channels=channels)
    return file


def format_of(data: bytes) -> str | None:
    """The format that bytes begin like; None for no known one."""
    if is_wav(data):
        return "wav"
    for at, signature, name in _SIGNATURES:
        if data[at : at + len(signature)] == signature:
            return name
    # Frames of MPEG audio have no header before them: eleven bits that are set, and a layer.
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "aac" if data[1] & 0x06 == 0 else "mp3"
    return None


def _plain_wav(data: bytes) -> bytes | None:
    """The sound of a WAV file that any computer reads: PCM16; None for another encoding."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, channels = file.getframerate(), file.getnchannels()
            if rate < LEAST_RATE:
                raise ConfigurationError(f"the WAV file has {rate} samples a second; expected at least {LEAST_RATE:,}")
            if file.getsampwidth() != SAMPLE_WIDTH or channels not in {1, 2}:
                return None
            pcm = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError):  # RuntimeError: a chunk is longer than the file
        return None
    if len(pcm) / (2 * channels * rate) > MOST_SECONDS:
        raise ConfigurationError(f"it holds more than {MOST_SECONDS / 3600:g} hours of sound")
    import numpy as np

    samples = np.frombuffer(pcm[: len(pcm) // (2 * channels) * 2 * channels], dtype="<i2")
    if channels == 2:
        samples = (samples.reshape(-1, 2).astype(np.int32).sum(axis=1) // 2).astype("<i2")
    try:
        return resample(samples.tobytes(), rate, SAMPLE_RATE)
    except ValueError as error:
        raise ConfigurationError(f"the WAV file has {rate} samples a second: {error}") from error


def _decoded(av: Any, container: Any) -> Iterator[bytes]:
    if not container.streams.audio:
        raise ConfigurationError("it holds no sound")
    if 0 < (rate := int(getattr(container.streams.audio[0], "rate", 0) or 0)) < LEAST_RATE:
        raise ConfigurationError(f"it has {rate} samples a second; expected at least {LEAST_RATE:,}")
    converter = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    size = 0
    for frame in container.decode(container.streams.audio[0]):
        for part in converter.resample(frame):
            piece = part.to_ndarray().tobytes()
            size += len(piece)
            if seconds_of(size) > MOST_SECONDS:
                raise ConfigurationError(f"it holds more than {MOST_SECONDS / 3600:g} hours of sound")
            yield piece
    for part in converter.resample(None):
        yield part.to_ndarray().tobytes()


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("sound in other formats than WAV", "voice", "av") from error
    return av
