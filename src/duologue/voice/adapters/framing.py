"""Sound between the wire and this package: another codec, another rate, frames of one size, and no clicks between."""

from __future__ import annotations

from typing import Literal

from duologue.voice.audio import FRAME_SECONDS, SAMPLE_RATE, SAMPLE_WIDTH
from duologue.voice.g711 import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from duologue.voice.resample import Resampler

Codec = Literal["pcm16", "mulaw", "alaw"]
"""How a sample is written: two bytes, little-endian, or one byte of G.711."""

_ENCODERS = {"mulaw": mulaw_encode, "alaw": alaw_encode}
_DECODERS = {"mulaw": mulaw_decode, "alaw": alaw_decode}
_SILENT = {"pcm16": b"\0", "mulaw": b"\xff", "alaw": b"\xd5"}


class SoundToWire:
    """Turns the sound of this package, in pieces of any size, into frames of one size.

    Args:
        codec: of the wire.
        rate: samples a second on the wire.
        seconds: of a frame; 20 ms of µ-law at 8 kHz are 160 bytes.
    """

    def __init__(self, codec: Codec, rate: int, seconds: float = FRAME_SECONDS) -> None:
        self._codec = codec
        self._resampler = Resampler(SAMPLE_RATE, rate)
        self._size = round(seconds * rate) * (SAMPLE_WIDTH if codec == "pcm16" else 1)
        self._waiting = b""

    def frames(self, pcm: bytes) -> list[bytes]:
        """The frames that are complete now."""
        self._waiting += self._encoded(self._resampler.process(pcm))
        whole = len(self._waiting) // self._size * self._size
        made = [self._waiting[at : at + self._size] for at in range(0, whole, self._size)]
        self._waiting = self._waiting[whole:]
        return made

    def flush(self) -> list[bytes]:
        """What is left of an utterance, with silence to the end of its frame. Another one can follow."""
        rest = self._waiting + self._encoded(self._resampler.flush())
        self._waiting = b""
        missing = -len(rest) % self._size
        rest += _SILENT[self._codec] * missing
        return [rest[at : at + self._size] for at in range(0, len(rest), self._size)]

    def _encoded(self, pcm: bytes) -> bytes:
        return pcm if self._codec == "pcm16" else _ENCODERS[self._codec](pcm)


class SoundFromWire:
    """Turns what comes over the wire, in pieces of any size, into the sound of this package."""

    def __init__(self, codec: Codec, rate: int) -> None:
        self._codec = codec
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._odd = b""

    def pcm(self, data: bytes) -> bytes:
        """The samples that are known now."""
        if self._codec != "pcm16":
            return self._resampler.process(_DECODERS[self._codec](data))
        data = self._odd + data
        even = len(data) - len(data) % SAMPLE_WIDTH
        data, self._odd = data[:even], data[even:]
        return self._resampler.process(data)
