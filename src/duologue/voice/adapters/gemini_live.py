"""Agents of Google's Gemini Live API.

Protocol: https://ai.google.dev/api/live (BidiGenerateContent over a WebSocket), with automatic detection of activity
turned off: this side says when the user begins and ends.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, cast

from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.adapters.hosted import HostedVoiceAdapter, SoundIn, Vendor
from duologue.voice.adapters.sockets import SocketTarget
from duologue.voice.adapters.tools import ToolDefinition, ToolHandler, function_of
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.incoming import AgentToolCall, AgentTurnEnded, AgentWords, UserHeard, UserWords
from duologue.voice.resample import Resampler

_HEARD_RATE = 16_000
"""Samples a second of what it hears."""
_RATE = re.compile(r"rate=(\d{4,6})")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_METHOD = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


class _Stale(Enum):
    """What still comes of a turn that the user has cut off."""

    NO = 0
    UNTIL_INTERRUPTED = 1
    """The rest of the turn, until the server has noticed."""
    UNTIL_COMPLETE = 2
    """The end of the turn."""


class GeminiLiveAgentAdapter(HostedVoiceAdapter):
    """An agent of the Gemini Live API.

    Args:
        model: such as ``gemini-2.5-flash-native-audio-preview-12-2025``.
        voice: that it speaks with.
        system_instruction: its system prompt; '' for none.
        api_key: None for ``GOOGLE_API_KEY``, or else ``GEMINI_API_KEY``.
        tools: functions that it may call, as chat completions define them, or other tools of the API.
        tool_handlers: what answers its tools, by their names. A turn in which it calls a tool without one ends there.
        base_url: None for ``GOOGLE_GEMINI_BASE_URL``, or Google's own.
    """

    vendor = Vendor(
        name="Gemini",
        url="wss://generativelanguage.googleapis.com",
        url_variable="GOOGLE_GEMINI_BASE_URL",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        advice={
            "go_away": "A connection lasts about 10 minutes; make the scenario shorter.",
            "quota": "Run fewer calls at once, or raise the quota of the project.",
            "resource_exhausted": "Run fewer calls at once, or raise the quota of the project.",
            "rate_limit": "Run fewer calls at once, or wait a moment.",
            "invalid_api_key": "Is GOOGLE_API_KEY (or GEMINI_API_KEY) right?",
            "api key not valid": "Is GOOGLE_API_KEY (or GEMINI_API_KEY) right?",
            "not found for api version": "Is the name of the model right, and is it one of the Live API?",
            "not_found": "Is the address right, and is the model one of the Live API?",
        },
    )
    capabilities = AdapterCapabilities(
        streaming_transcripts=True,
        native_vad=True,
        interruption=True,
        input_formats=("pcm16/16000",),
        output_formats=("pcm16/24000",),
    )
    ends_turns = True

    def __init__(
        self,
        model: str,
        voice: str = "Algieba",
        system_instruction: str = "",
        api_key: str | None = None,
        *,
        tools: Sequence[ToolDefinition] | None = None,
        tool_handlers: Mapping[str, ToolHandler] | None = None,
        base_url: str | None = None,
    ) -> None:
        super().__init__(api_key=api_key, base_url=base_url, tool_handlers=tool_handlers)
        self.model, self.voice, self.system_instruction = model, voice, system_instruction
        self.tools = self._tools(tools or ())
        self._forget()

    def _forget(self) -> None:
        self._to_server = Resampler(SAMPLE_RATE, _HEARD_RATE)
        self._sound = SoundIn()
        self._is_active = False
        self._is_pending = False
        self._stale = _Stale.NO
        self._tools_of: object | None = None
        self._has_answered = False
        self._is_cut = False
        self._is_spurious = False
        self._user_said: list[str] = []
        self._notice = ""
        self._deadline: asyncio.TimerHandle | None = None

    def _tools(self, tools: Sequence[ToolDefinition]) -> list[dict[str, Any]]:
        functions: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for tool in tools:
            function = function_of(tool, self.name)
            if function is not None:
                schema = function.pop("parameters")
                functions.append({**function, "parametersJsonSchema": schema})
            else:
                others.append(dict(cast("Mapping[str, Any]", tool)))
        return [*([{"functionDeclarations": functions}] if functions else []), *others]

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about it."""
        return {
            "address": self.where,
            "model": self.model,
            "voice": self.voice,
            "system_instruction": self.system_instruction,
            "tools": [name for tool in self.tools for name in _names_of(tool)],
        }

    # The connection

    async def target(self) -> SocketTarget:
        """Where to connect."""
        path = "" if "BidiGenerateContent" in self._address else _METHOD
        key = self.key()
        return SocketTarget(url=f"{self._address}{path}", headers={"x-goog-api-key": key} if key else {})

    async def greet(self) -> None:
        """Configure the session."""
        self._forget()
        voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": self.voice}}}
        setup: dict[str, Any] = {
            "model": self.model if "/" in self.model else f"models/{self.model}",
            "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": voice},
            "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}},
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
        }
        if self.system_instruction:
            setup["systemInstruction"] = {"parts": [{"text": self.system_instruction}]}
        if self.tools:
            setup["tools"] = self.tools
        await self.send_json({"setup": setup})
        while "setupComplete" not in (event := self.event_of(await self.next_message())):
            self._fail_on(event)

    async def hang_up(self) -> None:
        """Close the connection."""
        if self._deadline is not None:
            self._deadline.cancel()
        await super().hang_up()

    def end_of_session(self) -> str:
        """Why the session is at its end, as far as it was announced."""
        return self._notice

    # The user's part

    async def begin_user_turn(self) -> None:
        """Say that the user begins to speak; what the agent is saying ends with it."""
        if self._is_active:
            return
        self._is_active = True
        if self._is_pending:
            self._is_pending = False
            # While tools are answered, there may be nothing to interrupt.
            self._stale = _Stale.UNTIL_INTERRUPTED if self._tools_of is None else _Stale.UNTIL_COMPLETE
            self._tools_of = None
        self._user_said.clear()
        await self.send_json({"realtimeInput": {"activityStart": {}}})

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        await self.begin_user_turn()
        await self._send_sound(self._to_server.process(chunk.data))

    async def end_user_turn(self) -> None:
        """Say that the user has finished, so that the agent answers."""
        if not self._is_active:
            return
        await self._send_sound(self._to_server.flush())
        self._is_active = False
        self._is_pending, self._has_answered, self._is_cut = True, False, False
        await self.send_json({"realtimeInput": {"activityEnd": {}}})

    async def interrupt(self) -> None:
        """Say that the user begins to speak, which ends what the agent is saying."""
        self.forget_sound()
        await self.begin_user_turn()

    async def _send_sound(self, pcm: bytes) -> None:
        if pcm:
            blob = {"mimeType": f"audio/pcm;rate={_HEARD_RATE}", "data": base64.b64encode(pcm).decode("ascii")}
            await self.send_json({"realtimeInput": {"audio": blob}})

    # The agent's part

    async def handle(self, event: dict[str, Any]) -> None:
        """Make of a server message what there is to deliver."""
        self._fail_on(event)
        if "goAway" in event:
            self._announce_end(self.text_in(self.within(event, "goAway"), "timeLeft"))
        if "toolCall" in event:
            await self._take_calls(self.within(event, "toolCall"))
        if "serverContent" in event:
            await self._take_content(self.within(event, "serverContent"))

    async def _take_content(self, content: dict[str, Any]) -> None:
        heard = self.text_in(self.within(content, "inputTranscription"), "text")
        if heard:
            self._user_said.append(heard)
        if content.get("interrupted"):
            await self._interrupted()
        parts = self.objects_in(self.within(content, "modelTurn"), "parts")
        words = self.text_in(self.within(content, "outputTranscription"), "text")
        if self._stale is _Stale.UNTIL_COMPLETE and self._is_pending and (parts or words):
            await self._end_stale_turn()  # this is of the next one: the server did not end the one that was cut off
        if self._stale is _Stale.NO:
            await self._take_answer(parts, words)
        if content.get("turnComplete"):
            await self._turn_complete()

    async def _take_answer(self, parts: Sequence[dict[str, Any]], words: str) -> None:
        if parts or words:
            self._has_answered, self._is_spurious = True, False
            await self._tell_what_was_heard()
        if words:
            await self.deliver(AgentWords(text=words))
        for part in parts:
            await self._take_blob(self.within(part, "inlineData"))

    async def _take_blob(self, blob: dict[str, Any]) -> None:
        kind = self.text_in(blob, "mimeType")
        if not kind.startswith("audio/"):
            return
        found = _RATE.search(kind)
        rate = int(found[1]) if found else SAMPLE_RATE
        if rate != self._sound.sample_rate:
            self._sound = SoundIn(rate)
        chunk = self._sound.chunk(self.bytes_in(blob, "data"))
        if chunk.data:
            await self.deliver(chunk)

    async def _tell_what_was_heard(self) -> None:
        said, self._user_said = "".join(self._user_said).strip(), []
        if said:
            await self.deliver(UserWords(text=said))

    async def _interrupted(self) -> None:
        if self._stale is _Stale.UNTIL_INTERRUPTED:
            self._stale = _Stale.UNTIL_COMPLETE
        elif self._stale is _Stale.NO and self._has_answered:
            self._is_cut = True
            await self.deliver(UserHeard())
        elif self._stale is _Stale.NO:
            self._is_spurious = True  # nothing was there to interrupt: the answer is still to come

    async def _turn_complete(self) -> None:
        if self._stale is not _Stale.NO:
            await self._end_stale_turn()
        elif self._is_pending and not self._is_spurious:
            await self._end_turn()
        self._is_spurious = False

    async def _end_stale_turn(self) -> None:
        self._stale = _Stale.NO
        await self.deliver(AgentTurnEnded(interrupted=True))

    async def _end_turn(self) -> None:
        self._is_pending = False
        await self._tell_what_was_heard()
        rest = self._sound.rest()
        if rest.data and not self._is_cut:
            await self.deliver(rest)
        await self.deliver(AgentTurnEnded(interrupted=self._is_cut))

    async def _take_calls(self, found: dict[str, Any]) -> None:
        calls = [
            AgentToolCall(
                call_id=self.text_in(call, "id"), name=self.text_in(call, "name"), arguments=self.within(call, "args")
            )
            for call in self.objects_in(found, "functionCalls")
        ]
        if self._stale is not _Stale.NO:
            return
        await self._tell_what_was_heard()
        for call in calls:
            await self.deliver(call)
        if all(self.can_answer(call.name) for call in calls):
            self._tools_of = calls
            self.work(self._answer(calls))
        else:
            await self._end_turn()

    async def _answer(self, calls: Sequence[AgentToolCall]) -> None:
        answers: list[dict[str, Any]] = []
        for call in calls:
            result, failed = await self.answer_of(call)
            response: object = cast("object", result) if failed or isinstance(result, dict) else {"output": result}
            answers.append({"id": call.call_id, "name": call.name, "response": response})
        if self._tools_of is calls:  # not if the user has cut in, which cancels them
            self._tools_of = None
            await self.send_json({"toolResponse": {"functionResponses": answers}})

    # Failures

    def _fail_on(self, event: dict[str, Any]) -> None:
        if "error" in event:
            error = self.within(event, "error")
            raise self.failure(self.text_in(error, "message") or "the API reported an error", str(error.get("status")))

    def _announce_end(self, time_left: str) -> None:
        """The server closes the connection soon. Until then the conversation goes on."""
        found = _SECONDS.fullmatch(time_left)
        left = float(found[1]) if found else 0.0
        self._notice = f"the server ended the session (go_away, {left:g} s before)"
        error = self.failure(f"{self.where}: {self._notice}")
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(left, self.finish, error)


def _names_of(tool: Mapping[str, Any]) -> list[str]:
    declared: Any = tool.get("functionDeclarations")
    return [str(function["name"]) for function in declared] if declared else sorted(tool)
