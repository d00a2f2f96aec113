"""Agents behind URLs, each in a format of its own, on a real server on loopback.

All of them are the same agent: it knows the booking code that its user told it in this conversation, or asks for it.
How it is asked and how it answers differ, and whether it remembers, is given the history, or hands out ids itself.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from uuid import UUID

Json = dict[str, Any]
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


@dataclass
class Reply:
    """What a server sends: JSON unless ``body`` is text; a list is sent piece by piece."""

    body: object = None
    status: int = 200
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Asked:
    """A request."""

    path: str
    headers: dict[str, str]
    body: Json
    method: str = "POST"


class Refused(Exception):
    """The request has not the right form."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(body)
        self.reply = Reply(body, status)


def wanted(body: Json, *names: str) -> Any:
    """Fields that the agent needs, refused as FastAPI does."""
    missing = [name for name in names if name not in body]
    if missing:
        told = [{"type": "missing", "loc": ["body", name], "msg": "Field required", "input": body} for name in missing]
        raise Refused(422, {"detail": told})
    return [body[name] for name in names]


def answer(texts: list[str]) -> str:
    """What the agent says to these messages of its user."""
    codes = [found for text in texts for found in re.findall(r"\b[A-Z]{2}\d{2}\b", text)]
    if "?" not in texts[-1]:
        return "Good to see you! How can I help?"
    return f"Your booking code is {codes[-1]}." if codes else "I do not know it. What is your booking code?"


def said_by_user(messages: list[Json]) -> list[str]:
    """The texts of the user's messages."""
    texts: list[str] = []
    for message in messages:
        content = message.get("content")
        if message.get("role") in {"user", None} and message.get("type", "message") in {"message", "human"}:
            text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or [])
            texts.append(text)
    return texts


