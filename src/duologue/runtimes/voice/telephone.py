"""Voice agents that are called by telephone, through Twilio."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, cast

from pydantic import BaseModel, Field

from duologue.config.templates import expand, expand_url
from duologue.runtimes.base import AgentSnapshot
from duologue.runtimes.voice.base import KeyedVoiceConfig, VoiceCallSetup, VoiceRuntimeBase, needed
from duologue.voice.adapter import VoiceAgentAdapter


class TwilioRuntimeConfig(KeyedVoiceConfig):
    """An agent with a telephone number, which an account of Twilio calls."""

    environment_fields: ClassVar[tuple[str, ...]] = ("api_key", "account_sid", "phone_number", "public_url")

    kind: Literal["twilio"] = "twilio"
    """Always ``twilio``. ``api_key`` is the account's auth token."""
    call_to: str | None = None
    """Telephone number of the agent, such as ``+41445550100``. Default: the agent's ``platform_agent_id``."""
    account_sid: str = "${TWILIO_ACCOUNT_SID:-}"
    """SID of the account. Default: the variable ``TWILIO_ACCOUNT_SID``."""
    phone_number: str = "${TWILIO_PHONE_NUMBER:-}"
    """Number of the account that calls. Default: the variable ``TWILIO_PHONE_NUMBER``."""
    public_url: str | None = None
    """URL at which Twilio reaches ``port`` of this machine, ``https://…``."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8765
    """Port that this machine listens on."""


class TwilioRuntime(VoiceRuntimeBase):
    """Calls an agent's number through Twilio."""

    KIND: ClassVar[str] = "twilio"
    LABEL: ClassVar[str] = "Twilio"
    DESCRIPTION: ClassVar[str] = "An agent with a telephone number, which an account of Twilio calls"
    CONFIG: ClassVar[type[BaseModel] | None] = TwilioRuntimeConfig
    PLATFORMS: ClassVar[tuple[str | None, ...]] = (None, "twilio")
    KEY: ClassVar[str | None] = "TWILIO_AUTH_TOKEN"

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """There are numbers, and a way for Twilio to reach this machine."""
        config = cast("TwilioRuntimeConfig", runtime_config)
        needed(config.call_to or agent.platform_agent_id, "call_to", self, "the telephone number of the agent")
        needed(config.public_url, "public_url", self, "the URL at which Twilio reaches this machine, https://…")

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Places a call."""
        from duologue.voice.adapters.twilio import TwilioAgentAdapter

        config = cast("TwilioRuntimeConfig", runtime_config)
        return TwilioAgentAdapter(
            account_sid=expand(config.account_sid) or None,
            auth_token=call.key,
            phone_number=expand(config.phone_number) or None,
            public_base_url=expand_url(config.public_url or ""),
            http_port=config.port,
            call_to=config.call_to or call.agent.platform_agent_id,
        )
