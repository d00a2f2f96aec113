"""One server per machine and model: what it leaves on disk, how it is found, started and stopped.

Processes that start at once take a lock, so that one of them starts the server and the others find it. The *life lock*
is the truth about whether a server runs: the server holds it as long as it lives, and the operating system takes it
back however it ends. A state file without that lock is stale.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.context import SystemClock
from duologue.errors import MissingExtraError, ModelUnavailableError
from duologue.frozen import frozen
from duologue.http import Limits, bound
from duologue.models.local._files import POLL_SECONDS, is_locked, locked, pause, private_folder, servers_folder

ENGINE = "xllamacpp"
READY, FAILED, LOADING = "ready", "error: ", "loading "
"""What a server says to whoever started it: that it can be asked, why it cannot, and the seconds of processor time that
it has used while it loads.
"""
STARTUP_TIMEOUT = 60.0
LOG_LINES = 20
_LOG_BYTES = 16_384
_HEALTH_SECONDS = 5.0
_HEALTH_BYTES = 1024 * 1024
_UNHEALTHY_SECONDS = 120.0
"""A server that is alive but does not answer gets this long before it is replaced: the machine may be busy."""
_STOP_SECONDS = 5.0
_LOG_LIMIT = 1_000_000
_PROGRESS_SECONDS = 0.01
"""Processor time between two messages that shows that a server is loading, and not stuck."""
_MOST_TIMEOUTS = 20
"""Startup timeouts that a server may take in all, as long as it makes progress."""
_DETACHED = "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, {})"
"""A program that starts another and ends, so that the server is nobody's child and leaves no zombie behind."""
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


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


