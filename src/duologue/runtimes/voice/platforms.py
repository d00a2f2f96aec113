"""Voice agents of platforms: Retell and Vapi as a web page calls them, LiveKit in a room, Twilio by telephone."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import BaseModel, Field

from duologue.config.spec import EMPTY, JsonObject
from duologue.config.templates import expand, expand_url
from duologue.runtimes.base import AgentPlatform, AgentSnapshot
from duologue.runtimes.voice.base import KeyedVoiceConfig, VoiceCallSetup, VoiceRuntimeBase, needed
from duologue.voice.adapter import VoiceAgentAdapter


class VapiRuntimeConfig(KeyedVoiceConfig):
    """An assistant of Vapi."""

    kind: Literal["vapi"] = "vapi"
    """Always ``vapi``."""
    assistant_id: str | None = None
    """The assistant's ID at Vapi. Default: the agent's ``platform_agent_id``."""
    assistant_overrides: JsonObject = EMPTY
    """Changes of the assistant for the call, as Vapi's API takes them."""
    url: str = "https://api.vapi.ai"
    """URL of the API."""


class VapiRuntime(VoiceRuntimeBase):
    """Calls an assistant of Vapi over its WebSocket transport."""

    KIND: ClassVar[str] = "vapi"
    LABEL: ClassVar[str] = "Vapi"
    DESCRIPTION: ClassVar[str] = "An assistant of Vapi, called over a WebSocket"
    CONFIG: ClassVar[type[BaseModel] | None] = VapiRuntimeConfig
    PLATFORMS: ClassVar[tuple[str | None, ...]] = (AgentPlatform.VAPI,)
    KEY: ClassVar[str | None] = "VAPI_API_KEY"

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There is an assistant."""
        self._assistant(runtime_config, agent)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Creates a call of the assistant."""
        from duologue.voice.adapters.vapi import VapiAgentAdapter

        config = cast("VapiRuntimeConfig", runtime_config)
        return VapiAgentAdapter(
            self._assistant(config, call.agent),
            call.key,
            assistant_overrides=config.assistant_overrides,
            base_url=expand_url(config.url),
        )

    def _assistant(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("VapiRuntimeConfig", runtime_config).assistant_id
        return str(needed(written or agent.platform_agent_id, "assistant_id", self, "the assistant's ID at Vapi"))


class RetellWebCallRuntimeConfig(KeyedVoiceConfig):
    """An agent of Retell in a web call."""

    kind: Literal["retell_web_call"] = "retell_web_call"
    """Always ``retell_web_call``."""
    agent_id: str | None = None
    """The agent's ID at Retell. Default: the agent's ``platform_agent_id``."""
    version: int | str | None = None
    """Version of the agent. Default: the latest."""
    dynamic_variables: dict[str, str] = EMPTY
    """Values for dynamic variables of the agent."""
    url: str = "https://api.retellai.com"
    """URL of the API."""


class RetellWebCallRuntime(VoiceRuntimeBase):
    """Speaks with an agent of Retell in a web call."""

    KIND: ClassVar[str] = "retell_web_call"
    LABEL: ClassVar[str] = "Retell web call"
    DESCRIPTION: ClassVar[str] = "An agent of Retell, spoken with in a web call"
    CONFIG: ClassVar[type[BaseModel] | None] = RetellWebCallRuntimeConfig
    PLATFORMS: ClassVar[tuple[str | None, ...]] = (AgentPlatform.RETELL,)
    KEY: ClassVar[str | None] = "RETELL_API_KEY"

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There is an agent."""
        self._agent_id(runtime_config, agent)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Creates a web call of the agent."""
        from duologue.voice.adapters.retell import RetellAgentAdapter

        config = cast("RetellWebCallRuntimeConfig", runtime_config)
        return RetellAgentAdapter(
            self._agent_id(config, call.agent),
            call.key,
            agent_version=config.version,
            dynamic_variables=config.dynamic_variables,
            url=expand_url(config.url),
        )

    def _agent_id(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("RetellWebCallRuntimeConfig", runtime_config).agent_id
        return str(needed(written or agent.platform_agent_id, "agent_id", self, "the agent's ID at Retell"))


class LiveKitRuntimeConfig(KeyedVoiceConfig):
    """An agent in a room of LiveKit."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "api_key", "api_secret")

    kind: Literal["livekit"] = "livekit"
    """Always ``livekit``."""
    url: str | None = None
    """URL of the LiveKit server, ``wss://…``. Default: the agent's own."""
    api_secret: str = Field(default="${LIVEKIT_API_SECRET:-}", repr=False)
    """Secret of the key. Default: the variable ``LIVEKIT_API_SECRET``."""
    room: str | None = None
    """Name of the room. Default: a new one for each call."""
    agent_name: str | None = None
    """Agent that is dispatched to the room. Default: the one that joins by itself."""


class LiveKitRuntime(VoiceRuntimeBase):
    """Speaks with an agent in a room of LiveKit."""

    KIND: ClassVar[str] = "livekit"
    LABEL: ClassVar[str] = "LiveKit"
    DESCRIPTION: ClassVar[str] = "An agent in a room of LiveKit"
    CONFIG: ClassVar[type[BaseModel] | None] = LiveKitRuntimeConfig
    KEY: ClassVar[str | None] = "LIVEKIT_API_KEY"

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """It has the address of a server."""
        self._url(runtime_config, agent)

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Joins a room."""
        from duologue.context import Context
        from duologue.voice.adapters.livekit import LiveKitAgentAdapter

        config = cast("LiveKitRuntimeConfig", runtime_config)
        secret = expand(config.api_secret, secret=True)
        return LiveKitAgentAdapter(
            expand_url(self._url(config, call.agent)),
            call.key,
            str(needed(secret, "api_secret", self, "the secret of the key, or LIVEKIT_API_SECRET")),
            config.room or Context().ids.new("duologue"),
            agent_name=config.agent_name,
        )

    def _url(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("LiveKitRuntimeConfig", runtime_config).url
        return str(needed(written or agent.endpoint_url, "url", self, "the URL of the LiveKit server, wss://…"))
