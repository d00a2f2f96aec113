"""A Hugging Face hub on loopback: the part of its HTTP interface that fetching one file needs.

``GET /api/models/{repository}/revision/{revision}?blobs=true`` lists files; ``HEAD`` and ``GET`` on
``/{repository}/resolve/{revision}/{file}`` describe and send them, ranges included.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """What the hub holds, and what it was asked.

    Attributes:
        files: bytes by ``owner/repository`` and file name.
        said_sha256: digests that the hub claims where they are not those of the bytes, by file name.
        requests: method and path of every request.
        headers: of every request.
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    said_sha256: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def sha256(self, repository: str, name: str) -> str:
        """The digest that the hub says."""
        return self.said_sha256.get(name) or hashlib.sha256(self.files[repository][name]).hexdigest()

    def describe(self, repository: str) -> dict[str, Any]:
        """What the interface says about a repository."""
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "blobId": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
                "lfs": {"sha256": self.sha256(repository, name), "size": len(data), "pointerSize": 134},
            }
            for name, data in self.files[repository].items()
        ]
        return {"_id": "1", "id": repository, "sha": COMMIT, "tags": [], "downloads": 0, "siblings": siblings}


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub on a free port, until the end of the block."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        self._note()
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            if match[1] in self.hub.files:
                return self._send(200, json.dumps(self.hub.describe(match[1])).encode(), {})
            return self._missing("RepoNotFound")
        return self._file(body=True)

    def do_HEAD(self) -> None:
        self._note()
        self._file(body=False)

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def _note(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        self.hub.headers.append(dict(self.headers))

    def _file(self, *, body: bool) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path.partition("?")[0])
        if not match or match[1] not in self.hub.files:
            return self._missing("RepoNotFound")
        if match[3] not in self.hub.files[match[1]]:
            return self._missing("EntryNotFound")
        data = self.hub.files[match[1]][match[3]]
        digest = self.hub.sha256(match[1], match[3])
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{digest}"',
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            "Accept-Ranges": "bytes",
        }
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return self._send(206, data[first : last + 1], headers, body=body)
        return self._send(200, data, headers, body=body)

    def _missing(self, code: str) -> None:
        self._send(404, b"{}", {"X-Error-Code": code, "X-Error-Message": "not found"})

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(data)
