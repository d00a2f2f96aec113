"""Agents of OpenAI's Realtime API, and simulated users made of them.

Protocol: https://platform.openai.com/docs/guides/realtime-conversations and the API reference of its client and server
events. Events of the beta are understood as well; which of the two a server speaks is seen in ``session.created``.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from duologue.conversation.adapter import AgentSession
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.models.scope import RunScope
from duologue.vocabulary import AgentRole
from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.adapters.hosted import HostedVoiceAdapter, SoundIn, Vendor
from duologue.voice.adapters.sockets import SocketTarget
from duologue.voice.adapters.tools import ToolDefinition, ToolHandler, arguments_of, function_of, written_result
from duologue.voice.audio import SAMPLE_RATE, AudioChunk, bytes_of, seconds_of, silent_chunk
from duologue.voice.incoming import AgentToolCall, AgentTurnEnded, AgentWords, UserHeard, UserWords
from duologue.voice.spoken_user import open_spoken_user

TurnDetection = Literal["server_vad", "semantic_vad"] | Mapping[str, Any]

_LEAST_COMMIT = 0.1
"""Seconds of sound that can be committed, at least."""
_CANCEL_TIMEOUT = 5.0
"""Seconds until a response that was cancelled is at its end."""
_BETA_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}


@dataclass
class _Item:
    """A message of the agent whose sound comes.

    Attributes:
        began: when its first sound came, on the clock of the loop.
        size: bytes of sound that have come.
        said: its words so far.
    """

    id: str
    part: int = 0
    began: float = 0.0
    size: int = 0
    said: str = ""


@dataclass
class _Call:
    """A call of a tool, put together from several events."""

    name: str = ""
    arguments: str = ""


@frozen
class _Dialect:
    """How a session is described to a server."""

    beta: bool

    def session(self, adapter: OpenAIRealtimeAgentAdapter) -> dict[str, Any]:
        """What ``session.update`` says."""
        detection = adapter.turn_detection
        if isinstance(detection, str):
            detection = {"type": detection}
        transcription = {"model": adapter.transcription_model} if adapter.transcription_model else None
        if self.beta:
            session: dict[str, Any] = {
                "modalities": ["text", "audio"],
                "voice": adapter.voice,
                "input_audio_format": "pcm16",
                "output_audio_format": "pcm16",
                "input_audio_transcription": transcription,
                "turn_detection": detection,
            }
        else:
            sound = {"type": "audio/pcm", "rate": SAMPLE_RATE}
            heard = {"format": sound, "transcription": transcription, "turn_detection": detection}
            spoken = {"format": sound, "voice": adapter.voice}
            session = {
                "type": "realtime",
                "output_modalities": ["audio"],
                "audio": {"input": heard, "output": spoken},
            }
        if adapter.instructions:
            session["instructions"] = adapter.instructions
        if adapter.tools:
            session |= {"tools": adapter.tools, "tool_choice": "auto"}
        return session


class OpenAIRealtimeAgentAdapter(HostedVoiceAdapter):
    """An agent of OpenAI's Realtime API, or a simulated user.

    Without turn detection, which is the default, a turn of the user is what the script says it is: sound is appended,
    committed, and answered. With it the server decides when the user has finished, and hears interruptions.

    Args:
        model: such as ``gpt-realtime``.
        voice: that it speaks with.
        instructions: its system prompt; '' for the server's own.
        tools: functions that it may call, as chat completions define them, or other tools of the API.
        api_key: None for ``OPENAI_API_KEY``.
        role: ``AgentRole.AGENT``, or ``AgentRole.USER`` for a simulated user that speaks.
        speaks_first: it speaks as soon as it is connected.
        turn_detection: ``server_vad``, ``semantic_vad`` or the API's object for it; None to leave it off.
        tool_handlers: what answers its tools, by their names. A turn in which it calls a tool without one ends there.
        transcription_model: that writes down what it hears, such as ``gpt-4o-mini-transcribe``; None for none.
        base_url: None for ``OPENAI_BASE_URL``, or OpenAI's own.
    """

    vendor = Vendor(
        name="OpenAI",
        url="wss://api.openai.com/v1",
        url_variable="OPENAI_BASE_URL",
        key_variables=("OPENAI_API_KEY",),
        advice={
            "insufficient_quota": "The account has no credit left.",
            "rate_limit": "Run fewer calls at once, or wait a moment.",
            "session_expired": "A session lasts 60 minutes at most; make the scenario shorter.",
            "invalid_api_key": "Is OPENAI_API_KEY right, and may it use this model?",
            "model_not_found": "Is the name of the model right, and may the key use it?",
            "not_found": "Is the address right, and is the model one of the Realtime API?",
        },
    )
    capabilities = AdapterCapabilities(
        streaming_transcripts=True,
        native_vad=True,
        interruption=True,
        input_formats=("pcm16/24000",),
        output_formats=("pcm16/24000",),
    )
    ends_turns = True

    def __init__(
        self,
        model: str,
        voice: str = "alloy",
        instructions: str = "",
        tools: Sequence[ToolDefinition] | None = None,
        *,
        api_key: str | None = None,
        role: AgentRole = AgentRole.AGENT,
        speaks_first: bool = False,
        turn_detection: TurnDetection | None = None,
        tool_handlers: Mapping[str, ToolHandler] | None = None,
        transcription_model: str | None = None,
        base_url: str | None = None,
    ) -> None:
        super().__init__(api_key=api_key, base_url=base_url, tool_handlers=tool_handlers)
        if role is AgentRole.USER and turn_detection is not None:
            raise ConfigurationError(
                f"{self.name}: a simulated user is told when the agent has finished; leave turn_detection off"
            )
        self.role = role  # pyright: ignore[reportAttributeAccessIssue] - one class for both roles
        self.model, self.voice, self.instructions = model, voice, instructions
        self.tools = [self._tool(tool) for tool in tools or ()]
        self.speaks_first = speaks_first
        self.turn_detection = turn_detection
        self.transcription_model = transcription_model
        self.wants_silence = turn_detection is not None
        self._forget()

    def _forget(self) -> None:
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_void = False
        self._tools_of: object | None = None
        self._appended = 0
        self._sound = SoundIn()
        self._item: _Item | None = None
        self._calls: dict[str, _Call] = {}
        self._requests = 0
        self._harmless: set[str] = set()

    def _tool(self, tool: ToolDefinition) -> dict[str, Any]:
        function = function_of(tool, self.name)
        if function is None:
            assert isinstance(tool, Mapping)
            return dict(tool)
        return {"type": "function", **function}

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about it."""
        detection = self.turn_detection
        return {
            "address": self.where,
            "model": self.model,
            "voice": self.voice,
            "instructions": self.instructions,
            "turn_detection": dict(detection) if isinstance(detection, Mapping) else detection,
            "tools": [tool.get("name", tool.get("type")) for tool in self.tools],
        }

    # The connection

    async def open(self, run: RunScope) -> AgentSession | None:
        """Connect for the length of a run, as the agent or as a simulated user."""
        if self.role is AgentRole.USER:
            return await open_spoken_user(self, run)
        return await super().open(run)

    async def target(self) -> SocketTarget:
        """Where to connect."""
        path = "" if self._address.endswith("/realtime") else "/realtime"
        key = self.key()
        return SocketTarget(
            url=f"{self._address}{path}?model={quote(self.model, safe='')}",
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    async def greet(self) -> None:
        """Configure the session."""
        self._forget()
        session = self.within(await self._reply("session.created"), "session")
        is_beta = "type" not in session and bool(session.keys() & {"modalities", "input_audio_format"})
        await self.send_json({"type": "session.update", "session": _Dialect(beta=is_beta).session(self)})
        await self._reply("session.updated")
        if self.speaks_first:
            await self._request_response()

    async def _reply(self, kind: str) -> dict[str, Any]:
        while True:
            event = self.event_of(await self.next_message())
            if event.get("type") == "error":
                await self._fail(event)
            if event.get("type") == kind:
                return event

    # The user's part

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Append sound of the user."""
        if not chunk.data:
            return
        self._appended += len(chunk.data)
        await self.send_json(
            {"type": "input_audio_buffer.append", "audio": base64.b64encode(chunk.data).decode("ascii")}
        )

    async def end_user_turn(self) -> None:
        """Commit what the user said and ask for an answer; with turn detection the server does it."""
        if self.turn_detection is not None:
            return
        await self._stop_response()
        if 0 < self._appended < bytes_of(_LEAST_COMMIT):
            await self.send_audio(silent_chunk(_LEAST_COMMIT))
        if self._appended:
            self._appended = 0
            await self.send_json({"type": "input_audio_buffer.commit"})
        await self._request_response()

    async def send_text(self, text: str) -> None:
        """Say something in writing. A simulated user is told to say it, in these words."""
        await self._stop_response()
        item: dict[str, Any] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        if self.role is AgentRole.USER:
            told = f"Say now, in exactly these words and nothing else: {text}"
            item |= {"role": "system", "content": [{"type": "input_text", "text": told}]}
        await self.send_json({"type": "conversation.item.create", "item": item})
        await self._request_response()

    async def interrupt(self) -> None:
        """Cancel the response that is under way, and cut its message off where it was heard."""
        self.forget_sound()
        await self._cancel()
        await self._truncate()

    async def _request_response(self, **more: str) -> None:
        self._idle.clear()
        await self.send_json({"type": "response.create", **more})

    async def _cancel(self) -> None:
        if self._idle.is_set() or self._is_void:
            return
        if self._tools_of is not None:
            self._tools_of = None  # their results are sent, but no answer is asked for
            await self._end_turn(interrupted=True)
            return
        self._is_void = True
        await self.send_json({"type": "response.cancel", "event_id": self._harmless_id("cancel")})

    async def _stop_response(self) -> None:
        """End the response that is under way: only one can be at a time."""
        await self._cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_TIMEOUT):
                await self._idle.wait()

    async def _truncate(self) -> None:
        """Tell the server how much of the last message was heard, as it was sent faster than it is played."""
        item, self._item = self._item, None
        if item is None or not item.size:
            return
        received = seconds_of(item.size)
        heard = min(received, asyncio.get_running_loop().time() - item.began)
        if heard >= received:
            return
        await self.send_json(
            {
                "type": "conversation.item.truncate",
                "event_id": self._harmless_id("truncate"),
                "item_id": item.id,
                "content_index": item.part,
                "audio_end_ms": int(heard * 1000),
            }
        )

    def _harmless_id(self, what: str) -> str:
        """The id of a request that may come too late: its error changes nothing."""
        self._requests += 1
        name = f"{what}-{self._requests}"
        self._harmless.add(name)
        return name

    # The agent's part

    async def handle(self, event: dict[str, Any]) -> None:
        """Make of a server event what there is to deliver."""
        written = self.text_in(event, "type")
        kind = _BETA_NAMES.get(written, written)
        if kind == "error":
            await self._fail(event)
        elif kind == "input_audio_buffer.speech_started":
            await self._truncate()
            await self.deliver(UserHeard())
        elif kind == "conversation.item.input_audio_transcription.completed":
            await self.deliver(UserWords(text=self.text_in(event, "transcript").strip()))
        elif kind == "response.created":
            self._idle.clear()
        elif kind == "response.done":
            await self._response_done(self.within(event, "response"))
        elif kind.startswith("response.") and not self._is_void:
            await self._part_of_response(kind, event)

    async def _part_of_response(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "response.output_audio.delta":
            await self._take_sound(event)
        elif kind in {"response.output_audio_transcript.delta", "response.output_text.delta"}:
            await self._take_words(event, self.text_in(event, "delta"))
        elif kind in {"response.output_audio_transcript.done", "response.output_text.done"}:
            said = self.text_in(event, "transcript") or self.text_in(event, "text")
            if said and not self._item_of(event).said:
                await self._take_words(event, said)
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            self._take_call(self.within(event, "item"))
        elif kind == "response.function_call_arguments.done":
            self._take_call(event)

    async def _take_sound(self, event: dict[str, Any]) -> None:
        item = self._item_of(event)
        chunk = self._sound.chunk(self.bytes_in(event, "delta"))
        item.began = item.began or asyncio.get_running_loop().time()
        item.size += len(chunk.data)
        if chunk.data:
            await self.deliver(chunk)

    async def _take_words(self, event: dict[str, Any], text: str) -> None:
        if text:
            self._item_of(event).said += text
            await self.deliver(AgentWords(text=text))

    def _item_of(self, event: dict[str, Any]) -> _Item:
        name = self.text_in(event, "item_id")
        if self._item is None or self._item.id != name:
            part: Any = event.get("content_index")
            self._item = _Item(id=name, part=part if isinstance(part, int) else 0)
        return self._item

    def _take_call(self, found: dict[str, Any]) -> None:
        """Put a call of a tool together: its name, its arguments and its end come in several events."""
        call_id = self.text_in(found, "call_id")
        if not call_id or self.text_in(found, "type") not in {"function_call", "response.function_call_arguments.done"}:
            return
        call = self._calls.setdefault(call_id, _Call())
        call.name = self.text_in(found, "name") or call.name
        call.arguments = self.text_in(found, "arguments") or call.arguments

    async def _response_done(self, response: dict[str, Any]) -> None:
        was_void, self._is_void = self._is_void, False
        for item in self.objects_in(response, "output"):
            self._take_call(item)
        calls, self._calls = self._calls, {}
        status = self.text_in(response, "status")
        if status == "failed" and not was_void:
            details = self.within(response, "status_details", "error")
            raise self.failure(_told(details) or "the response has failed", self.text_in(details, "code"))
        is_cut = was_void or status == "cancelled"
        if not is_cut and calls and await self._answered(calls):
            return
        await self._end_turn(interrupted=is_cut)

    async def _end_turn(self, *, interrupted: bool = False) -> None:
        self._idle.set()
        await self.deliver(AgentTurnEnded(interrupted=interrupted))

    async def _answered(self, calls: Mapping[str, _Call]) -> bool:
        """Report calls of tools. Whether they are answered here, so that the agent's turn goes on."""
        made: list[AgentToolCall] = []
        for call_id, call in calls.items():
            made.append(AgentToolCall(call_id=call_id, name=call.name, arguments=arguments_of(call.arguments)))
            await self.deliver(made[-1])
        if not all(self.can_answer(call.name) for call in made):
            return False
        self._tools_of = made
        self.work(self._answer(made))
        return True

    async def _answer(self, calls: Sequence[AgentToolCall]) -> None:
        for call in calls:
            result, _ = await self.answer_of(call)
            output = {"type": "function_call_output", "call_id": call.call_id, "output": written_result(result)}
            await self.send_json({"type": "conversation.item.create", "item": output})
        if self._tools_of is calls:
            self._tools_of = None
            # With turn detection the server may have begun a response by itself.
            await self._request_response(event_id=self._harmless_id("tools"))

    async def _fail(self, event: dict[str, Any]) -> None:
        error = self.within(event, "error")
        if self.text_in(error, "event_id") in self._harmless:
            self._harmless.discard(self.text_in(error, "event_id"))
            if self._is_void and self.text_in(error, "code") == "response_cancel_not_active":
                self._is_void = False
                await self._end_turn(interrupted=True)
            return
        raise self.failure(_told(error) or "the API reported an error", self.text_in(error, "code"))


def _told(error: Mapping[str, Any]) -> str:
    """The reason of an error, with its code."""
    message, code = str(error.get("message") or ""), str(error.get("code") or error.get("type") or "")
    return f"{message} ({code})" if message and code else message or code
