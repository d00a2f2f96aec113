"""An execution with one conversation in voice: an interruption, a tool, keys, a long silence, and its recording."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import sample_executions as samples

from duologue.suites.plan.build import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import MediaResult, MessageResult
from duologue.suites.results.voice import RECORDING, EventResult, SegmentResult, VoiceResult

RATE = 24_000
LENGTH = 14.0
FILE = "media/call.wav"
USER_HERTZ, AGENT_HERTZ = 440, 880
SAID = {
    "m1": ("user", "Where is my parcel?"),
    "m2": ("agent", "Your parcel is on its way to the harbour office."),
    "m3": ("user", "No, wait, the other one."),
    "m4": ("agent", "It arrives on Tuesday."),
}


def segment(speaker, start, end, transcript, **more) -> SegmentResult:
    """A time in which somebody spoke."""
    return SegmentResult(speaker=speaker, start=start, end=end, transcript=transcript, **more)


def event(time, kind, **more) -> EventResult:
    """Something that happened."""
    return EventResult(time=time, type=kind, **more)


SEGMENTS = (
    segment("user", 0.0, 1.5, "Where is my parcel?"),
    segment(
        "agent",
        2.0,
        5.0,
        "Your parcel is on its way",
        truncated=True,
        words=tuple(
            {"text": word, "start": 2.0 + 0.5 * number, "end": 2.5 + 0.5 * number}
            for number, word in enumerate("Your parcel is on its way".split())
        ),
    ),
    segment("user", 3.0, 3.3, "Mm-hmm.", purpose="backchannel"),
    segment("user", 4.5, 6.0, "No, wait, the other one."),
    segment("agent", 10.5, 12.0, "It arrives"),
    segment("agent", 12.4, 13.0, "on Tuesday."),
)
EVENTS = (
    event(0.0, "user_start_speaking"),
    event(4.5, "user_interrupt", metadata={"native": True, "agent_was_speaking": True, "yielded_after": 0.5}),
    event(7.0, "tool_call", name="find_parcel", args={"id": "48213"}),
    event(7.5, "tool_result", name="find_parcel", result={"day": "Tuesday"}),
    event(9.0, "dtmf", metadata={"by": "user", "keys": "1#"}),
    event(13.0, "call_ended", metadata={"by": "agent", "reason": "done"}),
)
FIGURES = {
    "duration": 13.0,
    "response_latency_p50": 2.5,
    "response_latency_p95": 4.3,
    "interruptions": 1,
    "yield_latency": 0.5,
    "agent_interruptions": 0,
    "overlap": 0.8,
    "longest_silence": 4.5,
    "word_error_rate": 0.111,
    "talk_ratio": 0.62,
}


def spoken(folder: Path, *, said=SAID, sound: bool = True, length: float = LENGTH) -> ExecutionResult:
    """The execution; its recording is written into the folder, where each speaker is a tone.

    Args:
        folder: of the results.
        said: messages by id: who, and what.
        sound: False for one without a recording.
        length: seconds of the recording.
    """
    roles = {"user": "user", "agent": "assistant"}
    made = samples.case(0, "parcel", "desk")
    media = ()
    if sound:
        size = write_recording(folder / FILE, length)
        media = (
            MediaResult(
                type="audio",
                mime_type="audio/wav",
                message_id=RECORDING,
                part=0,
                size_bytes=size,
                duration=length,
                path=FILE,
            ),
        )
    run = samples.run_of(
        made,
        messages=tuple(
            MessageResult(id=name, message={"role": roles[who], "content": words}, turn=number // 2)
            for number, (name, (who, words)) in enumerate(said.items())
        ),
        checks=(),
        media=media,
        voice=VoiceResult(segments=SEGMENTS, events=EVENTS, figures=FIGURES),
    )
    plan = Plan(suite="parcels", cases=(made,), seed=7)
    return samples.replace(samples.hotel(), suite="parcels", plan=plan, runs=(run,))


def write_recording(path: Path, length: float = LENGTH) -> int:
    """Write the sound of the segments; the answer is the size of the file."""
    sound = np.zeros((round(length * RATE), 2), dtype="<i2")
    for segment in SEGMENTS:
        first, last = round(segment.start * RATE), round(segment.end * RATE)
        hertz, channel = (USER_HERTZ, 0) if segment.speaker == "user" else (AGENT_HERTZ, 1)
        sound[first:last, channel] = np.sin(2 * np.pi * hertz * np.arange(last - first) / RATE) * 12000
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    return path.stat().st_size
