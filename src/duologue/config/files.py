"""Files: by the names that a configuration gives them, and written so that readers see the old content or the new."""

from __future__ import annotations

import glob
import os
import stat
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import DEFAULT_BUFFER_SIZE
from pathlib import Path
from typing import BinaryIO

from duologue.errors import ConfigurationError

PATTERN = frozenset("*?[")
"""Characters that make a path a pattern."""


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern such as ``recordings/*.json`` means, by name."""
    found = glob.glob(pattern, root_dir=folder)  # noqa: PTH207 -- patterns may begin with ../ or /
    return sorted(folder / name for name in found if (folder / name).is_file())


def project_folder(start: Path) -> Path:
    """The project that a folder belongs to; the folder itself if it belongs to none."""
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() or (folder / ".git").exists():
            return folder
    return start


def shown_path(path: Path) -> str:
    """A path as errors show it: as short as it can be without leaving the way it was given."""
    return os.path.normpath(path)


def short_path(path: str | Path) -> str:
    """A path, relative to the current folder if it lies in it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def home_path(path: str | Path) -> str:
    """A path as people write it, beginning with ``~`` if it lies in the user's home."""
    with suppress(ValueError, OSError, RuntimeError):
        return str(Path("~") / Path(path).relative_to(Path.home()))
    return str(path)


def read_file(path: Path, most: int) -> bytes:
    """The content of an ordinary file. A pipe or a device, which may have no end, is never read.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        ConfigurationError: it does not exist, is no ordinary file, cannot be read or is larger.
    """
    shown = shown_path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            ordinary = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = file.read(most + 1) if ordinary else b""
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(f"{shown} cannot be read: {reason}") from error
    if not ordinary:
        raise ConfigurationError(f"{shown} is no ordinary file, so it is not read")
    if len(data) > most:
        raise ConfigurationError(f"{shown} has more than {most:,} bytes, so it is not read")
    return data


OWNER_ONLY = 0o600
"""Permissions of a file that only its owner may read."""
OWNER_FOLDER = 0o700
"""Permissions of a folder that only its owner may enter."""


def make_private_folder(folder: Path) -> None:
    """Create a folder and those above it that are missing, for their owner only. What exists stays as it is.

    Raises:
        OSError: it cannot be created.
    """
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for item in reversed(missing):
        item.mkdir(mode=OWNER_FOLDER, exist_ok=True)


def make_results_folder(folder: Path) -> None:
    """:func:`make_private_folder` for results.

    Raises:
        ConfigurationError: it cannot be created.
    """
    try:
        make_private_folder(folder)
    except OSError as error:
        raise ConfigurationError(
            f"cannot create the results folder {folder}: {error.strerror}. Choose another with --out"
        ) from error


def open_private(path: str, flags: int) -> int:
    """Open a file for its owner only if it is new: an ``opener`` for :func:`open`."""
    return os.open(path, flags, OWNER_ONLY)


def write_atomic(path: Path, content: str | bytes, *, permissions: int = 0o666, durable: bool = True) -> None:
    """Create or replace a file. Missing folders are created, as private as the file.

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
        if permissions == OWNER_ONLY:
            make_private_folder(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(path, permissions=permissions, durable=durable) as file:
            file.write(data)


REPLACED = "replaced"
"""Why a journal or result is set aside that another one takes the place of."""


def set_aside(path: Path, why: str) -> Path | None:
    """Rename a file to ``NAME.why``, or ``NAME.why.2`` and so on where that is taken: nothing is ever replaced.

    Returns:
        Its new path; None if there is no such file.

    Raises:
        OSError: it cannot be renamed.
    """
    target = _free_name(path, why)
    try:
        path.rename(target)
    except FileNotFoundError:
        return None
    return target


def keep_copy(path: Path, why: str) -> Path | None:
    """Give a file a second name, as :func:`set_aside` does, so that its content stays when it is replaced.

    A folder that has taken the place of the file is set aside.

    Returns:
        The second path; None if there is no such file.

    Raises:
        OSError: it cannot be copied.
    """
    if path.is_dir() and not path.is_symlink():
        return set_aside(path, why)
    target = _free_name(path, why)
    try:
        try:
            target.hardlink_to(path)
        except FileNotFoundError:
            return None
        except (OSError, NotImplementedError):  # a file system without hard links
            write_atomic(target, path.read_bytes(), permissions=OWNER_ONLY, durable=False)
    except FileNotFoundError:
        return None
    return target


def _free_name(path: Path, why: str) -> Path:
    target, number = path.with_name(f"{path.name}.{why}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{why}.{number}")
    return target


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
        with os.fdopen(descriptor, "wb", DEFAULT_BUFFER_SIZE) as file:  # else it asks whether this is a terminal
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
