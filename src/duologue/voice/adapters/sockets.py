"""Voice agents behind a WebSocket: how it is opened and closed, with limits, and errors that say what happened.

A subclass names the address, and says what it sends and what it makes of each message.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from duologue.config.access import access
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.frozen import frozen
from duologue.http import ForbiddenAddressError, check_headers, public_address, shown_url, written_url
from duologue.secret_values import hidden
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.wire import WireVoiceAdapter, reason_of
from duologue.voice.incoming import CallEnded

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_PORTS = {"ws": 80, "wss": 443}
MOST_BYTES = 4 * 2**20
"""Of one message. Half a minute of sound as base64 is 2 MiB."""
_MOST_WAITING = 4
"""Messages that are read ahead."""
SEND_TIMEOUT = 10.0
"""Seconds that the other side may take until it reads on."""
_KEEP_ALIVE = 20.0
"""Seconds between pings, which keep proxies from closing a silent connection. Their answers are not waited for: they
come behind sound that nobody has heard yet."""
_CLOSE_TIMEOUT = 1.0
"""Seconds that the other side may take to close its end, before the connection is cut."""
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


class SocketVoiceAdapter(WireVoiceAdapter):
    """A voice agent behind a WebSocket.

    What the other side sends is given to :meth:`take`, message by message. A connection that it closes in order (code
    1000) is the end of the call; any other end is an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._connection: ClientConnection | None = None

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
        connect, options = _websockets(), await _options(target)
        try:
            self._connection = await connect(target.url, **options)
        except Exception as error:
            raise self._refused(target, error) from error
        await self.greet()

    async def read(self) -> None:
        """Read to the end of the connection."""
        connection = self._open()
        async for message in connection:
            await self.take(message)
        if connection.close_code == 1000:
            await self.deliver(CallEnded(reason=hidden(connection.close_reason or "")))

    async def hang_up(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if not connection.close_code:
                self._connection = connection
                await self.part()
        finally:
            self._connection = None
            await connection.close()

    async def next_message(self) -> str | bytes:
        """The next message, while :meth:`greet` waits for it. The caller's time limit is that of connecting."""
        return await self._open().recv()

    async def send(self, message: str | bytes) -> None:
        """Send a message.

        Raises:
            VoiceConnectionError: there is no connection, it has broken, or the other side does not read.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._open().send(message)
        except ConnectionClosed as error:
            raise VoiceConnectionError(
                self.name, f"the connection to {self.where} is closed: {reason_of(error)}"
            ) from error
        except TimeoutError as error:
            raise VoiceConnectionError(
                self.name, f"{self.where} has read nothing of what was sent for {SEND_TIMEOUT:g} s"
            ) from error

    def broken(self, why: str, message: str | bytes = "") -> VoiceConnectionError:
        """What to raise for a message that the protocol does not allow.

        Args:
            why: what is wrong with it.
            message: its beginning is quoted.
        """
        shown = message if isinstance(message, str) else f"{len(message)} bytes: {message[:_SHOWN]!r}"
        quoted = f"; found {_shortened(hidden(shown))}" if message else ""
        return VoiceConnectionError(self.name, f"{self.where} does not keep to the protocol: {why}{quoted}")

    def _open(self) -> ClientConnection:
        if self._connection is None:
            raise self.not_connected()
        return self._connection

    def _refused(self, target: SocketTarget, error: Exception) -> Exception:
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

        if isinstance(error, InvalidStatus):
            why = f"it answered with {_named(error.response.status_code)}, not with a WebSocket"
        elif isinstance(error, InvalidURI):
            return ConfigurationError(f"{self.name}: '{written_url(target.url)}' is no address of a WebSocket")
        elif isinstance(error, (InvalidHandshake, EOFError)):
            why = f"it does not open a WebSocket: {reason_of(error)}"
        else:
            return error
        return VoiceConnectionError(self.name, f"cannot connect to {self.where}: {why}")


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


def _websockets() -> Any:
    try:
        from websockets.asyncio.client import connect
    except ImportError as error:
        raise MissingExtraError("Voice agents behind a WebSocket", "voice", "websockets") from error
    return connect


async def _options(target: SocketTarget) -> dict[str, Any]:
    """How the connection is opened. Where private addresses may not be used, it goes to the one that was checked."""
    options: dict[str, Any] = {
        "additional_headers": check_headers(target.headers),
        "subprotocols": list(target.subprotocols) or None,
        "compression": None,
        "max_size": MOST_BYTES,
        "max_queue": _MOST_WAITING,
        "open_timeout": None,
        "ping_interval": _KEEP_ALIVE,
        "ping_timeout": None,
        "close_timeout": _CLOSE_TIMEOUT,
        "logger": logging.getLogger("duologue.voice.websockets"),
    }
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
