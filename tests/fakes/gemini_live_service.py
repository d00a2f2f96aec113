"""Google's Gemini Live API on loopback: the client's messages are checked by the types of google-genai."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from json_sockets import Event, JsonSocketService, RefusedError
from websockets.asyncio.server import Request, ServerConnection

KEY = "AIzaSyLive0123456789abcdefghijklmnop"
_PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"

_URL_SAFE = str.maketrans("-_", "+/")


@dataclass
class Answer:
    """A turn of the model.

    Attributes:
        words: of its transcript; each comes with a piece of the sound.
        sound: PCM16, of ``rate``.
        calls: of tools, before it speaks: id, name, arguments.
        hold_after: words after which it waits to be interrupted.
        pace: seconds between pieces.
    """

    words: str = ""
    sound: bytes = b""
    rate: int = 24_000
    calls: list[tuple[str, str, Event]] = field(default_factory=list)
    hold_after: int | None = None
    pace: float = 0.0


class GeminiLiveService(JsonSocketService):
    """The service.

    Attributes:
        answers: of the next turns.
        understood: what the transcription of the next turns of the user says.
        heard: what the user said, turn by turn: PCM16, 16 kHz.
        spurious: it reports an interruption of nothing before each answer.
        ends_interrupted: it ends the turns that were interrupted, as the service does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: deque[Answer] = deque()
        self.understood: deque[str] = deque()
        self.heard: list[bytes] = []
        self.setup: Event = {}
        self.tool_responses: list[Event] = []
        self.spurious = False
        self.ends_interrupted = True
        self._tools_answered = asyncio.Event()

    def check(self, request: Request) -> tuple[int, str] | None:
        """As the service does."""
        if request.path != _PATH:
            return 404, ""
        if request.headers.get("x-goog-api-key") != KEY:
            error = {"code": 403, "message": "Method doesn't allow unregistered callers", "status": "PERMISSION_DENIED"}
            return 403, json.dumps({"error": error})
        return None

    async def send(self, connection: ServerConnection, event: Event) -> None:
        """Messages of the service are binary."""
        await connection.send(json.dumps(event).encode())

    async def converse(self, connection: ServerConnection) -> None:
        """Hold a conversation."""
        from google.genai import types

        self.setup = (await self.next_event(connection)).get("setup") or {}
        # The types of google-genai have this part of it in a place of its own.
        rest = {name: value for name, value in self.setup.items() if name != "realtimeInputConfig"}
        if not (types.LiveClientSetup.model_validate(rest).model or "").startswith("models/"):
            raise RefusedError(1007, "Request contains an invalid argument: setup.model")
        detection = types.RealtimeInputConfig.model_validate(self.setup.get("realtimeInputConfig") or {})
        if not (detection.automatic_activity_detection and detection.automatic_activity_detection.disabled):
            raise RefusedError(
                1007, "Explicit activity control is not supported when automatic activity detection is on"
            )
        await self.send(connection, {"setupComplete": {}})
        active, sound = False, bytearray()
        speaking: asyncio.Task[None] | None = None
        while True:
            message = await self._next(connection)
            message = camel(message) if "realtime_input" in message else message
            given = message.get("realtimeInput")
            if "toolResponse" in message:
                self._take_tool_response(message["toolResponse"])
            elif given is None:
                raise RefusedError(1007, f"Invalid JSON payload received. Unknown name {sorted(message)}")
            elif "activityStart" in given:
                if active:
                    raise RefusedError(1007, "activityStart while the user is active")
                active = True
                if speaking is not None and not speaking.done():
                    speaking.cancel()
                    await self._content(connection, interrupted=True)
                    if self.ends_interrupted:
                        await self._content(connection, turnComplete=True)
            elif "audio" in given:
                if not active:
                    raise RefusedError(1007, "audio outside of an activity")
                sound += self._sound_of(given["audio"])
            elif "activityEnd" in given:
                if not active:
                    raise RefusedError(1007, "activityEnd without activityStart")
                active = False
                self.heard.append(bytes(sound))
                sound.clear()
                speaking = self.begin(self._answer(connection))

    async def _next(self, connection: ServerConnection) -> Event:
        from google.genai import types

        message = await self.next_event(connection)
        if len(message) != 1:
            raise RefusedError(1007, f"a message has one field; found {sorted(message)}")
        types.LiveClientMessage.model_validate(message)  # refuses what it does not know
        return message

    def _sound_of(self, blob: Event) -> bytes:
        if blob.get("mimeType") != "audio/pcm;rate=16000":
            raise RefusedError(1007, f"unsupported audio {blob.get('mimeType')}")
        sound = base64.b64decode(blob["data"].translate(_URL_SAFE), validate=True)
        if len(sound) % 2:
            raise RefusedError(1007, "half a sample")
        return sound

    def _take_tool_response(self, found: Event) -> None:
        for response in found["functionResponses"]:
            if not response.get("id") or not isinstance(response.get("response"), dict):
                raise RefusedError(1007, "functionResponses need id and response, an object")
            self.tool_responses.append(response)
        self._tools_answered.set()

    async def _content(self, connection: ServerConnection, **content: Any) -> None:
        await self.send(connection, {"serverContent": content})

    async def _answer(self, connection: ServerConnection) -> None:
        answer = self.answers.popleft() if self.answers else Answer()
        if self.spurious:
            await self._content(connection, interrupted=True)
            await self._content(connection, turnComplete=True)
        if self.understood:
            said = self.understood.popleft()
            half = len(said) // 2
            for part in (said[:half], said[half:]):
                await self._content(connection, inputTranscription={"text": part})
        if answer.calls:
            self._tools_answered.clear()
            calls = [{"id": call, "name": name, "args": arguments} for call, name, arguments in answer.calls]
            await self.send(connection, {"toolCall": {"functionCalls": calls}})
            await self._tools_answered.wait()
        words = answer.words.split(" ")
        size = -(-len(answer.sound) // len(words))
        for number, word in enumerate(words):
            if answer.hold_after == number:
                await asyncio.Event().wait()
            text = word if number == 0 else f" {word}"
            if text:
                await self._content(connection, outputTranscription={"text": text})
            sound = answer.sound[number * size : (number + 1) * size]
            if sound:
                blob = {"mimeType": f"audio/pcm;rate={answer.rate}", "data": base64.b64encode(sound).decode()}
                await self._content(connection, modelTurn={"parts": [{"inlineData": blob}]})
            if answer.pace:
                await asyncio.sleep(answer.pace)
        await self._content(connection, generationComplete=True)
        await self._content(connection, turnComplete=True)
        await self.send(connection, {"usageMetadata": {"totalTokenCount": 12}})


def camel(value: Any) -> Any:
    """Names as the service writes them; it takes those of its own client, with underscores, as well."""
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, inner in value.items():
        first, *others = name.split("_")
        made[first + "".join(word.capitalize() for word in others)] = camel(inner)
    return made
