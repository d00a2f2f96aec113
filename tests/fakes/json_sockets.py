"""What the fakes of hosted realtime APIs share: a WebSocket server of JSON messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Event = dict[str, Any]


class RefusedError(Exception):
    """The service closes the connection with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class JsonSocketService:
    """A service on loopback.

    Attributes:
        received: what clients have sent, in order.
        problems: what the service would have refused.
        refuses: status and body of the next handshakes.
    """

    scheme = "ws"

    def __init__(self) -> None:
        self.received: list[Event] = []
        self.problems: list[str] = []
        self.refuses: list[tuple[int, str]] = []
        self.requests: list[Request] = []
        self.connections: list[ServerConnection] = []
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it answers."""
        assert self._server is not None
        [socket] = self._server.sockets
        return f"{self.scheme}://127.0.0.1:{socket.getsockname()[1]}"

    def check(self, request: Request) -> tuple[int, str] | None:
        """Status and body of a refusal."""
        return None

    async def converse(self, connection: ServerConnection) -> None:
        """Hold a conversation."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._checked, compression=None, ping_interval=None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.close()
        await self._server.wait_closed()
        assert not self.problems, f"the service would have refused: {self.problems}"

    async def _checked(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        refusal = self.refuses.pop(0) if self.refuses else self.check(request)
        if refusal is None:
            return None
        status, body = refusal
        return connection.respond(HTTPStatus(status), body)

    async def _handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            await self.converse(connection)
        except ConnectionClosed:
            return
        except RefusedError as error:
            await connection.close(error.code, error.reason)
        except Exception as error:  # noqa: BLE001 - reported by the test that uses the service
            self.problems.append(f"{type(error).__name__}: {error!r}")
            await connection.close(1011, "internal error")

    async def next_event(self, connection: ServerConnection) -> Event:
        """The next message of the client."""
        event = json.loads(await connection.recv())
        async with self._heard:
            self.received.append(event)
            self._heard.notify_all()
        return event

    async def send(self, connection: ServerConnection, event: Event) -> None:
        """Send a message."""
        await connection.send(json.dumps(event))

    def begin(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside listening."""
        task = asyncio.create_task(self._quietly(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _quietly(self, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except ConnectionClosed:
            return
        except Exception as error:  # noqa: BLE001 - reported by the test that uses the service
            self.problems.append(f"{type(error).__name__}: {error}")

    async def until_heard(self, wanted: Callable[[Event], object]) -> Event:
        """Wait for a message of the client."""
        async with self._heard:
            await self._heard.wait_for(lambda: any(wanted(event) for event in self.received))
        return next(event for event in self.received if wanted(event))
