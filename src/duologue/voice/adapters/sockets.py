"""Voice agents behind a WebSocket: how it is opened and closed, with limits, and errors that say what happened.

A subclass names the address, and says what it sends and what it makes of each message.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, urlsplit

from duologue.config.access import access
from duologue.config.redaction import remember_proxies, remember_url
from duologue.errors import ConfigurationError, DuologueError, MissingExtraError
from duologue.frozen import frozen
from duologue.http import ForbiddenAddressError, check_headers, public_address, shown_url, written_url
from duologue.secret_values import hidden
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.wire import WireVoiceAdapter
from duologue.voice.duplex.pace import give_way
from duologue.voice.incoming import CallEnded
from duologue.voice.port import reason_of

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection

_PORTS = {"ws": 80, "wss": 443}
MOST_BYTES = 4 * 2**20
"""Of one message. Half a minute of sound as base64 is 2 MiB."""
_MOST_WAITING = 4
"""Messages that are read ahead."""
_AT_ONCE = 20
"""Messages that are taken without giving others on the event loop their turn."""
_ROOM = 16_384
"""Bytes that may wait to be sent without anybody waiting for them: half of what websockets holds."""
SEND_TIMEOUT = 10.0
"""Seconds that the other side may take until it reads on."""
_KEEP_ALIVE = 20.0
"""Seconds between pings, which keep proxies from closing a silent connection. Their answers are not waited for: they
come behind sound that nobody has heard yet."""
_CLOSE_TIMEOUT = 1.0
"""Seconds that the other side may take to close its end, before the connection is cut."""
_REDIRECTS = range(300, 309)
_SHOWN = 120
"""Characters of a message that an error quotes."""


@frozen
class SocketTarget:
    """Where a WebSocket is opened.

    Attributes:
        url: ``ws://…`` or ``wss://…``.
        headers: of the request that opens it.
        subprotocols: that this side speaks.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    subprotocols: Sequence[str] = ()

    def __post_init__(self) -> None:
        remember_url(self.url)


