"""OpenAI's Realtime API on loopback: the client's events are checked by OpenAI's own types."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from json_sockets import Event, JsonSocketService
from pydantic import BaseModel, TypeAdapter, ValidationError
from websockets.asyncio.server import Request, ServerConnection

KEY = "sk-realtime-0123456789abcdef"
_BETA = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
_QUIET_BYTES = 24_000
"""Of silence (half a second) after which the user has finished."""


@dataclass
class Answer:
    """A response.

    Attributes:
        words: of its transcript; each comes with a piece of the sound.
        sound: PCM16, 24 kHz.
        calls: of tools: id, name, arguments.
        hold_after: words after which it waits to be cancelled.
        failure: code and message with which it fails.
        pace: seconds between pieces.
    """

    words: str = ""
    sound: bytes = b""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    hold_after: int | None = None
    failure: tuple[str, str] | None = None
    pace: float = 0.0


@dataclass
class _Session:
    connection: ServerConnection
    settings: Event = field(default_factory=dict)
    buffer: bytearray = field(default_factory=bytearray)
    turns: list[bytes] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)
    response: str = ""
    task: asyncio.Task[None] | None = None
    calls_open: set[str] = field(default_factory=set)
    speaking: bool = False
    quiet: int = 0
    numbers: int = 0


class OpenAIRealtimeService(JsonSocketService):
    """The service.

    Attributes:
        answers: of the next responses.
        heard: what the user said, turn by turn: PCM16, 24 kHz.
        beta: speaks as the beta did.
        understood: what the transcription of the next turns says.
    """

    def __init__(self, *, beta: bool = False) -> None:
        super().__init__()
        self.answers: deque[Answer] = deque()
        self.heard: list[bytes] = []
        self.understood: deque[str] = deque()
        self.beta = beta
        self.outputs: list[Event] = []
        self.errors: list[Event] = []
        self.truncated: list[tuple[str, int]] = []

    def check(self, request: Request) -> tuple[int, str] | None:
        """As the service does."""
        parts = urlsplit(request.path)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            error = {
                "message": "Incorrect API key provided",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
            return 401, json.dumps({"error": error})
        if parts.path != "/v1/realtime" or not parse_qs(parts.query).get("model"):
            return 404, "no such path"
        return None

    async def converse(self, connection: ServerConnection) -> None:
        """Hold a conversation."""
        session = _Session(connection)
        start: Event = {"id": "sess_1", "object": "realtime.session", "model": "gpt-realtime"}
        start |= {"modalities": ["text", "audio"], "input_audio_format": "pcm16"} if self.beta else {"type": "realtime"}
        await self._tell(session, "session.created", session=start)
        try:
            while True:
                await self._take(session, await self.next_event(connection))
        finally:
            if session.task is not None:
                session.task.cancel()

    async def _take(self, session: _Session, event: Event) -> None:
        kind = event.get("type", "")
        wrong = self._wrong(event)
        if wrong:
            self.problems.append(wrong)
            await self._refuse(session, event, "invalid_request_error", wrong)
            return
        handler = getattr(self, "_on_" + kind.replace(".", "_"))
        await handler(session, event)

    def _wrong(self, event: Event) -> str:
        if event.get("type") == "session.update" and self.beta:
            known = {
                "modalities", "voice", "input_audio_format", "output_audio_format", "input_audio_transcription",
                "turn_detection", "instructions", "tools", "tool_choice",
            }  # fmt: skip
            unknown = set(event["session"]) - known
            return f"unknown_parameter: {unknown}" if unknown else ""
        try:
            found: Any = _client_events().validate_python(event)
        except ValidationError as error:
            return str(error)
        return "; ".join(_unknown(found, event["type"]))

    # What the client says

    async def _on_session_update(self, session: _Session, event: Event) -> None:
        given = event["session"]
        if not self.beta:
            assert given["type"] == "realtime"
            assert given["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        session.settings |= given
        await self._tell(session, "session.updated", session=session.settings)

    async def _on_input_audio_buffer_append(self, session: _Session, event: Event) -> None:
        sound = base64.b64decode(event["audio"], validate=True)
        assert sound
        assert len(sound) % 2 == 0
        session.buffer += sound
        if self._detection(session):
            await self._detect(session, sound)

    def _detection(self, session: _Session) -> Any:
        if self.beta:
            return session.settings.get("turn_detection")
        return session.settings["audio"]["input"].get("turn_detection")

    async def _detect(self, session: _Session, sound: bytes) -> None:
        if any(sound):
            session.quiet = 0
            if not session.speaking:
                session.speaking = True
                await self._tell(session, "input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_u")
                if session.response:
                    await self._cancel(session, "turn_detected")
        elif session.speaking:
            session.quiet += len(sound)
            if session.quiet >= _QUIET_BYTES:
                session.speaking = False
                await self._tell(session, "input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="item_u")
                await self._commit(session)
                self._respond(session)

    async def _on_input_audio_buffer_commit(self, session: _Session, event: Event) -> None:
        if len(session.buffer) < 4800:
            milliseconds = len(session.buffer) / 48
            told = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but "
                f"buffer only has {milliseconds:.2f}ms of audio."
            )
            await self._refuse(session, event, "input_audio_buffer_commit_empty", told)
            return
        await self._commit(session)

    async def _commit(self, session: _Session) -> None:
        self.heard.append(bytes(session.buffer))
        session.buffer.clear()
        await self._tell(session, "input_audio_buffer.committed", item_id="item_u", previous_item_id=None)
        asked = session.settings.get("input_audio_transcription") if self.beta else None
        asked = asked or session.settings.get("audio", {}).get("input", {}).get("transcription")
        if asked and self.understood:
            said = self.understood.popleft()
            kind = "conversation.item.input_audio_transcription.completed"
            await self._tell(session, kind, item_id="item_u", content_index=0, transcript=said)

    async def _on_conversation_item_create(self, session: _Session, event: Event) -> None:
        item = event["item"]
        if item["type"] == "function_call_output":
            assert item["call_id"] in session.calls_open, "no such call"
            session.calls_open.discard(item["call_id"])
        self.outputs.append(item)
        await self._tell(session, "conversation.item.added", item=item)

    async def _on_response_create(self, session: _Session, event: Event) -> None:
        if session.response:
            told = f"Conversation already has an active response in progress: {session.response}"
            await self._refuse(session, event, "conversation_already_has_active_response", told)
            return
        self._respond(session)

    async def _on_response_cancel(self, session: _Session, event: Event) -> None:
        if not session.response:
            told = "Cancellation failed: no active response found"
            await self._refuse(session, event, "response_cancel_not_active", told)
            return
        await self._cancel(session, "client_cancelled")

    async def _on_conversation_item_truncate(self, session: _Session, event: Event) -> None:
        size = session.items.get(event["item_id"])
        if size is None or event["audio_end_ms"] > size / 48:
            told = f"Audio content of {size} bytes is already shorter than {event['audio_end_ms']}ms"
            await self._refuse(session, event, "invalid_value", told)
            return
        self.truncated.append((event["item_id"], event["audio_end_ms"]))
        await self._tell(session, "conversation.item.truncated", **{k: v for k, v in event.items() if k != "type"})

    # What it answers

    def _respond(self, session: _Session) -> None:
        session.numbers += 1
        session.response = f"resp_{session.numbers}"
        answer = self.answers.popleft() if self.answers else Answer()
        session.task = self.begin(self._answer(session, answer, session.response, f"item_{session.numbers}"))

    async def _answer(self, session: _Session, answer: Answer, response: str, item: str) -> None:
        about = {"response_id": response, "output_index": 0}
        await self._tell(session, "response.created", response={"id": response, "status": "in_progress", "output": []})
        output: list[Event] = []
        if answer.failure is not None:
            code, message = answer.failure
            details = {"type": "failed", "error": {"code": code, "message": message, "type": "server_error"}}
            await self._done(session, response, "failed", output, details)
            return
        if answer.sound or answer.words:
            await self._speak(session, answer, about, item)
            output.append({"id": item, "type": "message", "role": "assistant", "content": []})
        for number, (call_id, name, arguments) in enumerate(answer.calls):
            session.calls_open.add(call_id)
            call = {"id": f"{item}_{number}", "type": "function_call", "call_id": call_id, "name": name}
            written = {"item_id": call["id"], "call_id": call_id, **about}
            await self._tell(session, "response.output_item.added", item={**call, "arguments": ""}, **about)
            half = len(arguments) // 2
            for part in (arguments[:half], arguments[half:]):
                await self._tell(session, "response.function_call_arguments.delta", delta=part, **written)
            named = {} if self.beta else {"name": name}
            await self._tell(session, "response.function_call_arguments.done", arguments=arguments, **named, **written)
            call["arguments"] = arguments
            await self._tell(session, "response.output_item.done", item=call, **about)
            output.append(call)
        await self._done(session, response, "completed", output)

    async def _speak(self, session: _Session, answer: Answer, about: Event, item: str) -> None:
        part = {"item_id": item, "content_index": 0, **about}
        session.items[item] = 0
        words = answer.words.split(" ")
        size = -(-len(answer.sound) // len(words))
        for number, word in enumerate(words):
            if answer.hold_after == number:
                await asyncio.Event().wait()
            sound = answer.sound[number * size : (number + 1) * size]  # may be cut within a sample, as by the service
            text = word if number == 0 else f" {word}"
            await self._tell(session, "response.output_audio_transcript.delta", delta=text, **part)
            if sound:
                session.items[item] += len(sound)
                encoded = base64.b64encode(sound).decode()
                await self._tell(session, "response.output_audio.delta", delta=encoded, **part)
            if answer.pace:
                await asyncio.sleep(answer.pace)
        await self._tell(session, "response.output_audio.done", **part)
        await self._tell(session, "response.output_audio_transcript.done", transcript=answer.words, **part)

    async def _cancel(self, session: _Session, reason: str) -> None:
        response, task = session.response, session.task
        if task is not None:
            task.cancel()
        details = {"type": "cancelled", "reason": reason}
        await self._done(session, response, "cancelled", [], details)

    async def _done(
        self, session: _Session, response: str, status: str, output: list[Event], details: Event | None = None
    ) -> None:
        session.response = ""
        told = {"id": response, "status": status, "output": output, "status_details": details}
        await self._tell(session, "response.done", response=told)

    async def fail(self, code: str, message: str) -> None:
        """Report an error of the service's own."""
        error = {"type": "server_error", "code": code, "message": message, "param": None, "event_id": None}
        await self.send(self.connections[-1], {"type": "error", "event_id": "event_x", "error": error})

    async def _refuse(self, session: _Session, event: Event, code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "event_id": event.get("event_id")}
        self.errors.append(error)
        await self._tell(session, "error", error=error)

    async def _tell(self, session: _Session, kind: str, /, **event: Any) -> None:
        name = _BETA.get(kind, kind) if self.beta else kind
        await self.send(session.connection, {"type": name, "event_id": "event_1", **event})


@cache
def _client_events() -> TypeAdapter[Any]:
    from openai.types.realtime import RealtimeClientEvent

    return TypeAdapter(RealtimeClientEvent)


def _unknown(value: Any, path: str) -> list[str]:
    """Parameters that OpenAI's types do not know."""
    if isinstance(value, list):
        return [found for each in value for found in _unknown(each, path)]
    if not isinstance(value, BaseModel):
        return []
    found = [f"unknown_parameter: {path}.{name}" for name in value.model_extra or {}]
    return found + [
        each for name in value.model_fields_set for each in _unknown(getattr(value, name, None), f"{path}.{name}")
    ]
