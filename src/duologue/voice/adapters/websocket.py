"""Any voice agent behind a WebSocket: you say how its messages are written and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, cast

from duologue.errors import AgentError, ConfigurationError, DuologueError
from duologue.secret_values import remember
from duologue.voice.adapters.events import EventsProtocol
from duologue.voice.adapters.sockets import SocketTarget, SocketVoiceAdapter, shown_socket, socket_address
from duologue.voice.adapters.websocket_protocol import Decoded, Encoded, SocketMessage, WebSocketProtocol
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, Incoming, incoming, several
from duologue.voice.port import reason_of
from duologue.voice.tones import require_keys

__all__ = ["Decoded", "Encoded", "SocketMessage", "WebSocketAgentAdapter", "WebSocketProtocol"]


class WebSocketAgentAdapter(SocketVoiceAdapter):
    """A voice agent behind a WebSocket, with a protocol of your own.

    Args:
        url: ``ws://…`` or ``wss://…``.
        protocol: how messages are written and read. By default sound is binary, and events are JSON, as
            :class:`~duologue.voice.adapters.events.EventsProtocol` says.
        headers: of the request that opens the connection, such as ``{"Authorization": "Bearer …"}``. Their values are
            not shown anywhere.
        subprotocols: that are offered to the server.

    Raises:
        ConfigurationError: the address or a header cannot be used.
    """

    def __init__(
        self,
        url: str,
        protocol: WebSocketProtocol | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
    ) -> None:
        super().__init__()
        socket_address(url, f"{type(self).__name__}: url")
        remember(*(headers or {}).values(), placed=True)
        if protocol is None:
            protocol = EventsProtocol()
        elif not isinstance(protocol, WebSocketProtocol):  # pyright: ignore[reportUnnecessaryIsInstance] - of users
            a_class = isinstance(protocol, type) and issubclass(protocol, WebSocketProtocol)
            hint = f"; make an object of it: {protocol.__name__}()" if a_class else ""
            found = f"the class {protocol.__name__}" if isinstance(protocol, type) else type(protocol).__name__
            raise ConfigurationError(
                f"{type(self).__name__}: protocol: expected an object of a subclass of duologue.WebSocketProtocol; "
                f"found {found}{hint}"
            )
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
            items = _items(await found if isawaitable(found) else found)
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
            encoded = encode()
            if isinstance(encoded, bytes | str):  # mostly
                messages: list[SocketMessage] = [encoded]
            else:
                messages = _messages(await encoded if isawaitable(encoded) else encoded)
        except DuologueError:
            raise
        except Exception as error:
            raise AgentError(
                f"{self.name}: {type(self.protocol).__name__} could not write a message: {reason_of(error)}",
                who=self.name,
            ) from error
        for message in messages:
            await self.send(message)


def _items(found: object) -> list[Incoming]:
    """What was found. An empty chunk ends the agent's turn."""
    return [AgentTurnEnded() if isinstance(item, AudioChunk) and not item.data else item for item in incoming(found)]


def _messages(encoded: object) -> list[SocketMessage]:
    messages: list[SocketMessage] = []
    for message in several(encoded):
        if not isinstance(message, str | bytes):
            hint = ": write it with json.dumps" if isinstance(message, dict) else ""
            raise TypeError(f"expected text or bytes, found {type(cast('object', message)).__name__}{hint}")
        messages.append(message)
    return messages
