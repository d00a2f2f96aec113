"""ElevenLabs' agents platform on loopback, by the AsyncAPI description of its agents."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from json_sockets import Event, JsonSocketService, RefusedError
from websockets.asyncio.server import Request, ServerConnection

from duologue.voice.g711 import mulaw_decode, mulaw_encode
from duologue.voice.resample import resample

KEY = "xi-0123456789abcdef0123456789abcdef"
_FIELDS = {
    "pong": {"event_id": int},
    "user_message": {"text": str},
    "user_activity": {},
    "contextual_update": {"text": str},
    "client_tool_result": {"tool_call_id": str, "result": str, "is_error": bool},
}


@dataclass
class Answer:
    """An answer of the agent.

    Attributes:
        words: of it.
        sound: PCM16, 24 kHz; sent in the format of the agent, in pieces of half a second.
        calls: of client tools, before it speaks: id, name, parameters.
        hold_after: pieces after which it waits to be interrupted.
        pace: seconds between pieces.
        heard: words of it that were heard, where it is interrupted.
    """

    words: str = ""
    sound: bytes = b""
    calls: list[tuple[str, str, Event]] = field(default_factory=list)
    hold_after: int | None = None
    pace: float = 0.0
    heard: str = ""


class ElevenLabsAgentsService(JsonSocketService):
    """The service. The user has finished after half a second of silence.

    Attributes:
        answers: of the agent. The first is its first message, if ``greets``.
        heard_format, spoken_format: of the sound.
        understood: what the transcription of the next turns of the user says.
        heard: what the user said, turn by turn: PCM16, 24 kHz.
        notices: it takes what it has sent as spoken for as long as that is played, so that it can be interrupted.
    """

    def __init__(self, *, heard_format: str = "pcm_16000", spoken_format: str = "pcm_16000") -> None:
        super().__init__()
        self.answers: deque[Answer] = deque()
        self.understood: deque[str] = deque()
        self.heard: list[bytes] = []
        self.heard_format, self.spoken_format = heard_format, spoken_format
        self.greets = False
        self.notices = False
        self.public = False
        self.allows_overrides = True
        self.initiation: Event = {}
        self.tool_results: list[Event] = []
        self.pongs: list[int] = []
        self._numbers = 0
        self._tool_answered = asyncio.Event()

    def check(self, request: Request) -> tuple[int, str] | None:
        """As the service does."""
        parts = urlsplit(request.path)
        if parts.path != "/v1/convai/conversation" or not parse_qs(parts.query).get("agent_id"):
            return 404, '{"detail": "Not Found"}'
        if not self.public and request.headers.get("xi-api-key") != KEY:
            return 401, json.dumps({"detail": {"status": "invalid_api_key", "message": "Invalid API key"}})
        return None

    async def converse(self, connection: ServerConnection) -> None:
        """Hold a conversation."""
        self.initiation = await self.next_event(connection)
        if self.initiation.get("type") != "conversation_initiation_client_data":
            raise RefusedError(1008, "expected conversation_initiation_client_data")
        if self.initiation.get("conversation_config_override") and not self.allows_overrides:
            error = {
                "code": 1008,
                "error_type": "override_error",
                "message": "Override for field 'prompt' is not allowed",
            }
            await self.send(connection, {"type": "error", "error_event": error})
            raise RefusedError(1008, "Override for field 'prompt' is not allowed by config.")
        told = {
            "conversation_id": "conv_1",
            "agent_output_audio_format": self.spoken_format,
            "user_input_audio_format": self.heard_format,
        }
        metadata = {"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event": told}
        await self.send(connection, {"type": "ping", "ping_event": {"event_id": 0, "ping_ms": None}})
        await self.send(connection, metadata)
        await self.send(connection, {"type": "ping", "ping_event": {"event_id": 1, "ping_ms": 20}})
        await self._listen(connection)

    async def _listen(self, connection: ServerConnection) -> None:
        speaking = self._answer_now(connection) if self.greets else None
        sound, quiet, active = bytearray(), 0.0, False
        while True:
            message = await self.next_event(connection)
            if "user_audio_chunk" not in message:
                self._take(message)
                continue
            piece = self._decoded(message)
            loud = any(abs(sample) > 300 for sample in memoryview(piece).cast("h"))
            if loud and not active:
                active = True
                if speaking is not None and not speaking[0].done():
                    speaking[0].cancel()
                    await self._interrupt(connection, speaking[1])
            quiet = 0.0 if loud else quiet + len(piece) / 48_000
            sound += piece
            if active and quiet >= 0.5:
                active = False
                self.heard.append(bytes(sound))
                if self.understood:
                    data = {"user_transcript": self.understood.popleft(), "event_id": self._number()}
                    await self.send(connection, {"type": "user_transcript", "user_transcription_event": data})
                speaking = self._answer_now(connection)
            if not active:
                sound.clear()

    def _take(self, message: Event) -> None:
        kind = message.get("type")
        fields = _FIELDS.get(str(kind))
        if fields is None:
            raise RefusedError(1008, f"unknown message {message}")
        given = {name: value for name, value in message.items() if name != "type"}
        if given.keys() != fields.keys() or not all(isinstance(given[name], fields[name]) for name in fields):
            raise RefusedError(1008, f"invalid message {message}")
        if kind == "pong":
            self.pongs.append(message["event_id"])
        elif kind == "client_tool_result":
            self.tool_results.append(given)
            self._tool_answered.set()

    def _decoded(self, message: Event) -> bytes:
        if set(message) != {"user_audio_chunk"}:
            raise RefusedError(1008, "a sound has no other fields")
        sound = base64.b64decode(message["user_audio_chunk"], validate=True)
        codec, _, rate = self.heard_format.partition("_")
        if codec == "ulaw":
            sound = mulaw_decode(sound)
        if len(sound) % 2:
            raise RefusedError(1008, "half a sample")
        return resample(sound, int(rate), 24_000)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    async def _interrupt(self, connection: ServerConnection, answer: Answer) -> None:
        data: Event = {"event_id": self._numbers}
        await self.send(connection, {"type": "interruption", "interruption_event": data})
        # Sound that was under way comes after it, with its old number.
        await self._sound(connection, bytes(9600), self._numbers)
        data = {
            "original_agent_response": answer.words,
            "corrected_agent_response": answer.heard,
            "event_id": self._numbers,
        }
        await self.send(connection, {"type": "agent_response_correction", "agent_response_correction_event": data})

    def _answer_now(self, connection: ServerConnection) -> tuple[asyncio.Task[None], Answer]:
        answer = self.answers.popleft() if self.answers else Answer()
        return self.begin(self._answer(connection, answer)), answer

    async def _answer(self, connection: ServerConnection, answer: Answer) -> None:
        for call_id, name, parameters in answer.calls:
            self._tool_answered.clear()
            call = {"tool_call_id": call_id, "tool_name": name, "parameters": parameters, "event_id": self._number()}
            await self.send(connection, {"type": "client_tool_call", "client_tool_call": call})
            await self._tool_answered.wait()
        if not answer.words:
            return
        data = {"agent_response": answer.words, "event_id": self._number()}
        await self.send(connection, {"type": "agent_response", "agent_response_event": data})
        for number, at in enumerate(range(0, len(answer.sound), 24_000)):
            if answer.hold_after == number:
                await asyncio.Event().wait()
            await self._sound(connection, answer.sound[at : at + 24_000], self._number())
            if answer.pace:
                await asyncio.sleep(answer.pace)
        if self.notices:
            await asyncio.sleep(len(answer.sound) / 48_000)

    async def _sound(self, connection: ServerConnection, pcm: bytes, number: int) -> None:
        codec, _, rate = self.spoken_format.partition("_")
        sound = resample(pcm, 24_000, int(rate))
        encoded = base64.b64encode(mulaw_encode(sound) if codec == "ulaw" else sound).decode()
        data: Event = {"audio_base_64": encoded, "event_id": number}
        await self.send(connection, {"type": "audio", "audio_event": data})

    async def fail(self, **error: Any) -> None:
        """Report an error and close."""
        await self.send(self.connections[-1], {"type": "error", "error_event": error})
        await self.connections[-1].close(error["code"], str(error.get("message", ""))[:100])
