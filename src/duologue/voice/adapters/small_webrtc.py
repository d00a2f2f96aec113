"""Pipecat bots over WebRTC: the transport that Pipecat calls SmallWebRTC.

The offer is posted to the bot's endpoint (``/api/offer`` in Pipecat's runner), and the data channel carries messages of
RTVI. Source: Pipecat, *SmallWebRTCTransport* and *The RTVI Standard*.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_value
from duologue.context import random_uuid
from duologue.messages import JsonValue
from duologue.version import __version__
from duologue.voice.adapters.data_channel import ChannelMessage, DataChannelProtocol
from duologue.voice.adapters.ice import IceServer
from duologue.voice.adapters.rtvi import LABEL, RtviEvents
from duologue.voice.adapters.signaling import Signaling
from duologue.voice.adapters.webrtc_call import WebRTCCall
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import CallEnded, Incoming

_PROTOCOL = "1.2.0"
"""Version of RTVI that is spoken: bots of newer versions speak it as well."""


class RtviChannel(DataChannelProtocol):
    """RTVI over the data channel of SmallWebRTC.

    Args:
        ready: called when the bot says that it is ready, so that it speaks RTVI.
    """

    label = "chat"

    def __init__(self, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._events = RtviEvents()

    def opened(self) -> Sequence[ChannelMessage]:
        """Say that this side is ready; bots that greet the user wait for it."""
        self._events = RtviEvents()
        about = {"library": "duologue", "library_version": __version__}
        data = {"version": _PROTOCOL, "about": about}
        return [json.dumps({"label": LABEL, "type": "client-ready", "id": random_uuid(), "data": data})]

    def decode(self, message: ChannelMessage) -> Sequence[Incoming]:
        """What a message tells. What is no message of RTVI is passed over, as Pipecat's clients do."""
        try:
            value = json_value(message)
        except NoJsonError:
            return []
        if not isinstance(value, dict):
            return []
        fields = cast("dict[str, Any]", value)
        if fields.get("type") == "signalling":
            inner = fields.get("message")
            left = isinstance(inner, dict) and cast("dict[str, Any]", inner).get("type") == "peerLeft"
            return [CallEnded(reason="the bot has left")] if left else []
        if fields.get("label") != LABEL:
            return []
        if fields.get("type") == "bot-ready":
            self._ready()
        return self._events.read(fields)


class SmallWebRTCLine:
    """A bot behind an offer endpoint.

    Args:
        signaling_url: of the endpoint.
        token: sent as ``Authorization: Bearer …``.
        request_data: that the bot is given with the offer.
        ice_servers: that are asked for addresses.
        ready: called when the bot says that it is ready.
    """

    sender_waits = False

    def __init__(
        self,
        signaling_url: str,
        *,
        token: str = "",
        request_data: Mapping[str, JsonValue] | None = None,
        ice_servers: Sequence[IceServer | str] = (),
        ready: Callable[[], None],
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        more: dict[str, JsonValue] = {} if request_data is None else {"requestData": dict(request_data)}
        signaling = Signaling(url=signaling_url, headers=headers, more=more)
        self._call = WebRTCCall(signaling, RtviChannel(ready), ice_servers)

    @property
    def where(self) -> str:
        """The address of the endpoint."""
        return self._call.signaling.shown

    async def dial(self, waits_for: Callable[[str], None]) -> None:
        """Connect, and say that this side is ready."""
        await self._call.dial(waits_for)

    async def read(self, deliver: Callable[[Incoming], Awaitable[None]]) -> None:
        """Hand on what comes."""
        await self._call.read(deliver)

    async def hang_up(self) -> None:
        """Close the connection."""
        await self._call.hang_up()

    async def say(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        await self._call.say(chunk)

    async def end_turn(self) -> None:
        """Nothing is said: the bot hears it."""
        return

    async def interrupt(self) -> None:
        """Nothing is said: the bot stops by what the user says."""
        return
