"""Sound that has come from the agent and is not heard yet: heard frame by frame, however fast it came."""

from __future__ import annotations

from collections import deque

from duologue.voice.audio import FRAME_SECONDS, SAMPLE_RATE, SAMPLE_WIDTH
from duologue.voice.duplex.agent_turn import HeardTurn

FRAME_BYTES = round(FRAME_SECONDS * SAMPLE_RATE) * SAMPLE_WIDTH
SILENCE = bytes(FRAME_BYTES)
"""A frame of it."""
MOST_SECONDS = 60.0
"""Sound that waits here at most. Then nothing more is taken from the adapter, and its sender has to wait."""


class Playout:
    """A queue of sound, each piece of it of one turn of the agent."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._pieces: deque[tuple[HeardTurn, memoryview]] = deque()
        self._most = round(most_seconds * SAMPLE_RATE) * SAMPLE_WIDTH
        self.size = 0
        """Bytes that wait."""

    @property
    def is_full(self) -> bool:
        """Whether more has to wait elsewhere."""
        return self.size >= self._most

    def put(self, turn: HeardTurn, data: bytes) -> None:
        """Sound that is to be heard after what waits."""
        if data:
            self._pieces.append((turn, memoryview(data)))
            self.size += len(data)
            turn.waiting += len(data)

    def next(self) -> tuple[HeardTurn, bytes] | None:
        """The next frame, filled up with silence where there is less; None if nothing waits. Of one turn only."""
        if not self._pieces:
            return None
        turn, piece = self._pieces[0]
        if len(piece) == FRAME_BYTES:  # mostly
            self._pieces.popleft()
            self._taken(turn, FRAME_BYTES)
            return turn, bytes(piece)
        frame = bytearray()
        while self._pieces and len(frame) < FRAME_BYTES and self._pieces[0][0] is turn:
            _, piece = self._pieces.popleft()
            need = FRAME_BYTES - len(frame)
            frame += piece[:need]
            if len(piece) > need:
                self._pieces.appendleft((turn, piece[need:]))
        self._taken(turn, len(frame))
        return turn, bytes(frame.ljust(FRAME_BYTES, b"\0"))

    def clear(self, turn: HeardTurn | None = None) -> None:
        """Throw away what waits: all of it, or that of one turn."""
        kept = [item for item in self._pieces if turn is not None and item[0] is not turn]
        for item, piece in self._pieces:
            if turn is None or item is turn:
                item.waiting -= len(piece)
                item.thrown += len(piece)
        self._pieces = deque(kept)
        self.size = sum(len(piece) for _, piece in kept)

    def _taken(self, turn: HeardTurn, size: int) -> None:
        self.size -= size
        turn.waiting -= size
