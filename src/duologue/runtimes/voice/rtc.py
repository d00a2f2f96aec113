"""Voice agents that you run yourself: over WebRTC, as Pipecat bots, or here, made of STT, a model and TTS."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, cast

from pydantic import BaseModel, Field

from duologue.config.spec import EMPTY, Items, JsonObject, Text
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError
from duologue.runtimes.base import AgentSnapshot
from duologue.runtimes.config import model_name
from duologue.runtimes.voice.base import VoiceCallSetup, VoiceRuntimeBase, VoiceRuntimeConfig, needed
from duologue.runtimes.voice.mocked import tools_of
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.recognition import require_stt
from duologue.voice.synthesis import DEFAULT_VOICE, require_voice


class WebRtcRuntimeConfig(VoiceRuntimeConfig):
    """A voice agent that answers a WebRTC offer over HTTP."""

    kind: Literal["webrtc"] = "webrtc"
    """Always ``webrtc``."""
    url: str | None = None
    """URL that takes the offer. Default: the agent's own."""
    headers: dict[str, str] = Field(default=EMPTY, repr=False)
    """Headers of the request, such as ``Authorization: Bearer ${TOKEN}``."""
    signaling: Literal["json", "whip"] = "json"
    """``json`` posts ``{sdp, type: offer}`` and expects the same with the answer; ``whip`` is RFC 9725."""
    request: JsonObject = EMPTY
    """Fields of the JSON beside the offer."""
    ice_servers: Items[Text] = ()
    """URLs of STUN and TURN servers. Default: none is asked."""


class WebRtcRuntime(VoiceRuntimeBase):
    """Calls an agent over WebRTC."""

    KIND: ClassVar[str] = "webrtc"
    LABEL: ClassVar[str] = "WebRTC"
    DESCRIPTION: ClassVar[str] = "A voice agent that answers a WebRTC offer over HTTP"
    CONFIG: ClassVar[type[BaseModel] | None] = WebRtcRuntimeConfig

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """It has an address."""
        self._url(runtime_config, agent)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Makes an offer to the address."""
        from duologue.voice.adapters.webrtc import WebRTCAgentAdapter

        config = cast("WebRtcRuntimeConfig", runtime_config)
        return WebRTCAgentAdapter(
            expand_url(self._url(config, call.agent)),
            signaling=config.signaling,
            headers={name: expand(value, secret=True) for name, value in config.headers.items()},
            request=config.request,
            ice_servers=config.ice_servers,
        )

    def _url(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("WebRtcRuntimeConfig", runtime_config).url
        return str(needed(written or agent.endpoint_url, "url", self, "the URL that takes the offer"))


class PipecatRuntimeConfig(VoiceRuntimeConfig):
    """A Pipecat bot, or any other agent for Twilio Media Streams."""

    kind: Literal["pipecat"] = "pipecat"
    """Always ``pipecat``."""
    url: str | None = None
    """URL of the bot's WebSocket, such as ``ws://localhost:8765/ws``. Default: the agent's own."""
    audio_format: Literal["mulaw", "alaw", "pcm16"] = "mulaw"
    """How sound is written."""
    sample_rate: Annotated[int, Field(ge=8000, le=48_000)] = 8000
    """Samples a second."""


class PipecatRuntime(VoiceRuntimeBase):
    """Calls a Pipecat bot as Twilio does."""

    KIND: ClassVar[str] = "pipecat"
    LABEL: ClassVar[str] = "Pipecat"
    DESCRIPTION: ClassVar[str] = "A Pipecat bot, or another agent for Twilio Media Streams, called over its WebSocket"
    CONFIG: ClassVar[type[BaseModel] | None] = PipecatRuntimeConfig

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """It has an address of a WebSocket."""
        from duologue.voice.adapters.sockets import socket_address

        url = self._url(runtime_config, agent)
        if "${" not in url:
            socket_address(url, "runtime.url")

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Connects to the address."""
        from duologue.voice.adapters.pipecat import PipecatAgentAdapter

        config = cast("PipecatRuntimeConfig", runtime_config)
        return PipecatAgentAdapter(
            expand_url(self._url(config, call.agent)),
            audio_format=config.audio_format,
            sample_rate=config.sample_rate,
        )

    def _url(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("PipecatRuntimeConfig", runtime_config).url
        return str(needed(written or agent.endpoint_url, "url", self, "the URL of the bot's WebSocket"))


class ComposableRuntimeConfig(VoiceRuntimeConfig):
    """The agent's prompt, played in this process by speech to text, a model and text to speech."""

    kind: Literal["composable"] = "composable"
    """Always ``composable``."""
    stt: str | None = None
    """Speech to text, such as ``local`` or ``openai/gpt-4o-transcribe``. Default: the usual one."""
    model: str | None = None
    """Model that answers. Default: the agent's own."""
    tts: str = DEFAULT_VOICE
    """Voice of the agent."""
    greeting: str | None = None
    """What the agent says first. Default: it waits."""


class ComposableRuntime(VoiceRuntimeBase):
    """Plays the agent's prompt in this process, spoken."""

    KIND: ClassVar[str] = "composable"
    LABEL: ClassVar[str] = "Composable"
    DESCRIPTION: ClassVar[str] = "The agent's prompt, played here by speech to text, a model and text to speech"
    CONFIG: ClassVar[type[BaseModel] | None] = ComposableRuntimeConfig
    MOCKS_TOOLS: ClassVar[bool] = True

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There is a model, and there are such providers of speech."""
        needed(self._model(runtime_config, agent), "model", self, "the name of a model")
        config = cast("ComposableRuntimeConfig", runtime_config)
        try:
            if config.stt is not None and "${" not in config.stt:
                require_stt(config.stt)
        except ConfigurationError as error:
            raise ConfigurationError(f"runtime.stt: {error}") from error
        try:
            if "${" not in config.tts:
                require_voice(config.tts)
        except ValueError as error:
            raise ConfigurationError(f"runtime.tts: {error}") from error

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Puts the parts together."""
        from duologue.voice.adapters.composable import ComposableVoiceAgent

        config = cast("ComposableRuntimeConfig", runtime_config)
        model = call.agent.played_by if config.model is None else None
        tools, handlers = tools_of(call)
        return ComposableVoiceAgent(
            config.stt,
            model or str(self._model(config, call.agent)),
            config.tts,
            system_prompt=call.agent.system_prompt,
            greeting=config.greeting,
            tools=tools,
            tool_handlers=handlers,
        )

    @staticmethod
    def _model(runtime_config: BaseModel, agent: AgentSnapshot) -> str | None:
        return cast("ComposableRuntimeConfig", runtime_config).model or model_name(agent.model, agent.provider)
