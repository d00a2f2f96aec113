"""Agents that runtimes talk to: real servers on loopback, one for each protocol, which may misbehave on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
METADATA = "http://169.254.169.254/latest/meta-data/"


@dataclass
class Received:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Json


@dataclass
class HttpPeer:
    """An HTTP server whose answers ``answer`` makes, unless ``fault`` names something worse.

    Attributes:
        answer: status and body for a request.
        empty, broken: answers of this protocol that say nothing, and that are none.
        asked: set once a request has come.
        sent: bytes of bodies that were sent.
    """

    answer: Callable[[Received], object]
    empty: object
    broken: object = field(default_factory=lambda: {"unexpected": True})
    fault: str = ""
    received: list[Received] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readline()).decode()
        if not line:
            return False
        headers: dict[str, str] = {}
        while (header := (await reader.readline()).decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, *_ = line.split()
        request = Received(method, path, headers, json.loads(data or b"{}"))
        self.received.append(request)
        self.asked.set()
        await self._reply(request, reader, writer)
        return True

    async def _reply(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = "" if request.method == "GET" and request.path.endswith(".json") else self.fault  # a card is there
        match fault:
            case "http 500":
                await self._send(writer, {"error": "boom: the kitchen is on fire"}, "500 Internal Server Error")
            case "timeout" | "cancelled":
                await reader.read()  # until the client has had enough
                raise OSError
            case "contract":
                await self._send(writer, self.broken)
            case "not json":
                await self._send(writer, b"\x00\xff<oops")
            case "empty":
                await self._send(writer, self.empty(request) if callable(self.empty) else self.empty)
            case "no body":
                await self._send(writer, b"")
            case "endless" | "50 MB":
                await self._flood(writer, None if self.fault == "endless" else 50_000_000)
            case "429":
                self.fault = ""
                await self._send(writer, {"status": "error"}, "429 Too Many Requests", "Retry-After: 0")
            case "redirect":
                await self._send(writer, {}, "302 Found", f"Location: {METADATA}")
            case _:
                await self._send(writer, self.answer(request))

    async def _flood(self, writer: asyncio.StreamWriter, size: int | None) -> None:
        length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode())
        piece = b'"' + b"a" * 65535
        while size is None or self.sent < size:
            writer.write(b"10000\r\n" + piece + b"\r\n" if size is None else piece)
            await writer.drain()
            self.sent += len(piece)
            piece = b"a" * 65536

    async def _send(self, writer: asyncio.StreamWriter, body: object, status: str = "200 OK", *more: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/plain" if isinstance(body, bytes) and not self.fault else "application/json"
        head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *more]
        writer.write("\r\n".join([*head, "", ""]).encode() + data)
        await writer.drain()
        self.sent += len(data)


@asynccontextmanager
async def served(peer: HttpPeer) -> AsyncIterator[HttpPeer]:
    """The peer, until the end of the block."""
    server = await asyncio.start_server(peer.handle, "127.0.0.1", 0, limit=2**24)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()


def said(request: Received) -> list[str]:
    """What the user has said in a request with chat messages."""
    return [item["content"] for item in request.body.get("messages", []) if item["role"] == "user"]


def contract_answer(request: Received) -> Json:
    """An answer in the contract of custom endpoints, with a tool call on the way."""
    call = {
        "id": f"c{len(request.body['messages'])}",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"key": "x"}'},
        "tool_result": None,
    }
    return {
        "messages": [
            {"role": "assistant", "content": None, "tool_calls": [call], "tool_call_id": None, "name": None},
            {"role": "tool", "content": "found", "tool_calls": None, "tool_call_id": call["id"], "name": None},
            {
                "role": "assistant",
                "content": f"You said {said(request)[-1]}.",
                "tool_calls": None,
                "tool_call_id": None,
                "name": None,
            },
        ],
        "model": None,
        "provider": None,
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
        "metadata": None,
    }


def chat_answer(request: Received) -> Json:
    """A chat completion."""
    message = {"role": "assistant", "content": f"You said {said(request)[-1]}."}
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "model": "acme/small", "usage": usage}


def plain_answer(request: Received) -> Json:
    """An answer of an agent with a format of its own."""
    return {"response": f"You said {said(request)[-1]}."}


def langgraph_answer(request: Received) -> Json:
    """The state of a thread, with all that was said in it, after a run of the graph."""
    said = [item["content"] for item in request.body["input"]["messages"]]
    usage = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
    message = {"type": "ai", "content": f"You said {said[-1]}.", "id": "m2", "usage_metadata": usage}
    return {"messages": [{"type": "human", "content": said[-1], "id": "m1"}, message]}


def retell_answer(request: Received) -> Json:
    """New messages of a Retell agent, which calls a tool on the way."""
    said = [item["content"] for item in request.body["messages"] if item["role"] == "user"]
    id = f"call_{len(request.body['messages'])}"
    return {
        "messages": [
            {"role": "node_transition", "new_node_name": "start"},
            {"role": "tool_call_invocation", "tool_call_id": id, "name": "look_up", "arguments": '{"key": "x"}'},
            {"role": "tool_call_result", "tool_call_id": id, "content": "found", "successful": True},
            {"role": "agent", "content": f"You said {said[-1]}.", "message_id": "m", "created_timestamp": 1},
        ],
        "current_state": f"state_{len(said)}",
        "dynamic_variables": {"seen": str(len(said))},
        "call_ended": said[-1] == "bye",
    }


def a2a_answer(request: Received) -> Json:
    """The card of an A2A agent, or its answer over JSON-RPC in the conversation of the message."""
    if request.method == "GET":
        return {"name": "Helper", "description": "Helps.", "version": "1", "protocolVersion": "0.3.0", "skills": []}
    sent = request.body["params"]["message"]
    said = f"You said {sent['parts'][0]['text']}."
    context = sent.get("contextId") or "context-1"
    if "ticket" in said and "taskId" not in sent:
        asks = {"kind": "message", "role": "agent", "messageId": "a", "parts": [{"kind": "text", "text": "Which one?"}]}
        status = {"state": "input-required", "message": asks}
        result: Json = {"kind": "task", "id": "task-1", "contextId": context, "status": status}
    else:
        parts = [{"kind": "text", "text": said}]
        result = {"kind": "message", "role": "agent", "messageId": "a", "contextId": context, "parts": parts}
    return {"jsonrpc": "2.0", "id": request.body["id"], "result": result}


def a2a_empty(request: Received) -> Json:
    """An answer of an A2A agent that says nothing."""
    answer = a2a_answer(request)
    return {**answer, "result": {**answer["result"], "parts": []}} if request.method == "POST" else answer


def peer_of(kind: str) -> HttpPeer:
    """An agent that speaks the protocol of a runtime over HTTP."""
    return HTTP_PEERS[kind]()


HTTP_PEERS: dict[str, Callable[[], HttpPeer]] = {
    "custom_endpoint": lambda: HttpPeer(
        contract_answer, {"messages": [{"role": "assistant", "content": ""}]}, {"messages": [{"role": "user"}]}
    ),
    "openai_chat": lambda: HttpPeer(
        chat_answer, {"choices": [{"message": {"role": "assistant", "content": ""}}]}, {"choices": []}
    ),
    "native": lambda: HttpPeer(
        chat_answer, {"choices": [{"message": {"role": "assistant", "content": ""}}]}, {"choices": []}
    ),
    "a2a": lambda: HttpPeer(a2a_answer, a2a_empty, {"jsonrpc": "2.0", "id": 1}),
    "langgraph": lambda: HttpPeer(langgraph_answer, {"messages": []}, {"status": {"code": 1}}),
    "retell": lambda: HttpPeer(retell_answer, {"messages": []}, {"messages": [{"role": "robot", "content": "x"}]}),
    "http": lambda: HttpPeer(plain_answer, {"response": ""}, {"status": {"code": 1}}),
}