@dataclass
class HttpAgents:
    """The server: what was asked, and the conversations that its agents remember."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    heard: dict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))
    more: dict[str, Callable[[Asked], Reply]] = field(default_factory=dict[str, Callable[[Asked], Reply]])
    only_more: bool = False
    ids: int = 0

    def said(self, thread: object, text: str) -> str:
        """The answer of an agent that remembers."""
        self.heard[str(thread)].append(text)
        return answer(self.heard[str(thread)])

    def new_id(self, prefix: str) -> str:
        """An id that the server gives."""
        self.ids += 1
        return f"{prefix}_{self.ids}"

    def reply(self, asked: Asked) -> Reply:
        """What the agent at that path answers."""
        self.asked.append(asked)
        try:
            if (own := self.more.get(asked.path)) is not None:
                return own(asked)
            if self.only_more:
                return Reply({"detail": "Not Found"}, 404)
            if asked.path.startswith(("/threads/", "/runs/")):
                return self.langgraph(asked)
            agent = AGENTS.get(asked.path)
            if asked.method != "POST":
                return Reply("not allowed", 405 if agent else 404, "text/plain")
            return agent(self, asked.body) if agent else Reply({"detail": "Not Found"}, 404)
        except Refused as refused:
            return refused.reply

    # The formats

    def chat(self, body: Json) -> Reply:
        (messages,) = wanted(body, "messages")
        text = answer(said_by_user(messages))
        call = {"id": "c1", "type": "function", "function": {"name": "find_booking", "arguments": "{}"}}
        if body.get("stream"):
            chunks = [{"choices": [{"index": 0, "delta": {"content": word + " "}}]} for word in text.split()]
            done = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            return Reply(events(*chunks, done, {"choices": [], "usage": USAGE}, "[DONE]"), media="text/event-stream")
        turn = [{"role": "assistant", "content": text}]
        if "code is" in text:
            turn = [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "found"},
                *turn,
            ]
        choice = {"index": 0, "message": turn[-1], "finish_reason": "stop"}
        return Reply({"model": "gpt-5-mini", "choices": [choice], "messages": turn, "usage": USAGE})

    def responses(self, body: Json) -> Reply:
        (items,) = wanted(body, "input")
        earlier = body.get("previous_response_id")
        if earlier is not None and earlier not in self.heard:
            return Reply({"error": {"message": f"no response {earlier}"}}, 404)
        texts = [*self.heard[str(earlier)], *([items] if isinstance(items, str) else said_by_user(items))]
        given = self.new_id("resp")
        self.heard[given] = texts
        message = {
            "type": "message", "id": f"msg_{given}", "role": "assistant",
            "content": [{"type": "output_text", "text": answer(texts)}],
        }  # fmt: skip
        call = {"type": "function_call", "call_id": "c9", "name": "find_booking", "arguments": "{}"}
        whole = {
            "id": given, "object": "response", "status": "completed", "model": "gpt-5-mini", "output": [call, message],
            "usage": {"input_tokens": 100, "output_tokens": 10}, "error": None, "incomplete_details": None,
        }  # fmt: skip
        if not body.get("stream"):
            return Reply(whole)
        words = answer(texts).split(" ")
        deltas = [
            {"type": "response.output_text.delta", "item_id": message["id"], "delta": word + " " * (word != words[-1])}
            for word in words
        ]
        return Reply(
            events(
                {"type": "response.created", "response": {"id": given, "status": "in_progress"}},
                {"type": "response.output_item.done", "item": call},
                *deltas,
                {"type": "response.output_item.done", "item": message},
                {"type": "response.completed", "response": whole},
                named=True,
            ),
            media="text/event-stream",
        )

    def anthropic(self, body: Json) -> Reply:
        wanted(body, "messages", "max_tokens")
        text = answer(said_by_user(body["messages"]))
        took = {"input_tokens": 90, "cache_read_input_tokens": 10, "output_tokens": 10}
        if not body.get("stream"):
            content = [{"type": "text", "text": text}]
            facts = {"id": "msg_1", "type": "message", "role": "assistant", "stop_reason": "end_turn"}
            return Reply({**facts, "model": "claude-sonnet-4-5", "content": content, "usage": took})
        started = {"model": "claude-sonnet-4-5", "usage": {**took, "output_tokens": 1}}
        tool = {"type": "tool_use", "id": "t1", "name": "find_booking", "input": {}}
        return Reply(
            events(
                {"type": "message_start", "message": started},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "ping"},
                *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
                  for piece in (text[:5], text[5:])),
                {"type": "content_block_stop", "index": 0},
                {"type": "content_block_start", "index": 1, "content_block": tool},
                *({"type": "content_block_delta", "index": 1,
                   "delta": {"type": "input_json_delta", "partial_json": piece}} for piece in ('{"co', 'de": 1}')),
                {"type": "content_block_stop", "index": 1},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}},
                {"type": "message_stop"},
                named=True,
            ),
            media="text/event-stream",
        )  # fmt: skip

    def langgraph(self, asked: Asked) -> Reply:
        found = re.fullmatch(r"/(?:threads/([^/]+)/)?runs/(wait|stream)", asked.path)
        if found is None:
            return Reply({"detail": "Not Found"}, 404)
        thread = str(UUID(found[1])) if found[1] else self.new_id("none")
        if found[1] and thread not in self.heard and asked.body.get("if_not_exists") != "create":
            return Reply({"detail": "Thread not found"}, 404)
        _, given = wanted(asked.body, "assistant_id", "input")
        self.heard[thread] += said_by_user(given["messages"])
        text = answer(self.heard[thread])
        usage = {"input_tokens": 50, "output_tokens": 5, "total_tokens": 55}
        meta = {"model_name": "gpt-5-mini"}
        turn: list[Json] = [
            {"type": "ai", "id": "a1", "content": "", "tool_calls": [{"name": "find_booking", "args": {}, "id": "c1"}],
             "usage_metadata": usage, "response_metadata": meta},
            {"type": "tool", "id": "t1", "tool_call_id": "c1", "name": "find_booking", "content": "found"},
            {"type": "ai", "id": "a2", "content": text, "tool_calls": [], "usage_metadata": usage,
             "response_metadata": meta},
        ]  # fmt: skip
        if found[2] == "wait":
            history = [{"type": "human", "content": words} for words in self.heard[thread]]
            return Reply({"messages": [*history, *turn]})
        chunks = [[{"type": "AIMessageChunk", "id": "a2", "content": piece}, {}] for piece in (text[:4], text[4:])]
        sent: list[tuple[str, object]] = [
            ("metadata", {"run_id": "r"}),
            ("updates", {"agent": {"messages": [turn[0]]}}),
            ("updates", {"tools": {"messages": [turn[1]]}}),
            *(("messages", chunk) for chunk in chunks),
            ("updates", {"agent": {"messages": [turn[2]]}}),
        ]
        return Reply([f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in sent], media="text/event-stream")

    def message(self, body: Json) -> Reply:
        (text,) = wanted(body, "message")
        return Reply({"reply": self.said(body.get("thread_id"), text)})

    def dify(self, body: Json) -> Reply:
        (text,) = wanted(body, "query")
        thread = body.get("conversation_id") or self.new_id("conv")
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_price": "0.01"}
        return Reply({"answer": self.said(thread, text), "conversation_id": thread, "metadata": {"usage": usage}})

    def nested(self, body: Json) -> Reply:
        given, session = wanted(body, "input", "session")
        for name, inner, needed in (("input", given, "question"), ("session", session, "id")):
            told = {"type": "model_attributes_type", "loc": ["body", name], "msg": "Input should be a valid dictionary"}
            if not isinstance(inner, dict):
                raise Refused(422, {"detail": [told]})
            if needed not in inner:
                raise Refused(422, {"detail": [{"type": "missing", "loc": ["body", name, needed]}]})
        text = given["question"]
        told = {"value": self.said(session["id"], text), "confidence": 0.9}
        return Reply({"code": 0, "message": "success", "payload": {"result": told}})

    def output_list(self, body: Json) -> Reply:
        (messages,) = wanted(body, "messages")
        return Reply({"output": [{"content": answer(said_by_user(messages))}]})

    def rasa(self, body: Json) -> Reply:
        sender, text = wanted(body, "sender", "message")
        told = self.said(sender, text)
        return Reply([{"recipient_id": sender, "text": "Well."}, {"recipient_id": sender, "text": told}])

    def plain_text(self, body: Json) -> Reply:
        (text,) = wanted(body, "prompt")
        return Reply(self.said(body.get("session_id"), text), media="text/plain; charset=utf-8")

    def words_as_events(self, body: Json) -> Reply:
        (text,) = wanted(body, "message")
        words = self.said(body.get("thread_id"), text).split(" ")
        pieces = [f"data: {word}{' ' * (word != words[-1])}\n\n" for word in words]
        return Reply([*pieces, "data: [DONE]\n\n"], media="text/event-stream")

    def lines(self, body: Json) -> Reply:
        (messages,) = wanted(body, "messages")
        pieces = [
            {"model": "llama3.2", "message": {"role": "assistant", "content": word + " "}, "done": False}
            for word in answer(said_by_user(messages)).split()
        ]
        last = {"model": "llama3.2", "done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 298}
        done = {**last, "message": {"role": "assistant", "content": ""}}
        return Reply([json.dumps(piece) + "\n" for piece in [*pieces, done]], media="application/x-ndjson")

    def nothing(self, body: Json) -> Reply:
        return Reply(None, 204)

    def page(self, body: Json) -> Reply:
        return Reply("<!DOCTYPE html><html><body>Sign in</body></html>", media="text/html")

    def closed(self, body: Json) -> Reply:
        return Reply({"error": "missing API key"}, 401)


AGENTS: dict[str, Callable[[HttpAgents, Json], Reply]] = {
    "/v1/chat/completions": HttpAgents.chat,
    "/v1/responses": HttpAgents.responses,
    "/v1/messages": HttpAgents.anthropic,
    "/chat": HttpAgents.message,
    "/v1/chat-messages": HttpAgents.dify,
    "/nested": HttpAgents.nested,
    "/output": HttpAgents.output_list,
    "/webhooks/rest/webhook": HttpAgents.rasa,
    "/generate": HttpAgents.plain_text,
    "/words": HttpAgents.words_as_events,
    "/api/chat": HttpAgents.lines,
    "/nothing": HttpAgents.nothing,
    "/page": HttpAgents.page,
    "/closed": HttpAgents.closed,
}


def events(*data: object, named: bool = False) -> list[str]:
    """Server-sent events with this data, named by its type if they are to have names."""
    sent: list[str] = []
    for item in data:
        name = f"event: {cast('Json', item)['type']}\n" if named else ""
        sent.append(f"{name}data: {item if isinstance(item, str) else json.dumps(item)}\n\n")
    return sent


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that go away."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def http_agents() -> Iterator[HttpAgents]:
    """The server, until the block ends."""
    agents = HttpAgents()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer("POST")

        def do_GET(self) -> None:
            self._answer("GET")

        def _answer(self, method: str) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = agents.reply(Asked(self.path, headers, json.loads(data or b"{}"), method))
            streamed = reply.media in {"text/event-stream", "application/x-ndjson"}
            text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            pieces = cast("list[str]", reply.body) if streamed else [text if reply.status != 204 else ""]
            whole = [piece.encode() for piece in pieces]
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.media)
            self.send_header("Content-Length", str(sum(map(len, whole))))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in whole:
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    agents.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield agents
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
