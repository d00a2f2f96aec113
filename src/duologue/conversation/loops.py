"""Which event loop the code of a run belongs on, and what a thread that does not give way is doing.

Clients of models, databases and tools that are asynchronous keep connections and locks that belong to the event loop
they were first used on, and most programs make them once, in a module. So code that awaits is played on one loop that
stays for as long as the process does. Code that never awaits, because its clients are blocking ones, needs no loop: it
gets a thread for each run.
"""

from __future__ import annotations

import asyncio
import dis
import inspect
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import cache
from types import CodeType, FrameType
from typing import Any, cast

from duologue.config.tracebacks import cause_of, message_of
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.deadlines import OWNER, RunTask

_AWAITING = {"GET_AWAITABLE", "GET_AITER", "GET_ANEXT"}
_HOOKS = ("call", "stream", "open")
_OWN, _INTEGRATIONS = "duologue.", "duologue.integrations."
_COMPUTING = 0.05
"""The share of time on a processor from which on a thread computes: one of many on a busy machine may get no more."""
_LOOK = 0.2
"""Seconds that a thread is looked at before anything is said about it."""


def belongs_on_shared_loop(agents: Iterable[AgentAdapter], functions: Iterable[object] = ()) -> bool:
    """Whether code of the user awaits something, so that its clients may belong to an event loop.

    Args:
        agents: the participants; those of this package use other connections on each loop.
        functions: steps and checks.
    """
    if any(_is_users(type(agent).__module__) and _awaits(type(agent)) for agent in agents):
        return True
    return any(inspect.iscoroutinefunction(item) and _is_users(getattr(item, "__module__", "")) for item in functions)


def _is_users(module: str) -> bool:
    return not module.startswith(_OWN) or module.startswith(_INTEGRATIONS)


@cache
def _awaits(kind: type[AgentAdapter]) -> bool:
    """Whether the adapter's own code awaits; True where that cannot be seen."""
    hooks = [getattr(kind, name) for name in _HOOKS if getattr(kind, name) is not getattr(AgentAdapter, name)]
    return any(_function_awaits(hook) for hook in hooks)


def _function_awaits(function: Callable[..., Any]) -> bool:
    code: CodeType | None = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or any(step.opname in _AWAITING for step in dis.get_instructions(code))


# --- whose code is being executed ------------------------------------------------------------------------------------


def timed_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> asyncio.Task[Any]:
    """A task factory: what code of a run does in tasks of its own counts as the run's own."""
    run = OWNER.get()
    is_other = run is None or run.__dict__.get("loop") is not loop
    if run is None or is_other or not inspect.iscoroutine(work) or work.cr_code is RunTask.timed.__code__:
        return asyncio.Task(cast("Coroutine[Any, Any, Any]", work), loop=loop, **options)
    task = asyncio.Task(run.timed(work), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # of one that was cancelled before it began
    return task


class ThreadBlocked(Exception):
    """The thread of a run is blocked; ``error`` says by what.

    Attributes:
        error: what the run ends with.
        own: whether the run itself blocks the thread.
        begun: whether code of the run has been executed.
    """

    def __init__(self, error: Exception, *, own: bool, begun: bool = True) -> None:
        super().__init__(str(error))
        self.error = error
        self.own = own
        self.begun = begun


class Activity:
    """Whether a blocked thread waits for something, so that others gain by moving to another thread.

    A thread that computes or imports holds up whoever needs the interpreter anyway, and will give way.

    Args:
        thread: its identifier.
    """

    def __init__(self, thread: int) -> None:
        self._thread = thread
        self._since = -1.0
        self._first = (0.0, 0.0)

    def waits(self, since: float, now: float) -> bool:
        """Whether it has waited since it was looked at first in this step.

        Args:
            since: when the step began that it has not given way from.
            now: on the same clock.
        """
        used = _processor_seconds(self._thread)
        if self._since != since:
            self._since, self._first = since, (now, used or 0.0)
            return False
        if _imports(self._thread):
            return False
        then, before = self._first
        return now - then >= _LOOK and (used is None or used - before < _COMPUTING * (now - then))


def _processor_seconds(thread: int) -> float | None:
    """Seconds that a thread has spent on processors; None where the system does not say."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return None
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    except OSError:
        return None


def _imports(thread: int) -> bool:
    """Whether a thread is in the middle of an import."""
    frame: FrameType | None = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage] - as in tracebacks
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


# --- what has gone wrong with a loop ---------------------------------------------------------------------------------

_OTHER_LOOP = ("bound to a different event loop", "attached to a different loop", "Event loop is closed")
_MOST_CAUSES = 20


def other_loop_advice(error: BaseException) -> str:
    """What to do about an error that comes from a client of another event loop; '' for all others."""
    link: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if link is None:
            return ""
        if isinstance(link, RuntimeError) and any(text in message_of(link) for text in _OTHER_LOOP):
            return (
                "; the agent used a client, lock or connection of another event loop, such as a client that is made "
                "once in a module and was used first in another test. Use duologue.run, which plays all runs on one "
                "loop; or let all tests share a loop (asyncio_default_test_loop_scope = session in pytest-asyncio); or "
                "make the client for each run, in the adapter's open()"
            )
        link = cause_of(link)
    return ""
