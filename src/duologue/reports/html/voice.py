"""What the page knows of a conversation in voice: who spoke when, what happened, and where the sound is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from duologue.suites.results.run import RunResult
from duologue.suites.results.voice import EventResult, SegmentResult
from duologue.suites.results.voice_figures import voice_line


def voice_data(run: RunResult, recording: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was heard in a run; None if it was played in text.

    ``segments`` and ``events`` are in order of time, in seconds since the conversation began, which are also the times
    in the recording; there the user is left and the agent right. ``line`` is for people, ``figures`` has everything.

    Args:
        run: the run.
        recording: as media are given to the page: ``src`` where it is small enough to be in the page, ``href`` where it
            is a file beside it. None if there is none.
    """
    voice = run.voice
    if voice is None:
        return None
    return {
        "line": voice_line(run),
        "figures": voice.figures,
        "segments": [_segment(segment) for segment in voice.segments],
        "events": [_event(event) for event in voice.events],
        "recording": recording,
        "complete": voice.complete,
    }


def _segment(segment: SegmentResult) -> dict[str, Any]:
    data: dict[str, Any] = {"who": segment.speaker, "start": segment.start, "end": segment.end}
    more = {
        "text": segment.transcript,
        "cut": segment.truncated,
        "purpose": "" if segment.purpose == "turn" else segment.purpose,
        "recognised": segment.recognised,
        "words": [[word["text"], word["start"], word["end"]] for word in segment.words],
    }
    return data | {name: value for name, value in more.items() if value}


def _event(event: EventResult) -> dict[str, Any]:
    return {name: value for name, value in asdict(event).items() if value is not None}
