"""The assistant behind a URL: the OpenAI chat-completions contract, plus the state for tests to look at.

Standard library only. One thread per connection and one lock around the restaurant: rules answer in microseconds.
"""

# ruff: noqa: TID252 - relative imports, so that this folder runs wherever it is copied to

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

from .dialogue import GREETING, Dialogue
from .store import Store
from .tools import Json, Toolbox

T = TypeVar("T")

MODEL = "olive-tree-rules"
MAX_BODY = 1024 * 1024
MAX_CONVERSATIONS = 2_000
"""Conversations (and, when isolated, books) that are remembered; the longest unused one is forgotten first."""
IDLE_SECONDS = 30.0


class BadRequest(Exception):
    """The request breaks the contract; the text says how."""


class Restaurant:
    """All conversations and the book, or the books, that they write to."""

    def __init__(self, today: date, *, isolated: bool = False) -> None:
        self.today = today
        self.isolated = isolated
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all conversations and go back to the book as it was at the start."""
        with self._lock:
            self._stores: OrderedDict[str, Store] = OrderedDict()
            self._dialogues: OrderedDict[str, Dialogue] = OrderedDict()

    def answer(self, messages: list[Json], thread_id: str) -> list[Json]:
        """The messages of this turn."""
        said = new_user_texts(messages)
        if not said:
            return [{"role": "assistant", "content": GREETING}]
        with self._lock:
            if not thread_id and len([message for message in messages if message["role"] == "user"]) == 1:
                self._dialogues.pop("", None)
            return self._dialogue(thread_id).reply("\n".join(said))

    def state(self, thread_id: str = "") -> Json:
        """The book as plain data: that conversation's own when isolated."""
        with self._lock:
            store = self._store(thread_id)
            return {"today": self.today.isoformat(), "bookings": [booking.as_json() for booking in store.bookings]}

    def _dialogue(self, thread_id: str) -> Dialogue:
        return _remember(self._dialogues, thread_id, lambda: Dialogue(Toolbox(self._store(thread_id)), self.today))

    def _store(self, thread_id: str) -> Store:
        return _remember(self._stores, thread_id if self.isolated else "", lambda: Store(self.today))


def _remember(kept: OrderedDict[str, T], key: str, make: Callable[[], T]) -> T:
    value = kept.pop(key, None) or make()
    kept[key] = value
    while len(kept) > MAX_CONVERSATIONS:
        kept.popitem(last=False)
    return value


def new_user_texts(messages: list[Json]) -> list[str]:
    """What the guest has said since the assistant's last message."""
    texts: list[str] = []
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        if message["role"] == "user":
            texts.insert(0, _text(message.get("content")))
    return texts


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    return "\n".join(str(cast("Json", part).get("text", "")) for part in parts if isinstance(part, dict))


def completion(messages: list[Json]) -> Json:
    """A chat completion. ``messages`` holds the whole turn, because the assistant has called its tools itself."""
    choice = {"index": 0, "message": messages[-1], "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [choice], "messages": messages}


def chunks(messages: list[Json]) -> Iterator[Json]:
    """The same as a stream: first the tools' messages whole, then the answer word by word."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": MODEL}
    if len(messages) > 1:
        yield {**base, "choices": [], "messages": messages[:-1]}
    words = str(messages[-1]["content"]).split(" ")
    for index, word in enumerate(words):
        delta = {"content": word if index == 0 else f" {word}"}
        yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    """Routes: POST /v1/chat/completions, GET /state, POST /reset, GET /health."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    restaurant: Restaurant

    def do_GET(self) -> None:
        """GET /state and GET /health."""
        url = urlsplit(self.path)
        if url.path == "/state":
            thread_id = parse_qs(url.query).get("thread_id", [""])[0]
            self._send(200, self.restaurant.state(thread_id))
        elif url.path == "/health":
            self._send(200, {"status": "ok"})
        else:
            self._send_error(404, f"there is nothing at {url.path}")

    def do_POST(self) -> None:
        """POST /v1/chat/completions and POST /reset."""
        try:
            body = self._body()
            if self.path == "/v1/chat/completions":
                self._complete(body)
            elif self.path == "/reset":
                self.restaurant.reset()
                self._send(200, {"status": "ok"})
            else:
                self._send_error(404, f"there is nothing at {self.path}")
        except BadRequest as problem:
            self._send_error(400, str(problem))

    def _complete(self, body: Json) -> None:
        thread_id = str(body.get("user") or self.headers.get("X-Thread-Id") or "")
        messages = self.restaurant.answer(_messages_in(body), thread_id)
        if not body.get("stream"):
            self._send(200, completion(messages))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in chunks(messages):
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _body(self) -> Json:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            raise BadRequest(f"Content-Length must be a number up to {MAX_BODY}, found {length!r}")
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
        except ValueError as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise BadRequest("the body must be a JSON object")
        return cast("Json", body)

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_error(self, status: int, message: str) -> None:
        self._send(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: who tests the agent wants its own output."""


def _messages_in(body: Json) -> list[Json]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("'messages' must be a list of chat messages")
    for message in cast("list[Any]", messages):
        if not isinstance(message, dict) or not isinstance(cast("Json", message).get("role"), str):
            raise BadRequest("each message must be an object with a 'role'")
    return cast("list[Json]", messages)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    """Connections that may wait to be accepted: rehearsals begin all at once."""


class RestaurantServer:
    """The server on a thread of its own: ``with RestaurantServer(today) as server: … server.url``."""

    def __init__(self, today: date, *, host: str = "127.0.0.1", port: int = 0, isolated: bool = False) -> None:
        self.restaurant = Restaurant(today, isolated=isolated)
        handler = type("BoundHandler", (Handler,), {"restaurant": self.restaurant})
        self._server = _HttpServer((host, port), handler)
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, name="restaurant", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve on this thread until it is interrupted."""
        self._server.serve_forever(poll_interval=0.05)


def main() -> None:
    """The command line. Prints one JSON line with the URL, then serves until it is interrupted."""
    parser = argparse.ArgumentParser(description="A restaurant's booking assistant behind a URL.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free port")
    parser.add_argument("--today", type=date.fromisoformat, default=_machines_today(), help="such as 2026-06-10")
    parser.add_argument("--isolated", action="store_true", help="give each conversation a book of its own")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    server = RestaurantServer(options.today, host=options.host, port=options.port, isolated=options.isolated)
    print(json.dumps({"url": server.url, "today": options.today.isoformat()}), flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


def _stop(*_: object) -> None:
    sys.exit(0)


def _machines_today() -> date:
    return date.today()  # noqa: DTZ011, TID251 - a program of its own: the date on the wall is the date it means
