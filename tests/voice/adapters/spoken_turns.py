"""What tests of voice adapters say, and what they make of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from broken_peers import everything_from, odd_messages
from waiting import LONG
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from duologue.voice.adapter import VoiceAgentAdapter, VoiceConnectionError
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming

FRAME = 960
"""Bytes of 20 ms."""


def voice_like(seconds: float, hertz: float = 220.0) -> bytes:
    """A sound that is nowhere silent: PCM16, 24 kHz."""
    at = np.arange(round(seconds * 24_000)) / 24_000
    return (8000 * np.sin(2 * np.pi * hertz * at) + 1).astype("<i2").tobytes()


def frames(pcm: bytes) -> list[AudioChunk]:
    """Pieces of 20 ms."""
    return [AudioChunk(pcm[at : at + FRAME]) for at in range(0, len(pcm), FRAME)]


async def say(adapter: VoiceAgentAdapter, pcm: bytes) -> None:
    """A turn of the user."""
    await adapter.begin_user_turn()
    for frame in frames(pcm):
        await adapter.send_audio(frame)
    await adapter.end_user_turn()


@dataclass
class Heard:
    """A turn of the agent."""

    items: list[Incoming] = field(default_factory=list)

    @property
    def sound(self) -> bytes:
        """All of it."""
        return b"".join(item.data for item in self.items if isinstance(item, AudioChunk))

    @property
    def words(self) -> str:
        """As they were reported."""
        said = ""
        for item in self.items:
            if isinstance(item, AgentWords):
                said = item.text if item.replaces else said + item.text
        return said

    def of(self, *kinds: type) -> list[Incoming]:
        """Those of these classes."""
        return [item for item in self.items if isinstance(item, kinds)]


async def turn_of(adapter: VoiceAgentAdapter, until: type | tuple[type, ...] = AgentTurnEnded) -> Heard:
    """What comes up to an item of this class."""
    heard = Heard()
    while not heard.items or not isinstance(heard.items[-1], until):
        heard.items.append(await adapter.receive(LONG))
    return heard


async def seconds_of_sound(adapter: VoiceAgentAdapter, seconds: float) -> Heard:
    """What comes until so much of it is sound."""
    heard = Heard()
    while len(heard.sound) < seconds * 48_000:
        heard.items.append(await adapter.receive(LONG))
    return heard


def alike(first: bytes, second: bytes) -> float:
    """How alike two sounds are, from 0 to 1, wherever the one lies in the other."""
    one, two = (np.frombuffer(pcm, dtype="<i2").astype(float) for pcm in (first, second))
    size = len(one) + len(two)
    found = np.abs(np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(two, size)), size)).max()
    return float(found / max(1e-9, np.linalg.norm(one) * np.linalg.norm(two)))


async def check_odd_messages(
    message: dict[str, Any],
    greet: Callable[[ServerConnection], Awaitable[None]],
    make: Callable[[str], VoiceAgentAdapter],
) -> None:
    """A message of another shape than the protocol's is passed over, or is an error of the adapter, never of Python."""
    odd = iter(odd_messages(message))

    async def converse(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.send(next(odd))
        await connection.close(1011, "that was all")

    async with serve(converse, "127.0.0.1", 0, compression=None) as server:
        [socket] = server.sockets
        for _ in odd_messages(message):
            adapter = make(f"ws://127.0.0.1:{socket.getsockname()[1]}")
            async with adapter:
                _, error = await everything_from(adapter)
            assert str(error).startswith(f"{adapter.name}: ")
            cause = error.__cause__
            while isinstance(cause, VoiceConnectionError):
                cause = cause.__cause__
            assert cause is None or isinstance(cause, ConnectionClosed | ValueError), repr(cause)
