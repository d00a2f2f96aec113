"""Who spoke when: the one timeline of a conversation in voice, on which recordings and metrics rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from duologue.voice.audio import FRAME_SECONDS

Speaker = Literal["user", "agent"]
AT_ONCE_SECONDS = FRAME_SECONDS + 0.0001
"""Within one frame, two things happen at once."""
FRAMES_LATE = "frames_late"
"""The event of frames that this machine has sent late; ``late`` says by how many seconds."""
USER_DELAYED = "user_delayed"
"""The event of a line of the user that was not ready, because a model, a judge or its synthesis took time; ``seconds``
says how long until then."""
LATE_SECONDS = 0.25
"""Seconds that frames may be late. Beyond that, what took too long says nothing about the agent."""


def too_late(seconds: float) -> str:
    """What a lateness means, for errors and checks."""
    return (
        f"this machine could not keep up: frames were sent up to {seconds:.2f} s late, and {LATE_SECONDS:g} s are "
        "tolerated. Hold fewer calls at once (concurrency), or spread them over more workers"
    )


class SpeechPurpose(StrEnum):
    """What the user says something for. Only a turn is to be answered."""

    TURN = "turn"
    BACKCHANNEL = "backchannel"
    """A sign of listening, such as "mm-hmm"."""
    VOCAL_TIC = "vocal_tic"
    """A cough, or an "um"."""
    NON_DIRECTED = "non_directed"
    """Said to somebody else."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word, and when it was heard.

    Attributes:
        text: the word.
        start, end: seconds since the conversation began.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class AudioSegment:
    """A time in which one of them spoke without a pause.

    Attributes:
        start_time, end_time: seconds since the conversation began.
        audio: what was heard: PCM16, mono, 24 kHz; b"" where it was not kept.
        transcript: what was said, as far as it is known.
        transcript_truncated: the segment was cut off, so less of it was heard than the transcript may say.
        purpose: what the user spoke for.
        recognised: what speech to text has understood of its sound; None where nobody asked.
        words: each with its time, where that is known.

    Raises:
        ValueError: it ends before it begins.
    """

    speaker: Speaker
    start_time: float
    end_time: float
    audio: bytes = field(default=b"", repr=False)
    transcript: str | None = None
    transcript_truncated: bool = False
    purpose: SpeechPurpose = SpeechPurpose.TURN
    recognised: str | None = None
    words: Sequence[SpokenWord] = ()

    def __post_init__(self) -> None:
        if self.end_time < self.start_time:
            raise ValueError(f"a segment ends after it begins; found {self.start_time} to {self.end_time}")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end_time - self.start_time


@dataclass(frozen=True, slots=True)
class VoiceEvent:
    """Something that happened.

    Attributes:
        time: seconds since the conversation began.
        type: such as ``user_start_speaking``, ``agent_stop_speaking``, ``user_interrupt``, ``tool_call``, ``dtmf``.
        name, args, result: of a tool that was called.
        latency: seconds that the agent took until it spoke, where it began to.
        metadata: more, such as the adapter and how it interrupts.
    """

    time: float
    type: str
    name: str | None = None
    args: Mapping[str, Any] | None = None
    result: Any = None
    latency: float | None = None
    metadata: Mapping[str, Any] | None = None


def overlap(first: Iterable[tuple[float, float]], second: Iterable[tuple[float, float]]) -> float:
    """Seconds in which intervals of one group and of another one take place at once."""
    others = joined(second)
    return sum(max(0.0, min(end, until) - max(start, since)) for start, end in joined(first) for since, until in others)


def joined(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Intervals that do not touch, in order, which together are those that were given."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > start:
            found.append((start, end))
    return found
