"""One telephone call over Twilio: the server that Twilio calls back, and the media stream of the call."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from duologue.frozen import changed, frozen
from duologue.http import written_url
from duologue.secret_values import hidden
from duologue.voice.adapters.framing import SoundFromWire, SoundToWire
from duologue.voice.adapters.live_line import SilenceGate
from duologue.voice.adapters.media_stream import (
    MULAW_RATE,
    NoMediaStreamMessageError,
    clear,
    event_in,
    media,
    part_of,
    sound_in,
    text_of,
)
from duologue.voice.adapters.socket_server import SocketServer, WebhookRequest, WebhookResponse
from duologue.voice.adapters.sockets import Socket
from duologue.voice.adapters.twilio_api import NumberSettings, TwilioApi
from duologue.voice.adapters.twiml import hold_twiml, is_signed, reject_twiml, stream_twiml
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentKeys, CallEnded, Incoming
from duologue.voice.port import VoiceConnectionError

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

logger = logging.getLogger("duologue.voice")

VOICE_PATH, STATUS_PATH, STREAM_PATH = "/twilio/voice", "/twilio/status", "/twilio/stream"
_START_TIMEOUT = 10.0
"""Seconds that a WebSocket has to say which call it is of."""
_MOST_STARTING = 8
"""WebSockets that may be about to say which call they are of. Twilio opens one for a call."""
_MOST_ANSWERED = 10_000
"""Calls that are remembered, so that a request that somebody sends again is not answered again."""
_REPLACE_TIMEOUT = 30.0
"""Seconds that Twilio may take to press keys, and go on."""
_HOLD_SECONDS = 600
_PLACING = "being placed"
"""In place of the SID of a call that is not known yet."""
_UNANSWERED = {"busy": "busy", "failed": "failed", "no-answer": "not answered", "canceled": "cancelled"}
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")

Deliver = Callable[[Incoming], Awaitable[None]]


def is_phone_number(text: str) -> bool:
    """Whether it is a number in the form of E.164, such as ``+14155550100``."""
    return _NUMBER.fullmatch(text) is not None


@frozen
class LineSettings:
    """Whose line it is.

    Attributes:
        name: of the adapter, for errors.
        token: auth token of the account.
        number: of the account.
        public_url: where Twilio reaches the server; "" where each request tells.
        host, port: where the server listens.
        allowed: callers; None for all.
        checks_signatures: whether requests must be signed.
    """

    name: str
    token: str
    number: str
    public_url: str
    host: str
    port: int
    allowed: Collection[str] | None
    checks_signatures: bool

    def __repr__(self) -> str:
        return f"LineSettings({self.number!r})"


@frozen
class _Stream:
    """The media stream of the call, which a new one may replace."""

    sid: str
    call: str
    socket: Socket
    done: asyncio.Event


class TwilioLine:
    """Listens for Twilio, and holds one call at a time.

    A stream is believed to be that of the call if it brings the secret that this side has put into the TwiML.
    """

    def __init__(self, settings: LineSettings, api: TwilioApi) -> None:
        self._settings, self._api = settings, api
        self._server = SocketServer(
            settings.host,
            settings.port,
            socket_path=STREAM_PATH,
            on_request=self._on_request,
            on_socket=self._on_socket,
        )
        self._previous: NumberSettings | None = None
        self._secret = ""
        self._secret_of = ""  # the call that it was given to, where that is known
        self._offered_at = float("-inf")
        self._answered: dict[str, None] = {}
        self._starting = 0
        self._early: deque[dict[str, str]] = deque(maxlen=_MOST_STARTING)  # statuses while a call is being placed
        self._answers = False
        self._placed = ""
        self.call_sid = ""
        self._stream: _Stream | None = None
        self._arrived: asyncio.Future[_Stream] | None = None
        self._pressing = False
        self._replaced = asyncio.Event()
        self._gate = SilenceGate()
        self._there, self._back = SoundToWire("mulaw", MULAW_RATE), SoundFromWire("mulaw", MULAW_RATE)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._server.port

    @property
    def has_call(self) -> bool:
        """Whether sound can flow."""
        return self._stream is not None

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen."""
        try:
            await self._server.open()
        except OSError as error:
            raise VoiceConnectionError(
                self._settings.name,
                f"cannot listen on {self._settings.host}:{self._settings.port}: {error.strerror or error}; "
                "http_port chooses another port",
            ) from error

    async def close(self) -> None:
        """Hang up, set the number as it was, and listen no more."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.done.set()
        self._answers = False
        await asyncio.gather(self._hang_up(), self._restore(), self._server.close())

    async def wait(self, timeout: float) -> None:
        """Wait until somebody calls the number.

        Raises:
            VoiceConnectionError: nobody did, or Twilio refuses.
        """
        self._expect()
        self._answers = True  # before the webhook is set: somebody may call at once
        try:
            await self._set_webhook()
            await self._arrival(timeout, f"nobody called {self._settings.number}")
        finally:
            self._answers, self._arrived = False, None

    async def _set_webhook(self) -> None:
        if self._settings.public_url and self._previous is None:
            previous = await self._api.number(self._settings.number)
            webhook = changed(
                previous, voice_url=self._settings.public_url + VOICE_PATH, voice_method="POST", application=""
            )
            self._previous = previous
            await self._api.set_number(webhook, f"set the webhook of {self._settings.number}")

    async def place(self, to: str, timeout: float, *, attach: bool) -> None:
        """Call a number.

        Args:
            to: the number.
            timeout: seconds until the call must be answered.
            attach: sound goes through this line. Otherwise the call is only held, so that keys can be pressed.

        Raises:
            VoiceConnectionError: it was not answered, or Twilio refuses.
        """
        form = [
            ("To", to),
            ("From", self._settings.number),
            ("Twiml", self._connect_twiml() if attach else hold_twiml(_HOLD_SECONDS)),
            ("StatusCallback", self._settings.public_url + STATUS_PATH),
            ("StatusCallbackEvent", "completed"),
        ]
        self._expect()
        self._early.clear()
        self._placed = _PLACING
        try:
            self._placed = self.call_sid = self._secret_of = await self._api.call(form)
            while self._early:
                self._on_status(self._early.popleft())
            if attach:
                await self._arrival(timeout, f"{to} did not answer")
        except BaseException:
            await self._hang_up()
            raise
        finally:
            self._arrived = None

    # --- the call ----------------------------------------------------------------------------------------------------

    async def read(self, deliver: Deliver, on_key: Callable[[str], Awaitable[None]]) -> None:
        """Hand on what comes, to the end of the call."""
        from websockets.exceptions import ConnectionClosed

        ended = ""
        while (stream := self._stream) is not None:
            try:
                ended = await self._read(stream, deliver, on_key)
            except ConnectionClosed:
                if not self._pressing:
                    raise
            finally:
                self._stream = None
                stream.done.set()
            if self._pressing:
                # Twilio has ended this stream, and begins another one after the keys.
                try:
                    await self._arrival(
                        _REPLACE_TIMEOUT, "Twilio did not connect the call again after keys were pressed"
                    )
                except VoiceConnectionError as error:
                    ended = str(error)
                self._replaced.set()
        await deliver(CallEnded(reason=ended))

    async def say(self, chunk: AudioChunk) -> None:
        """Send sound; while keys are pressed nobody hears it."""
        await self._send_frames(self._there.frames(chunk.data))

    async def end_turn(self) -> None:
        """Send the rest of the last frame."""
        await self._send_frames(self._there.flush())

    async def clear(self) -> None:
        """Sound that Twilio still holds is not to be heard."""
        if (stream := self._stream) is not None:
            await stream.socket.send(clear(stream.sid))

    async def press(self, keys: str) -> None:
        """Press keys: Twilio plays them, and then connects the stream anew.

        Raises:
            VoiceConnectionError: there is no call, or Twilio refuses.
        """
        if not self.call_sid:
            raise VoiceConnectionError(self._settings.name, "there is no call to press keys in")
        stream = self._stream
        twiml = hold_twiml(_HOLD_SECONDS, keys=keys) if stream is None else self._connect_twiml(keys, self.call_sid)
        if stream is None:
            await self._api.update_call(self.call_sid, [("Twiml", twiml)], "press keys")
            return
        self._expect()
        self._replaced.clear()
        self._pressing = True
        try:
            await self._api.update_call(self.call_sid, [("Twiml", twiml)], "press keys")
            await self._replaced.wait()
        finally:
            self._pressing = False
        if self._stream is None:
            raise VoiceConnectionError(self._settings.name, "the call ended while keys were pressed")

    # --- inside ------------------------------------------------------------------------------------------------------

    def _connect_twiml(self, keys: str = "", call: str = "") -> str:
        self._secret, self._secret_of = token_urlsafe(24), call
        return stream_twiml(self._stream_url(self._settings.public_url), {"token": self._secret}, keys=keys)

    @staticmethod
    def _stream_url(public_url: str) -> str:
        return public_url.replace("http", "ws", 1) + STREAM_PATH

    async def _read(self, stream: _Stream, deliver: Deliver, on_key: Callable[[str], Awaitable[None]]) -> str:
        async for message in stream.socket.messages():
            try:
                event = event_in(message)
                match event.get("event"):
                    case "media":
                        if part_of(event, "media").get("track", "inbound") == "inbound" and (
                            pcm := self._gate.passed(self._back.pcm(sound_in(event)))
                        ):
                            await deliver(AudioChunk(pcm))
                    case "dtmf":
                        key = text_of(part_of(event, "dtmf"), "digit", "dtmf")
                        await deliver(AgentKeys(keys=key))
                        await on_key(key)
                    case "stop":
                        return "the other side has hung up"
                    case _:
                        continue  # marks, and what is newer than this
            except NoMediaStreamMessageError as error:
                raise stream.socket.broken(str(error), message) from error
        return stream.socket.close_reason

    def _expect(self) -> None:
        """A stream is expected from now on; :meth:`_arrival` waits for it."""
        self._arrived = asyncio.get_running_loop().create_future()
        self._arrived.add_done_callback(_seen)

    async def _arrival(self, timeout: float, otherwise: str) -> None:
        assert self._arrived is not None
        try:
            async with asyncio.timeout(timeout):
                self._stream = await self._arrived
        except TimeoutError as error:
            raise VoiceConnectionError(self._settings.name, f"{otherwise} within {timeout:g} s") from error
        finally:
            self._arrived = None
        self.call_sid = self._stream.call

    async def _send_frames(self, frames: list[bytes]) -> None:
        for frame in frames:
            if (stream := self._stream) is not None and not stream.done.is_set():
                try:
                    await stream.socket.send(media(stream.sid, frame))
                except VoiceConnectionError:
                    if not self._pressing:
                        raise

    async def _hang_up(self) -> None:
        call, self._placed = self._placed, ""
        if call and call != _PLACING:
            with suppress(VoiceConnectionError):  # it is over already
                await self._api.update_call(call, [("Status", "completed")], "hang up")

    async def _restore(self) -> None:
        previous, self._previous = self._previous, None
        if previous is None:
            return
        try:
            await self._api.set_number(previous, f"set the webhook of {self._settings.number} as it was")
        except VoiceConnectionError as error:
            logger.warning("%s; it was %s", error, written_url(previous.voice_url))

    async def _on_request(self, request: WebhookRequest) -> WebhookResponse:
        if request.path not in {VOICE_PATH, STATUS_PATH} or request.method not in {"GET", "POST"}:
            return WebhookResponse(status=404, body="Not found\n")
        public = self._settings.public_url or _public_url_in(request)
        if self._settings.checks_signatures and not is_signed(
            self._settings.token, public + request.target, request.form, request.headers
        ):
            logger.warning(
                "%s: a request to %s was refused, since it is not signed with the auth token for %s. If it came from "
                "Twilio, public_base_url is not the address that Twilio uses, or the token is another account's",
                self._settings.name,
                request.path,
                written_url(public + request.path),
            )
            return WebhookResponse(status=403, body="Not signed by the account\n")
        form = {**dict(parse_qsl(request.target.partition("?")[2])), **dict(request.form)}
        if request.path == STATUS_PATH:
            self._on_status(form)
            return WebhookResponse()
        return WebhookResponse(body=self._answer(form, public), media_type="text/xml")

    def _answer(self, form: dict[str, str], public: str) -> str:
        if not self._answers or self._arrived is None or self._arrived.done():
            return reject_twiml("busy")
        allowed, caller = self._settings.allowed, form.get("From", "")
        if allowed is not None and caller not in allowed:
            logger.warning(
                "%s: a call from %s was rejected: allowed_callers has others", self._settings.name, caller[:40]
            )
            return reject_twiml("rejected")
        call, now = form.get("CallSid", ""), asyncio.get_running_loop().time()
        if call in self._answered:
            logger.warning("%s: a request for the call %s came again and was rejected", self._settings.name, call[:40])
            return reject_twiml("rejected")
        if now - self._offered_at < _START_TIMEOUT:  # another caller has been answered, whose sound is on its way
            return reject_twiml("busy")
        if call:
            self._answered[call] = None
            while len(self._answered) > _MOST_ANSWERED:
                del self._answered[next(iter(self._answered))]
        self._secret, self._secret_of, self._offered_at = token_urlsafe(24), call, now
        return stream_twiml(self._stream_url(public), {"token": self._secret})

    def _on_status(self, form: dict[str, str]) -> None:
        if self._placed == _PLACING:
            self._early.append(form)  # it may be of this call, whose SID is not known yet, or of any other
        if self._placed != form.get("CallSid") or self._arrived is None or self._arrived.done():
            return
        if (status := form.get("CallStatus", "")) in {*_UNANSWERED, "completed"}:
            why = _UNANSWERED.get(status, "ended before sound could flow")
            code = f" ({hidden(form['SipResponseCode'])})" if form.get("SipResponseCode") else ""
            error = VoiceConnectionError(
                self._settings.name, f"the call to {form.get('To', 'the number')} was {why}{code}"
            )
            self._arrived.set_exception(error)

    async def _on_socket(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        if self._starting >= _MOST_STARTING:
            await connection.close(1013, "too many streams")
            return
        socket = Socket(connection, self._settings.name, "Twilio")
        self._starting += 1
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                start = await _start_of(socket)
            parameters = part_of(start, "customParameters")
            sid, call = text_of(start, "streamSid", "start"), text_of(start, "callSid", "start")
        except (NoMediaStreamMessageError, TimeoutError, ConnectionClosed):
            await connection.close(1008, "no media stream")
            return
        finally:
            self._starting -= 1
        arrived, secret = self._arrived, self._secret
        is_of_call = call == self._secret_of or not self._secret_of
        if arrived is None or arrived.done() or not secret or parameters.get("token") != secret or not is_of_call:
            await connection.close(1008, "not expected")
            return
        self._secret, self._offered_at = "", float("-inf")
        stream = _Stream(sid=sid, call=call, socket=socket, done=asyncio.Event())
        arrived.set_result(stream)
        await stream.done.wait()


async def _start_of(socket: Socket) -> dict[str, Any]:
    while True:
        event = event_in(await socket.next_message())
        if event.get("event") == "start":
            return part_of(event, "start")
        if event.get("event") != "connected":
            raise NoMediaStreamMessageError("expected 'start'")


def _public_url_in(request: WebhookRequest) -> str:
    """The address that a request was sent to, as the proxy before this server reports it.

    A request that lies about it gains nothing: it would have to be signed for that address.
    """
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", "http").partition(",")[0].strip()
    host = headers.get("x-forwarded-host", headers.get("host", "")).partition(",")[0].strip()
    return f"{scheme}://{host}"


def _seen(arrival: asyncio.Future[_Stream]) -> None:
    """An error that nobody waits for any more is no news."""
    if not arrival.cancelled():
        arrival.exception()
