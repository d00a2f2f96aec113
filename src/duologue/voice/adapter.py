"""Base classes of voice agents: sound in both directions over a connection, and whatever else the transport can do.

An adapter moves sound. It knows nothing of the script's turns, the clock or recordings; the driver of the call handles
those. Subclass :class:`VoiceAgentAdapter` with ``connect``, ``disconnect``, ``send_audio`` and
``recv_audio``; an adapter whose protocol tells more than sound overrides ``receive``.
"""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import Self

from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, AgentSession
from duologue.errors import ConfigurationError
from duologue.models.scope import RunScope
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, Incoming
from duologue.voice.port import (
    AdapterCapabilities,
    FirstChunkTimeoutError,
    UnsupportedCapabilityError,
    VoiceConnectionError,
)
from duologue.voice.session import open_session

__all__ = [
    "AdapterCapabilities",
    "FirstChunkTimeoutError",
    "InProcessVoiceAgent",
    "UnsupportedCapabilityError",
    "VoiceAgentAdapter",
    "VoiceConnectionError",
]


class VoiceAgentAdapter(AgentAdapter):
    """A voice agent.

    ``connect`` is awaited before the first turn and ``disconnect`` after the last, whatever happens. The caller limits
    the time of both. All methods are called on one event loop, which is not the script's.

    Attributes:
        capabilities: of the transport; an instance may have its own, where they depend on how it is set up.
        response_timeout: seconds in which the agent must begin to speak.
        response_tail_silence: seconds of silence that end its turn, if the protocol does not report the end.
        response_max_duration: seconds that it may speak in one turn before it is cut off.
        connect_timeout: seconds for ``connect``.
        wants_silence: frames are sent to it without a pause, silence too, as a telephone line does. Without it only
            what the user says is sent.
        ends_turns: its protocol tells the end of each of the agent's turns. Where it does not, silence ends them.
        timeout: seconds that one turn of the engine may take: the bounds above hold in any case.
    """

    capabilities: AdapterCapabilities = AdapterCapabilities()
    response_timeout: float = 60.0
    response_tail_silence: float = 0.6
    response_max_duration: float = 30.0
    connect_timeout: float = 15.0
    wants_silence: bool = False
    ends_turns: bool = False
    timeout: float | None = 600.0

    @abstractmethod
    async def connect(self) -> None:
        """Open the connection.

        Raises:
            VoiceConnectionError: it cannot be opened: why, and what to do.
        """

    @abstractmethod
    async def disconnect(self) -> None:
        """Close the connection; harmless if it is not open, or was never."""

    @abstractmethod
    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user, in order. The caller paces it: mostly frames of 20 ms.

        Raises:
            VoiceConnectionError: the connection is not open any more.
        """

    @abstractmethod
    async def recv_audio(self, timeout: float) -> AudioChunk:
        """The next sound of the agent; an empty chunk where its turn has ended.

        Args:
            timeout: seconds to wait for it.

        Raises:
            TimeoutError: none came.
            VoiceConnectionError: the connection has broken.
        """

    async def receive(self, timeout: float) -> Incoming:
        """The next thing that comes from the agent. Override it where the protocol tells more than sound.

        Raises:
            TimeoutError: nothing came.
            VoiceConnectionError: the connection has broken.
        """
        chunk = await self.recv_audio(timeout)
        return chunk if chunk.data else AgentTurnEnded()

    async def begin_user_turn(self) -> None:
        """The user begins to speak: for protocols in which that is said."""
        return

    async def end_user_turn(self) -> None:
        """The user has finished: for protocols in which that is said, such as by committing what was sent."""
        return

    async def interrupt(self) -> None:
        """Tell the agent to stop, and forget what it has sent and nobody has heard.

        Raises:
            UnsupportedCapabilityError: the transport has no way to say so. The agent is talked over then.
        """
        raise UnsupportedCapabilityError(self.name, "interruption", "Let the user speak while the agent does.")

    async def send_dtmf(self, keys: str) -> None:
        """Press keys.

        Raises:
            UnsupportedCapabilityError: the transport does not carry keys.
        """
        raise UnsupportedCapabilityError(self.name, "dtmf", "Keys can be sent as tones: duologue.voice.dtmf_tones.")

    async def send_text(self, text: str) -> None:
        """Say something in writing, for protocols that take text beside sound.

        Raises:
            UnsupportedCapabilityError: this one does not.
        """
        raise UnsupportedCapabilityError(self.name, "text", "Let the user speak.")

    async def open(self, run: RunScope) -> AgentSession | None:
        """Call the agent: the session connects, and its driver moves frames until the run is over."""
        return await open_session(self, run)

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Not used: a voice agent is driven through its session."""
        raise ConfigurationError(
            f"{self.name} was called without a session. Voice agents are run by duologue.run and duologue.arun, which "
            "open one; to use one by itself, call connect, send_audio and recv_audio"
        )

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()


class InProcessVoiceAgent(VoiceAgentAdapter):
    """A voice agent in this process, which is given sound frame by frame and answers each frame at once.

    It can be run faster than real time, since nothing of it depends on the clock of the wall: subclass it with
    :meth:`exchange`.

    Attributes:
        real_time: frames come at the pace of the wall clock, so that an agent that has to think does it beside
            ``exchange`` and not in it. Otherwise the time of the conversation stands still until ``exchange`` returns.
            Set by whoever drives the call, before it connects.
    """

    wants_silence = True
    real_time: bool = False

    @abstractmethod
    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        """Hear 20 ms of the user, and say what there is to say.

        Args:
            frame: 20 ms, silent where the user is.
            at: seconds since the conversation began.

        Returns:
            What comes from the agent now. Sound may be longer than the frame: it is heard piece by piece.
        """

    async def connect(self) -> None:
        """Nothing to open."""
        return

    async def disconnect(self) -> None:
        """Nothing to close."""
        return

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Not used: sound is exchanged."""
        raise ConfigurationError(f"{self.name} exchanges frames: call exchange(frame, at)")

    async def recv_audio(self, timeout: float) -> AudioChunk:
        """Not used: sound is exchanged."""
        raise ConfigurationError(f"{self.name} exchanges frames: call exchange(frame, at)")
