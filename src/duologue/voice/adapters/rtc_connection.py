"""One WebRTC connection: sound both ways, a data channel if wanted, and an end that leaves nothing running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from duologue.frozen import frozen
from duologue.voice.adapters.ice import IceServer
from duologue.voice.adapters.live_line import AfterSound, SilenceGate
from duologue.voice.adapters.rtc_tracks import Microphone, SoundFromTrack

logger = logging.getLogger("duologue.voice")

_LOOPBACK = ("127.0.0.1", "::1")
_SETTLING = 0.5
"""Seconds after the end of the agent's track until it is known whether the connection has failed or was closed."""
_MOST_ARRIVED = 20_000
"""Things that may wait until they are read."""
_closing: set[asyncio.Task[None]] = set()
"""Connections that are being closed: whoever waits for that may give up, the connection is closed all the same."""


@frozen(slots=True)
class ArrivedSound:
    """Sound of the agent: PCM16, mono, 24 kHz. While it is silent nothing comes."""

    pcm: bytes


@frozen(slots=True)
class ArrivedMessage:
    """A message over the data channel."""

    message: str | bytes


@frozen(slots=True)
class SoundEnded:
    """The sound that was under way when it was asked for has come."""


class _AudioTrack(Protocol):
    """What is used of aiortc's track, whose own types are not complete."""

    async def recv(self) -> object: ...


RtcArrival = ArrivedSound | ArrivedMessage | SoundEnded


