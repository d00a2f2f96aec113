"""Voice agents of platforms that are called as a web page would: Vapi."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import BaseModel

from duologue.config.spec import EMPTY, JsonObject
from duologue.config.templates import expand_url
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
