"""What the page knows of a conversation in voice: who spoke when, what happened, and where the sound is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from duologue.suites.results.run import RunResult
from duologue.suites.results.voice import EventResult, SegmentResult
from duologue.suites.results.voice_figures import voice_line

_ROLES = {"user": "user", "assistant": "agent"}
_AHEAD = 4
"""Messages of a speaker among which the words of a segment are looked for."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a character of a script without spaces."""


def voice_data(
    run: RunResult, messages: Sequence[Mapping[str, Any]], recording: dict[str, Any] | None
) -> dict[str, Any] | None:
    """What was heard in a run; None if it was played in text.

    ``segments`` and ``events`` are in order of time, in seconds since the conversation began, which are also the times
    in the recording; there the user is left and the agent right. Segments name the message that they are the sound of.
    ``line`` is for people, ``figures`` has everything.

    Args:
        run: the run.
        messages: as they are given to the page.
        recording: as media are given to the page: ``src`` where it is small enough to be in the page, ``href`` where it
            is a file beside it. None if there is none.
    """
    voice = run.voice
    if voice is None:
        return None
    return {
        "line": voice_line(run),
        "figures": voice.figures,
        "segments": _segments(voice.segments, messages),
        "events": [_event(event) for event in voice.events],
        "recording": recording,
        "complete": voice.complete,
    }


def _segments(segments: Sequence[SegmentResult], messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    spoken = {who: _Messages(who, messages) for who in _ROLES.values()}
    found: list[dict[str, Any]] = []
    for segment in segments:
        data = _segment(segment)
        if segment.purpose == "turn":
            message = spoken[segment.speaker].of(segment.transcript or "", truncated=segment.truncated)
            if message is not None:
                data["message"] = message
        found.append(data)
    return found


class _Messages:
    """Finds the messages of a speaker that segments are the sound of. Both are in the same order.

    A message may have been spoken with pauses, and what was heard of it may be less than its text, so the words of a
    segment are looked for among those of the next messages that no segment has had yet. Of a message that was cut off,
    the text is what was heard, while a segment can have all that was to be said: then the words of the message are
    looked for in the segment, as the next message may well say the rest of it again.
    """

    def __init__(self, who: str, messages: Sequence[Mapping[str, Any]]) -> None:
        said = [item for item in messages if _ROLES.get(str(item["role"])) == who and item["text"]]
        self._left = [(str(item["id"]), Counter(_words(str(item["text"])))) for item in said]
        self._cut = {str(item["id"]) for item in said if item.get("cut")}
        self._taken = False  # the first of them has a segment

    def of(self, transcript: str, *, truncated: bool = False) -> str | None:
        """The id of the message that says this; None if none does.

        Args:
            transcript: what is said in the segment, or was to be said.
            truncated: the speaker was cut off in it.
        """
        words = Counter(_words(transcript))
        if not words:  # nobody knows what was said: each segment is a message
            return self._forward(1 if self._taken else 0)
        near = [
            (words & left).total() / self._expected(words, at, truncated=truncated)
            for at, (_, left) in enumerate(self._left[:_AHEAD])
        ]
        best = max(near, default=0.0)
        if best == 0.0:
            return None
        found = self._forward(near.index(best))
        if found is not None:
            self._left[0][1].subtract(words & self._left[0][1])
        return found

    def _expected(self, words: Counter[str], at: int, *, truncated: bool) -> int:
        """How many words a message and a segment have in common if one is the sound of the other."""
        name, left = self._left[at]
        untouched = at > 0 or not self._taken
        return (
            max(1, min(words.total(), left.total())) if truncated and untouched and name in self._cut else words.total()
        )

    def _forward(self, by: int) -> str | None:
        if by >= len(self._left):
            return None
        self._left = self._left[by:]
        self._taken = True
        return self._left[0][0]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


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
