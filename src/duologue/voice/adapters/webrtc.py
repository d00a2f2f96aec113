"""Voice agents over WebRTC: the session is agreed on over HTTP, sound goes as Opus, events over a data channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duologue.frozen import changed
from duologue.messages import JsonValue
from duologue.secret_values import remember
from duologue.voice.adapter import AdapterCapabilities, VoiceConnectionError
from duologue.voice.adapters.data_channel import ChannelMessage, DataChannelProtocol
from duologue.voice.adapters.ice import IceServer
from duologue.voice.adapters.signaling import Signaling, SignalingFormat
from duologue.voice.adapters.webrtc_call import WebRTCCall
from duologue.voice.adapters.wire import WireVoiceAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.port import reason_of
from duologue.voice.tones import require_keys

WEBRTC_CAPABILITIES = AdapterCapabilities(input_formats=("opus/48000",), output_formats=("opus/48000",))
"""Of a connection that has nothing but sound."""


class WebRTCAgentAdapter(WireVoiceAdapter):
    """An agent that answers a WebRTC offer over HTTP. Needs the extra ``webrtc``.

    ``connect`` gathers the addresses of this machine, posts the offer, and waits until the connection stands. Where the
    signaling URL is on this machine, addresses of the loopback interface are offered, too.

    Args:
        signaling_url: that takes the offer.
        signaling: ``json`` posts ``{"sdp": …, "type": "offer"}`` and expects the same with the answer; ``whip`` posts
            and expects ``application/sdp``, and deletes the session in the end (RFC 9725).
        token: sent as ``Authorization: Bearer …``.
        headers: of the requests.
        request: fields of the JSON beside the offer.
        events: what is said over a data channel; None for a connection without one.
        ice_servers: STUN and TURN servers, as URLs or :class:`IceServer`. None are asked by default, so that nobody
            else learns of the call.
    """

    capabilities = WEBRTC_CAPABILITIES
    wants_silence = True

    def __init__(
        self,
        signaling_url: str,
        *,
        signaling: SignalingFormat = "json",
        token: str = "",
        headers: Mapping[str, str] | None = None,
        request: Mapping[str, JsonValue] | None = None,
        events: DataChannelProtocol | None = None,
        ice_servers: Sequence[IceServer | str] = (),
    ) -> None:
        super().__init__()
        remember(token, placed=True)
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        where = Signaling(
            url=signaling_url, format=signaling, headers={**(headers or {}), **bearer}, more={**(request or {})}
        )
        self._call = WebRTCCall(where, events, ice_servers)
        self._events = events
        if events is not None:
            self.ends_turns = events.ends_turns
            self.capabilities = changed(
                events.capabilities,
                input_formats=WEBRTC_CAPABILITIES.input_formats,
                output_formats=WEBRTC_CAPABILITIES.output_formats,
            )

    @property
    def where(self) -> str:
        """The signaling URL, without what may be secret in it."""
        return self._call.signaling.shown

    def describe(self) -> dict[str, Any]:
        """The signaling URL, and the name of the protocol of the data channel."""
        return {"url": self.where, "protocol": type(self._events).__name__ if self._events is not None else None}

    async def dial(self) -> None:
        """Connect."""
        await self._call.dial(self._waits_for)

    async def read(self) -> None:
        """Hand on what comes."""
        await self._call.read(self.deliver_unasked)

    async def hang_up(self) -> None:
        """Close the connection."""
        await self._call.hang_up()

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user; waits while two seconds of it wait to be sent."""
        if not self.is_connected:
            raise self.not_connected()
        await self._call.say(chunk)

    async def interrupt(self) -> None:
        """Tell the agent to stop, where the protocol of the data channel can."""
        if not self.capabilities.interruption or self._events is None:
            return await super().interrupt()
        self.forget_sound()
        return self._send(self._events.encode_interrupt())

    async def send_dtmf(self, keys: str) -> None:
        """Press keys, where the protocol of the data channel can."""
        if not self.capabilities.dtmf or self._events is None:
            return await super().send_dtmf(keys)
        require_keys(keys)
        return self._send(self._events.encode_dtmf(keys))

    async def send_text(self, text: str) -> None:
        """Say something in writing, where the protocol of the data channel can."""
        message = None if self._events is None else self._events.encode_text(text)
        if message is None:
            return await super().send_text(text)
        return self._send(message)

    def _send(self, message: ChannelMessage | None) -> None:
        if not self.is_connected:
            raise self.not_connected()
        try:
            if message is not None:
                self._call.send(message)
        except ConnectionError as error:
            raise VoiceConnectionError(self.name, f"cannot send to {self.where}: {reason_of(error)}") from error

    def _waits_for(self, what: str) -> None:
        self.waiting_for = what
