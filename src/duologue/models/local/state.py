"""What a running server leaves on disk, so that other processes find it: its state, its locks, its log.

The *life lock* is the truth about whether a server runs: the server holds it as long as it lives, and the operating
system takes it back however it ends. A state file without that lock is stale.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.models.local.files import is_locked, servers_folder

READY = "ready"
"""What a server says to its launcher when it can be asked."""
LOG_LINES = 20
_LOG_BYTES = 16_384


def default_threads() -> int:
    """One processor less than there are, at most eight.

    The agent under test and the tests need one too, and the engine's threads wait for one another: with one busy
    process beside it, two threads on two processors write half as fast as one.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(8, processors - 1))


class ServerOptions(BaseModel):
    """What a server is started with.

    Attributes:
        name: of the model, without ``local/``.
        weights: path of the GGUF file.
        digest: names the bytes of the weights.
        context: tokens that all requests in progress share.
        slots: requests that are worked on at the same time.
        threads: of the engine while it writes; while it reads a prompt it takes one more.
        idle_seconds: without a request, after which the server stops by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weights: str
    digest: str
    context: int = Field(default=8192, ge=256)
    slots: int = Field(default=2, ge=1)
    threads: int = Field(default_factory=default_threads, ge=1)
    idle_seconds: float = Field(default=300.0, gt=0)

    @property
    def key(self) -> str:
        """Names the server: requests that need the same one share it, whatever their idle time."""
        text = self.model_dump_json(exclude={"name", "weights", "idle_seconds"})
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class ServerState(BaseModel):
    """A server that is ready. ``started``: seconds since 1970-01-01 UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = 1
    pid: int
    port: int
    api_key: str = Field(repr=False)
    options: ServerOptions
    started: float

    @property
    def url(self) -> str:
        """Root of its HTTP interface."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class ServerFolder:
    """Where one server leaves its files."""

    path: Path

    @classmethod
    def of(cls, options: ServerOptions) -> ServerFolder:
        """The folder of the server with these options, on this machine."""
        stem = "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in options.name)[-60:]
        return cls(path=servers_folder() / f"{stem}-{options.key}")

    @classmethod
    def all(cls) -> Iterator[ServerFolder]:
        """Every folder of this machine, in the order of their names."""
        for path in sorted(servers_folder().glob("*/")):
            yield cls(path=path)

    @property
    def start_lock(self) -> Path:
        """Held by whoever starts or replaces the server."""
        return self.path / "start.lock"

    @property
    def life_lock(self) -> Path:
        """Held by the server while it lives; holds its process id."""
        return self.path / "life.lock"

    @property
    def log(self) -> Path:
        """What the server and its engine say."""
        return self.path / "server.log"

    def alive(self) -> bool:
        """Whether a server lives, ready or not."""
        return is_locked(self.life_lock)

    def read(self) -> ServerState | None:
        """What the state file says; None if there is none that can be understood."""
        try:
            return ServerState.model_validate_json(self._state.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, state: ServerState) -> None:
        """Tell the others. Only this user may read it: it holds the server's key."""
        write_atomic(self._state, state.model_dump_json(indent=2), permissions=OWNER_ONLY)

    def clear(self) -> None:
        """Take the state back."""
        self._state.unlink(missing_ok=True)

    def pid(self) -> int | None:
        """The process that holds the life lock, or held it last."""
        try:
            return int(self.life_lock.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, if one lives: a process id that is no longer its own is left alone."""
        pid = self.pid()
        if pid and self.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def log_end(self) -> str:
        """The last lines of the log, for error messages."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return "(there is no log)"
        return "\n".join(text.splitlines()[-LOG_LINES:]) or "(the log is empty)"

    @property
    def _state(self) -> Path:
        return self.path / "state.json"
