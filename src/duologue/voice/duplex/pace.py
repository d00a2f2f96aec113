"""The clock of frames: one for each 20 ms in real time, or one after the other as long as somebody waits for them.

In real time one timer serves all calls of an event loop. Calls are spread over the 20 ms, so that they do not all have
their frame at the same moment; a timer that comes late is made up for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from duologue.voice.audio import FRAME_SECONDS
from duologue.voice.timeline import LATE_SECONDS

logger = logging.getLogger("duologue.voice")

_SLOTS = 4
"""Groups of calls that have their frames at different times within :data:`FRAME_SECONDS`."""
_MOST_LATE = 2.0
"""Seconds of frames that are made up for; a machine that slept for longer has lost the rest."""
_SAY_AGAIN = 30.0
"""Seconds until the next such warning."""
_AT_ONCE = 50
"""Frames on a simulated pace after which others on the event loop get their turn."""

Tick = Callable[[], None]
Broken = Callable[[Exception], None]


class _Slot:
    def __init__(self, due: float) -> None:
        self.due = due
        self.ticks: list[tuple[Tick, Broken]] = []


class Metronome:
    """Real time for all calls of an event loop.

    Attributes:
        lateness: of the last frames, in seconds: how long after its time each group of calls had its frame.
        late: the same, of the frame that is taking place.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots = [_Slot(0.0) for _ in range(_SLOTS)]
        self._timer: asyncio.TimerHandle | None = None
        self._base = loop.time()
        self._said_at = float("-inf")
        self.lateness: deque[float] = deque(maxlen=4096)
        self.late = 0.0

    def join(self, tick: Tick, broken: Broken) -> None:
        """Call ``tick`` for each frame from now on; if it raises, ``broken`` once and neither of them any more.

        So a call that fails in a frame ends by itself, and the frames of all others go on.
        """
        slot = min(self._slots, key=lambda item: len(item.ticks))
        if not slot.ticks:
            offset = self._slots.index(slot) * FRAME_SECONDS / _SLOTS
            passed = self._loop.time() - self._base - offset
            slot.due = self._base + offset + (int(passed / FRAME_SECONDS) + 1) * FRAME_SECONDS
        slot.ticks.append((tick, broken))
        self._schedule()

    def leave(self, tick: Tick) -> None:
        """Do not call it any more; harmless if it has not joined."""
        for slot in self._slots:
            if any(item == tick for item, _ in slot.ticks):
                slot.ticks = [item for item in slot.ticks if item[0] != tick]  # the list may be in use
        self._schedule()

    def _schedule(self) -> None:
        due = min((slot.due for slot in self._slots if slot.ticks), default=None)
        if self._timer is not None:
            if due is not None and self._timer.when() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        for slot in self._slots:
            if not slot.ticks or slot.due > now:
                continue
            late = now - slot.due
            self.lateness.append(late)
            if late > LATE_SECONDS and now - self._said_at > _SAY_AGAIN:
                self._said_at = now
                logger.warning(
                    "frames of %d %s were %.2f s late: something blocks the event loop of voice, or this machine is "
                    "too busy",
                    len(slot.ticks),
                    "call" if len(slot.ticks) == 1 else "calls",
                    late,
                )
            first = slot.due = max(slot.due, now - _MOST_LATE)
            while slot.due <= now:
                self.late = late if slot.due == first else now - slot.due
                slot.due += FRAME_SECONDS
                for tick, broken in slot.ticks:
                    try:
                        tick()
                    except Exception as error:  # noqa: BLE001 - of one call; whoever waits for it is told
                        self.leave(tick)
                        broken(error)
        self._schedule()


_metronomes: WeakKeyDictionary[asyncio.AbstractEventLoop, Metronome] = WeakKeyDictionary()


def metronome() -> Metronome:
    """The one of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _metronomes.get(loop)
    if found is None:
        found = _metronomes[loop] = Metronome(loop)
    return found


class SimulatedPace:
    """Frames follow each other at once while somebody waits for them. Otherwise the time of the call stands still.

    Args:
        step: what happens in one frame.
        wanted: whether somebody waits for the next one.
        broken: called with what a frame raises. No frame follows it.
    """

    def __init__(self, step: Callable[[], Awaitable[None]], wanted: Callable[[], bool], broken: Broken) -> None:
        self._step, self._wanted, self._broken = step, wanted, broken
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Somebody waits now."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="duologue voice, simulated pace")

    async def stop(self) -> None:
        """No frame follows."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        count = 0
        while self._wanted():
            try:
                await self._step()
            except Exception as error:  # noqa: BLE001 - raised where somebody waits for the call
                self._broken(error)
                return
            count += 1
            if count % _AT_ONCE == 0:
                await give_way()


async def give_way() -> None:
    """Let others on the event loop have their turn."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(_set, future)
    await future


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
