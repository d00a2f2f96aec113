import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from duologue.agents.tools.call import ToolAnswer
from duologue.agents.tools.toolbox import Toolbox
from duologue.journal.events import Event, Noted, ToolCalled, TurnStarted
from duologue.journal.journal import Journal
from duologue.messages import tool_call
from duologue.models.cassette import Cassette
from duologue.models.scope import RunScope
from duologue.specs.prompts import Tool
from duologue.specs.suite import Suite
from duologue.testing import context


class Desk:
    """A run that calls tools of a suite."""

    def __init__(self, toolbox: Toolbox, seed: int = 0, cassette: Cassette | None = None) -> None:
        self.toolbox = toolbox
        self.session = toolbox.session()
        self.journal = Journal("run_1")
        self.scope = RunScope(context=context(seed=seed), journal=self.journal, cassette=cassette)
        self._count = 0

    async def __call__(self, name: str, arguments: Any = None, **given: Any) -> ToolAnswer:
        self._count += 1
        call = tool_call(name, {} if arguments is None else arguments, f"call_{self._count}")
        return await self.session.call(call, scope=self.scope, **given)

    def next_turn(self) -> None:
        self.journal.append(TurnStarted(turn=self.journal.view.turn + 1))

    @property
    def events(self) -> list[Event]:
        return [entry.event for entry in self.journal.entries]

    @property
    def calls(self) -> list[ToolCalled]:
        return [event for event in self.events if isinstance(event, ToolCalled)]

    @property
    def notes(self) -> list[Noted]:
        return [event for event in self.events if isinstance(event, Noted)]


def suite_of(*tools: Tool, folder: Path | None = None, **sections: Any) -> Suite:
    suite = Suite(name="s", tools=tools, **sections)
    return suite.within(folder) if folder else suite


@dataclass
class Asked:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Endpoint:
    """An HTTP server on loopback: answers what ``answer`` says of a request, as (status, media type, body)."""

    answer: Callable[[Asked], tuple[int, str, bytes]] = lambda asked: (200, "application/json", b"{}")
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    hang: bool = False

    def says(self, body: Any, status: int = 200, kind: str = "application/json") -> None:
        data = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        self.answer = lambda asked: (status, kind, data)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        method, target, _ = head[0].split(" ")
        asked = Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))
        self.asked.append(asked)
        if self.hang:
            await reader.read()
            return
        status, kind, body = self.answer(asked)
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    server = Endpoint()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


@pytest.fixture
async def web() -> AsyncIterator[Endpoint]:
    async with endpoint() as server:
        yield server


@pytest.fixture
async def desk_of() -> AsyncIterator[Callable[..., Desk]]:
    """Makes a desk for tools, or for a suite; whatever they start is ended after the test."""
    boxes: list[Toolbox] = []

    def make(*tools: Tool, suite: Suite | None = None, seed: int = 0, cassette: Cassette | None = None) -> Desk:
        box = Toolbox(suite or suite_of(*tools))
        box._open()
        boxes.append(box)
        return Desk(box, seed, cassette)

    yield make
    for box in boxes:
        await box.aclose()


@pytest.fixture
def make_suite() -> Callable[..., Suite]:
    return suite_of
