"""What adapters over a network share: a reader, a bounded inbox, time limits, and errors that say which and why."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque

from duologue.errors import DuologueError
from duologue.voice.adapter import VoiceAgentAdapter, VoiceConnectionError
from duologue.voice.audio import AudioChunk, bytes_of
from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    Incoming,
    UserHeard,
    UserWords,
)
from duologue.voice.port import reason_of, why_unreachable

logger = logging.getLogger("duologue.voice")

INBOX_SECONDS = 120.0
"""Sound that may wait until somebody hears it. Then the connection is not read from, and the sender has to wait."""
INBOX_ITEMS = 20_000
"""Things of all sorts that may wait."""
HANG_UP_TIMEOUT = 5.0
"""Seconds that the end of a connection may take."""


class Inbox:
    """What has come and was not taken yet: bounded, so that a sender without measure fills no memory."""

    def __init__(self, seconds: float = INBOX_SECONDS, items: int = INBOX_ITEMS) -> None:
        self._waiting: deque[tuple[Incoming, int]] = deque()
        self._bytes = 0
        self._holds_sound = False
        self._most_bytes, self._most_items = bytes_of(seconds), items
        self._changed = asyncio.Event()
        self._end: Exception | None = None

    async def put(self, item: Incoming) -> None:
        """Add one; waits while there is no place."""
        while self.is_full and self._end is None:
            self._changed.clear()
            await self._changed.wait()
        size = _size(item)
        self._waiting.append((item, size))
        self._bytes += size
        self._holds_sound = self._holds_sound or isinstance(item, AudioChunk)
        self._changed.set()

    async def get(self, timeout: float) -> Incoming:
        """Take the next one.

        Raises:
            TimeoutError: there is none.
            VoiceConnectionError: there will be none, since the connection is at its end.
        """
        if not self._waiting and self._end is None:
            async with asyncio.timeout(timeout):
                while not self._waiting and self._end is None:
                    self._changed.clear()
                    await self._changed.wait()
        if not self._waiting:
            assert self._end is not None
            raise self._end
        item, size = self._waiting.popleft()
        self._bytes -= size
        self._changed.set()
        return item

    def forget_sound(self) -> None:
        """Throw away sound that nobody has heard."""
        if not self._holds_sound:  # an agent may say again and again that it has noticed the user
            return
        self._holds_sound = False
        kept = [waiting for waiting in self._waiting if not isinstance(waiting[0], AudioChunk)]
        self._waiting = deque(kept)
        self._bytes = sum(size for _, size in kept)
        self._changed.set()

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait."""
        return self._bytes >= self._most_bytes or len(self._waiting) >= self._most_items

    def finish(self, error: Exception) -> None:
        """Nothing more comes, for this reason: raised once what has come is taken."""
        self._end = self._end or error
        self._changed.set()


def _size(item: Incoming) -> int:
    """Bytes that it takes, roughly."""
    if isinstance(item, AudioChunk):
        return len(item.data)
    if isinstance(item, AgentWords | UserWords):
        return len(item.text)
    if isinstance(item, AgentToolCall):
        return len(f"{item.arguments}")
    return len(f"{item.result}") if isinstance(item, AgentToolResult) else 0


