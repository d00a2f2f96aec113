"""A process that looks after the one that runs the user's Python code, which may end its process unexpectedly.

``os._exit(0)`` in an agent, or a crash in an extension, would otherwise look like success. Before the first such code
is loaded, the process doubles itself: the child runs everything, the parent waits. Doubling a process that has its
imports done takes two or three milliseconds, and only commands that run Python code pay them. If the child ends
without having said with which exit code, the parent says so, writes the index, and exits with a code that is not 0.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import field
from typing import NoReturn

from duologue.cli.exit_codes import READER_GONE, ExitCode
from duologue.cli.interruption import discard_output, flush, is_program
from duologue.config.processes import kill_all_groups, kill_group_of, kill_tree, watch_groups
from duologue.context import SystemClock
from duologue.frozen import frozen

_SECONDS_TO_END = 10.0
"""That the child has to end after SIGTERM or SIGHUP: code of the user may block its thread for ever."""
_SECONDS_TO_LEAVE = 30.0
"""That the child has to end once it has said with which exit code: functions of ``atexit`` may wait for ever."""
_SECONDS_WITHOUT_PIPE = 2.0
"""That the child may be there after its end of the pipe: code of the user has closed the files of the process."""
_FORWARDED = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@frozen
class Death:
    """How the child ended without having come to its end.

    Attributes:
        status: what ``os.waitpid`` says.
        folder: of the results that it was writing; '' for none.
        path: the file of the suite or function that it was running.
        running: ids of the runs that were under way.
        asked: the signal that it was to end by, and did not.
        closed: it closed its files, those of its event loops among them, and was ended because it could not go on.
    """

    status: int
    folder: str = ""
    path: str = ""
    running: tuple[str, ...] = field(default=())
    asked: int | None = None
    closed: bool = False

    @property
    def signal(self) -> int | None:
        """The signal that ended it, if one did, and it was not ours."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) and not self.closed else None

    @property
    def how(self) -> str:
        """In words."""
        if self.asked is not None:
            return f"{signal.Signals(self.asked).name} did not stop it within {_SECONDS_TO_END:g} s"
        if self.closed:
            return "code that it ran closed all files of the process, as os.closerange does"
        if self.signal is not None:
            return f"signal {signal.Signals(self.signal).name}"
        return f"exit code {os.waitstatus_to_exitcode(self.status)}"

    @property
    def exit_code(self) -> int:
        """Of the parent: never 0."""
        if self.asked is not None:
            return 128 + self.asked
        return ExitCode.UNCERTAIN if self.signal is None else 128 + self.signal


class Supervised:
    """What the child tells its parent."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def runs(self, folder: str, path: str) -> None:
        """What comes is kept in this folder, and belongs to the suite or function of that file."""
        self.tell({"folder": folder, "path": path})

    def begun(self, run_id: str) -> None:
        """A run is under way."""
        self.tell({"begun": run_id})

    def over(self, run_id: str) -> None:
        """A run has come to its end."""
        self.tell({"over": run_id})

    def program(self, group: int, running: bool) -> None:
        """A program with a process group of its own was started, or has ended."""
        self.tell({"program": group, "running": running})

    def ends(self, code: int) -> int:
        """The child comes to its end with this exit code."""
        try:
            flush()
        except BrokenPipeError:
            discard_output()
            code = READER_GONE
        self.tell({"code": code})
        return code

    def tell(self, value: object) -> None:
        """Send a line; a parent that is not there any more does not matter."""
        try:
            os.write(self._pipe, json.dumps(value).encode() + b"\n")
        except OSError:
            return


def supervised(died: Callable[[Death], None]) -> Supervised | None:
    """Double this process if it is the ``duologue`` command; the child returns, the parent waits and exits.

    Args:
        died: called in the parent if the child ends without having said with which exit code.

    Returns:
        In the child, what it tells its parent with; None where nobody supervises, as in a program that calls us.
    """
    if not is_program() or not hasattr(os, "fork") or threading.active_count() > 1:
        return None
    heard, told = os.pipe()
    alive, lifeline = os.pipe()
    flush()
    child = os.fork()
    if child:
        os.close(told)
        os.close(alive)
        _wait(child, heard, died)
    os.close(heard)
    os.close(lifeline)
    threading.Thread(target=_end_with_parent, args=(alive,), name="duologue-lifeline", daemon=True).start()
    parent = Supervised(told)
    watch_groups(parent.program)
    return parent


def _end_with_parent(alive: int) -> None:
    """A parent that is killed takes its child along: nobody else would know of it."""
    os.read(alive, 1)
    kill_all_groups()
    os.kill(os.getpid(), signal.SIGKILL)


class Patience:
    """Seconds that may pass without a sign of life, once they have begun.

    Args:
        seconds: how many.
        clock: seconds from any beginning.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def begin(self) -> None:
        """Count from now on, unless that has begun."""
        if self._since is None:
            self._since = self._clock()

    def renew(self) -> None:
        """A sign of life: begin again, if it was begun."""
        if self._since is not None:
            self._since = self._clock()

    def over_since_begun(self) -> bool:
        """Whether that much time has passed; it begins now at the latest."""
        self.begin()
        return self.over

    @property
    def over(self) -> bool:
        """Whether that much time has passed."""
        return self._since is not None and self._clock() - self._since > self._seconds


