"""Who cancels: somebody outside of a run, such as a person who presses Ctrl-C, or the code of the run itself.

And who goes on next when a run begins and ends.
"""

from __future__ import annotations

import asyncio
import dis
import functools
import logging
import signal
import sys
import threading
from collections import deque
from collections.abc import Awaitable
from types import CodeType, FrameType, TracebackType
from typing import Any, Protocol

logger = logging.getLogger("duologue.conversation")


class RunningCode(Protocol):
    """Knows whose code is being executed on an event loop."""

    @property
    def running(self) -> object | None:
        """The run whose code is being executed; None while the loop itself is."""
        ...


class EndOfRun(asyncio.Future[None]):
    """What the task waits for that waits for a run. Code of a run that cancels that task is not heard.

    An agent that cancels all tasks of its event loop means its own: the caller's is among them only because the run is
    played on the caller's loop. Somebody outside cancels while no code of a run is being executed, or in the handler
    of a signal, which interrupts such code.
    """

    def __init__(self, outer: asyncio.Task[Any], lane: RunningCode, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._outer = outer
        self._lane = lane

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel it, unless code of a run asks for that."""
        if self._lane.running is not None and not in_signal_handler():
            self._outer.uncancel()
            return True
        return super().cancel(msg)


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


async def bounded(closing: Awaitable[None], seconds: float) -> None:
    """Wait for the end of a session, but not for ever; what goes wrong there changes nothing about the run."""
    try:
        async with asyncio.timeout(seconds):
            await closing
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        logger.exception("a session cancelled itself while it was interrupted or closed")
    except (Exception, SystemExit):
        logger.exception("a session could not be interrupted or closed")
