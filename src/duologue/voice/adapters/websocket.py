"""Any voice agent behind a WebSocket: you say how its messages are written and read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from duologue.errors import AgentError, DuologueError
from duologue.secret_values import remember
from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.adapters.sockets import SocketTarget, SocketVoiceAdapter, shown_socket, socket_address
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, Incoming
from duologue.voice.port import reason_of
from duologue.voice.tones import require_keys

SocketMessage = str | bytes
"""A message of a WebSocket: text, or bytes."""
Encoded = SocketMessage | Iterable[SocketMessage] | None
"""What is sent: one message, several, or none."""
Decoded = Incoming | bytes | Iterable[Incoming] | None
"""What a message holds: sound (a chunk, or its PCM16), what else comes from an agent, several of these, or None for
nothing of interest. An empty chunk ends the agent's turn, as :class:`AgentTurnEnded` does."""

_PCM = ("pcm16/24000",)


class WebSocketProtocol(ABC):
    """How an agent's messages are written and read.

    Sound is PCM16, mono, 24 kHz on this side; :class:`duologue.voice.Resampler` and :mod:`duologue.voice.g711` turn it
    into what the agent takes, without clicks if one resampler is kept for each direction. An object belongs to one
    adapter, and is asked on one event loop.

    Only ``encode_audio`` and ``decode_response`` have to be written. The others are for protocols that can do more,
    which then also say so in ``capabilities``.

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


class WebSocketAgentAdapter(SocketVoiceAdapter):
    """A voice agent behind a WebSocket, with a protocol of your own.

    Args:
        url: ``ws://…`` or ``wss://…``.
        protocol: how messages are written and read.
        headers: of the request that opens the connection, such as ``{"Authorization": "Bearer …"}``. Their values are
            not shown anywhere.
        subprotocols: that are offered to the server.

    Raises:
        ConfigurationError: the address or a header cannot be used.
    """

    def __init__(
        self,
        url: str,
        protocol: WebSocketProtocol,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
    ) -> None:
        super().__init__()
        socket_address(url, f"{type(self).__name__}: url")
        remember(*(headers or {}).values(), placed=True)
        self.protocol = protocol
        self.wants_silence, self.ends_turns = protocol.wants_silence, protocol.ends_turns
        self.capabilities = protocol.capabilities
        self._target = SocketTarget(url=url.strip(), headers=dict(headers or {}), subprotocols=tuple(subprotocols))

    @property
    def where(self) -> str:
        """The address."""
        return shown_socket(self._target.url)

    def describe(self) -> dict[str, Any]:
        """The address and the name of the protocol."""
        return {"url": self.where, "protocol": type(self.protocol).__name__}

    async def target(self) -> SocketTarget:
        """Where it was told to connect."""
        return self._target

    async def greet(self) -> None:
        """Send what the protocol sends first."""
        await self._send(self.protocol.opening)

    async def take(self, message: SocketMessage) -> None:
        """Deliver what the protocol finds in a message."""
        try:
            found = self.protocol.decode_response(message)
            items = _items(found)
        except DuologueError:
            raise
        except Exception as error:
            name = type(self.protocol).__name__
            raise self.broken(f"{name}.decode_response failed: {reason_of(error)}", message) from error
        for item in items:
            await self.deliver(item)

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound as the protocol writes it."""
        await self._send(partial(self.protocol.encode_audio, chunk))

    async def begin_user_turn(self) -> None:
        """Send what the protocol sends then."""
        await self._send(self.protocol.user_turn_begins)

    async def end_user_turn(self) -> None:
        """Send what the protocol sends then."""
        await self._send(self.protocol.user_turn_ends)

    async def interrupt(self) -> None:
        """Tell the agent to stop, if the protocol can."""
        if not self.capabilities.interruption:
            return await super().interrupt()
        self.forget_sound()
        await self._send(self.protocol.encode_interrupt)
        return None

    async def send_dtmf(self, keys: str) -> None:
        """Press keys, if the protocol can."""
        if not self.capabilities.dtmf:
            return await super().send_dtmf(keys)
        require_keys(keys)
        await self._send(partial(self.protocol.encode_dtmf, keys))
        return None

    async def part(self) -> None:
        """Send what the protocol sends last."""
        await self._send(self.protocol.closing)

    async def _send(self, encode: Callable[[], Encoded]) -> None:
        try:
            messages = _messages(encode())
        except DuologueError:
            raise
        except Exception as error:
            raise AgentError(
                f"{self.name}: {type(self.protocol).__name__} could not write a message: {reason_of(error)}",
                who=self.name,
            ) from error
        for message in messages:
            await self.send(message)


def _items(found: Decoded) -> list[Incoming]:
    """What was found, as a list. An empty chunk ends the agent's turn; no bytes are nothing."""
    if isinstance(found, bytes):
        return [AudioChunk(found)] if found else []
    several = list(found) if isinstance(found, Iterable) else [] if found is None else [found]
    for item in several:
        if not isinstance(item, Incoming):  # pyright: ignore[reportUnnecessaryIsInstance] - of code of users
            raise TypeError(f"expected sound or what else duologue.voice.incoming has, found {type(item).__name__}")
    return [AgentTurnEnded() if isinstance(item, AudioChunk) and not item.data else item for item in several]


def _messages(encoded: Encoded) -> list[SocketMessage]:
    several = [encoded] if isinstance(encoded, (str, bytes)) else list(encoded or ())
    for message in several:
        if not isinstance(message, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance] - of code of users
            raise TypeError(f"expected text or bytes, found {type(message).__name__}")
    return several