@frozen
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
        """Held by the server while it lives."""
        return self.path / "life.lock"

    @property
    def pid_file(self) -> Path:
        """Its process id. Not in the lock file, which not every system lets others read."""
        return self.path / "server.pid"

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
            return int(self.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def signal(self, number: int) -> None:
        """Send a signal to the server, if one lives: a process id that is no longer its own is left alone."""
        pid = self.pid()
        if pid and self.alive():
            with suppress(ProcessLookupError, PermissionError):
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


# Starting and stopping


class _ModelCard(BaseModel):
    id: str


class _Models(BaseModel):
    """What the server answers when it is asked for its models."""

    data: list[_ModelCard]

    def has(self, name: str) -> bool:
        return any(card.id == name for card in self.data)


def require_engine() -> None:
    """Check that the engine is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec(ENGINE) is None:
        raise MissingExtraError("The local model", "local", ENGINE)


def ensure_server(options: ServerOptions, *, startup_timeout: float = STARTUP_TIMEOUT) -> ServerState:
    """The server with these options: the one that runs, else a new one. Blocks; call it in a thread.

    Args:
        options: what the server is started with.
        startup_timeout: seconds that loading may take without making progress.

    Raises:
        MissingExtraError: the engine is not installed.
        ModelUnavailableError: the server could not be started; the text ends with its log.
    """
    folder = ServerFolder.of(options)
    state = folder.read()
    if state and folder.alive() and healthy(state):
        return state
    require_engine()
    private_folder(folder.path)
    longest = startup_timeout * _MOST_TIMEOUTS + _UNHEALTHY_SECONDS
    with locked(folder.start_lock, timeout=longest, purpose=f"starting the server of {options.name}"):
        return _running(folder, startup_timeout) or _start(folder, options, startup_timeout)


def healthy(state: ServerState, patience: float | None = None) -> bool:
    """Whether the server of that state answers at that address, and is that server: it knows its key and its model.

    Args:
        state: of the server.
        patience: seconds to wait for its answer; None for a few.
    """
    import httpx

    headers = {"Authorization": f"Bearer {state.api_key}"}
    seconds = _HEALTH_SECONDS if patience is None else patience
    try:
        # No TLS is spoken, so no certificates have to be loaded.
        limits = Limits(max_bytes=_HEALTH_BYTES, seconds=seconds)
        with bound(httpx.Client(verify=False, trust_env=False, timeout=seconds), limits) as client:  # noqa: S501
            answer = client.get(f"{state.url}/v1/models", headers=headers)
        return answer.is_success and _Models.model_validate_json(answer.text).has(state.options.name)
    except (httpx.HTTPError, ValueError):
        return False


def stop_server(folder: ServerFolder) -> bool:
    """Stop the server in that folder; whether there was one."""
    if not folder.alive():
        folder.clear()
        return False
    folder.signal(signal.SIGTERM)
    if not _wait_for_end(folder):
        folder.signal(_KILL)
        _wait_for_end(folder)
    folder.clear()
    return True


def _running(folder: ServerFolder, startup_timeout: float) -> ServerState | None:
    """The server that lives there, once it answers; None when there is none (any more)."""
    clock = SystemClock()
    began = clock.monotonic()
    while folder.alive():
        state = folder.read()
        if state and healthy(state, max(_HEALTH_SECONDS, _UNHEALTHY_SECONDS - (clock.monotonic() - began))):
            return state
        patience = _UNHEALTHY_SECONDS if state else startup_timeout * _MOST_TIMEOUTS
        if clock.monotonic() - began >= patience:
            stop_server(folder)
        pause(POLL_SECONDS)
    folder.clear()
    return None


def _start(folder: ServerFolder, options: ServerOptions, startup_timeout: float) -> ServerState:
    with suppress(OSError):
        if folder.log.stat().st_size > _LOG_LIMIT:
            folder.log.replace(folder.log.with_suffix(".log.old"))
    with folder.log.open("ab") as log, _spawn(folder, options, log) as process:
        assert process.stdout
        said = _last_words(process.stdout, startup_timeout)
        if said != READY:
            # The server holds the other end of the pipe: it has to end before the pipe can be closed.
            folder.signal(_KILL)
    state = folder.read()
    if said == READY and state:
        return state
    if said is None:
        outcome = "it ended while it was loading"
    elif said.startswith(FAILED):
        outcome = said.removeprefix(FAILED)
    else:
        outcome = f"it was not ready after {startup_timeout:g} s"
    raise ModelUnavailableError(
        f"The server of the local model '{options.name}' could not be started: {outcome}. "
        f"Weights: {options.weights}. The end of its log, {folder.log}:\n{folder.log_end()}",
        model=f"local/{options.name}",
    )


def _spawn(folder: ServerFolder, options: ServerOptions, log: IO[bytes]) -> subprocess.Popen[bytes]:
    source = str(Path(__file__).resolve().parents[3])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    detached = "start_new_session=True"
    if sys.platform == "win32":
        detached = "creationflags=subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP"
    server = [sys.executable, "-m", f"{__package__}._server", str(folder.path), options.model_dump_json()]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _DETACHED.format(detached), *server],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder.path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _last_words(output: IO[bytes], timeout: float) -> str | None:
    """The last line that the server says: when it is ready, has failed, or has stopped making progress.

    None if it has ended.

    A server that is loading says how much processor time it has used so far. So a busy machine, on which everything
    takes longer, is not mistaken for a server that is stuck.

    Args:
        output: of the server.
        timeout: seconds without progress after which it is given up, counted from its first line.
    """
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read_lines, args=(output, lines), daemon=True).start()
    clock = SystemClock()
    last, used = "", 0.0
    limit = clock.monotonic() + timeout * _MOST_TIMEOUTS
    due = limit
    while True:
        try:
            line = lines.get(timeout=max(0.0, due - clock.monotonic()))
        except queue.Empty:
            return last
        if line is None or line == READY or line.startswith(FAILED):
            return line
        now_used = float(line.removeprefix(LOADING)) if line.startswith(LOADING) else used
        if not last or now_used - used >= _PROGRESS_SECONDS:
            due, used = min(clock.monotonic() + timeout, limit), now_used
        last = line


def _read_lines(output: IO[bytes], lines: queue.Queue[str | None]) -> None:
    with suppress(OSError, ValueError):  # closed, because nobody listens any more
        for line in output:
            lines.put(line.decode("utf-8", "replace").rstrip())
            if line.startswith(READY.encode()):
                break
    lines.put(None)


def _wait_for_end(folder: ServerFolder) -> bool:
    clock = SystemClock()
    deadline = clock.monotonic() + _STOP_SECONDS
    while folder.alive():
        if clock.monotonic() >= deadline:
            return False
        pause(POLL_SECONDS)
    return True
