"""Starting, sharing, replacing and stopping the server's process, with an engine that fails on request.

The process, its locks and its state file are real; only the engine in it is a stand-in. The real one is in tests/live.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import LONG, longer_and_longer, wait_until

import duologue
from duologue.errors import MissingExtraError, ModelUnavailableError
from duologue.models.local import _launcher
from duologue.models.local._files import is_locked, locked, try_acquire
from duologue.models.local._launcher import ServerFolder, ServerOptions, ServerState, ensure_server, healthy
from duologue.models.local._server import activity, wait_until_idle
from duologue.models.local._status import status, stop

ENGINE = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

class CommonParams(SimpleNamespace):
    def __init__(self):
        super().__init__(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

class Server:
    def __init__(self, params):
        print("loading", params.model.path, file=sys.stderr, flush=True)
        if "broken" in params.model.path:
            raise RuntimeError("the file is\\nbroken")
        if "slow" in params.model.path:
            threading.Event().wait(600)
        if "crash" in params.model.path:
            os.abort()
        if os.environ.get("STARTS"):
            with open(os.environ["STARTS"], "a") as file:
                file.write(f"{os.getpid()}\\n")
        (name,), (key,) = params.model_alias, params.api_keys
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                ok = self.headers["Authorization"] == f"Bearer {key}"
                body = json.dumps({"data": [{"id": name}]}).encode()
                self.send_response(200 if ok else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *args): pass
        server = ThreadingHTTPServer((params.hostnames[0], params.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"

    def handle_metrics(self):
        return "llamacpp:tokens_predicted_total 1\\nllamacpp:requests_processing 0\\n"
"""


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Puts the stand-in before the real engine, and ends every server that a test leaves."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(ENGINE)
    starts = tmp_path / "starts"
    starts.touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(Path(duologue.__file__).parents[1])]))
    monkeypatch.setenv("STARTS", str(starts))
    monkeypatch.syspath_prepend(str(folder))
    yield starts
    for server in ServerFolder.all():
        server.signal(signal.SIGKILL)


def options(name: str = "tiny", **given: object) -> ServerOptions:
    return ServerOptions.model_validate({"name": name, "weights": f"/w/{name}.gguf", "digest": name, **given})


def test_a_server_is_started_once_and_found_again(engine: Path) -> None:
    first = ensure_server(options())
    assert healthy(first)
    assert ensure_server(options()) == first
    assert engine.read_text().split() == [str(first.pid)]


def test_its_state_is_for_this_user_only_and_it_listens_on_loopback_only() -> None:
    state = ensure_server(options())
    folder = ServerFolder.of(options())
    assert (folder.path / "state.json").stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert state.url.startswith("http://127.0.0.1:")
    assert len(state.api_key) >= 32
    assert state.api_key not in repr(state)


def test_whoever_starts_at_once_shares_one_server(engine: Path) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_server(options()).pid)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(map(str, found)) == set(engine.read_text().split())
    assert len(set(found)) == 1


def test_another_process_finds_it(engine: Path) -> None:
    code = (
        "from duologue.models.local._launcher import ensure_server\n"
        "from duologue.models.local._launcher import ServerOptions\n"
        f"print(ensure_server(ServerOptions.model_validate_json('{options().model_dump_json()}')).pid)"
    )
    started = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=LONG)
    assert ensure_server(options()).pid == int(started.stdout)


def test_other_options_or_other_weights_get_a_server_of_their_own_but_idle_time_does_not() -> None:
    first = ensure_server(options())
    assert ensure_server(options(idle_seconds=5)).pid == first.pid
    assert ensure_server(options(context=512)).pid != first.pid
    assert ensure_server(options("other")).pid != first.pid


def test_a_server_that_was_killed_is_replaced_although_its_state_is_there() -> None:
    first = ensure_server(options())
    kill_and_wait(first)
    assert ServerFolder.of(options()).read() == first
    assert ensure_server(options()).pid != first.pid


def test_a_stale_state_whose_port_and_process_id_are_somebody_elses_is_replaced_and_they_are_left_alone() -> None:
    folder = ServerFolder.of(options())
    folder.path.mkdir(parents=True)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        folder.write(ServerState(pid=bystander.pid, port=port, api_key="k", options=options(), started=0))
        folder.pid_file.write_text(str(bystander.pid))
        state = ensure_server(options())
        assert state.port != port
        assert stop()[0].pid == state.pid
    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_a_process_id_that_is_left_over_is_sent_no_signal() -> None:
    folder = ServerFolder.of(options())
    folder.path.mkdir(parents=True)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    folder.pid_file.write_text(str(bystander.pid))
    folder.signal(signal.SIGKILL)
    bystander.communicate(b"\n")
    assert bystander.returncode == 0


def test_a_state_file_that_cannot_be_read_is_replaced() -> None:
    folder = ServerFolder.of(options())
    folder.path.mkdir(parents=True)
    (folder.path / "state.json").write_text("{")
    assert healthy(ensure_server(options()))


