"""How the messages of a voice agent behind a WebSocket are written and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable

from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import Incoming
from duologue.voice.port import AdapterCapabilities

SocketMessage = str | bytes
"""A message of a WebSocket: text, or bytes."""
Encoded = SocketMessage | Iterable[SocketMessage] | Awaitable[SocketMessage | Iterable[SocketMessage] | None] | None
"""What is sent: one message, several, or none; or what gives that when it is awaited."""
Decoded = Incoming | bytes | Iterable[Incoming] | Awaitable[Incoming | bytes | Iterable[Incoming] | None] | None
"""What a message holds: sound (a chunk, or its PCM16), what else comes from an agent, several of these, or None for
nothing of interest; or what gives that when it is awaited. An empty chunk ends the agent's turn, as
:class:`~duologue.voice.incoming.AgentTurnEnded` does."""

_PCM = ("pcm16/24000",)


class WebSocketProtocol(ABC):
    """How an agent's messages are written and read.

    Sound is PCM16, mono, 24 kHz on this side; :class:`duologue.voice.Resampler` and :mod:`duologue.voice.g711` turn it
    into what the agent takes, without clicks if one resampler is kept for each direction. An object belongs to one
    adapter, and is asked on one event loop.

    Only ``encode_audio`` and ``decode_response`` have to be written. The others are for protocols that can do more,
    which then also say so in ``capabilities``. Each may be ``async``; messages stay in order.

    Attributes:
        capabilities: what the protocol can do beside sound.
        wants_silence: frames are sent without a pause, silence too, for agents that find out by themselves when the
            user has finished.
        ends_turns: it tells the end of each of the agent's turns. Where it does not, silence ends them.
    """

    capabilities: AdapterCapabilities = AdapterCapabilities(input_formats=_PCM, output_formats=_PCM)
    wants_silence: bool = False
    ends_turns: bool = False

    @abstractmethod
    def encode_audio(self, chunk: AudioChunk) -> Encoded:
        """The message that carries the user's sound, mostly 20 ms of it."""

    @abstractmethod
    def decode_response(self, message: SocketMessage) -> Decoded:
        """What a message of the agent holds."""

    def opening(self) -> Encoded:
        """What is sent first."""
        return None

    def user_turn_begins(self) -> Encoded:
        """What is sent before the user's first sound of a turn."""
        return None

    def user_turn_ends(self) -> Encoded:
        """What is sent after the user's last sound of a turn, such as a request to answer now."""
        return None

    def encode_interrupt(self) -> Encoded:
        """What tells the agent to stop. Set ``interruption`` in ``capabilities`` as well."""
        return None

    def encode_dtmf(self, keys: str) -> Encoded:
        """What presses keys. Set ``dtmf`` in ``capabilities`` as well."""
        return None

    def closing(self) -> Encoded:
        """What is sent last."""
        return None
