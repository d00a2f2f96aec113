"""A voice agent of your own behind a WebSocket: sound as binary messages, events as JSON."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, cast

from pydantic import BaseModel, Field

from duologue.config.spec import EMPTY
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError
from duologue.runtimes.base import AgentSnapshot
from duologue.runtimes.voice.base import VoiceCallSetup, VoiceRuntimeBase, VoiceRuntimeConfig, needed
from duologue.voice.adapter import VoiceAgentAdapter


class WebSocketRuntimeConfig(VoiceRuntimeConfig):
    """A voice agent behind a WebSocket."""

    kind: Literal["websocket"] = "websocket"
    """Always ``websocket``."""
    url: str | None = None
    """``ws://…`` or ``wss://…``. Default: the agent's own. ``${NAME}`` stands for an environment variable."""
    headers: dict[str, str] = Field(default=EMPTY, repr=False)
    """Headers of the request that opens the connection, such as ``Authorization: Bearer ${TOKEN}``."""
    codec: Literal["pcm16", "mulaw", "alaw"] = "pcm16"
    """How sound is written."""
    rate: Annotated[int, Field(ge=4000, le=96_000)] = 24_000
    """Samples a second."""
    names: dict[str, str] = EMPTY
    """What the agent calls events, by our names, such as ``words: transcript.delta``. See the guide for the events."""
    type_field: Annotated[str, Field(min_length=1)] = "type"
    """The field with the name of an event."""
    sends_silence: bool = True
    """Whether frames are sent without a pause, silence too, to an agent that finds out when the user has finished."""
    announces_turns: bool = False
    """Whether the agent is told when the user begins to speak (``user_turn_began``) and has finished
    (``user_turn_ended``)."""
    ends_turns: bool = True
    """Whether the agent tells the end of its turns (``turn_ended``). Otherwise silence ends them."""
    interruption: bool = False
    """Whether the agent understands ``interrupt``."""
    dtmf: bool = False
    """Whether the agent understands ``keys``."""


class WebSocketRuntime(VoiceRuntimeBase):
    """Speaks with an agent over a WebSocket."""

    KIND: ClassVar[str] = "websocket"
    LABEL: ClassVar[str] = "WebSocket"
    DESCRIPTION: ClassVar[str] = "A voice agent of your own behind a WebSocket: sound, and events as JSON"
    CONFIG: ClassVar[type[BaseModel] | None] = WebSocketRuntimeConfig

    def check(self, runtime_config: BaseModel, agent: AgentSnapshot) -> None:
        """It has an address of a WebSocket, and names of events that there are."""
        from duologue.voice.adapters.events import require_events
        from duologue.voice.adapters.sockets import socket_address

        try:
            require_events(cast("WebSocketRuntimeConfig", runtime_config).names)
        except ConfigurationError as error:
            raise ConfigurationError(f"runtime.{error}") from error
        url = self._url(runtime_config, agent)
        if "${" not in url:
            socket_address(url, "runtime.url")

    def make(self, runtime_config: BaseModel, call: VoiceCallSetup) -> VoiceAgentAdapter:
        """Connects to the address."""
        from duologue.voice.adapters.events import EventsProtocol
        from duologue.voice.adapters.websocket import WebSocketAgentAdapter

        config = cast("WebSocketRuntimeConfig", runtime_config)
        protocol = EventsProtocol(
            codec=config.codec,
            rate=config.rate,
            names=config.names,
            type_field=config.type_field,
            announces_turns=config.announces_turns,
            interruption=config.interruption,
            dtmf=config.dtmf,
            wants_silence=config.sends_silence,
            ends_turns=config.ends_turns,
        )
        headers = {name: expand(value, secret=True) for name, value in config.headers.items()}
        return WebSocketAgentAdapter(expand_url(self._url(config, call.agent)), protocol, headers=headers)

    def _url(self, runtime_config: BaseModel, agent: AgentSnapshot) -> str:
        written = cast("WebSocketRuntimeConfig", runtime_config).url
        return str(needed(written or agent.endpoint_url, "url", self, "the address of the agent, ws://… or wss://…"))
