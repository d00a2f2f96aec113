"""A person speaks with an agent from the playground: sound and words over a WebSocket, one for each call.

Binary messages are sound both ways: PCM16, mono, 24 kHz. Text messages are JSON objects with a ``type``. From the page:
``hang_up``, ``interrupt``, ``keys``, and ``here`` as a sign of life while the microphone is off. To the page: what
:class:`CallNews` says, and at the end ``over`` with an ``error`` or a ``reason``. Nothing is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import APIRouter, HTTPException, Query, WebSocket
from pydantic_core import to_json
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect, WebSocketState

from duologue.config.access import using
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.placed_json import refused
from duologue.config.redaction import redacted
from duologue.context import SystemClock, random_uuid
from duologue.errors import DuologueError, MissingExtraError, RunError
from duologue.runs.connectors import invoke_connector
from duologue.runs.talk import spoken_through, voice_of_agent
from duologue.runs.tokens import TokenScope
from duologue.server.auth import Caller, Runner, caller_of_socket
from duologue.server.preconditions import answer
from duologue.server.trust import require_trust

if TYPE_CHECKING:
    from duologue.voice.adapter import VoiceAgentAdapter
    from duologue.voice.live_call import CallNews, LiveCall

logger = logging.getLogger("duologue.server")
routes = APIRouter(prefix="/api/pages/voice", include_in_schema=False)

MOST_CALLS = 16
"""Calls at once, of all who use the service."""
MOST_OF_PROJECT = 12
"""Of these, those of one project, so that another one can still call."""
LONGEST_CALL = 15 * 60.0
"""Seconds of a call."""
MOST_MESSAGE = 64 * 1024
"""Bytes of a message of a page: more than a second of sound."""
_AHEAD = 60.0
"""Seconds of sound that a page may send at once, as after a pause of the network; then as many as go by."""
_BYTES_A_SECOND = 48_000
_LEAST = 0.005
"""Seconds that a message of sound counts at least."""
_ORDERS = 100
"""Other messages that it may send at once; then :data:`_ORDERS_A_SECOND`."""
_ORDERS_A_SECOND = 10.0
_UNHEARD = 30.0
"""Seconds without any message after which a page is not there any more."""
_SLOWEST = 30.0
"""Seconds that a page may take to receive something."""
_ENDS_WITHIN = 40.0
"""Seconds that a call may take to come to its end, in which the last words are recognised."""
_LOOK_AGAIN = 1.0
_MOST_FRAMES = 250
"""Frames of sound that wait for a page: 5 seconds. What is older is dropped."""
_MOST_NEWS = 2000
"""Other messages that wait for it. A page that takes none of so many is not there any more."""

_Id = Annotated[str | None, Query(max_length=200)]


class _CallRefused(RunError):
    """The call ends, and this is why."""


@routes.get("")
async def get_voice(caller: Runner, connector: _Id = None, agent: _Id = None) -> Response:
    """Whether an agent can be spoken with by this caller, so that a page knows before it asks for the microphone.

    What a browser is told of a WebSocket that was refused does not say why.
    """
    require_voice()
    async with _agent(caller, connector, agent, prepared=False):
        return answer({"available": True}, etag=False)


@routes.websocket("")
async def speak(socket: WebSocket) -> None:
    """One call. It ends with whichever side hangs up first."""
    query = socket.query_params
    caller = await caller_of_socket(socket, TokenScope.RUN)
    require_voice()
    state = caller.state
    if state.calls >= MOST_CALLS:
        raise HTTPException(429, f"{MOST_CALLS} people speak with agents now, and no more can; try again later")
    project = caller.project.id
    if state.calls_of[project] >= MOST_OF_PROJECT:
        raise HTTPException(429, f"{MOST_OF_PROJECT} people speak with agents of this project now; try again later")
    state.calls += 1
    state.calls_of[project] += 1
    try:
        await socket.accept()
        await _Talk(socket, caller).hold(query.get("connector"), query.get("agent"))
    finally:
        state.calls -= 1
        state.calls_of[project] -= 1
        if not state.calls_of[project]:
            del state.calls_of[project]


def require_voice() -> None:
    """Raises MissingExtraError: a package that calls need is not installed."""
    for package in ("numpy", "websockets"):
        if find_spec(package) is None:
            raise MissingExtraError("speaking with agents", "voice", package)


@asynccontextmanager
async def _agent(
    caller: Caller, connector_id: str | None, agent_id: str | None, *, prepared: bool = True
) -> AsyncGenerator[VoiceAgentAdapter | None]:
    """The adapter for a call; None if it is not to be prepared.

    Raises:
        NotFoundError: there is no such agent in the project.
        SuiteError: none is named, or two are.
        ForbiddenError: it is code or a program, and the caller may bring none.
    """
    if (connector_id is None) == (agent_id is None):
        raise refused("agent", "expected either an agent or a connector")
    state, project = caller.state, caller.project
    if connector_id is not None:
        caller.own(await state.definitions.get_connector(connector_id), "Connector", connector_id)
        found = await state.definitions.connector_with_credentials(connector_id)
        turn = partial(invoke_connector, found, connector_id, thread_id=random_uuid())
        yield spoken_through(turn, found.name if found else connector_id) if prepared else None
        return
    saved = caller.own(await state.agents.get_agent(agent_id or ""), "Agent", agent_id or "")
    require_trust(caller, saved.draft)
    if not prepared:
        yield None
        return
    values = await state.access.of(project.id)
    async with voice_of_agent(saved.draft, project.settings, values.session) as adapter:
        yield adapter


class _Outbox:
    """What a page is to be sent, in order. Safe to fill from another thread's event loop by :meth:`put`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[bytes | str] = deque()
        self._frames = 0
        self._filled = asyncio.Event()
        self.closed = self.overflown = False

    def put(self, item: bytes | str) -> None:
        """Send this."""
        with suppress(RuntimeError):  # the service has ended
            self._loop.call_soon_threadsafe(self._put, item)

    def close(self) -> None:
        """Nothing follows what is in it."""
        self._loop.call_soon(self._close)

    def _close(self) -> None:
        self.closed = True
        self._filled.set()

    def _put(self, item: bytes | str) -> None:
        if self.closed or self.overflown:
            return
        if isinstance(item, bytes):
            self._frames += 1
            if self._frames > _MOST_FRAMES:
                self._items.remove(next(held for held in self._items if isinstance(held, bytes)))
                self._frames -= 1
        elif len(self._items) - self._frames >= _MOST_NEWS:
            self.overflown = True
            return
        self._items.append(item)
        self._filled.set()

    async def next(self) -> bytes | str | None:
        """The next of it; None at the end."""
        while not self._items:
            if self.closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        self._frames -= isinstance(item, bytes)
        return item


