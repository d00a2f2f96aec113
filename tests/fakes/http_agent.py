"""An agent behind a URL on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def http_agent(answer: Callable[[str], str]) -> Generator[str]:
    """An agent that answers what the user said last; its URL. Whatever the function raises is an HTTP 400."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = next(item["content"] for item in reversed(body["messages"]) if item["role"] == "user")
            try:
                status, told = 200, {"message": {"role": "assistant", "content": answer(said)}}
            except Exception as error:  # noqa: BLE001 - as a web framework does
                status, told = 400, {"error": str(error)}
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/chat"
        finally:
            server.shutdown()
            thread.join()
