"""An agent for Twilio Media Streams on loopback, as Twilio's documentation describes the agent's side.

It takes what comes exactly as Twilio sends it, and fails over anything else.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

HEX = set("0123456789abcdef")


@dataclass
class MediaStreamAgent:
    """``on_event`` is told of each event, and may answer. Without it, sound is sent back as it came.

    Attributes:
        events: all that came, in order.
        start: of the call.
        problems: where the other side did not do what Twilio does.
    """

    on_event: Callable[[MediaStreamAgent, dict[str, Any]], Awaitable[None]] | None = None
    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    connection: ServerConnection | None = None

    async def send(self, event: str, **part: Any) -> None:
        """Send an event of this stream."""
        assert self.connection is not None
        await self.connection.send(json.dumps({"event": event, "streamSid": self.start["streamSid"], **part}))

    async def say(self, sound: bytes) -> None:
        """Send sound: µ-law, or whatever the stream has."""
        await self.send("media", media={"payload": b64encode(sound).decode()})

    async def say_json(self, message: Any) -> None:
        """Send something else."""
        assert self.connection is not None
        await self.connection.send(json.dumps(message))

    def sound(self) -> bytes:
        """All sound that came, as it was on the wire."""
        return b"".join(self.frames())

    def frames(self) -> list[bytes]:
        """The frames that came."""
        return [b64decode(event["media"]["payload"]) for event in self.events if event["event"] == "media"]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [event for event in self.events if event["event"] == name]

    async def greet(self, connection: ServerConnection) -> None:
        """Wait for the beginning of the call, and check it."""
        self.connection = connection
        connected, start = json.loads(await connection.recv()), json.loads(await connection.recv())
        self._expect(connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}, connected)
        self.events += [connected, start]
        self.start = start["start"]
        self._expect(start["sequenceNumber"] == "1" and start["streamSid"] == self.start["streamSid"], start)
        for name, prefix in (("streamSid", "MZ"), ("callSid", "CA"), ("accountSid", "AC")):
            sid = self.start[name]
            self._expect(sid[:2] == prefix and len(sid) == 34 and set(sid[2:]) <= HEX, f"{name} {sid}")
        self._expect(self.start["tracks"] == ["inbound"] and self.start["customParameters"] == {}, start)

    async def _serve(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self.greet(connection)
            count = 0
            async for message in connection:
                event = json.loads(message)
                if event["event"] != "clear":
                    count += 1
                    self._expect(event["sequenceNumber"] == str(count + 1), event)
                if event["event"] == "media":
                    self._check_media(event["media"])
                self.events.append(event)
                if self.on_event is not None:
                    await self.on_event(self, event)
                elif event["event"] == "media":
                    await self.say(b64decode(event["media"]["payload"]))

    def _check_media(self, media: dict[str, Any]) -> None:
        number = len(self.named("media")) + 1
        expected = {"track": "inbound", "chunk": str(number), "timestamp": str((number - 1) * 20)}
        self._expect({name: media[name] for name in expected} == expected, f"{media} is not {expected}")
        rate, encoding = self.start["mediaFormat"]["sampleRate"], self.start["mediaFormat"]["encoding"]
        size = rate // 50 * (2 if encoding == "audio/x-l16" else 1)
        self._expect(len(b64decode(media["payload"])) == size, "a frame that is not of 20 ms")

    def _expect(self, holds: bool, what: object) -> None:
        if not holds:
            self.problems.append(str(what))


@asynccontextmanager
async def media_stream_agent(
    on_event: Callable[[MediaStreamAgent, dict[str, Any]], Awaitable[None]] | None = None,
) -> AsyncGenerator[MediaStreamAgent]:
    """The agent, listening; what it found wrong fails the test."""
    agent = MediaStreamAgent(on_event)
    async with serve(agent._serve, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        [socket] = server.sockets
        agent.url = f"ws://127.0.0.1:{socket.getsockname()[1]}/ws"
        yield agent
    assert agent.problems == []
