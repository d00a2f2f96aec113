"""One turn of the agent: what it says, what of it was heard, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from duologue.voice.audio import FRAME_SECONDS, AudioChunk, bytes_of, seconds_of
from duologue.voice.incoming import Incoming

WORDS_PER_SECOND = 2.5
"""Of speech, where an agent reports no words while it speaks."""
_FAST_WORDS_PER_SECOND = 3.5
_EDGE = 0.1
"""Seconds that are kept before and after what is heard of a turn."""
_LEAD_SECONDS = 0.5
"""Kept of a line on which nobody has spoken yet."""
_LEAD = bytes_of(_LEAD_SECONDS)

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
        heard: what was heard of it, from ``heard_from`` to ``heard_until``, with the silence where nothing came.
        heard_bytes: how much sound of it was heard, without that silence.
        noticed: its side has noticed that the user cut in.
        corrected: its side has said since what of it was heard.
        keeps_sound: whether :attr:`sound` is asked for; otherwise it is only measured, and the recording has it.
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
    noticed: bool = False
    corrected: bool = False
    keeps_sound: bool = True
    heard: bytearray = field(default_factory=bytearray, repr=False)
    heard_bytes: int = 0
    heard_from: float = 0.0
    heard_until: float = 0.0

    def hear(self, frame: bytes, until: float) -> None:
        """One more frame of it was heard. Where nothing came for a while since the last one, that was silence."""
        at = until - FRAME_SECONDS
        if self.since is None:
            self.since, self.heard_from = until, at
        elif self.spoke is None and at - self.heard_from > 2 * _LEAD_SECONDS:
            self._forget_lead(at)
        if self.keeps_sound:
            self.heard += bytes(max(0, bytes_of(at - self.heard_from) - len(self.heard)))
            self.heard += frame
        self.heard_bytes += len(frame)
        self.heard_until = until

    def _forget_lead(self, at: float) -> None:
        """Nobody has spoken yet: what is older than the lead is of no use."""
        begins = at - _LEAD_SECONDS
        del self.heard[: bytes_of(begins - self.heard_from)]
        self.heard_from = begins
        self.heard_bytes = max(0, self.heard_bytes - _LEAD)

    def count_silence(self) -> None:
        """All that came of it was silent, and it is over: it was heard all the same."""
        if self.spoke is None and self.heard_bytes:
            self.spoke = max(self.began, self.heard_from)
            self.audible = self.heard_until

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
        heard = seconds_of(self.heard_bytes)
        share = heard / (heard + seconds_of(self.waiting + self.thrown)) if heard else 0.0
        return max(1, min(round(reported * share), int(seconds * _FAST_WORDS_PER_SECOND)))

    @property
    def text(self) -> str:
        """The words of it that were heard, as far as its side reports words."""
        if self.cut is None or self.corrected:
            return self.words.strip()
        return " ".join(self.words.split()[: self.heard_words])

    @property
    def interval(self) -> tuple[float, float] | None:
        """From just before it spoke to just after it was silent, in seconds of the call; None if it was not heard."""
        if self.spoke is None:
            return None
        return max(self.spoke - _EDGE, self.heard_from), min(self.audible + _EDGE, max(self.heard_until, self.audible))

    @property
    def sound(self) -> AudioChunk:
        """What was heard of it, from where it spoke to where it was silent, if it keeps its sound."""
        if self.spoke is None:
            return AudioChunk(b"")
        start = bytes_of(max(0.0, self.spoke - _EDGE - self.heard_from))
        end = bytes_of(max(0.0, self.audible + _EDGE - self.heard_from))
        return AudioChunk(bytes(self.heard[start:end]), start_time=self.spoke, end_time=self.audible)
