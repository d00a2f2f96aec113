"""Files that a reader sees whole or not at all."""

from __future__ import annotations

from pathlib import Path

from duologue.config.files import write_atomic
from duologue.errors import ResultsError


def replace_file(path: Path, text: str) -> None:
    """Write a text at once: a reader sees the old one or the new one, never a part. See :func:`replace_bytes`."""
    replace_bytes(path, text.encode("utf-8", "backslashreplace"))


def replace_bytes(path: Path, data: bytes) -> None:
    """The same for bytes. Survives a crash of the process; a power failure may leave the old file.

    Raises:
        ResultsError: it cannot be written.
    """
    try:
        write_atomic(path, data, durable=False)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be written: {error.strerror or error}")
