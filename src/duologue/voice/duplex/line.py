"""The adapter's side of a call: what is sent to it, in order, and what comes from it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Literal, cast

from duologue.context import SystemClock
from duologue.errors import DuologueError
from duologue.voice.audio import FRAME_SECONDS, AudioChunk
from duologue.voice.duplex.pace import give_way
from duologue.voice.duplex.playout import Playout
from duologue.voice.incoming import AgentTurnEnded, Incoming, incoming
from duologue.voice.port import ExchangePort, VoiceConnectionError, VoicePort, reason_of, why_unreachable

logger = logging.getLogger("duologue.voice")

HANG_UP_SECONDS = 5.0
"""That the end of a connection may take."""
_MOST_UNSENT = 500
"""Frames that wait to be sent: 10 seconds. A peer that takes none for so long is not there any more."""
_RECEIVE_SECONDS = 30.0
_AT_ONCE = 20
"""Things that are taken without giving others on the event loop their turn."""

UserEdge = Literal["begin", "end"]


async def connect(adapter: VoicePort) -> None:
    """Connect an adapter, in the time that it has for that; one that cannot be connected is disconnected.

    Raises:
        VoiceConnectionError: it cannot be connected, or not in time, or is in another call, which goes on.
    """
    if id(adapter) in _in_call:
        told = "it is in another call, and can make one at a time: give each run an adapter of its own"
        raise VoiceConnectionError(adapter.name, told)
    _in_call[id(adapter)] = adapter
    try:
        async with asyncio.timeout(adapter.connect_timeout + 1.0):  # adapters over a network keep the time themselves
            await adapter.connect()
    except BaseException as error:
        await disconnect(adapter)
        if isinstance(error, TimeoutError):
            told = f"no connection within {adapter.connect_timeout:g} s (connect_timeout)"
            raise VoiceConnectionError(adapter.name, told) from error
        if isinstance(error, DuologueError) or not isinstance(error, Exception):
            raise
        raise VoiceConnectionError(adapter.name, f"cannot connect: {why_unreachable(error)}") from error


_in_call: dict[int, VoicePort] = {}
"""Adapters that are connected: only used on the event loop of voice."""
if hasattr(os, "register_at_fork"):  # the calls of a process are not those of its forked children
    os.register_at_fork(after_in_child=_in_call.clear)


async def disconnect(adapter: VoicePort) -> None:
    """Hang up. What goes wrong at the end of a call changes nothing about it."""
    try:
        async with asyncio.timeout(HANG_UP_SECONDS):
            await adapter.disconnect()
    except Exception as error:
        logger.warning("%s was not disconnected in order: %s", adapter.name, reason_of(error), exc_info=True)
    finally:
        _in_call.pop(id(adapter), None)


async def exchanged(adapter: ExchangePort, frame: bytes, at: float) -> list[Incoming]:
    """What an agent of this process has to say to a frame. Its ``exchange`` may be async or not."""
    given = cast("object", adapter.exchange(AudioChunk(frame), at))
    return incoming(await given if isawaitable(given) else given)


class AgentLine:
    """Sends to an adapter and reads from it, each in a task of its own, so that neither makes a frame late.

    Args:
        adapter: connected.
        take: told of everything that comes.
        playout: where sound waits: nothing more is taken while it is full. :meth:`make_room` says that it is not.
        broken: told once of what has broken the connection.
    """

    def __init__(
        self,
        adapter: VoicePort,
        *,
        take: Callable[[Incoming], None],
        playout: Playout,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._adapter = adapter
        self._exchange = cast("ExchangePort", adapter) if hasattr(adapter, "exchange") else None
        self._take, self._playout, self._broken = take, playout, broken
        self._unsent: deque[tuple[float, bytes] | UserEdge] = deque()
        self._to_send, self._room = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._guarded(self._send), name=f"sends to {self._adapter.name}")]
        if self._exchange is None:
            self._tasks.append(loop.create_task(self._guarded(self._read), name=f"reads {self._adapter.name}"))

    async def stop(self) -> None:
        """End both tasks."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=HANG_UP_SECONDS)

    def send(self, frame: bytes, at: float) -> None:
        """Send this frame, which begins at that time."""
        if len(self._unsent) > _MOST_UNSENT:
            seconds = _MOST_UNSENT * FRAME_SECONDS
            self._broken(VoiceConnectionError(self._adapter.name, f"it has taken no sound for {seconds:g} s"))
            self._unsent.clear()
        self._unsent.append((at, frame))
        self._to_send.set()

    def tell(self, edge: UserEdge) -> None:
        """Say that the user begins or ends, after what is sent."""
        self._unsent.append(edge)
        self._to_send.set()

    def make_room(self) -> None:
        """There is room for more."""
        self._room.set()

    async def _guarded(self, work: Callable[[], object]) -> None:
        try:
            await cast("asyncio.Future[None]", work())
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._broken(VoiceConnectionError(self._adapter.name, "it has cancelled its own task"))
        except DuologueError as error:
            self._broken(error)
        except Exception as error:  # noqa: BLE001 - raised where somebody waits for the call
            broken = VoiceConnectionError(self._adapter.name, f"the connection has broken: {_described(error)}")
            broken.__cause__ = error
            self._broken(broken)

    async def _send(self) -> None:
        unsent, adapter, exchange = self._unsent, self._adapter, self._exchange
        while True:
            while not unsent:
                self._to_send.clear()
                await self._to_send.wait()
            item = unsent.popleft()
            if isinstance(item, str):
                await (adapter.begin_user_turn() if item == "begin" else adapter.end_user_turn())
            elif exchange is None:
                await adapter.send_audio(AudioChunk(item[1]))
            else:
                for came in await exchanged(exchange, item[1], item[0]):
                    self._take(came)

    async def _read(self) -> None:
        adapter, clock = self._adapter, SystemClock()
        count, ends = 0, 0
        while True:
            while self._playout.is_full:
                self._room.clear()
                await self._room.wait()
            began = clock.monotonic()
            try:
                item = await adapter.receive(_RECEIVE_SECONDS)
            except TimeoutError:
                if clock.monotonic() - began < FRAME_SECONDS:  # it has not waited
                    await clock.sleep(FRAME_SECONDS)
                continue
            self._take(item)
            count += 1
            ends = ends + 1 if isinstance(item, AgentTurnEnded) else 0
            if ends > 1:  # it says again and again that there is nothing
                await clock.sleep(FRAME_SECONDS)
            elif count % _AT_ONCE == 0:
                await give_way()


def _described(error: BaseException) -> str:
    text = reason_of(error)
    with suppress(Exception):
        if type(error).__name__ not in text:
            return f"{type(error).__name__}: {text}"
    return text
