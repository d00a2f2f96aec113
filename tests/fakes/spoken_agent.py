"""An agent that is spoken with, without a driver: its session records frames of tones as if they had been a call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, AgentSession, Piece
from duologue.models.scope import RunScope
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.messages import create_audio_message
from duologue.voice.timeline import AudioSegment, VoiceEvent
from duologue.voice.track import RunTrack

FRAME = 0.02
SILENCE = bytes(960)


def tone(hertz: int) -> bytes:
    """20 ms of a sine."""
    return (np.sin(2 * np.pi * hertz * np.arange(480) / SAMPLE_RATE) * 8000).astype("<i2").tobytes()


class SpokenAgent(AgentAdapter):
    """Answers each turn of one second after 0.4 seconds, with two seconds of speech."""

    def __init__(self, replies: list[str], *, cut: bool = False, sound: bool = False, late: float = 0.0) -> None:
        self.replies, self.cut, self.sound, self.late = replies, cut, sound, late

    async def open(self, run: RunScope) -> AgentSession:
        return _Call(self, run)

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        raise AssertionError("it is spoken with")


class _Call(AgentSession):
    def __init__(self, agent: SpokenAgent, run: RunScope) -> None:
        self._agent, self._run = agent, run
        self._replies = list(agent.replies)
        self._track = RunTrack(run.artifacts, run.journal.run_id if run.journal else "run")
        self._said = ""
        self._note()

    async def send(self, input: AgentInput) -> None:
        self._said = input.last_new_user_message_str()

    async def receive(self) -> AsyncIterator[Piece]:
        reply = self._replies.pop(0)
        began = self._play("user", 50)
        if self._agent.late:
            self._track.event(VoiceEvent(began, "frames_late", metadata={"late": self._agent.late}))
        self._track.segment(AudioSegment("user", began, began + 1, transcript=self._said))
        self._play("", 20)
        began = self._play("agent", 100)
        cut = self._agent.cut and not self._replies
        self._track.event(VoiceEvent(began, "agent_start_speaking", latency=0.4))
        self._track.event(VoiceEvent(began + 0.5, "tool_call", name="find_order", args={"id": "48213"}))
        self._track.segment(AudioSegment("agent", began, began + 2, transcript=reply, transcript_truncated=cut))
        self._play("", 5)
        self._note()
        if self._agent.sound:
            yield create_audio_message(AudioChunk(tone(880) * 100), "assistant", transcript=reply)
        else:
            yield reply

    async def conclude(self) -> None:
        await self._track.finish()
        self._note()

    async def close(self) -> None:
        self._track.close()

    def _play(self, who: str, frames: int) -> float:
        began = round(self._track.seconds, 4)
        for _ in range(frames):
            self._track.frame(tone(440) if who == "user" else SILENCE, tone(880) if who == "agent" else SILENCE)
        return began

    def _note(self) -> None:
        for note in self._track.take():
            self._run.note(note)
