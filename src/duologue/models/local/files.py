"""Folders, locks and atomic writes for what the processes of one user share on one machine.

A lock is a lock of the operating system on an open file: it is gone when its holder is, however that one died.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from duologue.context import SystemClock
from duologue.errors import ConfigurationError, ModelUnavailableError
from duologue.settings import env

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None

POLL_SECONDS = 0.05


def cache_folder() -> Path:
    """``$DUOLOGUE_CACHE_DIR``, else ``$XDG_CACHE_HOME/duologue``, else ``~/.cache/duologue``. It need not exist."""
    if chosen := env("CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "duologue"


def models_folder() -> Path:
    """Where assembled weights, and the notes on what was checked, are kept."""
    return cache_folder() / "models"


def servers_folder() -> Path:
    """Where the servers of this machine leave their state: a cache on a shared disk serves several machines."""
    return cache_folder() / "local" / socket.gethostname()


def hub_folder() -> Path:
    """The Hugging Face cache, found as its own client finds it."""
    if chosen := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(chosen).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "huggingface" / "hub"


def private_folder(path: Path) -> Path:
    """Make the folder, for this user only."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def try_lock(path: Path) -> int | None:
    """Take the lock: a file descriptor that gives it back when it is closed, or None if someone else holds it."""
    if fcntl is None:  # pragma: no cover - Windows
        raise ConfigurationError(
            "The embedded model needs a POSIX system (Linux, macOS, WSL). Elsewhere, start any OpenAI-compatible "
            "server yourself and set its address as api_base."
        )
    private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # flock, not lockf: it excludes the threads of one process from each other as well.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether someone holds the lock now."""
    if not path.exists():
        return False
    descriptor = try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextmanager
def locked(path: Path, *, timeout: float, purpose: str) -> Generator[None]:
    """Hold the lock.

    Args:
        path: the lock file; made if it is not there, and left there.
        timeout: seconds to wait for whoever holds it.
        purpose: what the lock is for, to say so when it cannot be had.

    Raises:
        ModelUnavailableError: someone else held it all the time.
    """
    clock = SystemClock()
    deadline = clock.monotonic() + timeout
    while (descriptor := try_lock(path)) is None:
        if clock.monotonic() >= deadline:
            raise ModelUnavailableError(
                f"Another process has been {purpose} for more than {timeout:g} s (it holds {path}); "
                "wait for it, or end it"
            )
        pause(POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)


def pause(seconds: float) -> None:
    """Wait for another process, in a thread that may wait."""
    threading.Event().wait(seconds)
