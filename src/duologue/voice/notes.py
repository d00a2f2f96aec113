"""What a conversation in voice adds to its journal, and how all of it is read back.

The timeline of a run stands in its journal once: a note for each time in which somebody spoke, and one for each event.
The sound is an artifact, which a note names when the recording is complete. Everything else (:class:`VoiceRecording`,
figures, reports) is made of these notes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from duologue.errors import ArtifactError
from duologue.frozen import frozen
from duologue.journal.artifacts import CHUNK, Artifact, ArtifactStore, open_beside
from duologue.journal.journal import RunView
from duologue.journal.spoken import OpenArtifact, SpokenNote
from duologue.voice.metrics import LatencyMetrics, VoiceMetrics, pooled_word_error_rate, voice_metrics
from duologue.voice.timeline import (
    FRAMES_LATE,
    USER_DELAYED,
    AudioSegment,
    Speaker,
    SpeechPurpose,
    SpokenWord,
    VoiceEvent,
)
from duologue.voice.timeline_text import timeline_text

if TYPE_CHECKING:
    from duologue.voice.recording import StoredSound, VoiceRecording


logger = logging.getLogger("duologue.voice")

_LONGEST = 1e7
"""Seconds of a conversation, a third of a year: what a number in a journal may be at most."""
RECORDINGS_PLACE = (".duologue", "recordings")
"""Where recordings are made whose artifacts have no folder, within the folder of the project."""


class VoiceNote(SpokenNote):
    """Base of them."""

    @classmethod
    def read(cls, notes: Sequence[SpokenNote], opened: OpenArtifact | None = None) -> VoiceRun:
        """All that these notes say; see :meth:`SpokenNote.read`."""
        return VoiceRun(notes=tuple(notes), opened=opened)


@frozen
class SegmentHeard(VoiceNote):
    """A time in which somebody spoke; see :class:`AudioSegment`. Its sound is in the recording, at these times.

    Attributes:
        start, end: seconds since the conversation began.
        truncated: it was cut off.
        words: text, start and end of each, where they are known.
    """

    kind: ClassVar[str] = "voice.segment"

    speaker: Speaker
    start: float
    end: float
    transcript: str | None = None
    truncated: bool = False
    purpose: SpeechPurpose = SpeechPurpose.TURN
    words: tuple[SpokenWord, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= _LONGEST:  # a journal may be damaged, or come from somebody else
            raise ValueError(f"expected 0 <= start <= end <= {_LONGEST:g} s; found {self.start:g} to {self.end:g}")


@frozen
class SpeechRecognised(VoiceNote):
    """What speech to text has understood of a segment, or of the sound of a message.

    Attributes:
        segment: its number among the segments of the run, from 0, in the order in which they were noted; None for a
            message.
        message: the id of the message; '' for a segment.
        expected: the transcript of the message, with which the text is compared.
        provider: of speech to text.
    """

    kind: ClassVar[str] = "voice.recognised"

    text: str
    segment: int | None = None
    message: str = ""
    expected: str = ""
    provider: str = ""


@frozen
class VoiceHappened(VoiceNote):
    """Something that happened; see :class:`VoiceEvent`."""

    kind: ClassVar[str] = "voice.event"

    time: float
    type: str
    name: str | None = None
    args: dict[str, Any] | None = None
    result: Any = None
    latency: float | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.time <= _LONGEST:
            raise ValueError(f"expected a time from 0 to {_LONGEST:g} s; found {self.time:g}")


@frozen
class RecordingBegun(VoiceNote):
    """The sound is being written into a file. It is what there is of a run that was killed.

    Attributes:
        file: its name in the folder of the run's artifacts, or its path where they have no folder.
    """

    kind: ClassVar[str] = "voice.recording_begun"

    file: str


@frozen
class RecordingKept(VoiceNote):
    """The recording is complete: a file with the user on the left and the agent on the right.

    Attributes:
        sha256, size, mime_type: of the artifact.
        duration: seconds.
    """

    kind: ClassVar[str] = "voice.recording"

    sha256: str
    size: int
    duration: float
    mime_type: str = "audio/wav"
    channels: int = 2

    @property
    def artifact(self) -> Artifact:
        """Where the sound is."""
        return Artifact(sha256=self.sha256, size=self.size, mime_type=self.mime_type)


@frozen
class VoiceRun:
    """What was heard in a run, read from its notes.

    Attributes:
        notes: all of them, in order.
        opened: opens the recording; None where its sound is not asked for.
    """

    notes: Sequence[SpokenNote] = field(repr=False)
    opened: OpenArtifact | None = field(default=None, repr=False)

    @cached_property
    def segments(self) -> tuple[AudioSegment, ...]:
        """Who spoke when, in order of time, without sound."""
        found = list(self._numbered)
        return tuple(sorted(found, key=lambda item: item.start_time))

    @property
    def events(self) -> tuple[VoiceEvent, ...]:
        """What happened, in order of time."""
        found = [
            VoiceEvent(
                time=note.time,
                type=note.type,
                name=note.name,
                args=note.args,
                result=note.result,
                latency=note.latency,
                metadata=note.metadata,
            )
            for note in self.notes
            if isinstance(note, VoiceHappened)
        ]
        return tuple(sorted(found, key=lambda event: event.time))

    @property
    def kept(self) -> RecordingKept | None:
        """The complete recording; None if there is none, as of a run that was killed."""
        return next((note for note in reversed(self.notes) if isinstance(note, RecordingKept)), None)

    @property
    def file(self) -> str | None:
        """The file that the recording was written into while it was made."""
        return next((note.file for note in reversed(self.notes) if isinstance(note, RecordingBegun)), None)

    @property
    def recording(self) -> VoiceRecording | None:
        """The segments with their sound, which is loaded when it is asked for; None without the extra ``voice``."""
        try:
            from duologue.voice.recording import SegmentsWithSound, VoiceRecording
        except ImportError:  # it needs numpy, and the rest of the run can be read without
            return None
        if self.sound is None:
            return VoiceRecording(segments=list(self.segments), timeline=self.events)
        return VoiceRecording(
            segments=SegmentsWithSound(self.segments, self.sound), timeline=self.events, sound=self.sound
        )

    @cached_property
    def sound(self) -> StoredSound | None:
        """The recording; None where it is not complete, or nobody said where artifacts are."""
        from duologue.voice.recording import StoredSound

        kept, opened = self.kept, self.opened
        if kept is None or opened is None:
            return None
        return StoredSound(lambda: opened(kept.artifact), kept.duration)

    @cached_property
    def metrics(self) -> VoiceMetrics:
        """The figures. The word error rate is that of the agent's messages, where these were recognised."""
        found = voice_metrics(self.segments, self._delays)
        pairs = [(note.expected, note.text) for note in self.recognised.values() if note.expected]
        return replace(found, word_error_rate=pooled_word_error_rate(pairs)) if pairs else found

    @property
    def _delays(self) -> list[tuple[float, float]]:
        delays = ((event.time, event.metadata or {}) for event in self.events if event.type == USER_DELAYED)
        return [(time - _seconds(item, "seconds"), time) for time, item in delays]

    @cached_property
    def recognised(self) -> dict[str, SpeechRecognised]:
        """What was recognised of messages, by their ids."""
        return {note.message: note for note in self.notes if isinstance(note, SpeechRecognised) and note.message}

    @property
    def own_lateness(self) -> float:
        """Seconds that this machine has sent frames late at most, where that was more than it may be; 0 otherwise."""
        late = (event.metadata or {} for event in self.events if event.type == FRAMES_LATE)
        return max((_seconds(item, "late") for item in late), default=0.0)

    @property
    def latency(self) -> LatencyMetrics:
        """How fast the agent answered."""
        return self.metrics.latency

    def text(self) -> str:
        """Who spoke when, as lines for models and people."""
        return timeline_text(self.segments, self.events)

    @property
    def _numbered(self) -> Iterator[AudioSegment]:
        recognised = {note.segment: note.text for note in self.notes if isinstance(note, SpeechRecognised)}
        heard = (note for note in self.notes if isinstance(note, SegmentHeard))
        for number, note in enumerate(heard):
            text = recognised.get(number)
            yield AudioSegment(
                speaker=note.speaker,
                start_time=note.start,
                end_time=note.end,
                transcript=text if note.truncated and text is not None else note.transcript,
                transcript_truncated=note.truncated,
                purpose=note.purpose,
                recognised=text,
                words=note.words,
            )