class WireVoiceAdapter(VoiceAgentAdapter):
    """A voice agent over a network. Subclasses say how to dial, to read and to hang up.

    ``read`` hands on what comes with :meth:`deliver`, and returns when the other side has closed the connection.

    Attributes:
        waiting_for: what ``dial`` is waiting for, for the error if it takes too long.
    """

    waiting_for: str = ""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._reader: asyncio.Task[None] | None = None

    @property
    @abstractmethod
    def where(self) -> str:
        """What it is connected to, for errors and reports: an address without credentials."""

    @abstractmethod
    async def dial(self) -> None:
        """Open the connection, until sound can be sent. Bounded by ``connect_timeout``."""

    @abstractmethod
    async def read(self) -> None:
        """Read to the end of the connection."""

    @abstractmethod
    async def hang_up(self) -> None:
        """Close what ``dial`` has opened, however far it came."""

    @property
    def is_connected(self) -> bool:
        """Whether sound can be sent."""
        return self._reader is not None and not self._reader.done()

    async def connect(self) -> None:
        """Open the connection.

        Raises:
            VoiceConnectionError: it cannot be opened, or not in time, or it is open already.
        """
        if self._reader is not None:
            raise VoiceConnectionError(self.name, f"it is connected to {self.where} already: disconnect it first")
        self._inbox = Inbox()
        self.waiting_for = ""
        try:
            async with asyncio.timeout(self.connect_timeout):
                await self.dial()
        except BaseException as error:
            await self._hang_up()
            if isinstance(error, TimeoutError):
                waited = f"; it was waiting for {self.waiting_for}" if self.waiting_for else ""
                raise VoiceConnectionError(
                    self.name,
                    f"no connection to {self.where} within {self.connect_timeout:g} s (connect_timeout){waited}",
                ) from error
            if isinstance(error, DuologueError) or not isinstance(error, Exception):
                raise
            raise VoiceConnectionError(
                self.name, f"cannot connect to {self.where}: {why_unreachable(error)}"
            ) from error
        self._reader = asyncio.create_task(self._read(), name=f"{self.name} reads")

    async def disconnect(self) -> None:
        """Close the connection; harmless if it is not open, or was never."""
        reader, self._reader = self._reader, None
        if reader is None:
            return
        reader.cancel()
        try:
            await asyncio.wait({reader}, timeout=HANG_UP_TIMEOUT)
        finally:  # whoever waits may give up: the connection is closed all the same
            await self._hang_up()
            why = f"the connection to {self.where} was closed by this side"
            self._inbox.finish(VoiceConnectionError(self.name, why))

    async def receive(self, timeout: float) -> Incoming:
        """The next thing that comes from the agent.

        Raises:
            TimeoutError: nothing came.
            VoiceConnectionError: the connection is at its end, and all that came was taken.
        """
        if self._reader is None:
            raise self.not_connected()
        return await self._inbox.get(timeout)

    async def recv_audio(self, timeout: float) -> AudioChunk:
        """The next sound of the agent; an empty chunk where its turn has ended. See :meth:`receive`."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            item = await self.receive(max(0.0, deadline - asyncio.get_running_loop().time()))
            if isinstance(item, AudioChunk):
                return item
            if isinstance(item, AgentTurnEnded):
                return AudioChunk(b"")

    async def deliver(self, item: Incoming) -> None:
        """Hand on what came; waits while too much of it waits to be heard."""
        await self._put(item)

    async def deliver_unasked(self, item: Incoming) -> None:
        """Hand on what comes over a transport on which the sender cannot be made to wait.

        Raises:
            VoiceConnectionError: so much waits to be heard that the other side cannot be sending in real time.
        """
        if self._inbox.is_full and not isinstance(item, UserHeard):
            raise VoiceConnectionError(
                self.name,
                f"{self.where} sends faster than anybody can listen: {INBOX_SECONDS:g} s of its sound wait to be heard",
            )
        await self._put(item)

    async def _put(self, item: Incoming) -> None:
        if isinstance(item, UserHeard):
            self.forget_sound()
        await self._inbox.put(item)

    def forget_sound(self) -> None:
        """Throw away sound that nobody has heard, because the user has interrupted."""
        self._inbox.forget_sound()

    def not_connected(self) -> VoiceConnectionError:
        """What to raise where nothing can be sent."""
        return VoiceConnectionError(self.name, f"there is no connection to {self.where}: connect first")

    async def _read(self) -> None:
        try:
            await self.read()
        except asyncio.CancelledError:
            raise
        except DuologueError as error:
            self._inbox.finish(error)
        except Exception as error:
            logger.debug("%s: reading from %s failed", self.name, self.where, exc_info=True)
            broken = VoiceConnectionError(self.name, f"the connection to {self.where} has broken: {reason_of(error)}")
            broken.__cause__ = error
            self._inbox.finish(broken)
        else:
            self._inbox.finish(VoiceConnectionError(self.name, f"{self.where} has closed the connection"))

    async def _hang_up(self) -> None:
        """What goes wrong at the end of a call changes nothing about it."""
        try:
            async with asyncio.timeout(HANG_UP_TIMEOUT):
                await self.hang_up()
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.debug("%s: the connection to %s was not closed in order", self.name, self.where, exc_info=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where!r})"
