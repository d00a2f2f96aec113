"""A line on which sound comes in real time without a pause, silence too, as WebRTC has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

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

    @property
    def is_shut(self) -> bool:
        """Whether the line is silent now."""
        return self._silent >= KEPT_SECONDS - 1e-9

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
        if not self.is_shut:
            self._silent += seconds_of(len(pcm))
            return pcm
        self._before = pcm
        return b""


LONGEST_SECONDS = 1.5
"""That something is kept back at most while the line is not silent."""


class AfterSound:
    """Keeps back what was told over another way, such as the end of a turn, until the sound before it has come.

    Sound waits in buffers on its way, messages do not. So the end of a turn that is told counts once the line has
    fallen silent.

    Args:
        release: is called then.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._timers: list[asyncio.TimerHandle] = []
        self._ripe = False
        self._silent = True

    def hold(self, seconds: float) -> None:
        """Keep it back for so long at least. What is kept back already is released."""
        if self._timers:
            self._go()
        loop = asyncio.get_running_loop()
        self._ripe = False
        self._timers = [loop.call_later(seconds, self._ripens), loop.call_later(seconds + LONGEST_SECONDS, self._go)]

    def heard(self, *, silent: bool) -> None:
        """The next piece of the line has come."""
        self._silent = silent
        if silent and self._ripe:
            self._go()

    def drop(self) -> None:
        """Release it never."""
        for timer in self._timers:
            timer.cancel()
        self._timers, self._ripe = [], False

    def _ripens(self) -> None:
        self._ripe = True
        self.heard(silent=self._silent)

    def _go(self) -> None:
        self.drop()
        self._release()
