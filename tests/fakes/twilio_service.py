"""Twilio on loopback, as its documentation describes it: calls and numbers over REST, signed webhooks, media streams.

Signatures come from the vendor's own package. Public addresses lead to this machine, as through a tunnel.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree as ET

from loopback import Answer, Asked, LoopbackServer, loopback_server
from twilio.request_validator import RequestValidator
from waiting import until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "twilio-token-93c1f2aa"
NUMBER, OTHER = "+14155550100", "+14155550199"
PUBLIC = "https://voice.example.test"
OLD_WEBHOOK = "https://old.example.test/answer?key=secretive"


@dataclass
class Phone:
    """The other end of a call. ``on_event`` is told what this side sends; without it, sound is sent back.

    Attributes:
        frames: sound that came.
        events: names of all that came.
        keys: that were pressed in the call.
    """

    twilio: TwilioService
    call: str
    connection: ClientConnection
    stream: str
    on_event: Callable[[Phone, dict[str, Any]], Awaitable[None]] | None = None
    frames: list[bytes] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sequence: int = 1
    chunk: int = 0
    reading: asyncio.Task[None] | None = None

    async def send(self, event: str, part: dict[str, Any]) -> None:
        """Send an event as Twilio does."""
        self.sequence += 1
        whole = {"event": event, "sequenceNumber": str(self.sequence), event: part, "streamSid": self.stream}
        await self.connection.send(json.dumps(whole))

    async def say(self, sound: bytes) -> None:
        """Send µ-law, in frames of 20 ms."""
        for at in range(0, len(sound), 160):
            self.chunk += 1
            payload = b64encode(sound[at : at + 160]).decode()
            timestamp = str((self.chunk - 1) * 20)
            part = {"track": "inbound", "chunk": str(self.chunk), "timestamp": timestamp, "payload": payload}
            await self.send("media", part)

    async def press(self, key: str) -> None:
        """Press a key."""
        await self.send("dtmf", {"track": "inbound_track", "digit": key})

    async def hang_up(self) -> None:
        """End the stream, as Twilio does when the call is over or goes on with other TwiML."""
        with suppress(ConnectionClosed):
            await self.send("stop", {"accountSid": ACCOUNT, "callSid": self.call})
        await self.connection.close()

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [event for event in self.events if event["event"] == name]

    async def read(self) -> None:
        """Take what comes."""
        with suppress(ConnectionClosed):
            async for message in self.connection:
                event = json.loads(message)
                assert event["streamSid"] == self.stream
                self.events.append(event)
                if event["event"] == "media":
                    self.frames.append(b64decode(event["media"]["payload"]))
                if self.on_event is not None:
                    await self.on_event(self, event)
                elif event["event"] == "media":
                    await self.say(self.frames[-1])


@dataclass
class TwilioService:
    """Twilio. ``port`` is where the adapter listens.

    Attributes:
        answers: whether calls that are placed are answered; otherwise the status that they end with.
        broken: answered by the API in place of what it answers.
        voice_url: of the number now.
        keys: that Twilio was told to press.
        phones: of the streams so far.
    """

    loop: asyncio.AbstractEventLoop
    api: LoopbackServer | None = None
    port: int = 0
    public: str = PUBLIC
    answers: str = "in-progress"
    broken: Answer | None = None
    settings: dict[str, str] = field(
        default_factory=lambda: {"voice_url": OLD_WEBHOOK, "voice_method": "GET", "voice_application_sid": "AP1"}
    )
    keys: list[str] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    on_event: Callable[[Phone, dict[str, Any]], Awaitable[None]] | None = None
    statuses: list[str] = field(default_factory=list)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Of the API."""
        assert self.api is not None
        return self.api.url

    @property
    def phone(self) -> Phone:
        """The newest stream."""
        return self.phones[-1]

    def __call__(self, asked: Asked) -> Answer:
        given = asked.headers.get("authorization", "")
        if given != "Basic " + b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode():
            return Answer(status=401, body={"code": 20003, "message": f"Authenticate {given}"})
        if self.broken is not None:
            return self.broken
        base = f"/2010-04-01/Accounts/{ACCOUNT}"
        form = {name: values[0] for name, values in parse_qs(asked.raw.decode(), keep_blank_values=True).items()}
        match asked.method, asked.path.removeprefix(base):
            case "GET", "/IncomingPhoneNumbers.json":
                listed = [{"sid": "PN1", **self.settings}] if asked.query.get("PhoneNumber") == [NUMBER] else []
                return Answer(body={"incoming_phone_numbers": listed})
            case "POST", "/IncomingPhoneNumbers/PN1.json":
                self.settings = {
                    "voice_url": form["VoiceUrl"],
                    "voice_method": form["VoiceMethod"],
                    "voice_application_sid": form["VoiceApplicationSid"],
                }
                return Answer(body={"sid": "PN1", **self.settings})
            case "POST", "/Calls.json":
                assert form["From"] == NUMBER
                self._soon(self._carry_out(form["Twiml"], "CA1", form))
                return Answer(status=201, body={"sid": "CA1", "status": "queued"})
            case "POST", "/Calls/CA1.json":
                if "Status" in form:
                    self.statuses.append(form["Status"])
                else:
                    self._soon(self._go_on(form["Twiml"]))
                return Answer(body={"sid": "CA1"})
            case _:
                return Answer(status=404, body={"code": 20404, "message": "not found"})

    def _soon(self, work: Any) -> None:
        def begin() -> None:
            task = self.loop.create_task(work)
            self.tasks.add(task)

        self.loop.call_soon_threadsafe(begin)

    async def _go_on(self, twiml: str) -> None:
        if self.phones:
            await self.phone.hang_up()
        await self._carry_out(twiml, "CA1")

    async def _carry_out(self, twiml: str, call: str, form: dict[str, str] | None = None) -> None:
        await until(lambda: self.port)
        if form is not None and self.answers != "in-progress":
            status = {"CallSid": call, "CallStatus": self.answers, "To": form["To"], "SipResponseCode": "486"}
            assert await self.webhook("/twilio/status", status) == (200, "")
            return
        for verb in ET.fromstring(twiml):
            if verb.tag == "Play":
                self.keys.append(verb.attrib["digits"])
            if verb.tag == "Connect":
                [stream] = verb
                parameters = {each.attrib["name"]: each.attrib["value"] for each in stream}
                await self.stream(stream.attrib["url"], call, parameters)

    async def stream(self, url: str, call: str, parameters: dict[str, str]) -> Phone:
        """Open a media stream, as Twilio does when it comes to it."""
        parts = urlsplit(url)
        assert parts.scheme in {"ws", "wss"}
        connection = await connect(f"ws://127.0.0.1:{self.port}{parts.path}", compression=None)
        sid = f"MZ{len(self.phones):032x}"
        phone = Phone(self, call, connection, sid, self.on_event)
        start = {
            "accountSid": ACCOUNT,
            "streamSid": sid,
            "callSid": call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        }
        await connection.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        whole = {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": sid}
        await connection.send(json.dumps(whole))
        phone.reading = asyncio.create_task(phone.read())
        self.phones.append(phone)
        return phone

    async def webhook(
        self,
        path: str,
        form: dict[str, str],
        *,
        token: str = TOKEN,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Send a signed webhook; returns status and body."""
        target = path if method == "POST" else f"{path}?{urlencode(form)}"
        signed = form if method == "POST" else {}
        signature = RequestValidator(token).compute_signature(self.public + target, signed)
        given = {"Host": urlsplit(self.public).netloc, "X-Twilio-Signature": signature, **(headers or {})}
        body = urlencode(form).encode() if method == "POST" else b""
        if body:
            given |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        status, text = await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return status, text

    async def raw(self, request: bytes) -> tuple[int, str]:
        """Send bytes to the adapter's server; returns status and body of what it answers, 0 for nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with suppress(ConnectionError):
                writer.write(request)
                await writer.drain()
            answer = b""
            with suppress(ConnectionError):
                answer = await reader.read()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body.decode()

    async def call_in(self, caller: str = OTHER, **more: Any) -> str:
        """Somebody calls the number: the webhook, and what it says is carried out. Returns the TwiML."""
        form = {"CallSid": "CA1", "From": caller, "To": NUMBER, "Direction": "inbound", "AccountSid": ACCOUNT}
        status, twiml = await self.webhook("/twilio/voice", form, **more)
        assert status == 200, (status, twiml)
        await self._carry_out(twiml, "CA1")
        return twiml

    def forms(self, path: str) -> list[list[tuple[str, str]]]:
        """What the API was sent to a path."""
        assert self.api is not None
        return [
            parse_qsl(asked.raw.decode(), keep_blank_values=True)
            for asked in self.api.asked
            if asked.path.endswith(path)
        ]


@asynccontextmanager
async def twilio_service() -> AsyncGenerator[TwilioService]:
    """The service, for as long as the block lasts."""
    service = TwilioService(asyncio.get_running_loop())
    with loopback_server(service) as api:
        service.api = api
        yield service
    for phone in service.phones:
        await phone.connection.close()
        if phone.reading is not None:
            await phone.reading
    for task in service.tasks:
        with suppress(ConnectionClosed, OSError):
            await task


async def listening(adapter: Any, service: TwilioService) -> None:
    """Wait until the adapter listens, and tell the service where."""
    await until(lambda: adapter.http_port)
    service.port = adapter.http_port
