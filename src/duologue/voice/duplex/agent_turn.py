"""One turn of the agent: what it says, what of it was heard, and how it ends. And who is speaking in what is heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from duologue.voice.activity import SpeechDetector, SpeechEdge
from duologue.voice.audio import AudioChunk, bytes_of, seconds_of
from duologue.voice.incoming import Incoming

WORDS_PER_SECOND = 2.5
"""Of speech, where an agent reports no words while it speaks."""
_FAST_WORDS_PER_SECOND = 3.5
_EDGE = 0.1
"""Seconds that are kept before and after what is heard of a turn."""
_LEAD = bytes_of(0.5)
"""Bytes that are kept of a line on which nobody has spoken yet."""

TurnCut = Literal["interrupted", "too_long", "broken"]


@dataclass(eq=False)
class HeardTurn:
    """A turn of the agent, as far as it has come.

    Attributes:
        began: seconds since the conversation began, when the first of it came.
        news: what came in it, besides sound, in order.
        words: all that its side has reported.
        waiting: bytes of its sound that are not heard yet.
        thrown: bytes of its sound that nobody will hear.
        signalled: its side has said that it is over.
        spoke: when it was first heard; None if it was not.
        audible: when it was last heard.
        ended: when it was over; None while it is not.
        cut: why it did not come to its own end.
        since: when its first frame was played, silent or not.
    """

    began: float
    news: list[Incoming] = field(default_factory=list[Incoming])
    words: str = ""
    waiting: int = 0
    thrown: int = 0
    signalled: bool = False
    spoke: float | None = None
    audible: float = 0.0
    ended: float | None = None
    cut: TurnCut | None = None
    since: float | None = None
    heard: bytearray = field(default_factory=bytearray, repr=False)
    heard_until: float = 0.0

    def hear(self, frame: bytes, until: float) -> None:
        """One more frame of it was heard."""
        if self.since is None:
            self.since = until
        if self.spoke is None and len(self.heard) > 2 * _LEAD:
            del self.heard[:_LEAD]
        self.heard += frame
        self.heard_until = until

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it: no words, no speech, no tools."""
        return self.spoke is None and not self.news and not self.words

    @property
    def heard_words(self) -> int:
        """How many words of it were heard.

        Of the words that were reported, the share that has been heard of the sound that came, and no more than can be
        said in that time, since words may be reported long before their sound. Without any, as many as are usual.
        """
        if self.spoke is None:
            return 0
        reported = len(self.words.split())
        seconds = self.audible - self.spoke
        if not reported:
            return max(1, int(seconds * WORDS_PER_SECOND))
        if self.signalled and self.cut is None and not self.waiting and not self.thrown:
            return reported
        heard = seconds_of(len(self.heard))
        share = heard / (heard + seconds_of(self.waiting + self.thrown)) if heard else 0.0
        return max(1, min(round(reported * share), int(seconds * _FAST_WORDS_PER_SECOND)))

    @property
    def text(self) -> str:
        """The words of it that were heard, as far as its side reports words."""
        if self.cut is None:
            return self.words.strip()
        return " ".join(self.words.split()[: self.heard_words])

    @property
    def sound(self) -> AudioChunk:
        """What was heard of it, from where it spoke to where it was silent."""
        if self.spoke is None:
            return AudioChunk(b"")
        begins = self.heard_until - seconds_of(len(self.heard))
        start = bytes_of(max(0.0, self.spoke - _EDGE - begins))
        end = bytes_of(max(0.0, self.audible + _EDGE - begins))
        return AudioChunk(bytes(self.heard[start:end]), start_time=self.spoke, end_time=self.audible)


_LOUD = 200
"""Of 32,768: a frame whose loudest sample is below it is silent."""
_HANGOVER = 0.35
"""Seconds of silence after which speech is over."""


def is_loud(frame: bytes) -> bool:
    """Whether there may be speech in a frame."""
    samples = np.frombuffer(frame, dtype="<i2")
    return bool(samples.max() >= _LOUD or samples.min() <= -_LOUD)


class AgentSpeech:
    """Whether the agent is speaking, in what is heard of it.

    A transport that sends sound only while the agent speaks needs no more than a look at how loud it is. On others,
    which send the noise of a line as well, speech is found by :class:`SpeechDetector`, and only where it is loud.

    Attributes:
        is_speaking: now, short pauses included.
        began: when it began to.
        audible: until when it was heard.
    """

    def __init__(self, *, detect: bool) -> None:
        self._detector = SpeechDetector(ends=_HANGOVER) if detect else None
        self._offset = 0.0
        self._fed = False
        self.is_speaking = False
        self.began = 0.0
        self.audible = -1.0
        self._loud = -1.0

    def frame(self, frame: bytes | None, at: float, seconds: float) -> bool:
        """The next frame; whether speech is heard in it.

        Args:
            frame: None where nothing came.
            at: when it begins.
            seconds: how long it is.
        """
        loud = frame is not None and is_loud(frame)
        if loud:
            self._loud = at + seconds
        if self._detector is None:
            if loud:
                if not self.is_speaking:
                    self.is_speaking, self.began = True, at
                self.audible = at + seconds
            elif self.is_speaking and at + seconds - self.audible >= _HANGOVER:
                self.is_speaking = False
            return loud
        self._detect(self._detector, frame, at, seconds)
        return loud and self.is_speaking

    def _detect(self, detector: SpeechDetector, frame: bytes | None, at: float, seconds: float) -> None:
        quiet = at + seconds - self._loud
        if frame is None or quiet > _HANGOVER:
            if quiet > _HANGOVER and self.is_speaking:
                self.is_speaking = False
            self._fed = False
            return
        if not self._fed:
            # Windows are counted in what was fed only.
            self._detector = detector = SpeechDetector(ends=_HANGOVER, detector=detector.judge)
            self._fed, self._offset = True, at
        for change in detector.process(frame):
            if change.edge is SpeechEdge.BEGAN:
                if not self.is_speaking:
                    self.is_speaking, self.began = True, self._offset + change.at
            else:
                self.is_speaking, self.audible = False, self._offset + change.at
        if detector.is_speaking and quiet <= seconds:
            self.audible = at + seconds
