"""Agents of ElevenLabs, over the WebSocket of its agents platform.

Protocol: https://elevenlabs.io/docs/agents-platform/api-reference/agents-platform/websocket. The server decides when
the user has finished, and notices interruptions, so sound is sent to it without a pause.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.adapters.hosted import HostedVoiceAdapter, SoundIn, Vendor
from duologue.voice.adapters.sockets import SocketTarget
from duologue.voice.adapters.tools import ToolHandler, written_result
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.g711 import mulaw_decode, mulaw_encode
from duologue.voice.incoming import AgentToolCall, AgentTurnEnded, AgentWords, UserHeard, UserWords
from duologue.voice.resample import Resampler


class _Format(NamedTuple):
    """Of sound, such as ``pcm_16000``."""

    is_mulaw: bool
    sample_rate: int


class ElevenLabsAgentAdapter(HostedVoiceAdapter):
    """An agent of ElevenLabs.

    Args:
        agent_id: of the agent.
        api_key: None for ``ELEVENLABS_API_KEY``. Public agents need none.
        system_prompt_override: in place of the agent's own prompt; its settings have to allow it.
        first_message_override: in place of the agent's own first message; '' has it wait for the user.
        dynamic_variables: values of the agent's variables.
        tool_handlers: what answers its client tools, by their names. A tool without one is answered with an error.
        base_url: None for ``ELEVENLABS_BASE_URL``, or ElevenLabs' own; such as ``https://api.eu.residency.elevenlabs.io``.
    """

    vendor = Vendor(
        name="ElevenLabs",
        url="wss://api.elevenlabs.io",
        url_variable="ELEVENLABS_BASE_URL",
        key_variables=("ELEVENLABS_API_KEY",),
        advice={
            "override_error": "Allow overrides in the security settings of the agent.",
            "override": "Allow overrides in the security settings of the agent.",
            "missing_dynamic_variable": "Pass it as dynamic_variables.",
            "quota": "The account has no credit left for this.",
            "rate_limit": "Run fewer calls at once, or wait a moment.",
            "concurren": "Run fewer calls at once.",
            "max_duration_exceeded": "Raise the maximum duration of the agent, or make the scenario shorter.",
            "invalid_api_key": "Is ELEVENLABS_API_KEY right, and may it use this agent?",
            "not_found": "Is the id of the agent right?",
            "agent not found": "Is the id of the agent right?",
        },
    )
    capabilities = AdapterCapabilities(
        streaming_transcripts=True,
        native_vad=True,
        input_formats=("pcm16/16000", "pcm16/24000", "mulaw/8000"),
        output_formats=("pcm16/16000", "pcm16/24000", "mulaw/8000"),
    )
    wants_silence = True

    def __init__(
        self,
        agent_id: str,
        api_key: str | None = None,
        *,
        system_prompt_override: str | None = None,
        first_message_override: str | None = None,
        dynamic_variables: Mapping[str, str | int | float | bool] | None = None,
        tool_handlers: Mapping[str, ToolHandler] | None = None,
        base_url: str | None = None,
    ) -> None:
        super().__init__(api_key=api_key, base_url=base_url, tool_handlers=tool_handlers)
        self.agent_id = agent_id
        self.system_prompt_override = system_prompt_override
        self.first_message_override = first_message_override
        self.dynamic_variables = dict(dynamic_variables or {})
        self.conversation_id = ""
        self._use(_Format(False, 16_000), _Format(False, 16_000))

    def _use(self, heard: _Format, spoken: _Format) -> None:
        self._heard, self._spoken = heard, spoken
        self._to_server = Resampler(SAMPLE_RATE, heard.sample_rate)
        self._sound = SoundIn(spoken.sample_rate)
        self._interrupted_at = -1
        self._said: list[str] = []
        self._ends_turn = False

    def describe(self) -> dict[str, Any]:
        """What the journal's snapshot keeps about it."""
        return {
            "address": self.where,
            "agent_id": self.agent_id,
            "system_prompt_override": self.system_prompt_override,
            "first_message_override": self.first_message_override,
        }

    def key(self) -> str:
        """The key; '' for a public agent."""
        return super().key() if self._given_key or self._known_key() else ""

    # The connection

    async def target(self) -> SocketTarget:
        """Where to connect."""
        key = self.key()
        return SocketTarget(
            url=f"{self._address}/v1/convai/conversation?agent_id={quote(self.agent_id, safe='')}",
            headers={"xi-api-key": key} if key else {},
        )

    async def greet(self) -> None:
        """Configure the conversation, and learn the formats of its sound."""
        agent: dict[str, Any] = {}
        if self.system_prompt_override is not None:
            agent["prompt"] = {"prompt": self.system_prompt_override}
        if self.first_message_override is not None:
            agent["first_message"] = self.first_message_override
        initiation: dict[str, Any] = {"type": "conversation_initiation_client_data"}
        if agent:
            initiation["conversation_config_override"] = {"agent": agent}
        if self.dynamic_variables:
            initiation["dynamic_variables"] = self.dynamic_variables
        await self.send_json(initiation)
        while True:
            event = self.event_of(await self.next_message())
            if event.get("type") == "conversation_initiation_metadata":
                break
            await self.handle(event)
        told = self.within(event, "conversation_initiation_metadata_event")
        self.conversation_id = self.text_in(told, "conversation_id")
        heard, spoken = (
            self._format(self.text_in(told, name)) for name in ("user_input_audio_format", "agent_output_audio_format")
        )
        self._use(heard, spoken)

    def _format(self, name: str) -> _Format:
        codec, _, rate = (name or "pcm_16000").partition("_")
        if codec not in {"pcm", "ulaw"} or not rate.isdecimal() or not 8000 <= int(rate) <= 48_000:
            raise self.failure(
                f"the agent's sound is '{name}'; expected pcm_8000 to pcm_48000 or ulaw_8000. "
                "Choose one of them in the settings of the agent"
            )
        return _Format(codec == "ulaw", int(rate))

    # The user's part

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        pcm = self._to_server.process(chunk.data)
        if pcm:
            sound = mulaw_encode(pcm) if self._heard.is_mulaw else pcm
            await self.send_json({"user_audio_chunk": base64.b64encode(sound).decode("ascii")})

    # The agent's part

    async def handle(self, event: dict[str, Any]) -> None:
        """Make of a server event what there is to deliver."""
        kind = self.text_in(event, "type")
        if kind == "ping":
            await self.send_json({"type": "pong", "event_id": self.within(event, "ping_event").get("event_id")})
        elif kind == "audio":
            await self._take_sound(self.within(event, "audio_event"))
        elif kind == "agent_response":
            await self._take_words(self.text_in(self.within(event, "agent_response_event"), "agent_response"))
        elif kind == "agent_response_correction":
            found = self.within(event, "agent_response_correction_event")
            await self._take_correction(self.text_in(found, "corrected_agent_response"))
        elif kind == "user_transcript":
            said = self.text_in(self.within(event, "user_transcription_event"), "user_transcript").strip()
            if said:
                self._ends_turn, self._said = self._ends_turn or bool(self._said), []
                await self.deliver(UserWords(text=said))
        elif kind == "interruption":
            await self._interrupted(self.within(event, "interruption_event"))
        elif kind == "client_tool_call":
            await self._take_call(self.within(event, "client_tool_call"))
        elif kind == "error":
            self._fail(self.within(event, "error_event"))

    async def _take_sound(self, found: dict[str, Any]) -> None:
        number = _number(found)
        if number is not None and number <= self._interrupted_at:
            return  # of an answer that the user has cut off
        sound = self.bytes_in(found, "audio_base_64")
        chunk = self._sound.chunk(mulaw_decode(sound) if self._spoken.is_mulaw else sound)
        if chunk.data:
            await self.deliver(chunk)

    async def _take_words(self, text: str) -> None:
        if text.strip():
            if self._ends_turn:  # what comes from now on answers something else
                self._ends_turn = False
                await self.deliver(AgentTurnEnded())
            space = " " if self._said else ""
            self._said.append(text.strip())
            await self.deliver(AgentWords(text=f"{space}{text.strip()}"))

    async def _take_correction(self, text: str) -> None:
        """Of the last answer, this is what was heard before the user cut in."""
        self._said = [*self._said[:-1], text.strip()]
        await self.deliver(AgentWords(text=" ".join(self._said).strip(), replaces=True, corrects=True))

    async def _interrupted(self, found: dict[str, Any]) -> None:
        self._interrupted_at = max(self._interrupted_at, _number(found) or 0)
        await self.deliver(UserHeard())

    async def _take_call(self, found: dict[str, Any]) -> None:
        call = AgentToolCall(
            call_id=self.text_in(found, "tool_call_id"),
            name=self.text_in(found, "tool_name"),
            arguments=self.within(found, "parameters"),
        )
        await self.deliver(call)
        self.work(self._answer(call))

    async def _answer(self, call: AgentToolCall) -> None:
        result, failed = await self.answer_of(call)
        await self.send_json(
            {
                "type": "client_tool_result",
                "tool_call_id": call.call_id,
                "result": written_result(result),
                "is_error": failed,
            }
        )

    def _fail(self, error: dict[str, Any]) -> None:
        told = next(
            (text for name in ("message", "debug_message", "reason") if (text := self.text_in(error, name))), ""
        )
        kind = self.text_in(error, "error_type")
        why = told or "the API reported an error"
        raise self.failure(f"{why} ({kind})" if kind else why)


def _number(event: Mapping[str, Any]) -> int | None:
    """The number of an event, by which those of an interrupted answer are known."""
    number: Any = event.get("event_id")
    return number if isinstance(number, int) else None
