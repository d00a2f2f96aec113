"""Vapi assistants over Vapi's WebSocket transport.

Source: Vapi, *WebSocket Transport* and *Client Message*: a call is created over REST; its WebSocket carries sound as
binary messages and everything else as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from duologue.config.access import missing_variable, variables
from duologue.config.json_text import NoJsonError, json_object
from duologue.errors import ConfigurationError
from duologue.http import HttpRequest, parse_url, shown_url
from duologue.messages import JsonValue
from duologue.secret_values import hidden, remember
from duologue.voice.adapters.framing import SoundFromWire, SoundToWire
from duologue.voice.adapters.rest import ask_vendor
from duologue.voice.adapters.sockets import SocketTarget, SocketVoiceAdapter, socket_address
from duologue.voice.adapters.tools import arguments_of
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)
from duologue.voice.port import AdapterCapabilities, VoiceConnectionError

KEY = "VAPI_API_KEY"
API = "https://api.vapi.ai"
_RATE = 16_000


class VapiAgentAdapter(SocketVoiceAdapter):
    """A Vapi assistant.

    Each connection creates a call and ends it. What the assistant's ``clientMessages`` leave out is not known here:
    ``transcript`` and ``speech-update``, which are in the default, bring its words and the end of its turns.

    Args:
        assistant_id: of the assistant.
        api_key: the private key; None for the environment variable ``VAPI_API_KEY``. It is not shown anywhere.
        assistant_overrides: changes of the assistant for this call, as Vapi's API takes them.
        sample_rate: of the sound on the wire.
        base_url: of Vapi's API.

    Raises:
        ConfigurationError: an argument is missing or cannot be used.
    """

    capabilities = AdapterCapabilities(
        streaming_transcripts=True, native_vad=True, input_formats=("pcm16/16000",), output_formats=("pcm16/16000",)
    )
    wants_silence = True
    ends_turns = True

    def __init__(
        self,
        assistant_id: str,
        api_key: str | None = None,
        *,
        assistant_overrides: Mapping[str, JsonValue] | None = None,
        sample_rate: int = _RATE,
        base_url: str = API,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        if not assistant_id:
            raise ConfigurationError(f"{who}: assistant_id is empty")
        self.assistant_id = assistant_id
        self._key = api_key or variables().get(KEY, "")
        if not self._key:
            raise ConfigurationError(f"{who}: {missing_variable(KEY)}; set it, or pass api_key")
        remember(self._key, placed=True)
        if not 8_000 <= sample_rate <= 48_000:
            raise ConfigurationError(f"{who}: sample_rate is {sample_rate!r}; expected 8000 to 48000")
        self._api = parse_url(base_url, f"{who}: base_url")
        self._overrides = dict(assistant_overrides or {})
        self._wanted_rate = sample_rate
        self.call_id = ""
        self._begin(sample_rate)

    def _begin(self, rate: int) -> None:
        self._there, self._back = SoundToWire("pcm16", rate), SoundFromWire("pcm16", rate)
        self._said: list[str] = []
        self._ended = False

    @property
    def where(self) -> str:
        """Vapi's API."""
        return shown_url(self._api)

    def describe(self) -> dict[str, Any]:
        """The assistant and the API."""
        return {"assistant_id": self.assistant_id, "url": self.where}

    async def target(self) -> SocketTarget:
        """Create a call, whose WebSocket it is."""
        self.waiting_for = "Vapi to create the call"
        body: dict[str, JsonValue] = {
            "assistantId": self.assistant_id,
            "transport": {
                "provider": "vapi.websocket",
                "audioFormat": {"format": "pcm_s16le", "container": "raw", "sampleRate": self._wanted_rate},
            },
        }
        if self._overrides:
            body["assistantOverrides"] = self._overrides
        headers = {"Authorization": f"Bearer {self._key}"}
        request = HttpRequest(url=f"{self._api.geturl().rstrip('/')}/call", headers=headers, json=body)
        call = await ask_vendor(request, self.name, "create the call")
        transport = _object(call.get("transport"))
        url = _text(transport, "websocketCallUrl")
        try:
            socket_address(url, "websocketCallUrl")
        except ConfigurationError as error:
            raise VoiceConnectionError(
                self.name,
                f"the call that {self.where} created has no WebSocket: transport.websocketCallUrl is "
                f"{hidden(repr(transport.get('websocketCallUrl')))[:200]}",
            ) from error
        self.call_id = _text(call, "id")
        self._begin(self._rate_of(_object(transport.get("audioFormat"))))
        self.waiting_for = "the WebSocket of the call"
        return SocketTarget(url=url)

    async def greet(self) -> None:
        """Nothing: sound may be sent at once."""
        self.waiting_for = ""

    async def take(self, message: str | bytes) -> None:
        """Deliver sound, or what a message tells."""
        if isinstance(message, bytes):
            if pcm := self._back.pcm(message):
                await self.deliver(AudioChunk(pcm))
            return
        try:
            event = json_object(message)
        except NoJsonError as error:
            raise self.broken("expected a JSON object", message) from error
        # Sent as such over the WebSocket, and in an envelope to webhooks.
        inner = event.get("message")
        for item in self._told(cast("dict[str, Any]", inner) if isinstance(inner, dict) else event):
            await self.deliver(item)

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        if not self.is_connected:
            raise self.not_connected()
        for frame in self._there.frames(chunk.data):
            await self.send(frame)

    async def end_user_turn(self) -> None:
        """Send the rest of the last frame. That the user has finished is what Vapi finds out."""
        for frame in self._there.flush():
            await self.send(frame)

    async def part(self) -> None:
        """End the call: one whose WebSocket is only closed goes on, and costs, until Vapi notices."""
        if not self._ended:
            await self.send('{"type":"end-call"}')

    def _rate_of(self, settled: Mapping[str, Any]) -> int:
        """What Vapi has settled on, which need not be what it was asked for."""
        if (codec := settled.get("format", "pcm_s16le")) != "pcm_s16le":
            raise VoiceConnectionError(
                self.name, f"{self.where} answers with the audio format {codec!r}, not pcm_s16le"
            )
        rate = settled.get("sampleRate", self._wanted_rate)
        if not isinstance(rate, int) or not 8_000 <= rate <= 48_000:
            raise VoiceConnectionError(self.name, f"{self.where} answers with the sample rate {rate!r}")
        return rate

    def _told(self, event: Mapping[str, Any]) -> Sequence[Incoming]:
        match _text(event, "type"):
            case "transcript":
                return self._transcript(event)
            case "tool-calls":
                return _tool_calls(event)
            case "function-call":
                call = _object(event.get("functionCall"))
                return _tool_calls({"toolCallList": [{"function": {**call, "arguments": call.get("parameters")}}]})
            case "tool-calls-result":
                result = _object(event.get("toolCallResult"))
                name = _text(result, "toolCallId")
                return [AgentToolResult(call_id=name, result=result.get("result"))] if result else []
            case kind:
                item = self._state(kind, event)
                return [] if item is None else [item]

    def _state(self, kind: str, event: Mapping[str, Any]) -> Incoming | None:
        status = _text(event, "status")
        if kind == "user-interrupted":
            return UserHeard()
        if kind == "speech-update" and event.get("role") == "assistant" and status == "stopped":
            self._said = []
            return AgentTurnEnded()
        if kind == "status-update" and status == "ended" and not self._ended:
            self._ended = True
            return CallEnded(reason=hidden(_text(event, "endedReason")))
        return None

    def _transcript(self, event: Mapping[str, Any]) -> Sequence[Incoming]:
        """The assistant's words come utterance by utterance, each first in parts that replace one another."""
        text, is_final = _text(event, "transcript").strip(), event.get("transcriptType") == "final"
        if not text:
            return []
        if event.get("role") != "assistant":
            return [UserWords(text=text)] if is_final and event.get("role") == "user" else []
        words = [*self._said, text]
        if is_final:
            self._said = words
        return [AgentWords(text=" ".join(words), replaces=True)]


def _tool_calls(event: Mapping[str, Any]) -> Sequence[Incoming]:
    listed = event.get("toolCallList") or event.get("toolCalls")
    calls = cast("list[object]", listed) if isinstance(listed, list) else []
    items: list[Incoming] = []
    for call in map(_object, calls):
        # Some messages have name and arguments in 'function', as OpenAI writes them, some beside the id.
        function = _object(call.get("function")) or call
        if name := _text(function, "name"):
            arguments = _arguments(function.get("arguments"))
            items.append(AgentToolCall(call_id=_text(call, "id"), name=name, arguments=arguments))
    return items


def _arguments(value: object) -> dict[str, Any]:
    return arguments_of(value) if isinstance(value, str) else _object(value)


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""
