"""What the user says, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from duologue.voice.audio import FRAME_SECONDS, AudioChunk
from duologue.voice.duplex.line import UserEdge
from duologue.voice.duplex.playout import FRAME_BYTES, SILENCE
from duologue.voice.timeline import AudioSegment, SpeechPurpose, VoiceEvent


@dataclass(eq=False)
class UserSpeech:
    """Something that the user says.

    Attributes:
        began: when it began; None until then.
        segment: when it was said; None until its last frame is sent.
    """

    sound: AudioChunk
    purpose: SpeechPurpose
    at: int = 0
    began: float | None = None
    segment: AudioSegment | None = None

    def take(self) -> bytes:
        """The next frame, which may be shorter if it is the last."""
        frame = self.sound.data[self.at : self.at + FRAME_BYTES]
        self.at += FRAME_BYTES
        return frame

    @property
    def is_over(self) -> bool:
        """Whether all of it was taken."""
        return self.at >= len(self.sound.data)


class UserSide:
    """The user's half of a call.

    Args:
        event, segment: told of what happened.
        began, ended: told when a sound begins, and when it is over.
        background: gives each frame in which nothing is said; None for silence.
    """

    def __init__(
        self,
        *,
        event: Callable[[VoiceEvent], None],
        segment: Callable[[AudioSegment], None],
        began: Callable[[UserSpeech], None],
        ended: Callable[[UserSpeech], None],
        background: Callable[[], bytes] | None = None,
    ) -> None:
        self._event, self._segment = event, segment
        self._began, self._ended = began, ended
        self._saying: deque[UserSpeech] = deque()
        self._background = background

    @property
    def is_speaking(self) -> bool:
        """Whether something is being said."""
        return bool(self._saying)

    @property
    def has_turn(self) -> bool:
        """Whether a turn is being said, or waits to be."""
        return any(item.purpose is SpeechPurpose.TURN for item in self._saying)

    def say(self, speech: UserSpeech) -> None:
        """Say this after what is being said."""
        self._saying.append(speech)

    def stop(self, now: float) -> None:
        """What is not said yet is not said."""
        for speech in tuple(self._saying):
            self._end(speech, now, stopped=True)

    def frame(self, now: float) -> tuple[bytes, Sequence[UserEdge]]:
        """What is said in the frame that begins now, and whether a sound begins or ends in it."""
        if not self._saying:
            return SILENCE if self._background is None else self._background(), ()
        speech, edges = self._saying[0], list[UserEdge]()
        if speech.began is None:
            speech.began = now
            if speech.purpose is SpeechPurpose.TURN:  # a protocol that is told of turns is not told of a cough
                edges.append("begin")
            self._event(VoiceEvent(now, "user_start_speaking", metadata={"purpose": speech.purpose.value}))
            self._began(speech)
        frame = speech.take()
        if speech.is_over:
            self._end(speech, now + FRAME_SECONDS * len(frame) / FRAME_BYTES)
            if speech.purpose is SpeechPurpose.TURN:
                edges.append("end")
        return frame.ljust(FRAME_BYTES, b"\0"), edges

    def _end(self, speech: UserSpeech, at: float, *, stopped: bool = False) -> None:
        self._saying.remove(speech)
        began = at if speech.began is None else speech.began
        speech.segment = AudioSegment(
            "user",
            began,
            max(began, at),
            transcript=speech.sound.transcript,
            transcript_truncated=stopped,
            purpose=speech.purpose,
        )
        if speech.began is not None:
            self._segment(speech.segment)
            self._event(VoiceEvent(speech.segment.end_time, "user_stop_speaking"))
        self._ended(speech)
