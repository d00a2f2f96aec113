"""One server per machine and model: find the one that runs, or start it; stop it when asked.

Processes that start at once take a lock, so that one of them starts the server and the others find it.
"""

from __future__ import annotations

import importlib.util
import os
import selectors
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from duologue.context import SystemClock
from duologue.errors import MissingExtraError, ModelUnavailableError
from duologue.models.local.files import POLL_SECONDS, locked, pause, private_folder
from duologue.models.local.state import READY, ServerFolder, ServerOptions, ServerState

ENGINE = "xllamacpp"
STARTUP_TIMEOUT = 60.0
_HEALTH_SECONDS = 2.0
_UNHEALTHY_SECONDS = 15.0
"""A server that is alive but does not answer gets this long before it is replaced: the machine may be busy."""
_STOP_SECONDS = 5.0
_LOG_LIMIT = 1_000_000


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
        startup_timeout: seconds that loading may take.

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
    with locked(folder.start_lock, timeout=startup_timeout * 2, purpose=f"starting the server of {options.name}"):
        return _running(folder, startup_timeout) or _start(folder, options, startup_timeout)


def healthy(state: ServerState) -> bool:
    """Whether the server of that state answers at that address, and is that server: it knows its key and its model."""
    import httpx

    headers = {"Authorization": f"Bearer {state.api_key}"}
    try:
        with httpx.Client(verify=False, trust_env=False, timeout=_HEALTH_SECONDS) as client:  # noqa: S501 - no TLS
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
        folder.signal(signal.SIGKILL)
        _wait_for_end(folder)
    folder.clear()
    return True


def _running(folder: ServerFolder, startup_timeout: float) -> ServerState | None:
    """The server that lives there, once it answers; None when there is none (any more)."""
    clock = SystemClock()
    began = clock.monotonic()
    while folder.alive():
        state = folder.read()
        if state and healthy(state):
            return state
        patience = _UNHEALTHY_SECONDS if state else startup_timeout
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
        said = _listen(process.stdout, startup_timeout) if process.stdout else []
        # The child detaches and ends at once; one that has not by now never will.
        process.kill()
    state = folder.read()
    if said and said[-1] == READY and state:
        return state
    if not said or said[-1].startswith("pid "):
        outcome = (
            "it ended while it was loading" if not folder.alive() else f"it was not ready after {startup_timeout:g} s"
        )
        folder.signal(signal.SIGKILL)
    else:
        outcome = said[-1].removeprefix("error: ")
    raise ModelUnavailableError(
        f"The server of the local model '{options.name}' could not be started: {outcome}. "
        f"Weights: {options.weights}. The end of its log, {folder.log}:\n{folder.log_end()}",
        model=f"local/{options.name}",
    )


def _spawn(folder: ServerFolder, options: ServerOptions, log: IO[bytes]) -> subprocess.Popen[bytes]:
    source = str(Path(__file__).resolve().parents[3])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "duologue.models.local.server", str(folder.path), options.model_dump_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder.path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def _listen(output: IO[bytes], timeout: float) -> list[str]:
    """What the server says until it is ready, fails, ends, or the time (seconds) is up."""
    clock = SystemClock()
    deadline = clock.monotonic() + timeout
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - clock.monotonic())):
            block = os.read(output.fileno(), 4096)
            heard += block
            lines = heard.decode("utf-8", "replace").splitlines()
            if not block or (lines and heard.endswith(b"\n") and not lines[-1].startswith("pid ")):
                break
    return heard.decode("utf-8", "replace").splitlines()


def _wait_for_end(folder: ServerFolder) -> bool:
    clock = SystemClock()
    deadline = clock.monotonic() + _STOP_SECONDS
    while folder.alive():
        if clock.monotonic() >= deadline:
            return False
        pause(POLL_SECONDS)
    return True
