"""A server that speaks the Chat Completions protocol of OpenAI, answers what it was told to, and misbehaves on demand.

Raw sockets, because a real server library would put broken answers right. Each request takes the next reply; when there
is none, ``default``.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What goes over the wire for one request.

    ``cut``: bytes of the body that are sent before the connection breaks. ``hang``: headers only, then nothing more.
    """

    body: Json | bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False


def text(content: str | None, *, finish: str = "stop", prompt: int = 11, completion: int = 7, **message: Any) -> Reply:
    """An ordinary answer."""
    return Reply(
        body={
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "as-served",
            "choices": [
                {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            },
        }
    )


def calls(*pairs: tuple[str, Json | str], content: str | None = None) -> Reply:
    """An answer that calls tools: (name, arguments) each; their ids are ``call_1``, ``call_2``, …"""
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
            },
        }
        for number, (name, arguments) in enumerate(pairs, 1)
    ]
    return text(content, finish="tool_calls", tool_calls=made)


def refusal(words: str) -> Reply:
    """The model declines."""
    return text(None, refusal=words)


def error(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    """An error in OpenAI's format; headers with underscores for dashes."""
    return Reply(
        status=status,
        body={"error": {"message": message, "type": "error", "code": code, "param": None}},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def garbage(data: bytes = b'{"choices": [') -> Reply:
    """A complete response whose body is no JSON, though it says so."""
    return Reply(body=data)


HANG = Reply(hang=True)
"""Never answers."""


@dataclass
class OpenAIServer:
    """``replies``: one a request; ``default``: a reply or a function of the request, when they are used up."""

    url: str = ""
    replies: deque[Reply] = field(default_factory=deque)
    default: Reply | Callable[[Json], Reply] = field(default_factory=lambda: text("Hello."))
    requests: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    hold: asyncio.Event | None = None

    def script(self, *replies: Reply) -> None:
        """Use these next."""
        self.replies.extend(replies)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        request: Json = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        self.headers.append({**headers, "": head[0]})
        self.requests.append(request)
        if self.hold:
            await self.hold.wait()
        reply = self._reply(request)
        data, kind = _encoded(reply, request)
        writer.write(_head(reply, kind, len(data)))
        writer.write(b"" if reply.hang else data[: reply.cut])
        await writer.drain()
        if reply.hang:
            await reader.read()  # until the client gives up

    def _reply(self, request: Json) -> Reply:
        if self.replies:
            return self.replies.popleft()
        return self.default(request) if callable(self.default) else self.default


def _head(reply: Reply, kind: str, length: int) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Status", f"Content-Type: {kind}", f"Content-Length: {length}"]
    lines += ["Connection: close", *(f"{name}: {value}" for name, value in reply.headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() if not reply.hang else b"HTTP/1.1 200 OK\r\n"


def _encoded(reply: Reply, request: Json) -> tuple[bytes, str]:
    if isinstance(reply.body, bytes):
        return reply.body, "application/json"
    if request.get("stream") and reply.status == 200:
        return _events(reply.body), "text/event-stream"
    return json.dumps(reply.body).encode(), "application/json"


def _events(body: Json) -> bytes:
    choice = body["choices"][0]
    message = choice["message"]
    deltas = [{"role": "assistant"}, *({"content": word} for word in (message.get("content") or "").split(" "))]
    if message.get("tool_calls"):
        deltas.append({"tool_calls": [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]})
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]})
    common = {**body, "object": "chat.completion.chunk"}
    lines = [f"data: {json.dumps({**common, 'choices': [chunk]})}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


@asynccontextmanager
async def openai_server() -> AsyncIterator[OpenAIServer]:
    """A server on loopback; ``url`` is the ``api_base``."""
    fake = OpenAIServer()
    server = await asyncio.start_server(fake.handle, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
        await server.wait_closed()


@contextmanager
def openai_server_beside() -> Iterator[OpenAIServer]:
    """The same in a thread, for tests that have no event loop, such as those of commands."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = openai_server()
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
