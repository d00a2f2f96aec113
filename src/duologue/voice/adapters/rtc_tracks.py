"""The two ends of a WebRTC audio line: what the user says goes out frame by frame, what the agent says comes in.

On the wire sound has 48,000 samples a second. aiortc asks the outgoing track for a frame and sends what it gets, so the
track is what paces the line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from duologue.context import SystemClock
from duologue.voice.audio import FRAME_SECONDS, SAMPLE_RATE, bytes_of
from duologue.voice.resample import Resampler

WIRE_RATE = 48_000
"""Samples a second of Opus."""
PATIENCE = 0.06
"""Seconds that a frame may be late until silence is sent in its place, and early until it has to wait."""
MOST_WAITING = 100
"""Frames that may wait to be sent; then whoever speaks has to wait."""
_LATE = 3
"""Frames that wait where silence is left out, so that what follows it is on time again."""
_FRAME_BYTES = bytes_of(FRAME_SECONDS, WIRE_RATE)
_SAMPLES = _FRAME_BYTES // 2
_SILENCE = bytes(_FRAME_BYTES)
_CLOCK = SystemClock()


class Microphone(MediaStreamTrack):
    """What the user says. A frame that is written is sent at once; where none comes, silence is."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._to_wire = Resampler(SAMPLE_RATE, WIRE_RATE)
        # What the resampler holds back is sent as silence first, so that each frame written completes a frame to send.
        self._rest = bytes(_FRAME_BYTES - len(Resampler(SAMPLE_RATE, WIRE_RATE).process(bytes(_FRAME_BYTES // 2))))
        self._due: float | None = None
        self._sent = 0

    async def write(self, pcm: bytes) -> None:
        """Say it; waits while more than two seconds wait to be sent.

        Args:
            pcm: PCM16, mono, 24 kHz, of any length.
        """
        data = self._rest + self._to_wire.process(pcm)
        whole = len(data) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = data[whole:]
        for at in range(0, whole, _FRAME_BYTES):
            frame = data[at : at + _FRAME_BYTES]
            if len(self._frames) >= _LATE and frame == _SILENCE:
                continue
            while len(self._frames) >= MOST_WAITING and self.readyState == "live":
                self._changed.clear()
                await self._changed.wait()
            if self.readyState != "live":
                return
            self._frames.append(frame)
            self._changed.set()

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when it is time to send them."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        due = loop.time() if self._due is None else self._due
        if (early := due - PATIENCE - loop.time()) > 0:
            await _CLOCK.sleep(early)
        if not self._frames:
            await self._until_there_is_one(due + PATIENCE)
        now = loop.time()
        if self._frames:
            pcm = self._frames.popleft()
            self._changed.set()
            self._due = max(due, now) + FRAME_SECONDS
        else:
            pcm = _SILENCE
            self._due = max(due, now - PATIENCE) + FRAME_SECONDS
        return self._frame(pcm)

    def stop(self) -> None:
        """Nothing more is said."""
        super().stop()
        self._frames.clear()
        self._changed.set()

    async def _until_there_is_one(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                while not self._frames and self.readyState == "live":
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    def _frame(self, pcm: bytes) -> AudioFrame:
        # Opus is encoded as stereo, and whoever makes two channels of one takes 3 dB off: so they are two from here.
        frame = AudioFrame(format="s16", layout="stereo", samples=_SAMPLES)
        frame.planes[0].update(np.frombuffer(pcm, dtype="<i2").repeat(2).tobytes())
        frame.sample_rate = WIRE_RATE
        frame.time_base = Fraction(1, WIRE_RATE)
        frame.pts = self._sent
        self._sent += _SAMPLES
        return frame


class SoundFromTrack:
    """Turns frames of whatever codec into PCM16, mono, 24 kHz."""

    def __init__(self) -> None:
        self._rate = 0
        self._from_wire = Resampler(WIRE_RATE, SAMPLE_RATE)

    def heard(self, frame: AudioFrame) -> bytes:
        """What one frame holds. Frames of one stream follow each other without a click."""
        if frame.sample_rate != self._rate:
            self._rate = frame.sample_rate
            self._from_wire = Resampler(self._rate, SAMPLE_RATE)
        samples = frame.to_ndarray()
        if frame.format.is_planar:
            samples = samples.T
        samples = samples.reshape(-1, frame.layout.nb_channels)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        if frame.format.name.startswith("flt"):
            mono = np.clip(mono * 32_768, -32_768, 32_767)
        return self._from_wire.process(mono.astype("<i2").tobytes())
