"""Agents on the telephone, over Twilio: this side calls them, or is called by them, with a number of its own.

Source: Twilio, *Media Streams*. Twilio calls a small server of this process back; its webhook answers with TwiML that
connects the call to a WebSocket of the same server.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

from duologue.config.access import missing_variable, variables
from duologue.errors import ConfigurationError
from duologue.http import parse_url
from duologue.secret_values import remember
from duologue.vocabulary import AgentRole
from duologue.voice.adapters.twilio_api import API, TwilioApi
from duologue.voice.adapters.twilio_line import LineSettings, TwilioLine, is_phone_number
from duologue.voice.adapters.wire import WireVoiceAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.duplex.threads import on_voice_loop
from duologue.voice.incoming import Incoming
from duologue.voice.port import AdapterCapabilities, VoiceConnectionError
from duologue.voice.tones import require_keys

logger = logging.getLogger("duologue.voice")
T = TypeVar("T")

SID, TOKEN, NUMBER = "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER"
CALL_TIMEOUT = 120.0
"""Seconds until a call must be there."""
OnDtmf = Callable[[str], Awaitable[None] | None]


class TwilioAgentAdapter(WireVoiceAdapter):
    """An agent on the telephone.

    Either each run makes its call (``call_to``, or ``answer=True`` to be called), or the call is made before:

        async with TwilioAgentAdapter(…) as phone:
            await phone.place_call("+14155550100")  # or: await phone.wait_for_call()
            result = await duologue.arun(…, agents=[phone, …])

    One object holds one call at a time. Twilio has to reach its server, so ``public_base_url`` leads to ``http_port``
    of this machine, as through a tunnel; :class:`duologue.voice.testing.TwilioHarness` makes one.

    Args:
        account_sid, auth_token: of the account; None for the environment variables ``TWILIO_ACCOUNT_SID`` and
            ``TWILIO_AUTH_TOKEN``. The token is not shown anywhere.
        phone_number: of the account, such as ``+14155550100``; None for ``TWILIO_PHONE_NUMBER``.
        public_base_url: where Twilio reaches this server, such as ``https://voice.example.com``. With it, the number's
            webhook is set while a call is waited for, and set back afterwards. None if the number's webhook leads to
            ``/twilio/voice`` of this server already; then calls cannot be placed.
        allowed_callers: numbers whose calls are answered; None for all.
        on_dtmf: told each key that the other side presses.
        http_port, http_host: where the server listens.
        role: whom the other side plays.
        validate_signature: refuse requests that the account has not signed.
        call_to: number that each run calls.
        answer: each run waits until it is called.
        api_url: of Twilio's API.

    Raises:
        ConfigurationError: an argument is missing or cannot be used.
    """

    capabilities = AdapterCapabilities(
        dtmf=True, interruption=True, input_formats=("mulaw/8000",), output_formats=("mulaw/8000",)
    )
    connect_timeout = CALL_TIMEOUT + 15.0

    def __init__(
        self,
        *,
        account_sid: str | None = None,
        auth_token: str | None = None,
        phone_number: str | None = None,
        public_base_url: str | None = None,
        allowed_callers: Iterable[str] | None = None,
        on_dtmf: OnDtmf | None = None,
        http_port: int = 8765,
        http_host: str = "127.0.0.1",
        role: AgentRole = AgentRole.AGENT,
        validate_signature: bool = True,
        call_to: str | None = None,
        answer: bool = False,
        api_url: str = API,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        account, token = _given(who, "account_sid", account_sid, SID), _given(who, "auth_token", auth_token, TOKEN)
        remember(token, placed=True)
        self.phone_number = _number(who, "phone_number", _given(who, "phone_number", phone_number, NUMBER))
        if public_base_url:
            parse_url(public_base_url, f"{who}: public_base_url")
        parse_url(api_url, f"{who}: api_url")
        if call_to is not None:
            _number(who, "call_to", call_to)
            self._require_public_url(public_base_url)
        if call_to is not None and answer:
            raise ConfigurationError(f"{who}: call_to and answer exclude each other: a run calls, or is called")
        allowed = (
            None if allowed_callers is None else [_number(who, "allowed_callers", each) for each in allowed_callers]
        )
        self.role = role  # pyright: ignore[reportAttributeAccessIssue] - one class for both sides of a call
        self.call_to, self.answer, self._on_dtmf = call_to, answer, on_dtmf
        self._api = TwilioApi(account, token, who, api_url)
        self._settings = LineSettings(
            name=who,
            token=token,
            number=self.phone_number,
            public_url=(public_base_url or "").rstrip("/"),
            host=http_host,
            port=http_port,
            allowed=allowed,
            checks_signatures=validate_signature,
        )
        self._line: TwilioLine | None = None
        self._home: asyncio.AbstractEventLoop | None = None

    @property
    def where(self) -> str:
        """The number, and the other one where it is known."""
        return (
            f"Twilio ({self.phone_number} calling {self.call_to})" if self.call_to else f"Twilio ({self.phone_number})"
        )

    def describe(self) -> dict[str, Any]:
        """The numbers."""
        return {"phone_number": self.phone_number, **({"call_to": self.call_to} if self.call_to else {})}

    @property
    def http_port(self) -> int:
        """The port that the server listens on, once it does."""
        return self._settings.port if self._line is None else self._line.port

    @property
    def call_sid(self) -> str:
        """Of the call; "" where there is none yet."""
        return "" if self._line is None else self._line.call_sid

    # --- before a run ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen for Twilio, without a call yet.

        Raises:
            VoiceConnectionError: the port is taken.
        """
        await (self._at_home(self._listen()) if self._line is not None else on_voice_loop(self._listen()))

    async def place_call(self, to: str, *, timeout: float = CALL_TIMEOUT, attach_stream_to_self: bool = True) -> None:
        """Call a number, and wait until it answers.

        Args:
            to: the number.
            timeout: seconds until it must have answered.
            attach_stream_to_self: the sound of the call goes through this adapter. Otherwise the call is only held, so
                that keys can be pressed in it, and its sound goes wherever the number called takes it.

        Raises:
            VoiceConnectionError: it did not answer, or Twilio refuses.
            ConfigurationError: the number is none, or there is no ``public_base_url``.
        """
        _number(type(self).__name__, "to", to)
        self._require_public_url(self._settings.public_url)
        await self.start()
        await self._at_home(self._place(to, timeout, attach_stream_to_self))

    async def wait_for_call(self, *, timeout: float = CALL_TIMEOUT) -> None:
        """Wait until the number is called.

        Raises:
            VoiceConnectionError: nobody called, or Twilio refuses.
        """
        await self.start()
        await self._at_home(self._wait(timeout))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    # --- the adapter -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Make the call, unless it was made before. Without ``call_to`` and ``answer``, only listen for Twilio.

        Raises:
            VoiceConnectionError: there is no call, or Twilio refuses.
        """
        if self._line is None and self.call_to is None and not self.answer:
            await self.start()
        elif self._reader is None:
            await self._at_home(super().connect())

    async def disconnect(self) -> None:
        """Hang up, and listen no more."""
        if self._line is not None:
            await self._at_home(self._leave())

    async def dial(self) -> None:
        """Make the call."""
        await self._listen()
        assert self._line is not None
        if self._line.has_call:
            return
        if self.call_to is not None:
            self.waiting_for = f"{self.call_to} to answer"
            await self._line.place(self.call_to, CALL_TIMEOUT, attach=True)
        elif self.answer:
            self.waiting_for = f"a call to {self.phone_number}"
            await self._line.wait(CALL_TIMEOUT)
        else:
            raise self.not_connected()
        self.waiting_for = ""

    async def read(self) -> None:
        """Hand on what comes."""
        assert self._line is not None
        await self._line.read(self.deliver, self._pressed)

    async def hang_up(self) -> None:
        """Hang up, and listen no more."""
        line, self._line, self._home = self._line, None, None
        if line is not None:
            await line.close()

    async def receive(self, timeout: float) -> Incoming:
        """The next thing that comes from the agent."""
        return await self._at_home(super().receive(timeout))

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        if not self.is_connected:
            raise self.not_connected()
        await self._at_home(self._connected_line().say(chunk))

    async def end_user_turn(self) -> None:
        """Send the rest of the last frame."""
        await self._at_home(self._connected_line().end_turn())

    async def interrupt(self) -> None:
        """Forget what was not heard of either side. The agent stops because of what the user says."""
        self.forget_sound()
        await self._at_home(self._connected_line().clear())

    async def send_dtmf(self, keys: str) -> None:
        """Press keys: Twilio plays them into the call, in place of the user's sound for as long as that takes."""
        require_keys(keys)
        await self._at_home(self._connected_line().press(keys))

    def not_connected(self) -> VoiceConnectionError:
        """What to raise where there is no call."""
        return VoiceConnectionError(
            self.name,
            "there is no call. Pass call_to or answer=True, or await place_call(number) or wait_for_call() "
            "before the run",
        )

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._line is None:
            line = TwilioLine(self._settings, self._api)
            await line.open()
            self._line, self._home = line, asyncio.get_running_loop()

    async def _place(self, to: str, timeout: float, attach: bool) -> None:
        line = self._connected_line()
        self._refuse_second_call(line)
        await line.place(to, timeout, attach=attach)
        if attach:
            await super().connect()

    async def _wait(self, timeout: float) -> None:
        line = self._connected_line()
        self._refuse_second_call(line)
        await line.wait(timeout)
        await super().connect()

    async def _leave(self) -> None:
        await super().disconnect()
        await self._hang_up()

    def _refuse_second_call(self, line: TwilioLine) -> None:
        if self._reader is not None or line.has_call:
            raise VoiceConnectionError(self.name, "it has a call already: disconnect first")

    def _connected_line(self) -> TwilioLine:
        if self._line is None:
            raise self.not_connected()
        return self._line

    async def _pressed(self, key: str) -> None:
        if self._on_dtmf is None:
            return
        try:
            if inspect.isawaitable(waiting := self._on_dtmf(key)):
                await waiting
        except Exception:
            logger.exception("%s: on_dtmf failed for the key %r", self.name, key)

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this on the event loop that the server is on: that of voice where the call was made before the run."""
        home = self._home
        if home is None or home is asyncio.get_running_loop():
            return await work
        if home.is_closed():
            work.close()
            raise VoiceConnectionError(self.name, "the event loop that its call was made on is closed")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, home))

    def _require_public_url(self, url: str | None) -> None:
        if not url:
            raise ConfigurationError(
                f"{type(self).__name__}: placing a call needs public_base_url, where Twilio reaches http_port of this "
                "machine, such as the address of a tunnel"
            )


def _given(who: str, argument: str, value: str | None, variable: str) -> str:
    if found := value or variables().get(variable, ""):
        return found
    raise ConfigurationError(f"{who}: {missing_variable(variable)}; set it, or pass {argument}")


def _number(who: str, argument: str, value: str) -> str:
    if not is_phone_number(value):
        raise ConfigurationError(
            f"{who}: {argument} is {value!r}; expected a number with its country, such as +14155550100 (E.164)"
        )
    return value
