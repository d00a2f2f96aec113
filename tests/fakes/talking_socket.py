"""A voice agent behind a WebSocket, on loopback in a thread of its own: :class:`TalkingAgent` in our own events.

What it does depends on the path: ``/talk`` talks, ``/break`` closes the connection with its first word, ``/leave``
says one word and hangs up, ``/stubborn`` stops only when it is told to, and ``/refuse`` takes no calls. It reports what
it has understood, which is always the same.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np
from talking_agent import TalkingAgent
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

UNDERSTOOD = "Where is my parcel?"


@dataclass
class TalkingSocket:
    """It.

    Attributes:
        url: without the path.
        calls: those that were answered.
        open: those that are not over.
        loud: frames with sound that it has got.
        orders: messages that are not sound.
    """

    url: str = ""
    calls: int = 0
    open: int = 0
    loud: int = 0
    interrupted: int = 0
    orders: list[str] = field(default_factory=list)

    async def talk(self, connection: ServerConnection) -> None:
        """One call."""
        path = (connection.request.path if connection.request else "").partition("?")[0]

        async def told(kind: str, **fields: object) -> None:
            await connection.send(json.dumps({"type": kind, **fields}))

        async def words(text: str) -> None:
            if not text.startswith(" "):
                await told("user_words", text=UNDERSTOOD)
            await told("words", text=text)
            if path == "/break":
                await connection.close(1011, "out of order")
            elif path == "/leave":
                await told("call_ended", reason="closing time")

        async def ended(cut: bool) -> None:
            self.interrupted += cut
            await told("turn_ended", interrupted=cut)

        self.calls += 1
        self.open += 1
        agent = TalkingAgent(connection.send, words, ended)
        try:
            async for message in connection:
                if isinstance(message, bytes):
                    self.loud += bool(np.abs(np.frombuffer(message, dtype="<i2").astype(np.int32)).max(initial=0) > 500)
                    if path != "/stubborn" or not agent.is_talking:
                        agent.hear(message)
                else:
                    self.orders.append(message)
                    if json.loads(message)["type"] == "interrupt":
                        agent.stop()
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
            await agent.close()


@contextmanager
def talking_socket() -> Generator[TalkingSocket]:
    """One that is running."""
    agent = TalkingSocket()
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def checked(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(HTTPStatus.FORBIDDEN, "no calls today\n") if request.path == "/refuse" else None

    async def run() -> None:
        over = asyncio.Event()
        async with serve(agent.talk, "127.0.0.1", 0, process_request=checked, compression=None) as server:
            agent.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            begun.set_result((asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="talking-socket")
    thread.start()
    loop, over = begun.result()
    try:
        yield agent
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
