"""A server on loopback that answers as no server should, in the way that the first part of the path names.

It runs in threads, so that it goes on while the event loop of a test is blocked. ``sent`` counts the bytes that it was
let send, by the second part of the path.
"""

from __future__ import annotations

import gzip
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from time import sleep

_CHUNK = b"a" * 65536
_BYTES_UNPACKED = 1024**3


class MisbehavingServer(socketserver.ThreadingTCPServer):
    """The server; see the module."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, pause: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pause = pause
        self.sent: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Base URL; ``/MODE/WHO/…`` below it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what this server is for."""


@contextmanager
def misbehaving_server(pause: float = 0.02) -> Iterator[MisbehavingServer]:
    """The server until the end of the block; ``pause``: seconds between the bytes of a slow answer."""
    server = MisbehavingServer(pause)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(socketserver.StreamRequestHandler):
    server: MisbehavingServer
    timeout = 60
    who = ""

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            line = self.rfile.readline(65536).decode("latin-1")
            length = 0
            while (header := self.rfile.readline(65536).decode("latin-1").strip()) != "":
                name, _, value = header.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            self.rfile.read(length)
            _, mode, self.who, *_ = line.split(" ")[1].partition("?")[0].split("/")
            MODES[mode](self)

    def send(self, data: bytes) -> None:
        self.request.sendall(data)
        with self.server.lock:
            self.server.sent[self.who] += len(data)

    def head(self, *lines: str, status: str = "200 OK", kind: str = "application/json") -> None:
        told = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Connection: close", *lines]
        self.send(("\r\n".join(told) + "\r\n\r\n").encode("latin-1"))

    def forever(self, data: bytes, *, slowly: bool = False) -> None:
        while not self.server.closing.is_set():
            self.send(data)
            if slowly:
                sleep(self.server.pause)

    def reset(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()


@cache
def _bomb(layers: int) -> bytes:
    """A gigabyte of nothing."""
    data = gzip.compress(bytes(16 * 1024**2), 9) * (_BYTES_UNPACKED // (16 * 1024**2))
    for _ in range(layers - 1):
        data = gzip.compress(data, 9)
    return data


def _endless(server: _Handler) -> None:
    server.head()
    server.send(b'{"a": "')
    server.forever(_CHUNK)


def _endless_event(server: _Handler) -> None:
    server.head(kind="text/event-stream")
    server.send(b"data: ")
    server.forever(_CHUNK)


def _endless_events(server: _Handler) -> None:
    server.head(kind="text/event-stream")
    server.forever(b"data: {}\n\n: comment\n\n" * 3000)


def _bomb_once(server: _Handler) -> None:
    server.head("Content-Encoding: gzip")
    server.send(_bomb(1))


def _bomb_twice(server: _Handler) -> None:
    server.head("Content-Encoding: gzip, gzip")
    server.send(_bomb(2))


def _bomb_in_two_headers(server: _Handler) -> None:
    server.head("Content-Encoding: gzip", "Content-Encoding: gzip")
    server.send(_bomb(2))


def _bomb_of_events(server: _Handler) -> None:
    server.head("Content-Encoding: gzip", kind="text/event-stream")
    server.send(_bomb(1))


def _other_coding(server: _Handler) -> None:
    server.head("Content-Encoding: br")
    server.send(b"\x8b\x02\x80{}\x03")


def _not_gzip(server: _Handler) -> None:
    server.head("Content-Encoding: gzip")
    server.send(b'{"a": 1}')


def _half_gzip(server: _Handler) -> None:
    server.head("Content-Encoding: gzip")
    server.send(gzip.compress(b'{"a": 1}' * 1000)[:-9])


def _slow_head(server: _Handler) -> None:
    server.send(b"HTTP/1.1 200 OK\r\n")
    server.forever(b"X: y\r\n", slowly=True)


def _slow_body(server: _Handler) -> None:
    server.head()
    server.forever(b" ", slowly=True)


def _slow_events(server: _Handler) -> None:
    server.head(kind="text/event-stream")
    server.forever(b": still thinking\n\n", slowly=True)


def _silent(server: _Handler) -> None:
    server.server.closing.wait(60)


def _redirect(server: _Handler) -> None:
    server.head("Location: http://127.0.0.1:9/elsewhere?token=abc", "Content-Length: 0", status="302 Found")


def _reset_at_once(server: _Handler) -> None:
    server.reset()


def _reset_in_the_body(server: _Handler) -> None:
    server.head("Content-Length: 1000")
    server.send(b'{"a": ')
    server.reset()


def _cut(server: _Handler) -> None:
    server.head("Content-Length: 1000")
    server.send(b'{"a": ')


def _not_utf8(server: _Handler) -> None:
    server.head()
    server.send(b'{"a": "\xff\xfe\xc3", "\xed\xa0\xbd": 1}')


def _deep(server: _Handler) -> None:
    server.head()
    server.send(b"[" * 100_000 + b"]" * 100_000)


def _deep_objects(server: _Handler) -> None:
    server.head()
    server.send(b'{"choices":' * 900 + b"1" + b"}" * 900)


def _wide(server: _Handler) -> None:
    server.head()
    server.send(b'{"choices": [' + b"{}," * 3_000_000 + b"{}]}")


def _endless_headers(server: _Handler) -> None:
    server.send(b"HTTP/1.1 200 OK\r\n")
    server.forever(b"X-Flood: yes\r\n" * 1000)


def _endless_header(server: _Handler) -> None:
    server.send(b"HTTP/1.1 200 OK\r\nX-Flood: ")
    server.forever(_CHUNK)


def _many_headers(server: _Handler) -> None:
    server.head(*[f"X-{number}: y" for number in range(3000)])
    server.send(b"{}")


def _interim(server: _Handler) -> None:
    server.forever(b"HTTP/1.1 100 Continue\r\n\r\n", slowly=True)


def _not_http(server: _Handler) -> None:
    server.send(b"SSH-2.0-OpenSSH_9.9\r\n")


def _empty(server: _Handler) -> None:
    server.head("Content-Length: 0")


def _null(server: _Handler) -> None:
    server.head()
    server.send(b"null")


MODES: dict[str, Callable[[_Handler], None]] = {
    name.removeprefix("_"): made
    for name, made in list(globals().items())
    if name.startswith("_") and getattr(made, "__annotations__", {}).get("server") == "_Handler"
}
"""What the server does, by name."""
