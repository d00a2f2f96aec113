"""An agent at the other end of a WebRTC connection: aiortc, with signaling over HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from duologue.voice.adapters.rtc_connection import offer_loopback
from duologue.voice.adapters.rtc_tracks import Microphone, SoundFromTrack

Respond = Callable[["HttpAsked"], Awaitable[tuple[int, dict[str, str], bytes]]]


def _nothing(message: str | bytes) -> Sequence[str]:
    return ()


class HttpAsked:
    """A request that came."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body


@asynccontextmanager
async def http_server(respond: Respond) -> AsyncGenerator[str]:
    """A server of HTTP/1.1 in this event loop; one request for a connection. Gives its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, more, answer = await respond(HttpAsked(method, path, headers, body))
            lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(answer)}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in more.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


class Peer:
    """The agent's side. What it hears is kept; what it says is given by the test, or is what it hears (``echo``)."""

    def __init__(self, *, echo: bool = False, on_message: Callable[[str | bytes], Sequence[str]] | None = None) -> None:
        self.echo = echo
        self.on_message = on_message or _nothing
        self.requests: list[HttpAsked] = []
        self.heard = bytearray()
        self.heard_at: list[tuple[float, bytes]] = []
        self.messages: list[str | bytes] = []
        self.microphone = Microphone()
        self.channel: RTCDataChannel | None = None
        self.connections: list[RTCPeerConnection] = []
        self.changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[str]] = set()

    async def respond(self, asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        self.requests.append(asked)
        self.changed.set()
        if asked.method == "DELETE":
            return 200, {}, b""
        if asked.headers.get("content-type") == "application/sdp":
            answer = await self.answer(asked.body.decode())
            return 201, {"Content-Type": "application/sdp", "Location": "/sessions/1"}, answer.encode()
        answer = await self.answer(json.loads(asked.body)["sdp"])
        reply = {"sdp": answer, "type": "answer", "pc_id": "pc-1"}
        return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()

    async def answer(self, offer: str) -> str:
        """Take an offer; to the end, whoever asked may have gone."""
        answering = asyncio.create_task(self._answer(offer))
        self._answering.add(answering)
        return await asyncio.shield(answering)

    async def _answer(self, offer: str) -> str:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connections.append(connection)
        connection.on("track", self._on_track)
        connection.on("datachannel", self._on_channel)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        connection.addTrack(self.microphone)
        offer_loopback(connection.getTransceivers()[0])
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    async def say(self, pcm: bytes) -> None:
        """Speak: PCM16, mono, 24 kHz."""
        await self.microphone.write(pcm)

    async def close(self) -> None:
        await asyncio.gather(*self._answering, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        for connection in self.connections:
            await connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.changed.clear()
            await self.changed.wait()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self.channel = channel
        channel.on("message", self._on_message)
        self.changed.set()

    def _on_message(self, message: str | bytes) -> None:
        self.messages.append(message)
        for reply in self.on_message(message):
            assert self.channel is not None
            self.channel.send(reply)
        self.changed.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        task = asyncio.create_task(self._listen(track))
        self._tasks.add(task)

    async def _listen(self, track: MediaStreamTrack) -> None:
        listener = SoundFromTrack()
        loop = asyncio.get_running_loop()
        with suppress(MediaStreamError):
            while True:
                pcm = listener.heard(cast("AudioFrame", await track.recv()))  # pyright: ignore[reportUnknownMemberType]
                self.heard += pcm
                self.heard_at.append((loop.time(), pcm))
                if self.echo:
                    await self.microphone.write(pcm)
                self.changed.set()


@asynccontextmanager
async def peer(**more: object) -> AsyncGenerator[tuple[str, Peer]]:
    """An agent that answers offers. Gives its signaling URL and itself."""
    agent = Peer(**more)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with http_server(agent.respond) as url:
        try:
            yield f"{url}/offer", agent
        finally:
            await agent.close()
