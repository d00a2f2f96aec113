"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

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
        _replace(path, data)
    except FileNotFoundError:
        _into_new_folder(path, data)
    except OSError as error:
        raise _failed(path, error) from error


def _into_new_folder(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be written: {error.strerror or error}")


def _replace(path: Path, data: bytes) -> None:
    place = str(path)
    folder, name = os.path.split(place)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")  # noqa: PTH118 - a thousand of these in an instant
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        os.rename(temporary, place) if os.name == "posix" else os.replace(temporary, place)  # noqa: PTH104, PTH105
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
