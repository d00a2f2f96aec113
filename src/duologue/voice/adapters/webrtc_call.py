"""One call over WebRTC: signaling, the connection, and what is said over its data channel."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from duologue.errors import MissingExtraError
from duologue.http import HttpError
from duologue.voice.adapters.data_channel import ChannelMessage, DataChannelProtocol
from duologue.voice.adapters.ice import IceServer
from duologue.voice.adapters.signaling import Signaling
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentToolCall, AgentTurnEnded, AgentWords, CallEnded, Incoming

if TYPE_CHECKING:
    from duologue.voice.adapters.rtc_connection import RtcConnection

logger = logging.getLogger("duologue.voice")


class WebRTCCall:
    """What adapters over WebRTC share: dial, read, hang up, and send.

    Args:
        signaling: where the offer goes.
        protocol: of the data channel; None for a connection without one.
        ice_servers: that are asked for addresses.
    """

    def __init__(
        self,
        signaling: Signaling,
        protocol: DataChannelProtocol | None = None,
        ice_servers: Sequence[IceServer | str] = (),
    ) -> None:
        self.signaling = signaling
        self.protocol = protocol
        self._ice_servers = tuple(
            IceServer(urls=(server,)) if isinstance(server, str) else server for server in ice_servers
        )
        self._connection: RtcConnection | None = None
        self._session = ""

    async def dial(self, waits_for: Callable[[str], None]) -> None:
        """Connect, until sound can be sent.

        Args:
            waits_for: is told what is waited for.

        Raises:
            ConnectionError: it cannot be connected.
            MissingExtraError: aiortc is not installed.
        """
        try:
            from duologue.voice.adapters.rtc_connection import RtcConnection
        except ImportError as error:
            raise MissingExtraError("WebRTC", "webrtc", "aiortc") from error
        self._connection = connection = RtcConnection(
            loopback=self.signaling.is_local,
            ice_servers=self._ice_servers,
            channel=self.protocol.label if self.protocol is not None else "",
        )
        waits_for("addresses of this machine")
        offer = await connection.offer()
        waits_for("the answer to the offer")
        answer = await self.signaling.exchange(offer)
        self._session = answer.session
        waits_for("the WebRTC connection (ICE and DTLS)")
        await connection.accept(answer.sdp)
        waits_for("the data channel to open")
        await connection.channel_opens()
        waits_for("")
        for message in self.protocol.opened() if self.protocol is not None else ():
            connection.send(message)

    async def read(self, deliver: Callable[[Incoming], Awaitable[None]]) -> None:
        """Hand on what comes, to the end of the connection.

        Raises:
            ConnectionError: it has failed.
            ValueError: a message cannot be read.
        """
        from duologue.voice.adapters.rtc_connection import ArrivedMessage, ArrivedSound

        connection, protocol = self._connection, self.protocol
        assert connection is not None
        ended = deque[AgentTurnEnded]()  # turns whose sound may still be under way
        async for item in connection.arrivals():
            if isinstance(item, ArrivedSound):
                await deliver(AudioChunk(data=item.pcm))
            elif not isinstance(item, ArrivedMessage):
                if ended:
                    await deliver(ended.popleft())
            elif protocol is not None:
                for event in protocol.decode(item.message):
                    if isinstance(event, AgentTurnEnded):
                        ended.append(event)
                        connection.after_sound(protocol.turn_settles)
                        continue
                    if isinstance(event, AgentWords | AgentToolCall):
                        while ended:  # the next turn has begun
                            await deliver(ended.popleft())
                    await deliver(event)
                    if isinstance(event, CallEnded):
                        return
        await deliver(CallEnded(reason="the agent has closed the WebRTC connection"))

    async def hang_up(self) -> None:
        """Close what there is; harmless if there is nothing."""
        connection, self._connection = self._connection, None
        session, self._session = self._session, ""
        if connection is None:
            return
        for message in self.protocol.closing() if self.protocol is not None else ():
            with suppress(ConnectionError):  # the data channel is closed already
                connection.send(message)
        try:
            await connection.close()
        finally:
            if session:
                await self._end(session)

    async def say(self, chunk: AudioChunk) -> None:
        """Send sound of the user.

        Raises:
            ConnectionError: there is no connection.
        """
        if self._connection is None:
            raise ConnectionError("there is no connection")
        await self._connection.say(chunk.data)

    def send(self, message: ChannelMessage) -> None:
        """Send a message over the data channel.

        Raises:
            ConnectionError: there is none, or it is closed.
        """
        if self._connection is None:
            raise ConnectionError("there is no connection")
        self._connection.send(message)

    async def _end(self, session: str) -> None:
        try:
            await self.signaling.end(session)
        except HttpError as error:
            logger.debug("the session was not deleted: %s", error)
