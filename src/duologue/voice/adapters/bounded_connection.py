"""WebSocket connections of the library ``websockets``, without what it leaves to a well-behaved other side.

It reads as much as has arrived at once, answers every ping, and waits for the other side to close a connection that has
failed. A peer that does without manners would stop the frames of all other calls, or keep one waiting for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import Connection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event

_AT_ONCE = 16 * 1024
"""Bytes that are read without giving others on the event loop their turn: thousands of small frames."""
_MOST_CONTROL = 200
"""Pings and pongs within a second."""
_CLOSE_SECONDS = 1.0
"""That the other side may take to close a connection at its end, before it is cut."""


class BoundedConnection(Connection):
    """Base of connections of both sides."""

    _second = 0
    _control = 0
    _cut: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Read what has arrived; what follows an end is not looked at."""
        for at in range(0, len(data), _AT_ONCE):
            super().data_received(data[at : at + _AT_ONCE])
        if self._cut is None and self.protocol.close_expected():
            self._cut = self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whichever side."""
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def process_event(self, event: Event) -> None:
        """Fail the connection if there are more pings than anybody needs."""
        if isinstance(event, Frame) and event.opcode in {Opcode.PING, Opcode.PONG}:
            second = int(self.loop.time())
            if second != self._second:
                self._second, self._control = second, 0
            self._control += 1
            if self._control == _MOST_CONTROL:
                self.protocol.fail(CloseCode.POLICY_VIOLATION, f"more than {_MOST_CONTROL} pings a second")
                self.send_data()
        super().process_event(event)


class BoundedClientConnection(BoundedConnection, ClientConnection):
    """A connection that this side has opened."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read in small pieces, where the event loop can."""
        super().connection_made(transport)
        with suppress(AttributeError):  # asyncio's transports of sockets have it; those of TLS and of uvloop do not
            cast("Any", transport).max_size = _AT_ONCE

    def data_received(self, data: bytes) -> None:
        """Give up at once where the answer to the handshake is none."""
        super().data_received(data)
        if self.protocol.handshake_exc is not None:
            self.transport.abort()
