"""One reader for whatever is watched, however many watch it.

A feed looks for news in the database, keeps the newest of it for a while, and wakes up its listeners. A listener keeps
nothing but its place: what it has not sent yet it takes from the feed, or from the database once it is further behind.
So a slow listener costs no memory, and one that comes back continues at its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from duologue.errors import DuologueError, NotFoundError, StoreError
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.wakeup import CANCELLED, FINISHED, QUEUED, WakeUpListener

logger = logging.getLogger("duologue.server")

KEEPALIVE = 15.0
"""Seconds without news after which a listener gets a comment, so that nothing between takes the connection for dead."""
KEEPALIVE_FRAME = b": keepalive\n\n"
MOST_FRAMES, MOST_BYTES = 2_000, 4 * 1024 * 1024
"""Frames that a feed keeps."""
_GAP = 0.1
"""Seconds between two looks at least; more where many feeds look."""
_GAP_OF_EACH = 0.01
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.0
"""Seconds until the next look, where nothing wakes the feed."""
_LINGER = 10.0
"""Seconds that a feed is kept after its last listener has left: it may come back at once."""

Place = tuple[int, ...]
"""Where something is in the order of a feed."""


class Frame(NamedTuple):
    """News as it is sent.

    Attributes:
        place: in the order of the feed; no two have the same.
    """

    place: Place
    data: bytes


class Source(Protocol):
    """What a feed reads."""

    @property
    def start(self) -> Place:
        """The place before everything."""
        ...

    @property
    def end(self) -> bytes | None:
        """What is sent last; None as long as there may be more."""
        ...

    @property
    def behind(self) -> bool:
        """Whether the last look has left something for the next one."""
        ...

    async def look(self) -> Sequence[Frame]:
        """What is new since the last look, at most so much at once.

        Raises:
            NotFoundError: what is watched does not exist any more.
            StoreError: the database cannot be used.
        """
        ...

    async def earlier(self, after: Place, upto: Place) -> Sequence[Frame]:
        """Some of what was told between two places, the first of it first."""
        ...


class Feeds:
    """The feeds of a process. Belongs to one event loop.

    Args:
        database: that is watched.
        keepalive: seconds.
    """

    def __init__(self, database: Database, *, keepalive: float = KEEPALIVE) -> None:
        self.database = database
        self.closed = False
        self.keepalive = keepalive
        self._feeds: dict[object, Feed] = {}
        self._ticking: asyncio.Task[None] | None = None

    @property
    def gap(self) -> float:
        """Seconds between two looks of a feed at least."""
        return max(_GAP, _GAP_OF_EACH * len(self._feeds))

    @property
    def listeners(self) -> int:
        """How many there are."""
        return sum(len(feed.listeners) for feed in self._feeds.values())

    def listen(self, key: object, source: Callable[[], Source], after: Place | None = None) -> Listener:
        """A listener from now on.

        Args:
            key: what is watched.
            source: reads it; called if nobody watches it yet.
            after: the place of what is known already; None for the beginning.
        """
        feed = self._feeds.get(key)
        if feed is None or feed.gone:
            feed = self._feeds[key] = Feed(self, source(), lambda ended: self._forget(key, ended))
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="duologue-keepalive")
        return feed.listen(after)

    def close(self) -> None:
        """End all listeners; they come back to another process, or to the next one."""
        self.closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        for feed in tuple(self._feeds.values()):
            feed.wake()
            feed.close()

    async def close_after(self, stopping: asyncio.Event) -> None:
        """:meth:`close`, once the process is to end."""
        await stopping.wait()
        self.close()

    def _forget(self, key: object, feed: Feed) -> None:
        if self._feeds.get(key) is feed:
            del self._feeds[key]

    async def _tick(self) -> None:
        """One clock for all listeners."""
        while True:
            await asyncio.sleep(self.keepalive)  # noqa: TID251 -- real time: connections know no other
            for feed in self._feeds.values():
                for listener in feed.listeners:
                    listener.tick()


class Feed:
    """News of one thing, for all who watch it in this process.

    Args:
        feeds: of the process.
        source: what is read.
        forget: called when nobody watches any more.

    Attributes:
        gone: it has ended: what it watched does not exist, or nobody watches any more.
    """

    def __init__(self, feeds: Feeds, source: Source, forget: Callable[[Feed], None]) -> None:
        self.source = source
        self.listeners: set[Listener] = set()
        self.gone = False
        self.missing: NotFoundError | None = None
        self.begun = self.done = 0
        """Looks."""
        self.place = self.kept_from = source.start
        """The place of the newest frame, and that before the oldest one that is kept."""
        self._feeds = feeds
        self._forget = forget
        self._frames: deque[Frame] = deque()
        self._size = 0
        self._joined: tuple[Place, Place, bytes] | None = None
        self._signals: WakeUpListener | None = None
        self._task = asyncio.get_running_loop().create_task(self._read(), name="duologue-feed")

    @property
    def closed(self) -> bool:
        """Whether there will be nothing more, because the process ends."""
        return self._feeds.closed

    def listen(self, after: Place | None) -> Listener:
        """A listener from now on."""
        listener = Listener(self, self.source.start if after is None else after, resumed=after is not None)
        self.listeners.add(listener)
        self._signal()
        return listener

    def leave(self, listener: Listener) -> None:
        """The listener has gone."""
        self.listeners.discard(listener)
        if not self.listeners:
            self._signal()

    def close(self) -> None:
        """Read no more."""
        self._task.cancel()

    def wake(self) -> None:
        """Wake up all listeners."""
        for listener in self.listeners:
            listener.wake()

    def since(self, after: Place) -> tuple[Place, bytes]:
        """What is kept after a place, and the place where that ends. Listeners mostly ask for the same."""
        if self._joined is None or self._joined[0] != after or self._joined[1] != self.place:
            new: list[bytes] = []
            for frame in reversed(self._frames):
                if frame.place <= after:
                    break
                new.append(frame.data)
            self._joined = (after, self.place, b"".join(reversed(new)))
        return self.place, self._joined[2]

    async def _read(self) -> None:
        """Look for news as long as anybody listens."""
        pause = _FIRST_PAUSE
        with self._feeds.database.wakeup.listen(FINISHED, CANCELLED, QUEUED) as self._signals:
            try:
                while self.listeners:
                    self.begun += 1
                    new = await self._look()
                    if new is None:
                        return
                    self.done = self.begun
                    self._publish(new)
                    if self.source.behind:
                        continue
                    await asyncio.sleep(self._feeds.gap)  # noqa: TID251 -- real time: what happens takes some
                    pause = _FIRST_PAUSE if new else min(1.5 * pause, _LONGEST_PAUSE)
                    if await self._signals.wait(pause):
                        pause = _FIRST_PAUSE
                    if not self.listeners:  # they may come back within a moment
                        await self._signals.wait(_LINGER)
            finally:
                self.gone, self._signals = True, None
                self._forget(self)
                self.wake()

    async def _look(self) -> Sequence[Frame] | None:
        """News; None if what is watched does not exist."""
        try:
            return await self.source.look()
        except NotFoundError as error:
            self.missing = error
            return None
        except DuologueError as error:
            logger.warning("what somebody watches cannot be read, and is tried again: %s", error)
        except Exception:
            logger.exception("what somebody watches cannot be read, and is tried again")
        return ()

    def _signal(self) -> None:
        """Look again soon."""
        if self._signals is not None:
            self._signals.signal((QUEUED,))

    def _publish(self, new: Sequence[Frame]) -> None:
        for frame in new:
            self._frames.append(frame)
            self._size += len(frame.data)
        while len(self._frames) > MOST_FRAMES or self._size > MOST_BYTES:
            oldest = self._frames.popleft()
            self._size -= len(oldest.data)
            self.kept_from = oldest.place
        if new:
            self.place = new[-1].place
        self.wake()


class Listener:
    """Somebody who watches a feed. Has no more than a place in it.

    Args:
        feed: that is watched.
        after: the place of what is known already.
        resumed: it has listened before.
    """

    def __init__(self, feed: Feed, after: Place, *, resumed: bool = False) -> None:
        self.after, self.resumed = after, resumed
        self.left = False
        self._feed = feed
        current = bool(feed.done and feed.listeners and feed.source.end is None)
        self._since = 0 if current else feed.begun + 1
        """The first look that says how things are: of a feed that nobody has watched, one that begins now."""
        self._due = False
        self._ended = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def tick(self) -> None:
        """Send a sign of life, unless something else was sent since the last one."""
        self._due = True
        self._woken.set()

    def leave(self) -> None:
        """Watch no more; harmless if it has left before."""
        self.left = True
        self._feed.leave(self)
        self._woken.set()

    @property
    def ready(self) -> bool:
        """Whether the feed has looked since this listener came, so that what it says is true."""
        return self._feed.done >= self._since or self._feed.gone

    @property
    def place(self) -> Place:
        """The place of the newest news."""
        return self._feed.place

    @property
    def over(self) -> bool:
        """Whether this listener knows everything, and nothing more will come."""
        feed = self._feed
        return self.ready and feed.source.end is not None and self.after >= feed.place

    async def prepare(self) -> None:
        """Wait until it is known how things are.

        Raises:
            NotFoundError: what is watched does not exist.
        """
        while not (self.ready or self.left or self._feed.closed):
            self._woken.clear()
            await self._woken.wait()
        if self._feed.missing is not None:
            raise self._feed.missing

    async def next(self) -> bytes | None:
        """What is to be sent next; None if nothing more comes."""
        feed = self._feed
        while not (self.left or feed.closed or self._ended):
            self._woken.clear()
            if self.after < feed.place:
                if self.after < feed.kept_from:
                    frames = await self._earlier()
                    if frames:
                        return b"".join(frames)
                    continue
                self.after, data = feed.since(self.after)
                self._due = False
                return data
            if self.over:
                self._ended = True
                return feed.source.end or None
            if feed.gone:
                return None
            if self._due:
                self._due = False
                return KEEPALIVE_FRAME
            await self._woken.wait()
        return None

    async def _earlier(self) -> list[bytes]:
        """What the feed does not keep any more."""
        feed = self._feed
        try:
            frames = await feed.source.earlier(self.after, feed.place)
        except StoreError as error:
            logger.warning("a listener waits for the database: %s", error)
            await asyncio.sleep(_LONGEST_PAUSE)  # noqa: TID251 -- real time
            return []
        if not frames:  # it is gone
            self.after = feed.kept_from
            return []
        self.after = frames[-1].place
        self._due = False
        return [frame.data for frame in frames]
