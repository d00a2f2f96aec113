"""Peers on a lower layer than messages: TLS, handshakes, frames. And what they are told that nobody else may read."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import ipaddress
import logging
import ssl
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from waiting import LONG

from duologue.voice.adapter import VoiceAgentAdapter, VoiceConnectionError
from duologue.voice.adapters.elevenlabs_agent import ElevenLabsAgentAdapter
from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter
from duologue.voice.adapters.livekit import LiveKitAgentAdapter
from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter
from duologue.voice.adapters.pipecat import PipecatAgentAdapter
from duologue.voice.adapters.retell import RetellAgentAdapter
from duologue.voice.adapters.socket_server import SocketServer, WebhookRequest, WebhookResponse
from duologue.voice.adapters.twilio import TwilioAgentAdapter
from duologue.voice.adapters.vapi import VapiAgentAdapter
from duologue.voice.adapters.webrtc import WebRTCAgentAdapter
from duologue.voice.adapters.websocket import WebSocketAgentAdapter

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SECRET = "sk-5ecr3tKey0123456789abcdef"


@asynccontextmanager
async def peer(handle: Handle, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """A TCP server; its port. What its handlers do ends with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await handle(reader, writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(guarded(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def holds(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads, and says nothing."""
    while await reader.read(65_536):
        pass


def says(data: bytes, *, each: int = 65_536, endless: bytes = b"", asked: bool = True) -> Handle:
    """Answers with these bytes, so many at a time, and goes on with others for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asked:
            await reader.readuntil(b"\r\n\r\n")
        for at in range(0, len(data), each):
            writer.write(data[at : at + each])
            await writer.drain()
            await asyncio.sleep(0.02 if each == 1 else 0)
        while endless:
            writer.write(endless)
            await writer.drain()
        await holds(reader, writer)

    return handle


def opens(data: bytes, *, each: int = 65_536, endless: bytes = b"") -> Handle:
    """Opens a WebSocket, and goes on as ``says``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        [key] = [line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")]
        accept = base64.b64encode(hashlib.sha1(key.strip() + KEY_SUFFIX).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await says(data, each=each, endless=endless, asked=False)(reader, writer)

    return handle


# --- TLS ------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, *, name: str = "127.0.0.1", days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS with a certificate of its own, and the file of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = datetime.datetime.now(datetime.UTC)
    is_address = name[0].isdigit()
    san = x509.IPAddress(ipaddress.ip_address(name)) if is_address else x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([san]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    (folder / "peer.pem").write_bytes(private + public)
    (folder / "ca.pem").write_bytes(public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "peer.pem")
    return context, folder / "ca.pem"


TLS: dict[str, tuple[dict[str, object], bool, str]] = {
    "signed by itself": ({}, False, "cannot connect to wss://.*certificate verify failed: self.signed"),
    "of another host": ({"name": "elsewhere.test"}, True, "cannot connect to wss://.*certificate is not valid for"),
    "expired": ({"days": -1}, True, "cannot connect to wss://.*certificate has expired"),
}


@pytest.mark.parametrize("name", TLS)
async def test_a_certificate_that_is_not_right_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, trusted, told = TLS[name]
    context, authority = certificate(tmp_path, **made)  # pyright: ignore[reportArgumentType]
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with peer(holds, context) as port:
        await refused(WebSocketAgentAdapter(f"wss://127.0.0.1:{port}/x"), told)


NO_TLS: dict[str, tuple[Handle, float, str]] = {
    "plain text": (
        says(b"HTTP/1.1 200 OK\r\n\r\n", asked=False),
        LONG,
        "cannot connect to wss://.*WRONG_VERSION_NUMBER",
    ),
    "never": (holds, 0.5, "no connection to wss://.* within 0.5 s .*waiting for the WebSocket to open"),
    "byte by byte": (says(b"\x16\x03\x03\x40\x00" + bytes(9000), each=1, asked=False), 0.5, "no connection to wss://"),
}


@pytest.mark.parametrize("name", NO_TLS)
async def test_no_tls_where_it_should_be_is_an_error(name: str) -> None:
    handle, seconds, told = NO_TLS[name]
    async with peer(handle) as port:
        await refused(WebSocketAgentAdapter(f"wss://127.0.0.1:{port}/x"), told, connect_timeout=seconds)


async def refused(adapter: VoiceAgentAdapter, told: str, *, connect_timeout: float = LONG) -> VoiceConnectionError:
    adapter.connect_timeout = connect_timeout
    async with asyncio.timeout(LONG):
        with pytest.raises(VoiceConnectionError, match=f"{adapter.name}: .*{told}") as caught:
            await adapter.connect()
    return caught.value


# --- handshakes and frames that have no end --------------------------------------------------------------------------

ENDLESS = {
    "line": says(b"HTTP/1.1 101 Switching\r\nX: ", endless=b"y" * 65_536),
    "headers": says(b"HTTP/1.1 101 Switching\r\n", endless=b"X: y\r\n" * 6000),
    "body": says(b"HTTP/1.1 401 No\r\n\r\n", endless=b"y" * 65_536),
    "chunks": says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", endless=(b"400\r\n" + b"y" * 1024 + b"\r\n")
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_answer_to_the_handshake_without_end_is_given_up_at_once(name: str) -> None:
    async with peer(ENDLESS[name]) as port:
        await refused(WebSocketAgentAdapter(f"ws://127.0.0.1:{port}/x"), "it does not open a WebSocket")


async def test_an_answer_byte_by_byte_is_given_up_in_time() -> None:
    async with peer(says(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 5000, each=1)) as port:
        adapter = WebSocketAgentAdapter(f"ws://127.0.0.1:{port}/x")
        await refused(
            adapter, "no connection to .* within 0.5 s .*waiting for the WebSocket to open", connect_timeout=0.5
        )


FRAMES = {
    "pings": (opens(b"", endless=b"\x89\x01x" * 5000), "more than 200 pings a second"),
    "pongs": (opens(b"", endless=b"\x8a\x00" * 5000), "more than 200 pings a second"),
    "fragments": (opens(b"\x01\x01x", endless=b"\x00\x01x" * 5000), "too many fragments"),
    "empty fragments": (opens(b"\x01\x00", endless=b"\x00\x00" * 5000), "too many fragments"),
    "compressed without being asked": (opens(b"\xc1\x05hello"), "reserved bits must be 0"),
    "2**63 bytes": (opens(b"\x81\x7f\x7f" + b"\xff" * 7 + b"x" * 100), "exceeds limit of"),
    "a close, and the line stays": (opens(b"\x88\x06\x03\xf3oh\x07!"), r"1011 .*oh\\u\{7\}!"),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_frames_without_measure_end_the_connection_and_hold_nobody_up(name: str) -> None:
    handle, told = FRAMES[name]
    async with peer(handle) as port:
        adapter = WebSocketAgentAdapter(f"ws://127.0.0.1:{port}/x")
        async with asyncio.timeout(LONG):
            await adapter.connect()
            with pytest.raises(VoiceConnectionError, match=told):
                await adapter.receive(LONG)
            await adapter.disconnect()


async def test_a_message_byte_by_byte_is_waited_for() -> None:
    async with peer(opens(b"\x82\x7e\x40\x00" + bytes(9000), each=1)) as port:
        adapter = WebSocketAgentAdapter(f"ws://127.0.0.1:{port}/x")
        await adapter.connect()
        with pytest.raises(TimeoutError):
            await adapter.receive(0.2)
        async with asyncio.timeout(LONG):
            await adapter.disconnect()


async def test_a_platform_that_floods_the_server_with_pings_is_cut_off() -> None:
    async def answer(request: WebhookRequest) -> WebhookResponse:
        return WebhookResponse()

    async def talk(connection: object) -> None:
        async for _ in connection:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
            pass

    server = SocketServer("127.0.0.1", 0, socket_path="/media", on_request=answer, on_socket=talk)
    await server.open()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"GET /media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(LONG):
            writer.write(b"\x89\x80\0\0\0\0" * 5000)
            came = await reader.read()
        assert b"\x03\xf0more than 200 pings a second" in came
        writer.transport.abort()
    finally:
        await server.close()


# --- secrets --------------------------------------------------------------------------------------------------------


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Refuses, and quotes all that it was sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 400 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
    await writer.drain()
    await holds(reader, writer)


SECRETS: dict[str, Callable[[int], VoiceAgentAdapter]] = {
    "websocket": lambda port: WebSocketAgentAdapter(
        f"ws://127.0.0.1:{port}/x?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"}
    ),
    "websocket, in the URL": lambda port: WebSocketAgentAdapter(f"ws://127.0.0.1:{port}/x?api_key={SECRET}"),
    "pipecat": lambda port: PipecatAgentAdapter(f"ws://127.0.0.1:{port}/ws?token={SECRET}"),
    "pipecat, webrtc": lambda port: PipecatAgentAdapter(
        signaling_url=f"http://127.0.0.1:{port}/api/offer?token={SECRET}", transport="webrtc"
    ),
    "webrtc": lambda port: WebRTCAgentAdapter(f"http://127.0.0.1:{port}/offer?key={SECRET}", token=SECRET),
    "webrtc, in the URL": lambda port: WebRTCAgentAdapter(f"http://127.0.0.1:{port}/offer?access_token={SECRET}"),
    "twilio": lambda port: TwilioAgentAdapter(
        account_sid="AC" + "0" * 32,
        auth_token=SECRET,
        phone_number="+14155550100",
        public_base_url="https://example.test",
        call_to="+14155550101",
        api_url=f"http://127.0.0.1:{port}",
        http_port=0,
    ),
    "openai_realtime": lambda port: OpenAIRealtimeAgentAdapter(
        "gpt-realtime", api_key=SECRET, base_url=f"ws://127.0.0.1:{port}/v1/realtime"
    ),
    "gemini_live": lambda port: GeminiLiveAgentAdapter(
        "gemini-live", api_key=SECRET, base_url=f"ws://127.0.0.1:{port}"
    ),
    "elevenlabs": lambda port: ElevenLabsAgentAdapter("agent", api_key=SECRET, base_url=f"http://127.0.0.1:{port}"),
    "vapi": lambda port: VapiAgentAdapter("assistant", api_key=SECRET, base_url=f"http://127.0.0.1:{port}"),
    "retell": lambda port: RetellAgentAdapter("agent", api_key=SECRET, url=f"http://127.0.0.1:{port}"),
    "livekit": lambda port: LiveKitAgentAdapter(
        f"ws://127.0.0.1:{port}", api_key="APIkey12345", api_secret=SECRET, room="r"
    ),
}


@pytest.mark.parametrize("name", SECRETS)
async def test_a_peer_that_quotes_what_it_was_sent_puts_no_secret_into_errors_and_logs(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("duologue.secret_values._known", {})
    caplog.set_level(logging.DEBUG)
    async with peer(echoes) as port:
        adapter = SECRETS[name](port)
        error = await refused(adapter, "400")
    told = [*traceback.format_exception(error), repr(error), repr(adapter), str(adapter.describe())]
    logged = [caplog.text, *(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)]
    assert any("400" in text for text in told)
    for text in (*told, *logged):
        assert SECRET not in text
        assert "Bearer eyJ" not in text
    assert len(str(error)) < 2000


@pytest.mark.parametrize("name", ["websocket", "openai_realtime", "webrtc", "twilio", "vapi", "retell"])
async def test_a_proxy_that_quotes_what_it_was_sent_puts_its_password_into_no_error_and_no_log(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("duologue.secret_values._known", {})
    caplog.set_level(logging.DEBUG)
    async with peer(echoes) as port:
        for variable in ("http_proxy", "ws_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://somebody:Pr0xy%2FWord99@127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        error = await refused(SECRETS[name](9), "400")
    basic = base64.b64encode(b"somebody:Pr0xy/Word99").decode()
    for text in (*traceback.format_exception(error), caplog.text):
        assert "0xy%2FWord" not in text
        assert "0xy/Word" not in text
        assert basic not in text
        assert basic[12:-4] not in text
