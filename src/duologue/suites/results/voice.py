"""What a result says of a conversation in voice: who spoke when, and the figures. Made in ``voice_figures``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from duologue.frozen import frozen

RECORDING = "recording"
"""In place of the id of a message: a medium that is the recording of the whole conversation."""


@frozen(slots=True)
class SegmentResult:
    """A time in which somebody spoke.

    Attributes:
        speaker: ``user`` or ``agent``.
        start, end: seconds since the conversation began, which are also its place in the recording.
        transcript: what was said, as far as it is known.
        truncated: it was cut off.
        purpose: what the user spoke for: ``turn``, ``backchannel``, ``vocal_tic`` or ``non_directed``.
        recognised: what speech to text has understood of its sound, where somebody asked.
        words: ``{text, start, end}`` each, where their times are known.
    """

    speaker: str
    start: float
    end: float
    transcript: str | None = None
    truncated: bool = False
    purpose: str = "turn"
    recognised: str | None = None
    words: tuple[dict[str, Any], ...] = ()


@frozen(slots=True)
class EventResult:
    """Something that happened in the conversation; see :class:`duologue.voice.VoiceEvent`."""

    time: float
    type: str
    name: str | None = None
    args: dict[str, Any] | None = None
    result: Any = None
    latency: float | None = None
    metadata: dict[str, Any] | None = None


@frozen(slots=True)
class VoiceResult:
    """What was heard in a run.

    Attributes:
        segments: in order of time.
        events: in order of time.
        figures: by name, see :mod:`duologue.suites.results.voice_figures`; None where there was nothing of that sort.
        response_latencies, yield_latencies: all of them, in seconds.
        complete: whether the recording holds the whole conversation. One of a run that was killed ends before.
    """

    segments: tuple[SegmentResult, ...] = ()
    events: tuple[EventResult, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    response_latencies: tuple[float, ...] = ()
    yield_latencies: tuple[float, ...] = ()
    complete: bool = True
