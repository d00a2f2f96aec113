"""Who spoke when, as lines for models and people: times, overlap, interruptions, silence and tools.

::

    0.0-2.1 user: "I'd like to return a kettle"
    (silence 0.9 s)
    3.0-7.2 agent, after 0.9 s: "Of course. Could you give me the order number that is"… [cut off]
    6.8-8.0 user interrupts, both speak for 0.4 s: "No wait"
    6.8 the agent is told to stop and is silent 0.4 s later
    8.6 agent calls "find_order" {"id": "48213"}

What was said is data from outside: a JSON string on its line, cut where it is long, because the transcript has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from duologue.messages import JsonValue
from duologue.transcripts.rendering import compact, quoted
from duologue.voice.timeline import AT_ONCE_SECONDS, AudioSegment, SpeechPurpose, VoiceEvent, joined

LONGEST_QUOTE = 80
"""Characters of what was said in a segment."""
LONGEST_ARGUMENTS = 200
"""Characters of the arguments or the result of a tool."""
SHORTEST_SILENCE = 0.5
"""Seconds from which a silence has a line of its own."""
MOST_LINES = 400
"""Of a timeline; in the middle of a longer one some are left out."""

_PURPOSES = {
    SpeechPurpose.BACKCHANNEL: " (a sign of listening)",
    SpeechPurpose.VOCAL_TIC: " (no words for the agent)",
    SpeechPurpose.NON_DIRECTED: " (to somebody else)",
}
_SPEECH = {"user_start_speaking", "user_stop_speaking", "agent_start_speaking", "agent_stop_speaking"}
"""Events that the segments say."""


def timeline_text(segments: Iterable[AudioSegment], events: Iterable[VoiceEvent] = ()) -> str:
    """The timeline of a conversation; '' where nothing was heard.

    Args:
        segments: of both, in any order.
        events: what happened beside them.
    """
    spoken = sorted(segments, key=lambda item: (item.start_time, item.end_time))
    lines = [*_speech(spoken), *_silences(spoken), *(line for event in events for line in _event(event))]
    found = [text for _, text in sorted(lines, key=lambda item: item[0])]
    if len(found) <= MOST_LINES:
        return "\n".join(found)
    half = MOST_LINES // 2
    return "\n".join([*found[:half], f"({len(found) - 2 * half} lines are left out here)", *found[-half:]])


def _speech(spoken: Sequence[AudioSegment]) -> Iterator[tuple[float, str]]:
    last: dict[str, AudioSegment] = {}
    for segment in spoken:
        told = _begins(segment, last.get("agent" if segment.speaker == "user" else "user"))
        cut = " [cut off]" if segment.transcript_truncated else ""
        times = f"{_time(segment.start_time)}-{_time(segment.end_time)}"
        said = _said(segment.transcript)
        yield (
            segment.start_time,
            f"{times} {segment.speaker}{told}{_PURPOSES.get(segment.purpose, '')}: {said}{cut}",
        )
        before = last.get(segment.speaker)
        if before is None or segment.end_time >= before.end_time:
            last[segment.speaker] = segment


def _begins(segment: AudioSegment, other: AudioSegment | None) -> str:
    """How a segment begins, after the other one has spoken."""
    if other is None:
        return ""
    gap = segment.start_time - other.end_time
    if gap < 0:
        both = min(-gap, segment.duration)
        word = " interrupts" if segment.purpose is SpeechPurpose.TURN else ""
        return f"{word}, both speak for {both:.1f} s"
    if other.transcript_truncated and gap <= AT_ONCE_SECONDS:
        return " interrupts"
    return f", after {gap:.1f} s" if segment.speaker == "agent" else ""


def _silences(spoken: Sequence[AudioSegment]) -> Iterator[tuple[float, str]]:
    intervals = joined((item.start_time, item.end_time) for item in spoken)
    for (_, end), (start, _) in itertools.pairwise(intervals):
        if start - end >= SHORTEST_SILENCE:
            yield end, f"(silence {start - end:.1f} s)"


def _event(event: VoiceEvent) -> Iterator[tuple[float, str]]:
    at = _time(event.time)
    match event.type:
        case kind if kind in _SPEECH:
            return
        case "user_interrupt":
            yield event.time, f"{at} {_interruption(event.metadata or {})}"
        case "tool_call":
            yield event.time, f"{at} agent calls {quoted(event.name or '')} {_short(event.args or {})}"
        case "tool_result":
            name = f" of {quoted(event.name)}" if event.name else ""
            yield event.time, f"{at} result{name}: {_short(event.result)}"
        case kind:
            more = {**({"name": event.name} if event.name else {}), **(event.metadata or {})}
            yield event.time, f"{at} {kind.replace('_', ' ')}{f' {_short(more)}' if more else ''}"


def _interruption(found: Mapping[str, object]) -> str:
    """How the agent took an interruption."""
    if found.get("agent_was_speaking") is False:
        return "the user cuts in, and the agent was not speaking"
    how = "is told to stop" if found.get("native") else "is talked over"
    after = found.get("yielded_after")
    ends = f"is silent {after:.1f} s later" if isinstance(after, int | float) else "goes on speaking"
    return f"the agent {how} and {ends}"


def _said(text: str | None) -> str:
    if not text:
        return "(no words known)"
    cut = text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE]
    return quoted(cut) + ("…" if len(text) > LONGEST_QUOTE else "")


def _short(value: object) -> str:
    text = compact(cast("JsonValue", value))
    return text if len(text) <= LONGEST_ARGUMENTS else text[:LONGEST_ARGUMENTS] + "…"


def _time(seconds: float) -> str:
    return f"{seconds:.1f}"
