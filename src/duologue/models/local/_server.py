"""The process that runs the engine: llama.cpp's own HTTP server on loopback, until nobody has asked for a while.

Started by ``_launcher`` as ``python -m duologue.models.local._server FOLDER OPTIONS``, not by hand. It speaks to the
launcher through its standard output, one line each: the processor time that it has used while it loads, then ``ready``
or an error.
"""

from __future__ import annotations

import importlib
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import process_time
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.context import SystemClock
from duologue.models.local._files import POLL_SECONDS, pause, private_folder, try_acquire
from duologue.models.local._launcher import FAILED, LOADING, READY, ServerFolder, ServerOptions, ServerState

_LIFE_LOCK_SECONDS = 10.0
_PROGRESS_EVERY = 0.25
"""Seconds."""
_HTTP_THREADS = 64
"""One per open request; more than the slots, so that those who wait do not block those who ask whether it lives."""
_PROMPT_CACHE_MIB = 256
_WARNINGS = 2
_COUNTERS = re.compile(r"^llamacpp:(\w+_total|requests_processing|requests_deferred) (\S+)$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Serve, and return when idle or told to stop."""
    folder, options = ServerFolder(path=Path(arguments[0])), ServerOptions.model_validate_json(arguments[1])
    private_folder(folder.path)
    lock = _take_life_lock(folder)
    if lock is None:
        _say(f"{FAILED}another server has just been started in this folder")
        return 1
    write_atomic(folder.pid_file, str(os.getpid()), permissions=OWNER_ONLY)
    return _serve(folder, options)


def activity(metrics: str) -> tuple[bool, tuple[str, ...]]:
    """Whether llama.cpp's metrics show requests in progress, and counters that change with every request."""
    values = _COUNTERS.findall(metrics)
    busy = any(name.startswith("requests_") and float(value) > 0 for name, value in values)
    return busy, tuple(value for name, value in values if name.endswith("_total"))


def wait_until_idle(
    metrics: Callable[[], str], stopped: threading.Event, idle_seconds: float, clock: SystemClock | None = None
) -> None:
    """Return when told to stop, or when no request was made for ``idle_seconds``."""
    clock = clock or SystemClock()
    last_used, last_seen = clock.monotonic(), activity(metrics())[1]
    while not stopped.wait(min(1.0, idle_seconds / 4)):
        busy, seen = activity(metrics())
        now = clock.monotonic()
        if busy or seen != last_seen:
            last_used, last_seen = now, seen
        elif now - last_used >= idle_seconds:
            return


def _serve(folder: ServerFolder, options: ServerOptions) -> int:
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    api_key = secrets.token_urlsafe(24)
    try:
        with _progress():
            engine = _load(options, api_key)
    except Exception as error:  # noqa: BLE001 - whatever the engine raises is for the launcher to report
        _say(f"{FAILED}{type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    port = urlsplit(str(engine.listening_address)).port or 0
    state = ServerState(pid=os.getpid(), port=port, api_key=api_key, options=options, started=SystemClock().now())
    folder.write(state)
    _say(READY)
    _close_output()
    wait_until_idle(engine.handle_metrics, stopped, options.idle_seconds)
    folder.clear()
    # Not a return: the engine has nothing to save, and taking it apart would wait for requests in progress.
    os._exit(0)


def _load(options: ServerOptions, api_key: str) -> Any:
    # Imported by name: the engine has no types.
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = options.weights
    params.model_alias = {options.name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    params.n_ctx = options.context
    params.n_parallel = options.slots
    # One memory for all slots: a long request may use what the others do not need.
    params.kv_unified = True
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads + 1
    # Threads that wait sleep, instead of taking a processor from whoever is rehearsed.
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.n_threads_http = _HTTP_THREADS
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.use_jinja = True
    params.endpoint_metrics = True
    params.ui = False
    params.offline = True
    params.verbosity = _WARNINGS
    return xllamacpp.Server(params)


@contextmanager
def _progress() -> Generator[None]:
    """While the block runs, say now and then how much processor time was used."""
    done = threading.Event()

    def report() -> None:
        _say(f"{LOADING}{process_time():.3f}")
        while not done.wait(_PROGRESS_EVERY):
            _say(f"{LOADING}{process_time():.3f}")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _take_life_lock(folder: ServerFolder) -> FileLock | None:
    # Those who only look whether a server lives hold the lock for a moment.
    clock = SystemClock()
    deadline = clock.monotonic() + _LIFE_LOCK_SECONDS
    while (lock := try_acquire(folder.life_lock)) is None and clock.monotonic() < deadline:
        pause(POLL_SECONDS)
    return lock


def _say(line: str) -> None:
    # A launcher that was killed meanwhile does not listen any more; the server is of use to others.
    with suppress(OSError):
        os.write(1, f"{line}\n".encode())


def _close_output() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
