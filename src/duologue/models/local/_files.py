"""Folders, locks and weights files: what the processes of one user share on one machine.

A lock is a lock of the operating system on an open file: it is gone when its holder is, however that one died. Weights
are put together and checked once: half a gigabyte is not read again at each start. A digest that was checked is
remembered with the file's size and time of change, in a note beside the assembled models.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from duologue.config.cache import cache_folder
from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.errors import ConfigurationError, ModelUnavailableError

POLL_SECONDS = 0.05
ASSEMBLY_TIMEOUT = 600.0
"""Seconds that another process may take to put the same file together."""
_BLOCK = 1024 * 1024
_MAGIC = b"GGUF"


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


def try_acquire(path: Path) -> FileLock | None:
    """Take the lock, until it is released or this process ends; None if someone else holds it.

    Locks of one process exclude one another as well.
    """
    private_folder(path.parent)
    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def is_locked(path: Path) -> bool:
    """Whether someone holds the lock now."""
    if not path.exists():
        return False
    lock = try_acquire(path)
    if lock is None:
        return True
    lock.release()
    return False


@contextmanager
def locked(path: Path, *, timeout: float, purpose: str) -> Generator[None]:
    """Hold the lock.

    Args:
        path: the lock file; made if it is not there.
        timeout: seconds to wait for whoever holds it.
        purpose: what the lock is for, to say so when it cannot be had.

    Raises:
        ModelUnavailableError: someone else held it all the time.
    """
    private_folder(path.parent)
    lock = _lock(path)
    try:
        lock.acquire(timeout=timeout, poll_interval=POLL_SECONDS)
    except Timeout as error:
        raise ModelUnavailableError(
            f"Another process has been {purpose} for more than {timeout:g} s (it holds {path}); wait for it, or end it"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock(path: Path) -> FileLock:
    return FileLock(path, mode=OWNER_ONLY, thread_local=False)


def pause(seconds: float) -> None:
    """Wait for another process, in a thread that may wait."""
    threading.Event().wait(seconds)


# Weights files


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class CheckedFile(BaseModel):
    """What is known of a file, as long as its size and its time of change stay the same."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    mtime_ns: int
    sha256: str


def digest_of(path: Path) -> str:
    """The SHA-256 of a file: from the note if the file has not changed since, else computed and noted."""
    note = _note(path)
    stat = path.stat()
    with suppress(OSError, ValidationError):
        known = CheckedFile.model_validate_json(note.read_bytes())
        if (known.path, known.size, known.mtime_ns) == (str(path), stat.st_size, stat.st_mtime_ns):
            return known.sha256
    with path.open("rb") as file:
        sha256 = _copy(file, None, hashlib.sha256())
    remember(path, sha256)
    return sha256


def remember(path: Path, sha256: str) -> None:
    """Note the digest of a file that was just computed."""
    stat = path.stat()
    checked = CheckedFile(path=str(path), size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=sha256)
    note = _note(path)
    private_folder(note.parent)
    write_atomic(note, checked.model_dump_json(indent=2), permissions=OWNER_ONLY)


def fingerprint(path: Path) -> str:
    """A name for the bytes of a file of the user's own, from its path, size and time of change: not read in full."""
    stat = path.stat()
    text = f"{path}\n{stat.st_size}\n{stat.st_mtime_ns}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def require_gguf(path: Path) -> None:
    """Check that this is a GGUF file.

    Raises:
        ConfigurationError: it is not there, cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise ConfigurationError(
            f"The weights {path} cannot be read: {error.strerror or error}. Give the path of a GGUF file"
        ) from error
    if head != _MAGIC:
        raise ConfigurationError(
            f"The file {path} is not a GGUF file: it begins with {head!r}, expected {_MAGIC!r}. "
            "Give the path of a model in llama.cpp's GGUF format"
        )


def assemble(
    parts: Sequence[Path], target: Path, *, sha256: str, progress: Callable[[int], None] | None = None
) -> None:
    """Write the parts, one after the other, to ``target``: whole and with that digest, or not at all.

    Processes that do it at the same time wait for one another, and the second finds it done.

    Args:
        parts: files in their order.
        target: the file to make.
        sha256: digest that the whole must have, 64 hexadecimal digits.
        progress: told the bytes written so far.

    Raises:
        ConfigurationError: the digest differs, a part cannot be read, or the disk is full.
        ModelUnavailableError: another process has been at it for ten minutes.
    """
    private_folder(target.parent)
    lock = target.with_name(f".{target.name}.lock")
    with locked(lock, timeout=ASSEMBLY_TIMEOUT, purpose=f"putting {target.name} together"):
        if target.exists() and digest_of(target) == sha256:
            return
        # One name for all: what a process that was killed left behind is written over, not left to fill the disk.
        temporary = target.with_name(f".{target.name}.part")
        try:
            _write_parts(parts, temporary, sha256, progress)
            temporary.replace(target)
        except OSError as error:
            raise ConfigurationError(
                f"The weights could not be put together in {target.parent}: {error.strerror or error}. They need "
                f"{_sizes(parts) / 1e6:.0f} MB there; free some space or set DUOLOGUE_CACHE_DIR to another folder"
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink()
        remember(target, sha256)


def _write_parts(parts: Sequence[Path], temporary: Path, sha256: str, progress: Callable[[int], None] | None) -> None:
    digest = hashlib.sha256()
    with temporary.open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                _copy(file, out, digest, progress)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != sha256:
        raise ConfigurationError(
            f"The {len(parts)} parts in {parts[0].parent.parent.parent} are not the weights that are expected: their "
            f"SHA-256 is {digest.hexdigest()}, expected {sha256}. They are not used. Remove those packages and install "
            "them again in the pinned version"
        )


def _copy(file: BinaryIO, out: BinaryIO | None, digest: _Digest, progress: Callable[[int], None] | None = None) -> str:
    for block in _blocks(file):
        digest.update(block)
        if out:
            out.write(block)
            if progress:
                progress(out.tell())
    return digest.hexdigest()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _sizes(parts: Sequence[Path]) -> int:
    return sum(part.stat().st_size for part in parts if part.exists())


def _note(path: Path) -> Path:
    name = hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return models_folder() / "checked" / f"{name}.json"