class RtcConnection:
    """A connection that this side offers: ``offer``, ``accept`` the answer, then ``arrivals``; ``close`` at any time.

    Args:
        loopback: whether the other side is on this machine. Then addresses of the loopback interface are offered, too,
            which aiortc leaves out.
        ice_servers: STUN and TURN servers; none are asked by default.
        channel: label of the data channel; "" for none.
    """

    def __init__(self, *, loopback: bool = False, ice_servers: Sequence[IceServer] = (), channel: str = "") -> None:
        self._peer = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[
                    RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
                    for server in ice_servers
                ],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )
        self._microphone = Microphone()
        self._line: RTCRtpTransceiver = self._peer.addTransceiver(self._microphone, direction="sendrecv")
        if loopback:
            offer_loopback(self._line)
        self._arrived: asyncio.Queue[RtcArrival | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._step: asyncio.Task[None] | None = None
        self._after = AfterSound(lambda: self._arrive(SoundEnded()))
        self._channel = self._open_channel(channel) if channel else None
        self._failure: Exception | None = None
        self._peer.on("track", self._on_track)
        self._peer.on("connectionstatechange", self._changed.set)

    async def offer(self) -> str:
        """The description of this side, with all addresses at which it can be reached."""
        await self._whole(self._describe())
        return self._peer.localDescription.sdp

    async def accept(self, answer: str) -> None:
        """Take the other side's description, and connect.

        Args:
            answer: in SDP.

        Raises:
            ConnectionError: it is no SDP, has no sound both ways, or no pair of addresses works.
        """
        try:
            await self._whole(self._peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer")))
        except Exception as error:  # aiortc's parser raises whatever comes
            raise ConnectionError(f"its answer is no session description that fits the offer: {error!r}") from error
        if (direction := self._line.currentDirection) != "sendrecv":
            raise ConnectionError(
                f"its answer takes and sends no sound: the direction of the audio is '{direction}', expected 'sendrecv'"
            )
        while (state := self._peer.connectionState) not in {"connected", "failed", "closed"}:
            self._changed.clear()
            await self._changed.wait()
        if state != "connected":
            raise ConnectionError(f"the WebRTC connection is {state}: no pair of addresses works, or DTLS was refused")

    async def channel_opens(self) -> None:
        """Wait until messages can be sent; at once where there is no data channel."""
        while self._channel is not None and self._channel.readyState == "connecting":
            self._changed.clear()
            await self._changed.wait()

    async def say(self, pcm: bytes) -> None:
        """Send sound of the user: PCM16, mono, 24 kHz."""
        await self._microphone.write(pcm)

    def send(self, message: str | bytes) -> None:
        """Send a message over the data channel.

        Raises:
            ConnectionError: there is none, or it is closed.
        """
        if self._channel is None or self._channel.readyState != "open":
            raise ConnectionError("the data channel is not open")
        self._channel.send(message)

    async def arrivals(self) -> AsyncIterator[RtcArrival]:
        """What comes from the other side, until it closes.

        Raises:
            ConnectionError: the connection has failed.
        """
        while (item := await self._arrived.get()) is not None:
            yield item
        if self._failure is not None:
            raise self._failure

    def after_sound(self, seconds: float) -> None:
        """Ask for :class:`SoundEnded`, after so many seconds at least."""
        self._after.hold(seconds)

    async def close(self) -> None:
        """Close the connection, however far it came, and all that belongs to it."""
        closing = asyncio.create_task(self._close(), name="WebRTC connection closes")
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)
        await asyncio.shield(closing)

    async def _describe(self) -> None:
        await self._peer.setLocalDescription(await self._peer.createOffer())

    async def _whole(self, step: Coroutine[Any, Any, None]) -> None:
        """Take a step of aiortc that leaves sockets open where it is cancelled: it is finished in any case."""
        self._step = asyncio.create_task(step, name="WebRTC connection is set up")
        await asyncio.shield(self._step)

    async def _close(self) -> None:
        self._after.drop()
        if self._step is not None:
            await asyncio.wait({self._step})
            if not self._step.cancelled():
                self._step.exception()  # was told to whoever waited for it
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({self._listening})
        self._microphone.stop()
        await self._peer.close()
        # A handshake that was under way may have started them after they were stopped.
        await self._line.receiver.stop()
        await self._line.sender.stop()
        self._end()

    def _open_channel(self, label: str) -> RTCDataChannel:
        channel = self._peer.createDataChannel(label)
        channel.on("open", self._changed.set)
        channel.on("close", self._changed.set)
        channel.on("message", self._on_message)
        return channel

    def _on_message(self, message: str | bytes) -> None:
        self._arrive(ArrivedMessage(message=message))

    def _arrive(self, item: RtcArrival) -> None:
        if self._failure is not None:
            return
        if self._arrived.qsize() >= _MOST_ARRIVED:
            self._end(ConnectionError("it sends faster than anybody can listen"))
        else:
            self._arrived.put_nowait(item)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._listening is None:
            self._listening = asyncio.create_task(self._listen(track), name="WebRTC connection listens")

    async def _listen(self, track: MediaStreamTrack) -> None:
        listener, gate = SoundFromTrack(), SilenceGate()
        try:
            while True:
                frame = cast("AudioFrame", await cast("_AudioTrack", track).recv())
                if pcm := gate.passed(listener.heard(frame)):
                    self._arrive(ArrivedSound(pcm=pcm))
                self._after.heard(silent=gate.is_shut)
        except MediaStreamError:
            self._end(await self._reason())
        except Exception as error:  # noqa: BLE001  # whoever reads is told
            self._end(error)

    async def _reason(self) -> Exception | None:
        """Why the agent's track has ended: None where the other side has closed it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING):
                while self._peer.connectionState not in {"failed", "closed"}:
                    self._changed.clear()
                    await self._changed.wait()
        if self._peer.connectionState == "failed":
            return ConnectionError("nothing comes from the other side any more")
        return None

    def _end(self, failure: Exception | None = None) -> None:
        self._failure = self._failure or failure
        self._arrived.put_nowait(None)


def offer_loopback(line: RTCRtpTransceiver) -> None:
    """Gather addresses of the loopback interface, too, for this connection only. aioice has no setting for it."""
    gatherer = line.receiver.transport.transport.iceGatherer
    connection = gatherer._connection  # pyright: ignore[reportPrivateUsage]
    gather = connection.get_component_candidates

    async def with_loopback(component: int, addresses: list[str], timeout: int = 5) -> list[object]:
        return cast("list[object]", await gather(component, [*_LOOPBACK, *addresses], timeout))

    connection.get_component_candidates = with_loopback  # pyright: ignore[reportAttributeAccessIssue]
