"""Files that a reader sees whole or not at all, and that nobody but their owner reads: conversations are private."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.errors import ConfigurationError, ResultsError

_BEGINNING = 4096
"""Bytes of a file that are searched for a mark."""


def replace_file(path: Path, text: str) -> None:
    """Write a text at once: a reader sees the old one or the new one, never a part. See :func:`replace_bytes`."""
    replace_bytes(path, text.encode("utf-8", "backslashreplace"))


def replace_bytes(path: Path, data: bytes) -> None:
    """The same for bytes. Survives a crash of the process; a power failure may leave the old file.

    A new file is for its owner only, and so are folders that are created for it. A file that is replaced keeps the
    permissions that somebody gave it.

    Raises:
        ResultsError: it cannot be written.
    """
    try:
        write_atomic(path, data, permissions=_permissions(path), durable=False)
    except OSError as error:
        raise _failed(path, error) from error


def _permissions(path: Path) -> int:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return OWNER_ONLY
    return stat.S_IMODE(mode) & 0o666 if stat.S_ISREG(mode) else OWNER_ONLY


def _failed(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be written: {error.strerror or error}")


def require_replaceable(path: Path, mark: re.Pattern[bytes]) -> None:
    """Stop before a file of somebody else is replaced.

    Args:
        path: what is to be written. It may be missing.
        mark: what is found near the beginning of a file of ours.

    Raises:
        ConfigurationError: there is something else at that path.
    """
    if os.path.lexists(path) and not is_marked(path, mark):
        raise ConfigurationError(
            f"{path} exists and was not written by Duologue; nothing was written. Move it elsewhere, or choose another "
            "folder with --out"
        )


def is_marked(path: Path, mark: re.Pattern[bytes]) -> bool:
    """Whether there is an ordinary file with that mark near its beginning."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return mark.search(file.read(_BEGINNING)) is not None
    except OSError:
        return False
