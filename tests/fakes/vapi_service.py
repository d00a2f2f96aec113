"""Vapi's WebSocket transport on loopback, as its documentation describes it: calls over REST, and a WebSocket for each.

The assistant sends back what it hears, and tells what it does as ``clientMessages``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from loopback import Answer, Asked, LoopbackServer, loopback_server
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

KEY = "vapi-key-5f1c7d20"
ASSISTANT = "5b0a4a08-133c-4146-9315-0984f8c6be80"
CALL = "7420f27a-30fd-4f49-a995-5549ae7cc00d"


@dataclass
class VapiService:
    """``behave`` is the assistant; without it, sound is sent back.

    Attributes:
        socket_url: of the calls that are created.
        answer: in place of the call, for services that break.
        format: that is settled on; None for what was asked for.
        sound, messages: what the assistant got.
    """

    behave: Callable[[VapiService, ServerConnection], Awaitable[None]] | None = None
    api: LoopbackServer | None = None
    socket_url: str = ""
    answer: Answer | None = None
    format: dict[str, Any] | None = None
    sound: list[bytes] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Of the API."""
        assert self.api is not None
        return self.api.url

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Answer(status=401, body={"message": f"Invalid Key {asked.headers.get('authorization')}."})
        if self.answer is not None:
            return self.answer
        if (asked.method, asked.path) != ("POST", "/call"):
            return Answer(status=404, body={"message": "Not Found"})
        body = asked.json
        if body.get("assistantId") != ASSISTANT:
            return Answer(status=400, body={"message": ["assistantId must be a UUID"], "error": "Bad Request"})
        if body["transport"]["provider"] != "vapi.websocket":
            return Answer(status=400, body={"message": ["transport.provider"]})
        settled = self.format or body["transport"]["audioFormat"]
        transport = {"provider": "vapi.websocket", "websocketCallUrl": self.socket_url, "audioFormat": settled}
        call = {"id": CALL, "type": "vapi.websocketCall", "status": "queued", "transport": transport}
        return Answer(status=201, body=call)

    async def serve(self, connection: ServerConnection) -> None:
        """One call."""
        with suppress(ConnectionClosed):
            if self.behave is not None:
                await self.behave(self, connection)
            async for message in connection:
                if isinstance(message, str):
                    self.messages.append(json.loads(message))
                    if self.messages[-1] == {"type": "end-call"}:
                        await connection.close()
                    continue
                self.sound.append(message)
                if self.behave is None:
                    await connection.send(message)


@asynccontextmanager
async def vapi_service(
    behave: Callable[[VapiService, ServerConnection], Awaitable[None]] | None = None,
) -> AsyncGenerator[VapiService]:
    """The service; ``socket_url`` may be changed for calls that lead elsewhere."""
    service = VapiService(behave)
    async with serve(service.serve, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        [socket] = server.sockets
        service.socket_url = f"ws://127.0.0.1:{socket.getsockname()[1]}/{CALL}/transport"
        with loopback_server(service) as api:
            service.api = api
            yield service
