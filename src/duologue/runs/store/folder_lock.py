"""One execution in a folder at a time: whoever writes results holds the folder until it is done, or has ended."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from duologue.errors import ConfigurationError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such locks: there, two executions are not kept apart
    fcntl = None


_AGAIN = 0.05
"""Seconds between two attempts to hold a folder."""


@contextmanager
def claimed(folder: Path, *, patience: float = 0.0) -> Generator[None]:
    """Hold a folder that exists. A process that is killed gives it back.

    Args:
        folder: of results.
        patience: seconds to wait for another that holds it: one that was killed right now takes a moment.

    Raises:
        ConfigurationError: another execution holds it.
    """
    if fcntl is None or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, patience)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, patience: float) -> None:
    assert fcntl is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if patience > 0:
            Event().wait(_AGAIN)
            _lock(descriptor, folder, patience - _AGAIN)
            return
        raise ConfigurationError(
            f"{folder} is being written by another 'duologue run'; wait until it is over, or choose another folder "
            "with --out"
        ) from error
    except OSError:  # a file system without locks
        return
