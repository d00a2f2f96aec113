"""An agent that talks for long until it is interrupted, for every wire: what it sends and gets is up to the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import numpy as np

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
_FRAMES_OF_A_WORD = 10
_QUIET = 0.2
"""Seconds without sound of the user after which it is the agent's turn."""


class TalkingAgent:
    """Answers when the user has finished: the first time with three seconds, then with one word.

    Args:
        say: sends 20 ms of sound, PCM16 at 24 kHz.
        words: reports what is said now; None where the wire cannot.
        ended: reports the end of a turn, and whether it was cut off.
    """

    def __init__(
        self,
        say: Callable[[bytes], Awaitable[None]],
        words: Callable[[str], Awaitable[None]] | None = None,
        ended: Callable[[bool], Awaitable[None]] | None = None,
    ) -> None:
        self._say, self._words, self._ended = say, words, ended
        self._heard_at: float | None = None
        self._stop = asyncio.Event()
        self._talking = False
        self.turns = 0
        self.interrupted = 0
        self._task = asyncio.create_task(self._live())

    def hear(self, pcm: bytes) -> None:
        """Sound of the user, at any rate."""
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
        if len(samples) and np.sqrt((samples**2).mean()) > 500:
            self._heard_at = asyncio.get_running_loop().time()
            if self._talking:
                self.stop()

    def stop(self) -> None:
        """The user has cut in."""
        if self._talking and not self._stop.is_set():
            self.interrupted += 1
            self._stop.set()

    @property
    def is_talking(self) -> bool:
        """Whether it speaks now."""
        return self._talking

    async def close(self) -> None:
        """The call is over."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.02)
            if self._heard_at is not None and loop.time() - self._heard_at > _QUIET:
                self._heard_at = None
                self.turns += 1
                await self._talk(WORDS if self.turns == 1 else ["fine"])

    async def _talk(self, words: list[str]) -> None:
        loop = asyncio.get_running_loop()
        self._talking = True
        self._stop.clear()
        began = loop.time()
        at = np.arange(480) / 24_000
        for number in range(len(words) * _FRAMES_OF_A_WORD):
            if self._stop.is_set():
                break
            if number % _FRAMES_OF_A_WORD == 0 and self._words is not None:
                word = words[number // _FRAMES_OF_A_WORD]
                await self._words(f" {word}" if number else word)
            await self._say((np.sin(2 * np.pi * 400 * at) * 8_000).astype("<i2").tobytes())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(began + 0.02 * (number + 1)):
                    await self._stop.wait()
        self._talking = False
        if self._ended is not None:
            await self._ended(self._stop.is_set())
