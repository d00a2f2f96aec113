"""A line on which sound comes in real time without a pause, silence too, as WebRTC has it."""

from __future__ import annotations

import numpy as np

from duologue.voice.audio import seconds_of

QUIET = 40
"""Of 32,768: sound whose loudest sample is below it is silence that a codec has passed on."""
KEPT_SECONDS = 0.2
"""Of silence after speech that are handed on: pauses between words stay as they were."""


class SilenceGate:
    """Leaves out the silence of a line.

    What came a little late makes all that follows late, since nothing pauses on such a line. Where silence is left out,
    what was late is on time again, and an agent that says nothing sends nothing, as on every other transport.
    """

    def __init__(self) -> None:
        self._silent = KEPT_SECONDS
        self._before = b""

    def passed(self, pcm: bytes) -> bytes:
        """What of it is handed on, with the piece before it where sound begins.

        Args:
            pcm: PCM16, mono, 24 kHz: the next piece, of some 20 ms.
        """
        samples = np.frombuffer(pcm, dtype="<i2")
        if len(samples) and (samples.max() >= QUIET or samples.min() <= -QUIET):
            self._silent = 0.0
            before, self._before = self._before, b""
            return before + pcm
        if self._silent < KEPT_SECONDS - 1e-9:
            self._silent += seconds_of(len(pcm))
            return pcm
        self._before = pcm
        return b""