class _Heard:
    """What the child has said so far."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.folder = self.path = ""
        self.running: dict[str, None] = {}
        self.programs: set[int] = set()
        self.asked: int | None = None
        """The first signal other than Ctrl-C that came while the child was at work."""
        self.closed = False
        """The child was ended because its files were closed."""
        self._rest = b""

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "folder" in said:
                self.folder, self.path = said["folder"], said["path"]
                self.running.clear()
            elif "begun" in said:
                self.running[said["begun"]] = None
            elif "program" in said:
                (self.programs.add if said["running"] else self.programs.discard)(said["program"])
            elif "over" in said:
                self.running.pop(said["over"], None)
            else:
                self.code = said["code"]


def _wait(child: int, pipe: int, died: Callable[[Death], None]) -> NoReturn:
    """Pass signals on to the child until it ends, then end as it did."""
    said = _Heard()
    status = _follow(child, pipe, said)
    for program in said.programs:  # nobody else would end them
        kill_group_of(program)
    if said.code is not None:
        os._exit(said.code if said.asked is None else 128 + said.asked)
    death = Death(
        status=status,
        folder=said.folder,
        path=said.path,
        running=tuple(said.running),
        asked=said.asked,
        closed=said.closed,
    )
    code = death.exit_code
    try:
        died(death)
        flush()
    finally:
        os._exit(code)


def _follow(child: int, pipe: int, said: _Heard) -> int:
    """Wait for the end of the child. Told to end, it has to: as long as it says nothing new, for so many seconds."""
    woken, wake = os.pipe()
    for end in (woken, wake, pipe):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (*_FORWARDED, signal.SIGCHLD):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _note)
    sources = [pipe, woken]
    patience = Patience(_SECONDS_TO_END, SystemClock().monotonic)
    leaving = Patience(_SECONDS_TO_LEAVE, SystemClock().monotonic)
    silent = Patience(_SECONDS_WITHOUT_PIPE, SystemClock().monotonic)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            while data := _read(pipe):
                said.take(data)
            return status
        ready, _, _ = select.select(sources, [], [], 1.0)
        if pipe in ready:
            data = _read(pipe)
            if data:
                said.take(data)
                patience.renew()
            elif data == b"":
                sources.remove(pipe)
                silent.begin()
        if woken in ready:
            for number in _read(woken) or b"":
                if number in _FORWARDED:
                    os.kill(child, number)
                if number in _FORWARDED and number != signal.SIGINT:
                    patience.begin()
                    if said.code is None:
                        said.asked = said.asked or number
        said.closed = said.closed or (silent.over and said.code is None and said.asked is None)
        if patience.over or said.closed or (said.code is not None and leaving.over_since_begun()):
            kill_tree(child)


def _note(_number: int, _frame: object) -> None:
    """Signals are read from the pipe that they wake."""


def _read(pipe: int) -> bytes | None:
    """What is there; empty at the end, None where nothing is there yet."""
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return None