class _Allowance:
    """What may be sent: so much at once, and then as fast as it comes back.

    Args:
        most: at once.
        a_second: comes back.
    """

    def __init__(self, most: float, a_second: float) -> None:
        self._most, self._a_second = most, a_second
        self._left, self._at = most, SystemClock().monotonic()

    def spend(self, amount: float) -> bool:
        """Whether there is so much left; then it is spent."""
        now = SystemClock().monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True


class _Talk:
    """A call between a page and an agent.

    Args:
        socket: of the page, accepted.
        caller: who speaks.
    """

    def __init__(self, socket: WebSocket, caller: Caller) -> None:
        self._socket, self._caller = socket, caller
        self._outbox = _Outbox()
        self._clock = SystemClock()
        self._heard_at = self._clock.monotonic()
        self._sound = _Allowance(_AHEAD, 1.25)  # clocks of devices differ
        self._orders = _Allowance(_ORDERS, _ORDERS_A_SECOND)
        self._call: LiveCall | None = None
        self._gone = False

    async def hold(self, connector_id: str | None, agent_id: str | None) -> None:
        """Hold it, and tell the page how it has ended."""
        calling = asyncio.create_task(self._called(connector_id, agent_id))
        receiving = asyncio.create_task(self._receive())
        watching = asyncio.create_task(self._watch())
        sending = asyncio.create_task(self._send())
        over: Mapping[str, Any] = {}
        try:
            await asyncio.wait({calling, receiving, watching, sending}, return_when=asyncio.FIRST_COMPLETED)
            others = [task for task in (watching, receiving, sending) if task.done()]
            if not calling.done():
                if self._gone or self._call is None or not self._call.connected:
                    calling.cancel()  # nobody waits for its last words
                await self._on_call(lambda call: call.hang_up())
                await asyncio.wait({calling}, timeout=_ENDS_WITHIN)
            over = await _outcome([*others, calling])
        finally:
            for task in (calling, receiving, watching):
                task.cancel()
            self._outbox.put(_text("over", **over))
            self._outbox.close()
            await asyncio.wait({calling, receiving, watching})
            await asyncio.wait({sending}, timeout=_SLOWEST)
            sending.cancel()
            if not self._gone and self._socket.application_state is WebSocketState.CONNECTED:
                with suppress(RuntimeError, WebSocketDisconnect):  # the page has been faster
                    await self._socket.close()

    async def _called(self, connector_id: str | None, agent_id: str | None) -> str:
        """The call; the reason that the agent's side gave for its end.

        Raises:
            DuologueError: it could not be made, or has broken.
        """
        from duologue.voice.duplex.threads import on_voice_loop
        from duologue.voice.live_call import LiveCall

        values = await self._caller.state.access.of(self._caller.project.id)
        with using(values.access):
            async with AsyncExitStack() as stack:
                adapter = await stack.enter_async_context(_agent(self._caller, connector_id, agent_id))
                assert adapter is not None, "it is prepared"
                self._outbox.put(_text("calling", interruption=adapter.capabilities.interruption))

                # In a thread: the detector of speech may have to be loaded.
                self._call = call = await asyncio.to_thread(LiveCall, adapter, tell=self._tell, sound=self._outbox.put)
                return await on_voice_loop(call.hold())

    def _tell(self, news: CallNews) -> None:
        self._outbox.put(_news_text(news))

    async def _on_call(self, work: Callable[[LiveCall], None]) -> None:
        """Do something with the call on the event loop of voice; whoever sends too much has to wait."""
        from duologue.voice.duplex.threads import on_voice_loop

        async def done() -> None:
            if self._call is not None:
                work(self._call)

        await on_voice_loop(done())

    async def _receive(self) -> None:
        """What the page sends, until it hangs up or is gone."""
        while True:
            try:
                message = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                self._gone = True
                return
            if message["type"] != "websocket.receive":
                self._gone = True
                return
            self._heard_at = self._clock.monotonic()
            sound, text = message.get("bytes") or b"", message.get("text")
            if text is None:
                if not self._sound.spend(max(_LEAST, len(sound) / _BYTES_A_SECOND)):
                    raise _CallRefused("the page sends more sound than anybody can speak in the time")
                if len(sound) % 2:
                    raise _CallRefused(f"sound is PCM16; found {len(sound)} bytes, an odd number")
                await self._on_call(lambda call, sound=sound: call.microphone.put(sound))
            elif not self._orders.spend(1):
                raise _CallRefused("the page asks for more than can be done in a call")
            elif await self._ordered(text):
                return

    async def _ordered(self, text: str) -> bool:
        """Do what the page asks for; whether it has hung up."""
        try:
            found = json_value(text, constants=True)
        except NoJsonError as error:
            raise _CallRefused(f"a message of the page is no JSON: {error}") from error
        order = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        kind = str(order.get("type"))
        if kind == "interrupt":
            await self._on_call(lambda call: call.interrupt())
        elif kind == "keys":
            keys = str(order.get("keys", ""))[:64]
            await self._on_call(lambda call: call.press(keys))
        elif kind not in {"here", "hang_up"}:
            raise _CallRefused(f"found a message of type {kind[:40]!r}; expected hang_up, interrupt, keys or here")
        return kind == "hang_up"

    async def _send(self) -> None:
        """Send what there is, until nothing follows."""
        try:
            while (item := await self._outbox.next()) is not None:
                async with asyncio.timeout(_SLOWEST):
                    await (self._socket.send_bytes(item) if isinstance(item, bytes) else self._socket.send_text(item))
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            self._gone = True

    async def _watch(self) -> None:
        """Raises _CallRefused: the call has to end."""
        state, began = self._caller.state, self._clock.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await state.stopping.wait()
            now = self._clock.monotonic()
            if state.stopping.is_set():
                raise _CallRefused("the service is being stopped")
            if now - began > LONGEST_CALL:
                raise _CallRefused(f"a call may take {LONGEST_CALL / 60:g} minutes, which are over")
            if now - self._heard_at > _UNHEARD:
                raise _CallRefused(f"the page has sent nothing for {_UNHEARD:g} s")
            if self._outbox.overflown:
                raise _CallRefused("the page does not receive what the agent says")
            if not await state.still_holds(self._caller.token):
                raise _CallRefused("the token is not valid any more; sign in again")


async def _outcome(tasks: list[asyncio.Task[Any]]) -> Mapping[str, Any]:
    """How a call has ended: the first thing that went wrong, or the reason of the agent's side."""
    reason = ""
    for task in tasks:
        if not task.done():
            return {"error": "the call did not come to its end"}
        if task.cancelled():
            continue
        error = task.exception()
        if error is None:
            reason = task.result() or reason
        elif isinstance(error, DuologueError):
            return {"error": redacted(str(error))}
        else:
            logger.error("a call from the playground has failed", exc_info=error)
            return {"error": "the service has failed; its log says why"}
    return {"reason": redacted(reason)}


def _news_text(news: CallNews) -> str:
    text = redacted(news.text) if news.kind == "notice" else news.text
    fields: dict[str, Any] = {"who": news.who, "line": news.line, "text": text, "seconds": round(news.seconds, 3)}
    for name in ("replaces", "on"):
        if getattr(news, name):
            fields[name] = True
    if news.value is not None:
        fields["value"] = news.value
    return _text(news.kind, **fields)


def _text(kind: str, **fields: Any) -> str:
    return to_json({"type": kind, **fields}, inf_nan_mode="null", fallback=str).decode()
