"""The speech APIs of providers, as their references document them, on loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk-speech-1234567890abcdef"


@dataclass
class SpeechService:
    """What was asked, and how it is answered.

    Attributes:
        sound: of every voice.
        said: by everybody who is transcribed.
        failures: statuses that are answered first.
    """

    url: str = ""
    sound: bytes = b"\x01\x00" * 2400
    said: str = "my order number is four"
    asked: list[dict[str, Any]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    body: bytes | None = None

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append({"path": parts.path, "query": query, "headers": headers, "body": body})
        if self.failures:
            return self.failures.pop(0), "text/plain", f"try later, {KEY}".encode()
        route = _ROUTES.get(parts.path) or next((r for p, r in _ROUTES.items() if parts.path.startswith(p + "/")), None)
        if route is None:
            return 404, "text/plain", b"no such path"
        header, value = route[0]
        if headers.get(header) != value:
            return 401, "application/json", b'{"error": "bad key"}'
        if self.body is not None:
            return 200, "application/json", self.body
        kind, content = route[1](self, query, headers, body)
        return 200, kind, content


def form_of(headers: dict[str, str], body: bytes) -> dict[str, bytes]:
    """The fields of a form."""
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    whole = message_from_bytes(head + body, policy=HTTP)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in whole.iter_parts()
    }


Route = Callable[[SpeechService, dict[str, str], dict[str, str], bytes], tuple[str, bytes]]


def _openai_voice(service: SpeechService, query: Any, headers: Any, body: bytes) -> tuple[str, bytes]:
    asked = json.loads(body)
    assert asked["response_format"] == "pcm"
    assert asked["model"]
    assert asked["voice"]
    assert asked["input"]
    return "audio/pcm", service.sound


def _openai_text(service: SpeechService, query: Any, headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
    form = form_of(headers, body)
    assert form["file"][:4] == b"RIFF"
    assert form["model"]
    return "application/json", json.dumps({"text": service.said}).encode()


def _elevenlabs_voice(service: SpeechService, query: dict[str, str], headers: Any, body: bytes) -> tuple[str, bytes]:
    assert query["output_format"] == "pcm_24000"
    assert json.loads(body)["text"]
    return "audio/pcm", service.sound + b"\x00"  # a stream may end within a sample


def _elevenlabs_text(service: SpeechService, query: Any, headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
    form = form_of(headers, body)
    assert form["file"][:4] == b"RIFF"
    assert form["model_id"]
    return "application/json", json.dumps({"text": service.said, "language_code": "en"}).encode()


def _google_voice(service: SpeechService, query: Any, headers: Any, body: bytes) -> tuple[str, bytes]:
    from duologue.voice.audio import wav_from

    asked = json.loads(body)
    assert asked["audioConfig"] == {"audioEncoding": "LINEAR16", "sampleRateHertz": 24_000}
    assert asked["voice"]["name"].startswith(asked["voice"]["languageCode"])
    content = base64.b64encode(wav_from(service.sound)).decode()
    return "application/json", json.dumps({"audioContent": content}).encode()


def _cartesia_voice(service: SpeechService, query: Any, headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
    asked = json.loads(body)
    assert headers["cartesia-version"]
    assert asked["voice"]["mode"] == "id"
    assert asked["transcript"]
    assert asked["output_format"] == {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}
    return "application/octet-stream", service.sound


def _deepgram_voice(service: SpeechService, query: dict[str, str], headers: Any, body: bytes) -> tuple[str, bytes]:
    assert query["encoding"] == "linear16"
    assert query["sample_rate"] == "24000"
    assert json.loads(body)["text"]
    return "audio/l16", service.sound


def _deepgram_text(service: SpeechService, query: dict[str, str], headers: dict[str, str], body: bytes) -> Any:
    assert headers["content-type"] == "audio/wav"
    assert body[:4] == b"RIFF"
    assert query["model"]
    found = {"results": {"channels": [{"alternatives": [{"transcript": service.said, "confidence": 0.9}]}]}}
    return "application/json", json.dumps(found).encode()


_ROUTES: dict[str, tuple[tuple[str, str], Route]] = {
    "/audio/speech": (("authorization", f"Bearer {KEY}"), _openai_voice),
    "/audio/transcriptions": (("authorization", f"Bearer {KEY}"), _openai_text),
    "/v1/text-to-speech": (("xi-api-key", KEY), _elevenlabs_voice),
    "/v1/speech-to-text": (("xi-api-key", KEY), _elevenlabs_text),
    "/v1/text:synthesize": (("x-goog-api-key", KEY), _google_voice),
    "/tts/bytes": (("authorization", f"Bearer {KEY}"), _cartesia_voice),
    "/v1/speak": (("authorization", f"Token {KEY}"), _deepgram_voice),
    "/v1/listen": (("authorization", f"Token {KEY}"), _deepgram_text),
}


@contextmanager
def speech_service() -> Iterator[SpeechService]:
    """A server that speaks all of them."""
    service = SpeechService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, kind, content = service.answer(self.path, headers, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            if status == 429:
                self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
