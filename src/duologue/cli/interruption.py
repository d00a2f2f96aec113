"""Signals: Ctrl-C, a closed terminal, a cancelled CI job. None of them ends in a traceback or leaves a program behind.

Until a command has begun, a signal ends the process with one line. Most commands then get a KeyboardInterrupt, as any
Python program does; ``duologue run`` stops in good order (:class:`Stopping`). The exit code is 128 and the number of
the signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""The exit code of a command that was interrupted from the keyboard."""
_SAME_PRESS = 0.3
"""Seconds within which a second Ctrl-C is the same: the terminal sends it to the supervising process as well."""
_ENDINGS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

Handler = Callable[[int, FrameType | None], None]


def leave_at_once() -> None:
    """From now on a signal ends the process with one line. Signals that are ignored, as under nohup, stay so."""
    for number in (signal.SIGINT, *_ENDINGS):
        if signal.getsignal(number) not in {signal.SIG_IGN, None}:
            signal.signal(number, _leave)


def is_program() -> bool:
    """Whether this process runs the ``duologue`` command, and nothing else."""
    return any(signal.getsignal(number) is _leave for number in (signal.SIGINT, *_ENDINGS))


def raise_errors() -> None:
    """From now on a signal raises KeyboardInterrupt, if this process is the ``duologue`` command."""
    if not is_program():
        return
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    ending = _Ending()
    for number in _ENDINGS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, ending)


def exit_code(code: int) -> int:
    """The exit code of the process, given that of a command: which signal it was, if it was interrupted."""
    handler = signal.getsignal(signal.SIGTERM)
    received = handler.received if isinstance(handler, _Ending) else None
    return 128 + received if code == INTERRUPTED and received else code


def _leave(number: int, _: FrameType | None) -> None:
    os.write(2, b"Interrupted before anything was run.\n")
    os._exit(128 + number)


class _Ending:
    """Turns SIGTERM and SIGHUP into what Ctrl-C does, and remembers which it was."""

    received: int | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        self.received = number
        if signal.getsignal(signal.SIGINT) in {signal.SIG_IGN, None}:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)


@contextmanager
def once_per_press(clock: Callable[[], float]) -> Generator[None]:
    """Within the block, Ctrl-C that comes twice at once counts once.

    Args:
        clock: seconds from any beginning.
    """
    handler: Any = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    last = float("-inf")

    def pressed(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if clock() - last >= _SAME_PRESS:
            last = clock()
            handler(number, frame)

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class Stopping:
    """How signals stop an execution.

    The first Ctrl-C lets the runs that are under way finish, the second cancels them; SIGTERM and SIGHUP cancel them at
    once. Whoever insists ends the process and all programs that it started: the results are written already.

    Args:
        stop: called for the first, and again for the second.
        clock: seconds from any beginning.
        hint: what to do next, shown if somebody insists.
        leave: called before the process ends at once.
        patient: SIGTERM and SIGHUP are like Ctrl-C: the first of them lets the runs that are under way finish.
    """

    def __init__(
        self,
        stop: Callable[[], object],
        *,
        clock: Callable[[], float],
        hint: str,
        leave: Callable[[], None],
        patient: bool = False,
    ) -> None:
        self.received: int | None = None
        self._stop = stop
        self._clock = clock
        self._hint = hint
        self._leave = leave
        self._patient = patient
        self._steps = 0
        self._last = float("-inf")
        self.over = False
        """The execution is over, and reports are being written: there is nothing left to stop."""

    @contextmanager
    def installed(self) -> Generator[None]:
        """Handle signals within the block, where that can be done: in the main thread."""
        before: dict[int, Any] = {}
        try:
            for number in (signal.SIGINT, *_ENDINGS):
                if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                    before[number] = signal.signal(number, self._handle)
        except ValueError:  # not the main thread
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        now = self._clock()
        terminal = number == signal.SIGINT or not self._patient  # which sends it to parent and child
        if terminal and now - self._last < _SAME_PRESS and number == self.received:
            return
        self._last, self.received = now, self.received or number
        at_once = number != signal.SIGINT and not self._patient
        wanted = 2 if at_once and self._steps < 2 else self._steps + 1
        if wanted > 2 or self.over:
            self._leave()
            os.write(2, f"{self._hint}\n".encode("utf-8", "replace"))
            os._exit(128 + number)
        while self._steps < wanted:
            self._steps += 1
            self._stop()

    @property
    def exit_code(self) -> int | None:
        """128 and the number of the signal; None if there was none."""
        return None if self.received is None else 128 + self.received


def discard_output() -> None:
    """Let what is still to be printed go nowhere: its reader has closed the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def flush() -> None:
    """Write what was printed, before the process is doubled or ends."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
