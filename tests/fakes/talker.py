"""An agent that talks in real time: it answers each turn of the user word by word, and stops when it is talked over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sounds import FRAME, level, tone

WORDS = tuple(f"word{number}" for number in range(30))
"""Of the first answer, which is to be cut off."""
SHORT = ("that", "is", "all")
"""Of every other."""
WORD_FRAMES = 10
"""Frames of 20 ms that a word takes."""
_PAUSE_FRAMES = 20
"""Of silence, after which the user's turn is over."""
_LOUD = 800


class Talker:
    """Hears what ``hear`` gives and speaks with ``say``, 20 ms at a time.

    Args:
        hear: the user's sound since the last time: PCM16, mono, 24 kHz.
        say: speaks 20 ms.
        told: is told ``began``, each word, ``stopped``, and ``user`` when the user begins to speak.

    Attributes:
        cut_off: how often it was talked over.
        late: seconds that its frames were late at most, on a machine that is busy with other things.
    """

    def __init__(
        self,
        hear: Callable[[], bytes],
        say: Callable[[bytes], Awaitable[None]],
        told: Callable[[str, str], None],
    ) -> None:
        self._hear, self._say, self._told = hear, say, told
        self._words: Sequence[str] = ()
        self._user_speaks = False
        self._quiet = 0
        self._left: list[bytes] = []
        self._place = 0
        self.cut_off = 0
        self.late = 0.0

    async def talk(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        began, frames = loop.time(), 0
        while True:
            self._listen(self._hear())
            if self._left:
                if self._place % WORD_FRAMES == 0:
                    self._told("word", self._words[self._place // WORD_FRAMES])
                self._place += 1
                await self._say(self._left.pop(0))
                if not self._left:
                    self._told("stopped", "")
            frames += 1
            self.late = max(self.late, loop.time() - began - frames * 0.02)
            await asyncio.sleep(max(0.0, began + frames * 0.02 - loop.time()))

    def stop(self) -> None:
        """It is told to stop."""
        if self._left:
            self._left.clear()
            self._told("stopped", "")

    def _listen(self, pcm: bytes) -> None:
        if not pcm:
            return
        if level(pcm) > _LOUD:
            self._quiet = 0
            if not self._user_speaks:
                self._user_speaks = True
                self._told("user", "")
                if self._left:
                    self.cut_off += 1
                    self.stop()
        elif self._user_speaks:
            self._quiet += max(1, len(pcm) // FRAME)
            if self._quiet >= _PAUSE_FRAMES:
                self._user_speaks = False
                self._words = SHORT if self._words else WORDS
                sound = tone(660, 0.02 * WORD_FRAMES * len(self._words))
                self._left = [sound[at : at + FRAME] for at in range(0, len(sound), FRAME)]
                self._place = 0
                self._told("began", "")
