"""Voice agents of this process, for tests: they hear loud frames and silent ones, and answer with tones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from duologue.voice.adapter import AdapterCapabilities, InProcessVoiceAgent
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming

FRAME = 0.02


def tone(seconds: float, frequency: float = 300.0, loudness: float = 8000.0) -> AudioChunk:
    """A sound that is no speech, but as loud."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return AudioChunk((np.sin(2 * np.pi * frequency * times) * loudness).astype("<i2").tobytes())


def is_loud(frame: AudioChunk) -> bool:
    return bool(np.abs(np.frombuffer(frame.data, dtype="<i2").astype(np.int32)).max() > 300)


class AnsweringAgent(InProcessVoiceAgent):
    """Answers once the user has been silent for ``pause`` seconds.

    Args:
        answers: what it gives each time, one after the other; the last again and again.
        pause: seconds of silence before it answers.
        stops: it falls silent when it hears the user for ``notices`` seconds: it gives its sound frame by frame.
    """

    def __init__(
        self,
        answers: Sequence[Callable[[], list[Incoming]] | list[Incoming]] | None = None,
        *,
        pause: float = 0.5,
        stops: bool = False,
        notices: float = 0.2,
        at_start: list[Incoming] | None = None,
    ) -> None:
        self.answers = list(answers or [[AgentWords(text="one two three four five"), tone(2.0)]])
        self.pause, self.stops, self.notices = pause, stops, notices
        self.heard: list[tuple[float, bool]] = []
        self.connects = self.disconnects = 0
        self._first = at_start
        self._waits = False
        self._silent = self._loud = 0.0
        self._rest = b""
        self._ends = False
        self._given = 0

    async def connect(self) -> None:
        self.connects += 1

    async def disconnect(self) -> None:
        self.disconnects += 1

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        loud = is_loud(frame)
        self.heard.append((at, loud))
        came: list[Incoming] = self._first or []
        self._first = None
        if loud:
            self._waits, self._silent = True, 0.0
            self._loud += FRAME
            if self.stops and self._loud >= self.notices:
                self._rest = b""
        else:
            self._silent += FRAME
            self._loud = 0.0
        if self._waits and self._silent >= self.pause - 1e-9:
            self._waits = False
            answer = self.answers[min(self._given, len(self.answers) - 1)]
            self._given += 1
            came = [*came, *(answer() if callable(answer) else answer)]
        if not self.stops:
            return came
        sound = b"".join(item.data for item in came if isinstance(item, AudioChunk))
        self._rest += sound
        piece, self._rest = self._rest[:960], self._rest[960:]
        others: list[Incoming] = [item for item in came if not isinstance(item, AudioChunk | AgentTurnEnded)]
        self._ends = self._ends or any(isinstance(item, AgentTurnEnded) for item in came)
        if piece:
            others.append(AudioChunk(piece))
        if self._ends and not self._rest:
            self._ends = False
            others.append(AgentTurnEnded())
        return others


class ObedientAgent(AnsweringAgent):
    """Can be told to stop."""

    capabilities = AdapterCapabilities(interruption=True, streaming_transcripts=True)
    ends_turns = True

    def __init__(self, answers: Sequence[list[Incoming]] | None = None, **more: float) -> None:
        super().__init__(answers or [[AgentWords(text="one two three four five"), tone(2.0), AgentTurnEnded()]], **more)
        self.interrupted = 0

    async def interrupt(self) -> None:
        self.interrupted += 1
        self._rest = b""