def segment_note(segment: AudioSegment) -> SegmentHeard:
    """The note of a segment."""
    return SegmentHeard(
        speaker=segment.speaker,
        start=max(0.0, round(segment.start_time, 4)),
        end=max(0.0, round(segment.end_time, 4)),
        transcript=segment.transcript,
        truncated=segment.transcript_truncated,
        purpose=segment.purpose,
        words=tuple(segment.words),
    )


def event_note(event: VoiceEvent) -> VoiceHappened:
    """The note of an event."""
    return VoiceHappened(
        time=max(0.0, round(event.time, 4)),
        type=event.type,
        name=event.name,
        args=_plain(event.args),
        result=event.result,
        latency=event.latency,
        metadata=_plain(event.metadata),
    )


def voice_run(view: RunView, opened: OpenArtifact | None = None) -> VoiceRun | None:
    """What was heard in a run; None if it was played in text.

    Args:
        view: the fold of its journal.
        opened: opens the recording; None where its sound is not asked for.
    """
    notes = [noted.note for noted in view.notes if isinstance(noted.note, VoiceNote)]
    return VoiceRun(notes=notes, opened=opened) if notes else None


async def taken_over(note: SpokenNote, journal: Path, artifacts: ArtifactStore) -> bool:
    """Whether a note belongs into the journal of a replay. The recording is copied to the artifacts of the replay.

    Args:
        note: of the run that is replayed.
        journal: the file of that run, beside which its recording is.
        artifacts: of the replay.

    Raises:
        ArtifactError: the recording cannot be kept.
    """
    if isinstance(note, RecordingBegun):  # nothing is being recorded now
        return False
    if not isinstance(note, RecordingKept) or await artifacts.has(note.artifact):
        return True
    try:
        file = open_beside(journal, note.artifact)
    except ArtifactError as error:
        logger.warning("the replay has no recording: %s", error)
        return False
    with file:
        async with artifacts.writer(mime_type=note.mime_type) as writer:
            while piece := await asyncio.to_thread(file.read, CHUNK):
                await writer.write(piece)
    return True


def _seconds(metadata: Mapping[str, Any], name: str) -> float:
    """A time in the metadata of an event; 0 for what is none, since a journal may come from somebody else."""
    value = metadata.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0.0
    return float(value) if 0 <= value <= _LONGEST else 0.0


def _plain(data: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if data is None else dict(data)
