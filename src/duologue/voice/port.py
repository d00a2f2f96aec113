"""What the driver of a call needs from an adapter, and the errors that both raise."""

from __future__ import annotations

import socket
from errno import ECONNREFUSED
from typing import Protocol

from duologue.errors import AgentError, AgentTimeoutError, ConfigurationError
from duologue.frozen import frozen
from duologue.secret_values import hidden
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import Incoming

_MOST_WHY = 1500
"""Characters of a reason."""


@frozen
class AdapterCapabilities:
    """What a transport can do.

    Attributes:
        streaming_transcripts: whether it reports the agent's words while the agent speaks.
        native_vad: whether the agent's side can detect by itself when the user speaks.
        dtmf: whether it carries telephone keys.
        interruption: whether the agent can be told to stop; otherwise the user talks over it.
        input_formats, output_formats: formats of the sound on the wire, such as ``pcm16/24000`` and ``mulaw/8000``.
    """

    streaming_transcripts: bool = False
    native_vad: bool = False
    dtmf: bool = False
    interruption: bool = False
    input_formats: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = ()


class UnsupportedCapabilityError(ConfigurationError):
    """A script uses something that the transport does not support.

    Attributes:
        adapter_name: name of the adapter.
        capability: what is missing: a field of :class:`AdapterCapabilities`.
    """

    def __init__(self, adapter_name: str, capability: str, hint: str = "") -> None:
        super().__init__(f"{adapter_name} has no '{capability}'." + (f" {hint}" if hint else ""))
        self.adapter_name = adapter_name
        self.capability = capability


class VoiceConnectionError(AgentError):
    """The connection to a voice agent could not be opened, or has broken; says which adapter, and why."""

    def __init__(self, adapter_name: str, why: str) -> None:
        told = hidden(why)  # it may quote what the other side was sent
        if len(told) > _MOST_WHY:
            told = f"{told[:_MOST_WHY]}…"
        super().__init__(f"{adapter_name}: {told}", who=adapter_name)
        self.adapter_name = adapter_name


class FirstChunkTimeoutError(AgentTimeoutError):
    """A voice agent did not begin to speak in time.

    Attributes:
        timeout: time limit in seconds.
    """

    def __init__(self, timeout: float, adapter_name: str = "the agent") -> None:
        super().__init__(
            f"{adapter_name} sent no sound within {timeout:g} s after the user had spoken; "
            "response_timeout of the adapter sets how long it may take",
            who=adapter_name,
        )
        self.timeout = timeout


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line and without secrets."""
    return hidden(f"{error}".strip().split("\n")[0]) or type(error).__name__


def why_unreachable(error: BaseException) -> str:
    """Like :func:`reason_of`, for a connection that could not be made; says what to do where that is known."""
    if isinstance(error, OSError) and f"[Errno {ECONNREFUSED}]" in str(
        error
    ):  # of one address of a host, or of several
        return f"{reason_of(error)}: nothing listens there. Start the agent first, or correct the address"
    if isinstance(error, socket.gaierror):
        return f"{reason_of(error)}: the name of the host is not known. Correct the address"
    return reason_of(error)


class VoicePort(Protocol):
    """A voice agent, as the driver of a call sees it. See :class:`duologue.voice.adapter.VoiceAgentAdapter`."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> AdapterCapabilities: ...

    response_timeout: float
    response_tail_silence: float
    response_max_duration: float
    connect_timeout: float
    wants_silence: bool
    ends_turns: bool

    async def connect(self) -> None: ...
    async def disconnect(self) -> None: ...
    async def send_audio(self, chunk: AudioChunk) -> None: ...
    async def receive(self, timeout: float) -> Incoming: ...
    async def begin_user_turn(self) -> None: ...
    async def end_user_turn(self) -> None: ...
    async def interrupt(self) -> None: ...
    async def send_dtmf(self, keys: str) -> None: ...


class ExchangePort(VoicePort, Protocol):
    """A voice agent of this process. See :class:`duologue.voice.adapter.InProcessVoiceAgent`."""

    real_time: bool

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]: ...
