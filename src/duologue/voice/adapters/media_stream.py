"""The messages of Twilio Media Streams, which other telephone platforms and Pipecat's serializer know as well.

Source: Twilio, *Media Streams: WebSocket Messages* (bidirectional streams). Sound is µ-law at 8 kHz as base64, in
frames of 20 ms. Numbers in what Twilio sends are strings.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from secrets import token_hex
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_object
from duologue.voice.adapters.framing import Codec

MULAW_RATE = 8_000
_ENCODINGS: Mapping[Codec, str] = {"mulaw": "audio/x-mulaw", "alaw": "audio/x-alaw", "pcm16": "audio/x-l16"}
_FRAME_MS = 20


class NoMediaStreamMessageError(ValueError):
    """A message that the protocol does not have."""


def new_sid(prefix: str) -> str:
    """An identifier as Twilio makes them: two letters and 32 hexadecimal digits."""
    return f"{prefix}{token_hex(16)}"


def event_in(message: str | bytes) -> dict[str, Any]:
    """A message as an object.

    Raises:
        NoMediaStreamMessageError: it is something else.
    """
    if isinstance(message, bytes):
        raise NoMediaStreamMessageError("messages are JSON; expected no binary ones")
    try:
        return json_object(message)
    except NoJsonError:
        raise NoMediaStreamMessageError("expected a JSON object") from None


def part_of(event: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object of that name in an event, such as ``media``.

    Raises:
        NoMediaStreamMessageError: there is none.
    """
    part = event.get(name)
    if not isinstance(part, dict):
        raise NoMediaStreamMessageError(f"expected an object '{name}' in the event '{event.get('event')}'")
    return cast("dict[str, Any]", part)


def text_of(part: Mapping[str, Any], name: str, event: str) -> str:
    """The text of that name.

    Raises:
        NoMediaStreamMessageError: it is none.
    """
    text = part.get(name)
    if not isinstance(text, str):
        raise NoMediaStreamMessageError(f"expected '{name}' of the event '{event}' to be a string")
    return text


def sound_in(event: Mapping[str, Any]) -> bytes:
    """The bytes of sound in a ``media`` event.

    Raises:
        NoMediaStreamMessageError: there are none.
    """
    payload = text_of(part_of(event, "media"), "payload", "media")
    try:
        return b64decode(payload, validate=True)
    except (Base64Error, ValueError):
        raise NoMediaStreamMessageError("expected 'payload' of the event 'media' to be base64") from None


def media(stream: str, frame: bytes) -> str:
    """Sound for the other end of the call."""
    payload = b64encode(frame).decode()
    return f'{{"event":"media","streamSid":{json.dumps(stream)},"media":{{"payload":"{payload}"}}}}'


def mark(stream: str, name: str) -> str:
    """Asks to be told when all sound before it has been heard."""
    return json.dumps({"event": "mark", "streamSid": stream, "mark": {"name": name}})


def clear(stream: str) -> str:
    """Sound that was sent and is not heard yet is not to be heard."""
    return json.dumps({"event": "clear", "streamSid": stream})


class CallerSide:
    """What Twilio sends in a call: for an adapter that takes its place before an agent.

    Args:
        codec, rate: of the sound.
        stream, call: identifiers; "" for new ones.
    """

    def __init__(self, codec: Codec = "mulaw", rate: int = MULAW_RATE, stream: str = "", call: str = "") -> None:
        self.stream, self.call = stream or new_sid("MZ"), call or new_sid("CA")
        self._account = new_sid("AC")
        self._format = {"encoding": _ENCODINGS[codec], "sampleRate": rate, "channels": 1}
        self._sequence = 0
        self._frames = 0

    def opening(self) -> list[str]:
        """What comes first."""
        self._sequence, self._frames = 0, 0
        start = {
            "accountSid": self._account,
            "streamSid": self.stream,
            "callSid": self.call,
            "tracks": ["inbound"],
            "mediaFormat": self._format,
            "customParameters": {},
        }
        connected = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return [connected, self._event("start", start)]

    def media(self, frame: bytes) -> str:
        """20 ms of the user."""
        self._frames += 1
        at = str((self._frames - 1) * _FRAME_MS)
        payload = {
            "track": "inbound",
            "chunk": str(self._frames),
            "timestamp": at,
            "payload": b64encode(frame).decode(),
        }
        return self._event("media", payload)

    def mark(self, name: str) -> str:
        """All sound before the mark of this name has been heard."""
        return self._event("mark", {"name": name})

    def clear(self) -> str:
        """The user has cut in: the agent is to stop. Twilio itself never sends this; agents that know it take it."""
        return clear(self.stream)

    def dtmf(self, key: str) -> str:
        """The user has pressed a key."""
        return self._event("dtmf", {"track": "inbound_track", "digit": key})

    def stop(self) -> str:
        """The call is over."""
        return self._event("stop", {"accountSid": self._account, "callSid": self.call})

    def _event(self, name: str, part: Mapping[str, Any]) -> str:
        self._sequence += 1
        sequence = str(self._sequence)
        return json.dumps({"event": name, "sequenceNumber": sequence, name: part, "streamSid": self.stream})
