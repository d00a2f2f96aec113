"""Write files atomically: a reader sees the old content or the new one, never a part of either."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

OWNER_ONLY = 0o600
"""Permissions of a file that only its owner may read."""


def write_atomic(path: Path, content: str | bytes, *, permissions: int = 0o666, durable: bool = True) -> None:
    """Create or replace a file. Missing folders are created.

    Args:
        path: the file.
        content: bytes, or text that is encoded as UTF-8 (a lone surrogate as a backslash escape).
        permissions: of a new file; the umask of the process applies.
        durable: wait until the content has reached the disk. False is faster and still survives a crash of the
            process; a power failure may leave the old file or an empty one.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        with atomic_writer(path, permissions=permissions, durable=durable) as file:
            file.write(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(path, permissions=permissions, durable=durable) as file:
            file.write(data)


@contextmanager
def atomic_writer(path: Path, *, permissions: int = 0o666, durable: bool = True) -> Generator[BinaryIO]:
    """Open a file that takes its place when the block ends, and is discarded if the block raises.

    Args:
        path: the file; its folder must exist.
        permissions: of a new file; the umask of the process applies.
        durable: wait until the content has reached the disk.

    Raises:
        OSError: the file cannot be written.
    """
    target = str(path)
    folder, name = os.path.split(target)
    # In the same folder, because a rename is atomic only within one file system. Plain strings: this is a hot path.
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{threading.get_ident()}.tmp")  # noqa: PTH118
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), permissions)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
