"""A run, seen from outside: its deadline holds, and what others end is told apart from what its own code does.

A run plays in a task of its own, and :class:`RunTask` is what stands outside of it. Code of users may ignore its
cancellation, raise ``CancelledError`` itself or block the event loop for minutes; each of these ends its own run and no
other:

* a call that is cancelled at its deadline and does not end within a grace period is left behind, and so is its run;
* time for which *other* runs blocked the event loop does not count, and time for which the run itself did does;
* a cancellation counts as such only if somebody cancelled the task that waits for the run.
"""

from __future__ import annotations

import asyncio
import dis
import functools
import signal
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import cached_property
from types import CodeType, FrameType, TracebackType, coroutine
from typing import Any, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from duologue.config.tracebacks import place_of_coroutine, place_of_thread
from duologue.conversation.observers import CURRENT_RUN

T = TypeVar("T")

GRACE = 5.0
"""Seconds that code may take to end once it is cancelled; at a deadline at most half of the time that it had."""
BLOCKING = 0.05
"""Seconds. Code that does not give way to others for longer than this blocks its event loop."""

MakeError = Callable[[str], Exception]
"""Makes the error of a deadline that has passed. It is given where the code was at that time, or ''."""

OWNER: ContextVar[RunTask | None] = ContextVar("duologue_owner", default=None)
"""The run whose code is being executed, also in tasks that it has started."""


class Lane:
    """What the runs on one event loop have to know of each other.

    Attributes:
        runs: those that are under way.
        blocked: seconds for which any of them has blocked the loop.
        running: the run whose code is being executed; None while the loop itself is.
        since: when that began.
        thread: the thread of the loop.
        context: of callbacks, in place of a copy of that of a run, which would hold the run.
    """

    def __init__(self) -> None:
        self.runs: set[RunTask] = set()
        self.blocked = 0.0
        self.running: RunTask | None = None
        self.since = 0.0
        self.thread = threading.get_ident()
        self.context = Context()


_lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = WeakKeyDictionary()


def lane_of(loop: asyncio.AbstractEventLoop) -> Lane:
    """The lane of this loop, which belongs to the thread that asks first."""
    lane = _lanes.get(loop)
    if lane is None:
        lane = _lanes[loop] = Lane()
        _guard(loop)
    return lane


def _guard(loop: asyncio.AbstractEventLoop) -> None:
    """Refuse to stop the loop to code of a run: that would end all other runs with it."""
    stop = loop.stop

    def guarded() -> None:
        if CURRENT_RUN.get() is not None:
            raise RuntimeError("loop.stop() was called, which would end every run on this event loop")
        stop()

    try:
        loop.stop = guarded
    except AttributeError:  # a loop written in C
        return


