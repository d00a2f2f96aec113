"""The codecs of telephones: eight bits for each sample, in steps that grow with the loudness.

Source: ITU-T Recommendation G.711 (11/1988): µ-law (Table 2) and A-law (Table 1), as their decision values give them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_BIAS, _CLIP = 33, 8_158  # of µ-law, whose samples have 14 bits


def mulaw_encode(pcm: bytes) -> bytes:
    """PCM16 as µ-law: one byte for each sample, of the same rate."""
    return _encoder("mulaw")[np.frombuffer(pcm, dtype="<u2")].tobytes()


def mulaw_decode(data: bytes) -> bytes:
    """µ-law as PCM16."""
    return _decoder("mulaw")[np.frombuffer(data, dtype=np.uint8)].tobytes()


def alaw_encode(pcm: bytes) -> bytes:
    """PCM16 as A-law: one byte for each sample, of the same rate."""
    return _encoder("alaw")[np.frombuffer(pcm, dtype="<u2")].tobytes()


def alaw_decode(data: bytes) -> bytes:
    """A-law as PCM16."""
    return _decoder("alaw")[np.frombuffer(data, dtype=np.uint8)].tobytes()


@cache
def _encoder(law: str) -> NDArray[np.uint8]:
    """The byte of every sample, by its 16 bits."""
    samples = np.arange(65_536, dtype=np.uint32).astype(np.uint16).view(np.int16).astype(np.int32)
    return _to_mulaw(samples) if law == "mulaw" else _to_alaw(samples)


@cache
def _decoder(law: str) -> NDArray[np.int16]:
    """The sample of every byte."""
    written = np.arange(256, dtype=np.int32)
    return (_from_mulaw(written) if law == "mulaw" else _from_alaw(written)).astype("<i2")


def _to_mulaw(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    scaled = samples >> 2
    sign = np.where(scaled < 0, 0x80, 0)
    size = np.minimum(np.abs(scaled), _CLIP) + _BIAS
    segment = np.floor(np.log2(size)).astype(np.int32) - 5
    step = (size >> (segment + 1)) & 0x0F
    return (~(sign | (segment << 4) | step) & 0xFF).astype(np.uint8)


def _from_mulaw(written: NDArray[np.int32]) -> NDArray[np.int32]:
    bits = ~written & 0xFF
    size = ((((bits & 0x0F) << 1) + _BIAS) << ((bits >> 4) & 0x07)) - _BIAS
    return np.where(bits & 0x80, -size, size) << 2


def _to_alaw(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    # Thirteen bits; negative samples are those of one's complement.
    scaled = samples >> 3
    sign = np.where(scaled >= 0, 0x80, 0)
    size = np.where(scaled >= 0, scaled, -scaled - 1)
    segment = np.maximum(np.floor(np.log2(np.maximum(size, 1))).astype(np.int32) - 4, 0)
    step = np.where(segment < 2, size >> 1, size >> segment) & 0x0F
    return (((segment << 4) | step | sign) ^ 0x55).astype(np.uint8)


def _from_alaw(written: NDArray[np.int32]) -> NDArray[np.int32]:
    bits = written ^ 0x55
    segment = (bits >> 4) & 0x07
    size = ((bits & 0x0F) << 4) + 8
    size = np.where(segment > 0, (size + 0x100) << np.maximum(segment - 1, 0), size)
    return np.where(bits & 0x80, size, -size)
