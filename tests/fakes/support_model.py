"""A model that speaks OpenAI's Chat Completions and Responses APIs on loopback, with and without streaming.

It plays the support of a shop: it asks for the order number, looks orders up with the tool ``find_order``, and refunds
them with ``refund_order``, which it can only do if the conversation it is sent has the number. Each answer used 50
tokens read and 10 written. A model named ``down`` answers 500.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]

READ, WRITTEN = 50, 10
TOOLS = {"find_order", "refund_order"}


def answer_to(messages: list[Json]) -> tuple[str, Json | None]:
    """What the model says, and the tool call that it makes: its name and the order number."""
    last = messages[-1]
    if last["kind"] == "result":
        return f"Here you are: {last['text']}", None
    said = " ".join(message["text"] for message in messages if message["kind"] == "user")
    number = re.search(r"\d{4}", said)
    if number is None:
        return "What is your order number?", None
    newest = next(message["text"] for message in reversed(messages) if message["kind"] == "user")
    name = "refund_order" if "refund" in newest else "find_order"
    return "", {"name": name, "number": number[0]}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or () if isinstance(part, dict))


def _chat(messages: list[Json]) -> list[Json]:
    kinds = {"tool": "result", "user": "user"}
    return [
        {"kind": kinds.get(message["role"], "other"), "text": _text(message.get("content"))} for message in messages
    ]


def _items(given: str | list[Json]) -> list[Json]:
    if isinstance(given, str):
        return [{"kind": "user", "text": given}]
    found: list[Json] = []
    for item in given:
        if item.get("type") == "function_call_output":
            found.append({"kind": "result", "text": _text(item["output"])})
        elif item.get("role") == "user":
            found.append({"kind": "user", "text": _text(item["content"])})
        else:
            found.append({"kind": "other", "text": ""})
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)  # type: ignore[attr-defined]
        if body["model"].endswith("down"):
            self._send(500, {"error": {"message": "the model is out of order", "type": "server_error"}})
        elif self.path.endswith("/responses"):
            self._responses(body)
        else:
            self._completions(body)

    def _completions(self, body: Json) -> None:
        words, call = answer_to(_chat(body["messages"]))
        number = f"call_{len(body['messages'])}"
        usage = {"prompt_tokens": READ, "completion_tokens": WRITTEN, "total_tokens": READ + WRITTEN}
        head = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": body["model"]}
        calls: list[Json] = []
        if call:
            arguments = json.dumps({"number": call["number"]})
            calls = [{"id": number, "type": "function", "function": {"name": call["name"], "arguments": arguments}}]
        finish = "tool_calls" if calls else "stop"
        if not body.get("stream"):
            message = {"role": "assistant", "content": words or None, **({"tool_calls": calls} if calls else {})}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self._send(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in re.findall(r"\S+\s*", words)]
        deltas += [{"tool_calls": [{"index": 0, **item}]} for item in calls]
        chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
        events = [{**head, "object": "chat.completion.chunk", "choices": [chunk]} for chunk in chunks]
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        self._stream([(None, event) for event in events], done=True)

    def _responses(self, body: Json) -> None:
        words, call = answer_to(_items(body["input"]))
        item: Json
        if call:
            arguments = json.dumps({"number": call["number"]})
            number = f"call_{len(body['input'])}"
            item = {"type": "function_call", "id": "fc_1", "call_id": number, "name": call["name"]}
            item |= {"arguments": arguments, "status": "completed"}
        else:
            part = {"type": "output_text", "text": words, "annotations": [], "logprobs": []}
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        response = _response(body, [item])
        if not body.get("stream"):
            self._send(200, response)
            return
        empty = {**item, **({"arguments": ""} if call else {"content": []}), "status": "in_progress"}
        events: list[Json] = [
            {"type": "response.created", "response": {**response, "output": [], "status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": empty},
        ]
        place = {"item_id": item["id"], "output_index": 0}
        if call:
            delta = {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]}
            done = {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
            events += [delta, {**done, "name": item["name"]}]
        else:
            place["content_index"] = 0
            part = item["content"][0]
            events.append({"type": "response.content_part.added", **place, "part": {**part, "text": ""}})
            for piece in re.findall(r"\S+\s*", words):
                events.append({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []})
            events.append({"type": "response.output_text.done", **place, "text": words, "logprobs": []})
            events.append({"type": "response.content_part.done", **place, "part": part})
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
        events.append({"type": "response.completed", "response": response})
        self._stream([(event["type"], {**event, "sequence_number": place}) for place, event in enumerate(events)])

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: list[tuple[str | None, Json]], *, done: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        lines = [(f"event: {name}\n" if name else "") + f"data: {json.dumps(event)}\n\n" for name, event in events]
        for line in [*lines, *(["data: [DONE]\n\n"] if done else [])]:
            data = line.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _response(body: Json, output: list[Json]) -> Json:
    usage = {
        "input_tokens": READ,
        "output_tokens": WRITTEN,
        "total_tokens": READ + WRITTEN,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": body["model"],
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


class SupportModel(ThreadingHTTPServer):
    """The server.

    Attributes:
        url: its base URL.
        requests: the bodies of the requests so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Json] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def support_model() -> Iterator[SupportModel]:
    """Serve for as long as the block lasts."""
    server = SupportModel()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
