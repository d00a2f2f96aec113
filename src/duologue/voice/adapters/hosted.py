"""What adapters of hosted realtime APIs share: addresses and keys, JSON messages, tools, and the reasons of the vendor.

A subclass says what it sends, and what it makes of each message. Its key is sent as a header and shown nowhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from abc import abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from duologue.config.access import missing_variable, variables
from duologue.config.json_text import NoJsonError, json_value
from duologue.errors import ConfigurationError, MissingKeyError
from duologue.frozen import frozen
from duologue.secret_values import remember
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.sockets import SocketVoiceAdapter, shown_socket, socket_address
from duologue.voice.adapters.tools import ToolHandler, answered
from duologue.voice.audio import SAMPLE_RATE, AudioChunk
from duologue.voice.incoming import AgentToolCall, AgentToolResult, CallEnded
from duologue.voice.port import reason_of
from duologue.voice.resample import Resampler


@frozen
class Vendor:
    """Whose API it is.

    Attributes:
        name: for people.
        url: where it answers.
        url_variable: environment variable with another address.
        key_variables: environment variables with the key; the first that is set counts.
        advice: what to do about a failure, by a part of its code or reason, in lower case.
    """

    name: str
    url: str
    url_variable: str
    key_variables: Sequence[str]
    advice: Mapping[str, str] = field(default_factory=dict[str, str])


_STATUS_CODES = {401: "invalid_api_key", 403: "invalid_api_key", 404: "not_found", 429: "rate_limit"}


class HostedVoiceAdapter(SocketVoiceAdapter):
    """A voice agent behind the realtime API of a vendor."""

    vendor: ClassVar[Vendor]

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None,
        tool_handlers: Mapping[str, ToolHandler] | None = None,
    ) -> None:
        super().__init__()
        known = variables()
        self._given_key = api_key or self._known_key()
        self._is_elsewhere = bool(base_url or known.get(self.vendor.url_variable))
        self._address = _as_socket(base_url or known.get(self.vendor.url_variable) or self.vendor.url, self.name)
        self._handlers = dict(tool_handlers or {})
        self._work: set[asyncio.Task[None]] = set()

    @property
    def where(self) -> str:
        """What it is connected to: an address without credentials."""
        return shown_socket(self._address)

    @abstractmethod
    async def handle(self, event: dict[str, Any]) -> None:
        """Make of an event what there is to :meth:`deliver`."""

    def key(self) -> str:
        """The key; '' for an address of one's own that needs none.

        Raises:
            MissingKeyError: there is none.
        """
        key = self._given_key or self._known_key()
        if not key and not self._is_elsewhere:
            variable = self.vendor.key_variables[0]
            raise MissingKeyError(f"{self.name} needs a key of {self.vendor.name}, and {missing_variable(variable)}")
        remember(key)
        return key

    def _known_key(self) -> str:
        known = variables()
        return next((known[name] for name in self.vendor.key_variables if known.get(name)), "")

    # Messages

    async def dial(self) -> None:
        """Open the connection, until sound can be sent."""
        from websockets.exceptions import ConnectionClosed, InvalidStatus

        try:
            await super().dial()
        except ConnectionClosed as error:
            raise self._closed(reason_of(error)) from error
        except VoiceConnectionError as error:
            cause = error.__cause__
            if not isinstance(cause, InvalidStatus):
                raise
            status, body = cause.response.status_code, cause.response.body or b""
            why = f"cannot connect to {self.where}: status {status}{_reason_in(body)}"
            raise self.failure(why, _STATUS_CODES.get(status, "")) from cause

    async def read(self) -> None:
        """Read to the end of the connection."""
        from websockets.exceptions import ConnectionClosed

        socket = self.socket
        try:
            async for message in socket.messages():
                await self.take(message)
        except ConnectionClosed as error:
            raise self._closed(reason_of(error)) from error
        if not socket.ended_in_order or self.end_of_session():
            raise self._closed(f"it was closed by the service {socket.close_reason}".strip())
        await self.deliver(CallEnded(reason=socket.close_reason))

    async def take(self, message: str | bytes) -> None:
        """Read a message as JSON and hand it on."""
        await self.handle(self.event_of(message))

    def event_of(self, message: str | bytes) -> dict[str, Any]:
        """A message as the JSON object that it is.

        Raises:
            VoiceConnectionError: it is something else.
        """
        try:
            event = json_value(message)
        except NoJsonError as error:
            raise self.broken(f"expected JSON ({reason_of(error)})", message) from error
        if not isinstance(event, dict):
            raise self.broken("expected a JSON object", message)
        return cast("dict[str, Any]", event)

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        await self.send(json.dumps(message, ensure_ascii=False))

    def within(self, event: Mapping[str, Any], *path: str) -> dict[str, Any]:
        """An object inside of an event; an empty one where it is missing.

        Raises:
            VoiceConnectionError: something else is there.
        """
        inner = cast("dict[str, Any]", event)
        for name in path:
            found: Any = inner.get(name) or {}
            if not isinstance(found, dict):
                raise self.broken(f"{'.'.join(path)} must be an object", json.dumps(event))
            inner = cast("dict[str, Any]", found)
        return inner

    def objects_in(self, event: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
        """A list of objects inside of an event; an empty one where it is missing."""
        found: Any = event.get(name) or []
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in cast("list[object]", found)):
            raise self.broken(f"{name} must be an array of objects", json.dumps(event))
        return cast("list[dict[str, Any]]", found)

    def text_in(self, event: Mapping[str, Any], name: str) -> str:
        """A text inside of an event; '' where it is missing."""
        found = event.get(name)
        if found is not None and not isinstance(found, str):
            raise self.broken(f"{name} must be a string", json.dumps(event))
        return found or ""

    def bytes_in(self, event: Mapping[str, Any], name: str) -> bytes:
        """Bytes in base64 inside of an event."""
        try:
            return base64.b64decode(self.text_in(event, name), validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.broken(f"{name} is not base64 ({reason_of(error)})") from error

    # Failures

    def failure(self, why: str, code: str = "") -> VoiceConnectionError:
        """What to raise for a failure that the API reports: its own reason, and what to do about it.

        Args:
            why: as it was told.
            code: a name of the failure, if there is one that ``why`` does not hold.
        """
        searched = f"{code} {why}".lower()
        advice = next((text for part, text in self.vendor.advice.items() if part in searched), "")
        return VoiceConnectionError(self.name, f"{why.rstrip('.')}{f'. {advice}' if advice else ''}")

    def end_of_session(self) -> str:
        """Why the session is at its end, as far as it was announced; '' if it was not."""
        return ""

    def _closed(self, reason: str) -> VoiceConnectionError:
        announced = self.end_of_session()
        why = f"the connection to {self.where} has broken: {reason}"
        return self.failure(f"{why}; {announced}" if announced else why)

    # Tools

    def can_answer(self, name: str) -> bool:
        """Whether there is a handler for a tool."""
        return name in self._handlers

    async def answer_of(self, call: AgentToolCall) -> tuple[Any, bool]:
        """Have a tool answered, and hand on what it has answered.

        Returns:
            The result, and whether it failed.
        """
        result, failed = await answered(self._handlers, call.name, call.arguments, self.name)
        await self.deliver(AgentToolResult(call_id=call.call_id, result=result))
        return result, failed

    def work(self, job: Coroutine[Any, Any, None]) -> None:
        """Do something beside reading, until the connection is closed."""
        task = asyncio.create_task(job, name=f"{self.name} works")
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.finish(error if isinstance(error, VoiceConnectionError) else self.failure(reason_of(error)))

    def finish(self, error: Exception) -> None:
        """Nothing more comes, for this reason."""
        self._inbox.finish(error)

    async def hang_up(self) -> None:
        """Close the connection, and stop what is under way."""
        for task in [*self._work]:
            task.cancel()
        await super().hang_up()


class SoundIn:
    """The sound of a stream, at the rate of the API, as chunks."""

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        self._resampler = Resampler(sample_rate, SAMPLE_RATE)
        self.sample_rate = sample_rate

    def chunk(self, pcm: bytes) -> AudioChunk:
        """The next piece; it may end within a sample."""
        return AudioChunk(self._resampler.process(pcm))

    def rest(self) -> AudioChunk:
        """What is left at the end of the stream."""
        return AudioChunk(self._resampler.flush())


def _as_socket(url: str, whose: str) -> str:
    """The address of a WebSocket; one of HTTP is the same place."""
    address = url.strip().rstrip("/")
    for scheme, instead in (("https://", "wss://"), ("http://", "ws://")):
        if address.lower().startswith(scheme):
            address = instead + address[len(scheme) :]
    socket_address(address, f"the address of {whose}")
    if urlsplit(address).username is not None:
        raise ConfigurationError(f"the address of {whose} must not hold a user or password; pass the key as api_key")
    return address


def _reason_in(body: bytes | bytearray) -> str:
    """What a vendor says in the body of a refusal."""
    text = bytes(body[:2000]).decode("utf-8", "replace").strip()
    try:
        found: Any = json_value(text)
    except NoJsonError:
        found = text
    for name in ("error", "detail", "message"):
        if isinstance(found, dict):
            found = cast("dict[str, Any]", found).get(name, cast("object", found))
    told = found if isinstance(found, str) else json.dumps(found) if found else ""
    return f": {told[:300]}" if told else ""
