"""A shop's agent and a language model on loopback, for services that are used through their pages.

The agent promises 30 days; where the user says "angry" it loses its temper, and where they say "broken" it answers 500.
With :attr:`ShopPeers.gate` cleared it answers nobody. The model plays users, and judges by words: a criterion is met if
the conversation has its numbers.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
HOSTILE = '<img src=x onerror="document.title=1"><svg onload=alert(1)><script>alert(2)</script>\u202e'
"""What an agent could say to harm who reads it."""
_LINE = "I bought these shoes 45 days ago. Can I have my money back?"


@dataclass
class ShopPeers:
    """Both of them.

    Attributes:
        url: of the agent.
        model: base URL of the model.
        gate: the agent answers while it is set.
        asked: what was sent to the agent.
    """

    url: str
    model: str
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[Json] = field(default_factory=list)


@contextmanager
def shop_peers() -> Generator[ShopPeers]:
    """Both, as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body: Json = json.loads(self.rfile.read(int(self.headers["content-length"])))
            try:
                told = _completion(body) if self.path.endswith("/chat/completions") else self._agent(body)
                self._answer(200, told)
            except RuntimeError as error:
                self._answer(500, {"error": str(error)})

        def _agent(self, body: Json) -> Json:
            peers.asked.append(body)
            peers.gate.wait()
            said = next(item["content"] for item in reversed(body["messages"]) if item["role"] == "user")
            if "broken" in said:
                raise RuntimeError("the agent is broken")
            if "hostile" in said:
                return {"message": {"role": "assistant", "content": HOSTILE}}
            words = "Go away." if "angry" in said else "Of course. You have 30 days to return it."
            return {"message": {"role": "assistant", "content": words}}

        def _answer(self, status: int, told: Json) -> None:
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        here = f"http://127.0.0.1:{server.server_port}"
        peers = ShopPeers(url=f"{here}/chat", model=f"{here}/v1")
        peers.gate.set()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield peers
        finally:
            peers.gate.set()
            server.shutdown()
            thread.join()


def _completion(body: Json) -> Json:
    schema = (body.get("response_format") or {}).get("json_schema") or {}
    fields = schema.get("schema", {}).get("properties", {})
    text = json.dumps(_judged(body) if "criteria" in fields else _said(fields)) if schema else _LINE
    usage = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "shop", "choices": [choice], "usage": usage}


def _said(fields: Json) -> Json:
    """A line of the user in the form that is asked for."""
    blank = {"string": "", "boolean": False, "array": [], "integer": 0, "number": 0}
    made = {name: field.get("enum", [blank.get(str(field.get("type")))])[0] for name, field in fields.items()}
    return {**made, "message": _LINE}


def _judged(body: Json) -> Json:
    asked = body["messages"][-1]["content"]
    transcript = re.search(r"<transcript>(.*)</transcript>", asked, re.DOTALL)
    said = (transcript[1] if transcript else "").lower()
    ids = re.findall(r"\bm\d+\b", said)
    criteria = re.findall(r"^(c\d+): (.*)$", asked, re.MULTILINE)
    entries: list[Json] = []
    for name, text in criteria:
        words = [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word.isdecimal()]
        met = all(word in said for word in words)
        reason = "The number was said." if met else "The number was not said."
        entries.append({"id": name, "reason": reason, "evidence": ids[-1:], "decision": "true" if met else "false"})
    verdict = "pass" if all(entry["decision"] == "true" for entry in entries) else "fail"
    return {"action": "decide", "criteria": entries, "reasoning": "By its numbers.", "verdict": verdict}
