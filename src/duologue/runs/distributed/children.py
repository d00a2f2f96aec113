"""Worker processes as children of this one: whatever becomes of it, they end with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Self

from duologue.config.processes import end_group, kill_all_groups, track


class Child:
    """A Python process that leads its own process group and has a lifeline to this one.

    A lifeline is a pipe whose other end only this process holds. It breaks when this process ends in whatever way, and
    :func:`end_with_parent` then ends the child.
    """

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self.process = process
        self._lifeline = lifeline

    @classmethod
    async def start(
        cls, module: str, arguments: Sequence[str] = (), *, keep_open: Sequence[int] = (), listens: bool = False
    ) -> Self:
        """Start a module as a program. What it prints appears on standard error.

        Args:
            module: its name; its ``main`` calls :func:`end_with_parent` with its first argument.
            arguments: the others.
            keep_open: descriptors that it gets.
            listens: its standard input is a pipe; else there is none.

        Raises:
            OSError: it cannot be started.
        """
        lifeline, held = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", module, str(lifeline), *arguments,
                stdin=asyncio.subprocess.PIPE if listens else asyncio.subprocess.DEVNULL,
                stdout=2,
                pass_fds=(lifeline, *keep_open),
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(held)
            raise
        finally:
            os.close(lifeline)
        track(process)
        return cls(process, held)

    @property
    def ended(self) -> bool:
        """Whether :meth:`end` was called."""
        return self._lifeline < 0

    @property
    def how(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        return "no end" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"

    async def end(self) -> None:
        """Kill what is left of it; harmless when it was done before."""
        if not self.ended:
            os.close(self._lifeline)
            self._lifeline = -1
            await end_group(self.process)


def end_with_parent(lifeline: int) -> None:
    """Called first by the program of a child: Ctrl-C is for the parent, and a parent that ends takes it along.

    Args:
        lifeline: the descriptor of the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(lifeline, False)
    threading.Thread(target=_end_with_parent, args=(lifeline,), name="duologue-lifeline", daemon=True).start()


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    kill_all_groups()
    os.kill(os.getpid(), signal.SIGKILL)