class Socket:
    """An open connection, whose errors name the adapter.

    Args:
        connection: of the library.
        name: of the adapter.
        where: it is connected to, as it may be shown.
    """

    def __init__(self, connection: Connection, name: str, where: str) -> None:
        self._connection, self._name, self._where = connection, name, where

    @classmethod
    async def open(cls, target: SocketTarget, name: str, where: str) -> Self:
        """Connect.

        Raises:
            ConfigurationError: the address cannot be used.
            VoiceConnectionError: the other side refuses.
            OSError: it cannot be reached.
        """
        connect, options = _connect(), await _options(target)
        try:
            return cls(await connect(target.url, **options), name, where)
        except Exception as error:
            if (refused := _refused(target, error, name, where)) is None:
                raise
            raise refused from error

    @property
    def ended_in_order(self) -> bool:
        """Whether the other side has closed it, with code 1000."""
        return self._connection.close_code == 1000

    @property
    def is_closed(self) -> bool:
        """Whether either side has."""
        return self._connection.close_code is not None

    @property
    def close_reason(self) -> str:
        """What the other side said when it closed it."""
        return hidden(self._connection.close_reason or "")

    async def messages(self) -> AsyncGenerator[str | bytes]:
        """What comes, until the other side closes the connection in order.

        Raises:
            ConnectionClosedError: it ends in another way.
        """
        count = 0
        async for message in self._connection:
            yield message
            count += 1
            if count % _AT_ONCE == 0:  # what has come already is given at once, and other calls have frames to send
                await give_way()

    async def next_message(self) -> str | bytes:
        """The next message."""
        return await self._connection.recv()

    async def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            VoiceConnectionError: the connection has broken, or the other side does not read.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            if self._connection.transport.get_write_buffer_size() + len(message) < _ROOM:
                await self._connection.send(message)  # nothing is waited for: a sixth of the time that a frame takes
            else:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await self._connection.send(message)
        except ConnectionClosed as error:
            raise VoiceConnectionError(
                self._name, f"the connection to {self._where} is closed: {reason_of(error)}"
            ) from error
        except TimeoutError as error:
            raise VoiceConnectionError(
                self._name, f"{self._where} has read nothing of what was sent for {SEND_TIMEOUT:g} s"
            ) from error

    async def close(self) -> None:
        """Close it; bounded in time."""
        # What still comes is read and thrown away: the other side's answer to the closing comes behind it.
        rest = asyncio.create_task(self._throw_away())
        try:
            async with asyncio.timeout(2 * _CLOSE_TIMEOUT):
                await self._connection.close()
        except TimeoutError:
            pass  # it does not even read that this side closes the connection
        finally:
            self._connection.transport.abort()
            rest.cancel()
            await asyncio.wait({rest})

    async def _throw_away(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            while True:
                await self._connection.recv()

    def broken(self, why: str, message: str | bytes = "") -> VoiceConnectionError:
        """What to raise for a message that the protocol does not allow.

        Args:
            why: what is wrong with it.
            message: its beginning is quoted.
        """
        shown = message if isinstance(message, str) else f"{len(message)} bytes: {message[:_SHOWN]!r}"
        quoted = f"; found {_shortened(hidden(shown))}" if message else ""
        return VoiceConnectionError(self._name, f"{self._where} does not keep to the protocol: {why}{quoted}")


class SocketVoiceAdapter(WireVoiceAdapter):
    """A voice agent behind a WebSocket.

    What the other side sends is given to :meth:`take`, message by message. A connection that it closes in order (code
    1000) is the end of the call; any other end is an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._socket: Socket | None = None

    @abstractmethod
    async def target(self) -> SocketTarget:
        """Where to connect; asked each time."""

    @abstractmethod
    async def take(self, message: str | bytes) -> None:
        """Make of a message what there is to :meth:`deliver`. A message that breaks the protocol: :meth:`broken`."""

    async def greet(self) -> None:
        """Say what has to be said before sound; may wait for answers with :meth:`next_message`."""
        return

    async def part(self) -> None:
        """Say what has to be said before the connection is closed. Its errors are ignored."""
        return

    async def dial(self) -> None:
        """Open the connection."""
        target = await self.target()
        self.waiting_for = self.waiting_for or "the WebSocket to open"
        self._socket = await Socket.open(target, self.name, self.where)
        self.waiting_for = "its greeting"
        await self.greet()
        self.waiting_for = ""

    async def read(self) -> None:
        """Read to the end of the connection."""
        socket = self.socket
        async for message in socket.messages():
            await self.take(message)
        if socket.ended_in_order:
            await self.deliver(CallEnded(reason=socket.close_reason))

    async def hang_up(self) -> None:
        """Close the connection."""
        socket = self._socket
        if socket is None:
            return
        try:
            if not socket.is_closed:
                await self.part()
        finally:
            self._socket = None
            await socket.close()

    async def next_message(self) -> str | bytes:
        """The next message, while :meth:`greet` waits for it. The caller's time limit is that of connecting."""
        return await self.socket.next_message()

    async def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            VoiceConnectionError: there is no connection, it has broken, or the other side does not read.
        """
        await self.socket.send(message)

    def broken(self, why: str, message: str | bytes = "") -> VoiceConnectionError:
        """What to raise for a message that the protocol does not allow. See :meth:`Socket.broken`."""
        return self.socket.broken(why, message)

    @property
    def socket(self) -> Socket:
        """The open connection.

        Raises:
            VoiceConnectionError: there is none.
        """
        if self._socket is None:
            raise self.not_connected()
        return self._socket


def _refused(target: SocketTarget, error: Exception, name: str, where: str) -> DuologueError | None:
    from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

    if isinstance(error, InvalidStatus):
        why = f"it answered with {_named(error.response.status_code)}, not with a WebSocket"
        if error.response.status_code in _REDIRECTS:
            why += "; redirects are not followed, so give the address that it leads to"
    elif isinstance(error, InvalidURI):
        return ConfigurationError(f"{name}: '{written_url(target.url)}' is no address of a WebSocket")
    elif isinstance(error, (InvalidHandshake, EOFError)):
        why = f"it does not open a WebSocket: {reason_of(error)}"
    else:
        return None
    return VoiceConnectionError(name, f"cannot connect to {where}: {why}")


def socket_address(url: str, whose: str) -> SplitResult:
    """Check and split the address of a WebSocket.

    Args:
        url: as somebody typed it.
        whose: what it is for, for the error.

    Raises:
        ConfigurationError: it is something else.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable, parts = False, SplitResult("", "", "", "", "")
    if not usable:
        raise ConfigurationError(f"{whose} must look like ws://host:port/path or wss://…; found '{written_url(url)}'")
    return parts


def shown_socket(url: str) -> str:
    """The address as it may be shown: without user, password and query."""
    return shown_url(urlsplit(url.strip()))


def socket_logger() -> logging.Logger:
    """What the library logs to. Not its DEBUG records: they show the headers of requests, with their credentials."""
    logger = logging.getLogger("duologue.voice.websockets")
    logger.setLevel(max(logger.level, logging.INFO))
    return logger


def _connect() -> Any:
    """How the library connects, but without following redirects: what they lead to has no business with our keys."""
    try:
        from websockets.asyncio.client import connect
    except ImportError as error:
        raise MissingExtraError("Voice agents behind a WebSocket", "voice", "websockets") from error

    class DirectConnect(connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    return DirectConnect


async def _options(target: SocketTarget) -> dict[str, Any]:
    """How the connection is opened. Where private addresses may not be used, it goes to the one that was checked."""
    from duologue.voice.adapters.bounded_connection import BoundedClientConnection

    options: dict[str, Any] = {
        "create_connection": BoundedClientConnection,
        "additional_headers": check_headers(target.headers),
        "subprotocols": list(target.subprotocols) or None,
        "compression": None,
        "max_size": MOST_BYTES,
        "max_queue": _MOST_WAITING,
        "open_timeout": None,
        "ping_interval": _KEEP_ALIVE,
        "ping_timeout": None,
        "close_timeout": _CLOSE_TIMEOUT,
        "logger": socket_logger(),
    }
    remember_proxies()
    if not access().private_addresses:
        parts = urlsplit(target.url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        try:
            options |= {"host": await public_address(host, port), "port": port, "proxy": None}
        except ForbiddenAddressError as error:
            raise ConfigurationError(f"{written_url(target.url)}: {error}") from error
    return options


def _named(status: int) -> str:
    try:
        return f"status {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
