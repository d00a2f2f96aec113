"""A protocol for voice agents behind a WebSocket that needs no code here: sound as it is, and events as JSON.

Sound is binary messages of PCM16, mono, 24 kHz, or of a telephone codec. Everything else is a JSON object with a
``type`` in a text message; types that are not known are passed over.

From the agent:

==============  =======================================================================================
``type``        meaning, and further fields
==============  =======================================================================================
``words``       what the agent says, bit by bit: ``text``; with ``replaces: true`` all of this turn so far
``user_words``  what it has understood of the user: ``text``, the whole turn
``turn_ended``  no more sound of this turn follows; ``interrupted`` if it was cut off
``user_heard``  it has noticed that the user speaks: sound that was sent and not heard yet is void
``tool_call``   ``id``, ``name``, ``arguments`` (an object)
``tool_result`` ``id``, ``result`` (anything)
``keys``        it has pressed ``keys`` (DTMF)
``call_ended``  it hangs up; ``reason``
==============  =======================================================================================

To the agent, for those that want them: ``user_turn_began`` and ``user_turn_ended``, ``interrupt``, and ``keys``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from duologue.config.json_text import json_value
from duologue.config.problems import nearest
from duologue.errors import ConfigurationError
from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.adapters.framing import Codec, SoundFromWire, SoundToWire
from duologue.voice.adapters.websocket_protocol import Decoded, Encoded, SocketMessage, WebSocketProtocol
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import (
    AgentKeys,
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)


class EventsProtocol(WebSocketProtocol):
    """Sound as binary messages, events as JSON.

    Args:
        codec, rate: of the sound, both ways.
        names: what the agent calls events, where it calls them otherwise: its names by ours, such as
            ``{"words": "transcript.delta"}``.
        type_field: the field with the name of an event.
        announces_turns: whether the agent is told when the user begins and has finished.
        interruption: whether the agent understands ``interrupt``.
        dtmf: whether the agent understands ``keys``.
        wants_silence: frames are sent without a pause, silence too.
        ends_turns: whether the agent tells the end of its turns.
    """

    def __init__(
        self,
        *,
        codec: Codec = "pcm16",
        rate: int = 24_000,
        names: Mapping[str, str] | None = None,
        type_field: str = "type",
        announces_turns: bool = False,
        interruption: bool = False,
        dtmf: bool = False,
        wants_silence: bool = True,
        ends_turns: bool = True,
    ) -> None:
        self._to_wire, self._from_wire = SoundToWire(codec, rate), SoundFromWire(codec, rate)
        self._names = dict(names or {})
        require_events(self._names)
        self._known = {self._names.get(ours, ours): ours for ours in _READERS}
        self._type_field = type_field
        self._announces_turns = announces_turns
        self.wants_silence, self.ends_turns = wants_silence, ends_turns
        format = (f"{codec}/{rate}",)
        self.capabilities = AdapterCapabilities(
            streaming_transcripts=True,
            native_vad=True,
            dtmf=dtmf,
            interruption=interruption,
            input_formats=format,
            output_formats=format,
        )

    def encode_audio(self, chunk: AudioChunk) -> Encoded:
        """Frames of 20 ms, as they are complete."""
        return self._to_wire.frames(chunk.data)

    def decode_response(self, message: SocketMessage) -> Decoded:
        """Sound, or what an event says."""
        if isinstance(message, bytes):
            return self._from_wire.pcm(message) or None
        event = json_value(message, constants=True)
        if not isinstance(event, dict):
            raise ValueError(f"an event is a JSON object; found {type(event).__name__}")
        found = cast("dict[str, Any]", event)
        ours = self._known.get(str(found.get(self._type_field)))
        return None if ours is None else _READERS[ours](found)

    def user_turn_begins(self) -> Encoded:
        """Tell the agent, if it wants to know."""
        return self._event("user_turn_began") if self._announces_turns else None

    def user_turn_ends(self) -> Encoded:
        """What is left of the sound, and tell the agent, if it wants to know."""
        rest = self._to_wire.flush()
        return [*rest, self._event("user_turn_ended")] if self._announces_turns else rest

    def encode_interrupt(self) -> Encoded:
        """Tell the agent to stop."""
        return self._event("interrupt")

    def encode_dtmf(self, keys: str) -> Encoded:
        """Press keys."""
        return self._event("keys", keys=keys)

    def _event(self, ours: str, **fields: Any) -> str:
        return json.dumps({self._type_field: self._names.get(ours, ours), **fields})


def require_events(names: Mapping[str, str]) -> None:
    """Look whether names can be used.

    Raises:
        ConfigurationError: a name is that of no event, or two events of the agent are called the same.
    """
    ours = [*_READERS, *_SENT]
    for name in names:
        if name not in ours:
            raise ConfigurationError(
                f"names: there is no event '{name}'{nearest(name, ours)} Expected: {', '.join(ours)}"
            )
    theirs = [names.get(name, name) for name in _READERS]
    twice = next((name for name in theirs if theirs.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"names: '{twice}' stands for two events of the agent; expected one")


def _text(event: Mapping[str, Any], field: str) -> str:
    value = event.get(field, "")
    if not isinstance(value, str):
        raise ValueError(f"the field '{field}' is a text; found {type(value).__name__}")
    return value


def _tool_call(event: Mapping[str, Any]) -> AgentToolCall:
    arguments: Any = event.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = json_value(arguments, constants=True)
    if not isinstance(arguments, dict) or not event.get("name"):
        raise ValueError("a tool call has a 'name', and 'arguments' that are an object")
    return AgentToolCall(
        call_id=str(event.get("id", "")), name=str(event["name"]), arguments=cast("dict[str, Any]", arguments)
    )


_SENT = ("user_turn_began", "user_turn_ended", "interrupt")
"""Events that are sent, besides ``keys``, which go both ways."""
_READERS: dict[str, Callable[[Mapping[str, Any]], Incoming]] = {
    "words": lambda event: AgentWords(text=_text(event, "text"), replaces=bool(event.get("replaces"))),
    "user_words": lambda event: UserWords(text=_text(event, "text")),
    "turn_ended": lambda event: AgentTurnEnded(interrupted=bool(event.get("interrupted"))),
    "user_heard": lambda event: UserHeard(),
    "tool_call": _tool_call,
    "tool_result": lambda event: AgentToolResult(call_id=str(event.get("id", "")), result=event.get("result")),
    "keys": lambda event: AgentKeys(keys=_text(event, "keys")),
    "call_ended": lambda event: CallEnded(reason=_text(event, "reason")),
}
"""How each event is read."""
