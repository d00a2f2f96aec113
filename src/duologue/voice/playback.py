"""Playing a call on this machine while it takes place, if there is a program that can."""

from __future__ import annotations

import logging
import queue
import shutil
import subprocess
import threading
from typing import Self

import numpy as np

logger = logging.getLogger("duologue.voice")

_PLAYERS = (
    ("aplay", "-q", "-t", "raw", "-f", "S16_LE", "-r", "24000", "-c", "1", "-"),
    ("pacat", "--raw", "--format=s16le", "--rate=24000", "--channels=1"),
    ("play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-r", "24000", "-c", "1", "-"),
    ("ffplay", "-nodisp", "-loglevel", "quiet", "-f", "s16le", "-ar", "24000", "-i", "-"),
)
"""Programs that play raw sound from their standard input."""
_MOST_FRAMES = 250


class Playback:
    """Both sides of a call, mixed. What cannot be played is left out.

    Args:
        player: the program, with its arguments.
    """

    def __init__(self, player: tuple[str, ...]) -> None:
        self._player = player
        self._frames: queue.Queue[bytes | None] = queue.Queue(_MOST_FRAMES)
        threading.Thread(target=self._play, name="duologue-playback", daemon=True).start()

    @classmethod
    def start(cls) -> Self | None:
        """Begin; None where no program can play sound."""
        for player in _PLAYERS:
            if shutil.which(player[0]):
                return cls(player)
        names = ", ".join(player[0] for player in _PLAYERS)
        logger.info("audio_playback: nothing is played, since none of these programs is installed: %s", names)
        return None

    def frame(self, user: bytes, agent: bytes) -> None:
        """The next frame of both. Never waits."""
        both = np.frombuffer(user, dtype="<i2").astype(np.int32) + np.frombuffer(agent, dtype="<i2")
        self._put(np.clip(both, -32_768, 32_767).astype("<i2").tobytes())

    def stop(self) -> None:
        """Nothing more follows."""
        self._put(None)

    def _put(self, frame: bytes | None) -> None:
        try:
            self._frames.put_nowait(frame)
        except queue.Full:  # the program is behind: it plays what is new
            with self._frames.mutex:
                self._frames.queue.clear()
            self._frames.put_nowait(frame)

    def _play(self) -> None:
        try:
            with subprocess.Popen(self._player, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                assert process.stdin is not None
                while (frame := self._frames.get()) is not None:
                    process.stdin.write(frame)
        except OSError as error:
            logger.info("audio_playback: %s does not play: %s", self._player[0], error)