def test_a_server_that_lives_but_does_not_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_launcher, "_UNHEALTHY_SECONDS", 0.1)
    monkeypatch.setattr(_launcher, "_HEALTH_SECONDS", 0.2)
    monkeypatch.setattr(_launcher, "_STOP_SECONDS", 0.2)
    first = ensure_server(options())
    os.kill(first.pid, signal.SIGSTOP)
    assert ensure_server(options()).pid != first.pid


def test_weights_that_the_engine_cannot_load_are_said_with_the_end_of_the_log() -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        ensure_server(options("broken"))
    assert "RuntimeError: the file is broken" in str(caught.value)
    assert "loading /w/broken.gguf" in str(caught.value)
    assert caught.value.model == "local/broken"


def test_an_engine_that_crashes_while_loading_is_reported_and_not_waited_for() -> None:
    with pytest.raises(ModelUnavailableError, match="ended while it was loading"):
        ensure_server(options("crash"), startup_timeout=LONG)


def test_an_engine_that_is_never_ready_is_ended_after_the_timeout() -> None:
    folder = ServerFolder.of(options("slow"))
    for seconds in longer_and_longer(1):
        with pytest.raises(ModelUnavailableError) as caught:
            ensure_server(options("slow"), startup_timeout=seconds)
        wait_until(lambda: not folder.alive())
        if "ended while it was loading" not in str(caught.value):  # its process had not begun by then
            break
    assert f"not ready after {seconds:g} s" in str(caught.value)


def test_stopping_ends_the_server_and_takes_its_state_back() -> None:
    first, other = ensure_server(options()), ensure_server(options("other"))
    assert [server.pid for server in stop("local:tiny")] == [first.pid]
    folder = ServerFolder.of(options())
    assert not folder.alive()
    assert folder.read() is None
    assert healthy(other)
    assert [server.pid for server in stop()] == [other.pid]
    assert stop() == []


def test_a_server_stops_by_itself_when_nobody_asks() -> None:
    ensure_server(options(idle_seconds=0.2))
    folder = ServerFolder.of(options())
    wait_until(lambda: not folder.alive())
    assert folder.read() is None


def test_the_status_shows_what_runs() -> None:
    state = ensure_server(options())
    (shown,) = status().servers
    assert (shown.name, shown.pid, shown.port, shown.healthy) == ("tiny", state.pid, state.port, True)
    assert shown.idle_seconds == 300


def test_without_the_engine_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_launcher, "ENGINE", "no_such_engine")
    with pytest.raises(MissingExtraError, match=r"duologue\[local\]"):
        ensure_server(options())


def test_a_long_log_is_set_aside_and_its_end_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ServerFolder.of(options())
    folder.path.mkdir(parents=True)
    folder.log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert folder.log_end().splitlines() == [f"line {number}" for number in range(4980, 5000)]
    monkeypatch.setattr(_launcher, "_LOG_LIMIT", 100)
    ensure_server(options())
    assert "line" not in folder.log.read_text()


def test_a_lock_that_is_held_is_waited_for_only_so_long(tmp_path: Path) -> None:
    lock = try_acquire(tmp_path / "lock")
    assert lock is not None
    assert is_locked(tmp_path / "lock")
    with (
        pytest.raises(ModelUnavailableError, match="Another process has been testing"),
        locked(tmp_path / "lock", timeout=0.1, purpose="testing"),
    ):
        pass
    lock.release()
    assert not is_locked(tmp_path / "lock")


class Ticks:
    """An event that is never set, on whose clock each wait takes as long as it was asked to."""

    def __init__(self) -> None:
        self.now_is = 0.0

    def monotonic(self) -> float:
        return self.now_is

    def now(self) -> float:
        return self.now_is

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def wait(self, timeout: float) -> bool:
        self.now_is += timeout
        return False


def metrics(tokens: int, processing: int = 0) -> str:
    return (
        "# TYPE llamacpp:tokens_predicted_total counter\n"
        f"llamacpp:tokens_predicted_total {tokens}\nllamacpp:requests_processing {processing}\n"
    )


def test_requests_in_progress_and_counters_are_read_from_the_metrics() -> None:
    assert activity(metrics(7)) == (False, ("7",))
    assert activity(metrics(7, 1))[0]
    assert activity(metrics(7).replace("requests_processing 0", "requests_deferred 3"))[0]


def test_idle_time_begins_with_the_last_request_and_a_long_one_is_no_idleness() -> None:
    ticks = Ticks()

    def seen() -> str:
        if ticks.now_is < 100:
            return metrics(1, processing=1)
        return metrics(1 if ticks.now_is < 150 else 2)

    wait_until_idle(seen, ticks, 60, ticks)  # pyright: ignore[reportArgumentType]
    assert ticks.now_is == pytest.approx(150 + 60, abs=1)


def kill_and_wait(state: ServerState) -> None:
    os.kill(state.pid, signal.SIGKILL)
    folder = ServerFolder.of(state.options)
    wait_until(lambda: not folder.alive())