class EndOfRun(asyncio.Future[None]):
    """What the task waits for that waits for a run. Code of a run that cancels that task is not heard.

    An agent that cancels all tasks of its event loop means its own: the caller's is among them only because the run is
    played on the caller's loop. Somebody outside cancels while no code of a run is being executed, or in the handler
    of a signal, which interrupts such code.
    """

    def __init__(self, outer: asyncio.Task[Any], lane: Lane, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._outer = outer
        self._lane = lane

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel it, unless code of a run asks for that."""
        if self._lane.running is not None and not in_signal_handler():
            self._outer.uncancel()
            return True
        return super().cancel(msg)


class CallDeadline(Protocol):
    """The deadline of the calls of a run, looked at from outside."""

    def overdue(self, time: float) -> bool:
        """Whether there is a call that should have ended by that time."""
        ...

    def error(self) -> Exception:
        """The error of the call of the moment, if it does not end at its deadline."""
        ...


class RunTask:
    """A run, seen from outside.

    Attributes:
        stopping: the run is being ended, so that cancellations are not its own code's.
        limit_reached: the time limit of the run has passed.
        given_up: the error that a run was left behind with, if it was.
        blocked: seconds for which this run has blocked its loop.
        began: code of the run has been executed.
        end: ends the run with this error, or as cancelled, from any thread.
    """

    def __init__(self, end: Callable[[Exception | None], Awaitable[object]] | None = None) -> None:
        self.end = end
        self.stopping = False
        self.limit_reached = False
        self.given_up: Exception | None = None
        self.interrupt: BaseException | None = None
        self.blocked = 0.0
        self.began = False
        self.watchdogs: list[CallDeadline] = []
        self._tasks: list[tuple[asyncio.Task[Any], Coroutine[Any, Any, Any]]] = []
        self._outer: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._limit = float("inf")
        self._limit_error: MakeError | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- in the task of whoever waits for the run --------------------------------------------------------------------

    async def play(self, run: Coroutine[Any, Any, None]) -> None:
        """Play the run in a task of its own and wait until it is over, or has to be left behind.

        Raises:
            asyncio.CancelledError: the waiting was cancelled, and so was the run.
            KeyboardInterrupt: somebody has pressed Ctrl-C.
        """
        loop, lane = self.loop, self.lane
        self._outer = outer = cast("asyncio.Task[Any]", asyncio.current_task(loop))
        self._cancelling = outer.cancelling()
        self._over: asyncio.Future[None] = EndOfRun(outer, lane, loop)
        lane.runs.add(self)
        task = self._task(run)
        task.add_done_callback(self._ended, context=lane.context)
        do_next(loop)
        try:
            await self._over
        except asyncio.CancelledError:
            await self._stop(task)
            raise
        finally:
            self.stopping = True
            self.end = None  # there is nothing more to end, and whatever would do it need not stay
            lane.runs.discard(self)
            self._drop_timer()
            for left, _ in self._tasks:
                if not left.done():
                    leave(left)
        if self.interrupt is not None:
            raise self.interrupt
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._tasks[0][1].close()  # if it was cancelled before it began
        if not self._over.done():
            self._over.set_result(None)

    async def _stop(self, task: asyncio.Task[None]) -> None:
        """The waiting was cancelled: cancel the run, and wait until it has recorded that."""
        self.stopping = True
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)

    # --- in the task of the run --------------------------------------------------------------------------------------

    def start(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this run."""
        task = self._task(run)
        task.add_done_callback(lambda _: run.close())  # of one that was cancelled before it began
        return task

    def _task(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self.loop.create_task(self.timed(run))
        self._tasks.append((task, run))
        return task

    def over(self) -> None:
        """The last that the run does: whoever waits for it goes on at once.

        A finished task stays, with its context, until the loop comes to those who want to know of its end. Where
        thousands of runs end in one round of the loop, what they hold would stay until the last of them has ended.
        """
        OWNER.set(None)
        CURRENT_RUN.set(None)
        if not self._over.done():
            self._over.set_result(None)
            do_next(self.loop)

    def time(self) -> float:
        """The time of the loop, without what other runs have blocked it for."""
        return self.loop.time() - self.lane.blocked + self.blocked

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the run is played on."""
        return asyncio.get_running_loop()

    @cached_property
    def lane(self) -> Lane:
        """What the run has to know of others on its loop."""
        return lane_of(self.loop)

    def limit(self, seconds: float, error: MakeError) -> None:
        """Cancel the run after so many seconds, and leave it behind if it does not end then."""
        self._limit, self._limit_error = self.time() + seconds, error
        self._drop_timer()
        self._timer = self._ring_in(max(0.0, seconds))

    @property
    def late(self) -> bool:
        """Whether the time limit has passed, also if the loop was blocked when it did."""
        return self.limit_reached or self.time() > self._limit

    def closing(self, seconds: float, error: MakeError) -> None:
        """The run has its result: what is left to do may take that long."""
        self.stopping = True
        self.limit_reached = False
        self.limit(seconds, error)

    def from_outside(self, error: BaseException) -> bool:
        """Whether this ends the run from outside; False if code of the run has raised it."""
        match error:
            case asyncio.CancelledError():
                return self.ending
            case GeneratorExit():
                return not self._is_running()
            case KeyboardInterrupt():
                return was_pressed(error)
            case _:  # a test that fails, skips or exits by a word of pytest
                return any(kind.__module__ == "_pytest.outcomes" for kind in type(error).__mro__)

    def check_going_on(self) -> None:
        """Raise the cancellation that code of the user has swallowed.

        Raises:
            asyncio.CancelledError: the run is being ended.
        """
        if self.stopping or self.limit_reached:
            raise asyncio.CancelledError

    @property
    def ending(self) -> bool:
        """Whether a cancellation that arrives now was not meant by the code that it arrives in."""
        if self.stopping or self.limit_reached or self._outer is None:
            return True
        return self._outer.cancelling() > self._cancelling

    @property
    def disturbed(self) -> bool:
        """Whether a cancellation of the task of the moment was asked for, so that there is something to settle."""
        task = asyncio.current_task(self.loop)
        return task is not None and task.cancelling() > 0

    async def settle(self) -> bool:
        """Take back the cancellations of its own task that code has asked for; whether one was still to come."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            return False
        try:
            await _give_way()
        except asyncio.CancelledError:
            if self.ending:
                raise
            return True
        finally:
            while not self.ending and task.cancelling():
                task.uncancel()
        return False

    def give_up(self, error: Exception) -> None:
        """Leave the run behind: it does not end."""
        if self.given_up is None:
            self.given_up = error
        self.stopping = True
        if not self._over.done():
            self._over.set_result(None)

    def where(self) -> str:
        """Where the code of the run waits or is busy: its innermost line that is not ours; '' if that is not known."""
        lane = self.lane
        if lane.running is self and lane.thread != threading.get_ident():
            return str(place_of_thread(lane.thread) or "")
        places = [place_of_coroutine(run) for task, run in reversed(self._tasks) if not task.done()]
        return str(next((place for place in places if place), ""))

    def _ring_in(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self._ring, context=self.lane.context)

    def _ring(self) -> None:
        self._timer = None
        left = self._limit - self.time()
        if left > 0:
            self._timer = self._ring_in(left)
            return
        assert self._limit_error is not None
        if self.limit_reached:
            self.give_up(self._limit_error(self.where()))
            return
        self.limit_reached = True
        self._limit += GRACE
        self._timer = self._ring_in(GRACE)
        self._tasks[0][0].cancel()

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_running(self) -> bool:
        try:
            current = asyncio.current_task()
        except RuntimeError:  # no loop runs: what is left of the run is being thrown away
            return False
        return any(task is current for task, _ in self._tasks)

    # --- in any thread -----------------------------------------------------------------------------------------------

    @property
    def outer(self) -> asyncio.Task[Any] | None:
        """The task that waits for the run."""
        return self._outer

    def overdue(self, now: float) -> Exception | None:
        """The error of the deadline that the run has passed, though its loop does not notice."""
        lane = self.lane
        running = lane.running
        foreign = lane.blocked - self.blocked + (now - lane.since if running not in {None, self} else 0.0)
        time = now - foreign
        for watchdog in self.watchdogs:
            if watchdog.overdue(time):
                return watchdog.error()
        if time > self._limit and self._limit_error is not None:
            return self._limit_error(self.where())
        return None

    async def timed(self, run: Coroutine[Any, Any, T]) -> T:
        OWNER.set(self)
        return await self._steps(run)

    @coroutine
    def _steps(self, run: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Do what awaiting it does, and see how long each of its steps takes."""
        lane, time = self.lane, self.loop.time
        error: BaseException | None = None
        self.began = True
        while True:
            lane.since = time()
            lane.running = self
            try:
                wanted = run.send(None) if error is None else run.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                lane.running = None
                took = time() - lane.since
                if took > BLOCKING:
                    lane.blocked += took
                    self.blocked += took
            error = None
            try:
                yield wanted
            except GeneratorExit:
                run.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it is thrown into the run
                error = thrown


def do_next(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop do next what it was asked to do last, so that a run that waits for nothing ends before others begin.

    Loops that are not asyncio's own keep their order.
    """
    ready: object = getattr(loop, "_ready", None)
    if isinstance(ready, deque):
        ready.rotate(1)


def in_signal_handler() -> bool:
    """Whether this is called by the handler of a signal."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = {code for number in signal.valid_signals() if (code := _code_of(signal.getsignal(number))) is not None}
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - nothing else shows who calls
    while frame is not None:
        if frame.f_code in handlers:
            return True
        frame = frame.f_back
    return False


def _code_of(handler: object) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    called = getattr(type(handler), "__call__", None)  # noqa: B004 - of an object that is a handler
    for found in (handler, getattr(handler, "__func__", None), called):
        code = getattr(found, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


def was_pressed(error: KeyboardInterrupt) -> bool:
    """Whether somebody has pressed Ctrl-C: a statement that raises it comes from code that pretends that.

    Signals are handled in the main thread only, and between two instructions, never as part of a ``raise``.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    innermost: TracebackType | None = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return True
    if innermost.tb_frame.f_code.co_filename == asyncio.runners.__file__:
        return True
    code = innermost.tb_frame.f_code.co_code
    return code[innermost.tb_lasti] not in _RAISES


_RAISES = {dis.opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in dis.opmap}


def leave(task: asyncio.Task[Any]) -> None:
    """Leave a task behind that does not end: nobody waits for it any more, not even the end of the loop."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    asyncio.tasks._unregister_task(task)
    task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
    task.cancel()
    with suppress(BaseException):  # code that ignores this, too, stays where it is
        cast("Coroutine[Any, Any, Any]", task.get_coro()).close()


@coroutine
def _give_way() -> Generator[None]:
    yield
