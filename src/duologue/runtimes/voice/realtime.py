"""Voice agents behind the realtime APIs of vendors: OpenAI Realtime, Gemini Live, and agents of ElevenLabs."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import BaseModel, Field

from duologue.config.spec import EMPTY
from duologue.config.templates import expand_url
from duologue.runtimes.base import AgentPlatform, AgentSnapshot
from duologue.runtimes.voice.base import KeyedVoiceConfig, VoiceCallSetup, VoiceRuntimeBase, needed
from duologue.runtimes.voice.mocked import tools_of
from duologue.voice.adapter import VoiceAgentAdapter


class OpenAIRealtimeRuntimeConfig(KeyedVoiceConfig):
    """An agent of OpenAI's Realtime API: the agent's prompt, spoken by a model."""

    kind: Literal["openai_realtime"] = "openai_realtime"
    """Always ``openai_realtime``."""
    model: str | None = None
    """Model, such as ``gpt-realtime``. Default: the agent's own."""
    voice: str = "alloy"
    """Voice that it speaks with."""
    url: str | None = None
    """URL of the API. Default: OpenAI's, or ``OPENAI_BASE_URL``."""
    turn_detection: Literal["server_vad", "semantic_vad"] | None = None
    """Who decides when the user has finished: the server, or, by default, the test case."""
    speaks_first: bool = False
    """Whether the agent speaks as soon as it is called."""


class OpenAIRealtimeRuntime(VoiceRuntimeBase):
    """Speaks with a model of OpenAI's Realtime API that has the agent's prompt and tools."""

    KIND: ClassVar[str] = "openai_realtime"
    LABEL: ClassVar[str] = "OpenAI Realtime"
    DESCRIPTION: ClassVar[str] = "The agent's prompt and tools, spoken by a model of OpenAI's Realtime API"
    CONFIG: ClassVar[type[BaseModel] | None] = OpenAIRealtimeRuntimeConfig
    KEY: ClassVar[str | None] = "OPENAI_API_KEY"
    MOCKS_TOOLS: ClassVar[bool] = True

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There is a model."""
        _model(runtime_config, agent, self)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Connects to the API."""
        from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter

        config = cast("OpenAIRealtimeRuntimeConfig", runtime_config)
        tools, handlers = tools_of(call)
        return OpenAIRealtimeAgentAdapter(
            _model(config, call.agent, self),
            config.voice,
            call.agent.system_prompt or "",
            tools,
            api_key=call.key,
            speaks_first=config.speaks_first,
            turn_detection=config.turn_detection,
            tool_handlers=handlers,
            base_url=expand_url(config.url) if config.url else None,
        )


class GeminiLiveRuntimeConfig(KeyedVoiceConfig):
    """An agent of the Gemini Live API: the agent's prompt, spoken by a model."""

    kind: Literal["gemini_live"] = "gemini_live"
    """Always ``gemini_live``."""
    model: str | None = None
    """Model, such as ``gemini-2.5-flash-native-audio-preview-12-2025``. Default: the agent's own."""
    voice: str = "Algieba"
    """Voice that it speaks with."""
    url: str | None = None
    """URL of the API. Default: Google's, or ``GOOGLE_GEMINI_BASE_URL``."""


class GeminiLiveRuntime(VoiceRuntimeBase):
    """Speaks with a model of the Gemini Live API that has the agent's prompt and tools."""

    KIND: ClassVar[str] = "gemini_live"
    LABEL: ClassVar[str] = "Gemini Live"
    DESCRIPTION: ClassVar[str] = "The agent's prompt and tools, spoken by a model of the Gemini Live API"
    CONFIG: ClassVar[type[BaseModel] | None] = GeminiLiveRuntimeConfig
    KEY: ClassVar[str | None] = "GOOGLE_API_KEY"
    MOCKS_TOOLS: ClassVar[bool] = True

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There is a model."""
        _model(runtime_config, agent, self)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Connects to the API."""
        from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter

        config = cast("GeminiLiveRuntimeConfig", runtime_config)
        tools, handlers = tools_of(call)
        return GeminiLiveAgentAdapter(
            _model(config, call.agent, self),
            config.voice,
            call.agent.system_prompt or "",
            call.key,
            tools=tools,
            tool_handlers=handlers,
            base_url=expand_url(config.url) if config.url else None,
        )


class ElevenLabsRuntimeConfig(KeyedVoiceConfig):
    """An agent of ElevenLabs."""

    kind: Literal["elevenlabs"] = "elevenlabs"
    """Always ``elevenlabs``."""
    agent_id: str | None = None
    """The agent's ID at ElevenLabs. Default: the agent's ``platform_agent_id``."""
    dynamic_variables: dict[str, str] = EMPTY
    """Values for dynamic variables of the agent."""
    first_message: str | None = None
    """What the agent says first, in place of its own; an empty text has it wait. Its settings have to allow it."""
    url: str | None = Field(default=None)
    """URL of the API. Default: ElevenLabs', or ``ELEVENLABS_BASE_URL``."""


class ElevenLabsRuntime(VoiceRuntimeBase):
    """Speaks with an agent of ElevenLabs."""

    KIND: ClassVar[str] = "elevenlabs"
    LABEL: ClassVar[str] = "ElevenLabs"
    DESCRIPTION: ClassVar[str] = "An agent of ElevenLabs, called over its WebSocket"
    CONFIG: ClassVar[type[BaseModel] | None] = ElevenLabsRuntimeConfig
    PLATFORMS: ClassVar[tuple[str | None, ...]] = (AgentPlatform.ELEVENLABS,)
    KEY: ClassVar[str | None] = "ELEVENLABS_API_KEY"
    MOCKS_TOOLS: ClassVar[bool] = True

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There is an agent."""
        self._agent_id(runtime_config, agent)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Calls the agent."""
        from duologue.voice.adapters.elevenlabs_agent import ElevenLabsAgentAdapter

        config = cast("ElevenLabsRuntimeConfig", runtime_config)
        return ElevenLabsAgentAdapter(
            self._agent_id(config, call.agent),
            call.key,
            first_message_override=config.first_message,
            dynamic_variables=config.dynamic_variables,
            tool_handlers=tools_of(call)[1],
            base_url=expand_url(config.url) if config.url else None,
        )

    def _agent_id(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("ElevenLabsRuntimeConfig", runtime_config).agent_id
        return str(needed(written or agent.platform_agent_id, "agent_id", self, "the agent's ID at ElevenLabs"))


def _model(runtime_config: BaseModel, agent: AgentSnapshot, runtime: VoiceRuntimeBase) -> str:
    """The name of the model as the vendor has it."""
    written = cast("OpenAIRealtimeRuntimeConfig | GeminiLiveRuntimeConfig", runtime_config).model
    name = str(needed(written or agent.model, "model", runtime, "the name of a model"))
    return name.rpartition("/")[2]
