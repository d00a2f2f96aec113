"""``duologue serve`` as a process: where it listens, who it answers, how it stops, and what its workers can see."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from waiting import wait_until

from duologue.cli.app import invoke
from duologue.runs.store.database.engine import Database
from duologue.runs.tokens import ApiTokens


@contextmanager
def served(
    store: Path, *options: str, cwd: Path | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server; the process and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "duologue", "serve", "--store", str(store), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        cwd=cwd,
    )
    try:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if (found := re.search(r"at (http://\S+)", line)) is not None:
                break
        else:
            raise AssertionError(told)
        yield process, found[1]
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait() == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def run_through(client: httpx.Client, connector: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A run of a scenario against a connector, once it is over."""
    made = client.post("/connectors", json=connector).raise_for_status().json()
    fields = {"name": "hello", "messages": [{"role": "user", "content": "Hello?"}], **more}
    scenario = client.post("/scenarios", json=fields).raise_for_status().json()
    body = {"scenario_id": scenario["id"], "connector_id": made["id"]}
    asked = client.post("/playground-runs", json=body)
    assert asked.status_code == 201, asked.text
    run = asked.json()
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(client.get(f"/runs/{run['id']}").json())
        return found["status"] in {"completed", "error", "cancelled"}

    wait_until(over)
    return found


@pytest.fixture
def agent_url() -> Iterator[str]:
    """An agent that answers with what it was sent."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            said = f"Hello, {self.headers.get('x-key', 'nobody')}."
            body = json.dumps({"messages": [{"role": "assistant", "content": said}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("options", [(), ("--workers", "1")], ids=["thread", "process"])
def test_runs_are_carried_out_and_it_stops_in_good_order(
    tmp_path: Path, agent_url: str, options: tuple[str, ...]
) -> None:
    with served(tmp_path / "d.db", *options) as (_, url), httpx.Client(base_url=url, timeout=60) as client:
        run = run_through(client, {"name": "a", "type": "http", "base_url": agent_url})
        assert run["status"] == "completed", run


def test_a_worker_process_sees_nothing_of_the_environment_that_is_not_allowed(tmp_path: Path, agent_url: str) -> None:
    store = tmp_path / "d.db"
    assert invoke(["tokens", "create", "admin", "--scope", "admin", "--store", str(store)]) == 0
    options = ("--workers", "1", "--allow-private-addresses", "--allow-env", "ALLOWED", "--no-token-required")
    hidden = {"DUOLOGUE_SECRET_KEY": f"{'no-0815-':x<43}=", "DUOLOGUE_API_TOKEN": "no-0815", "HIDDEN_KEY": "no-0815"}
    with served(store, *options, "--token-required", ALLOWED="yes-0815", **hidden) as (process, url):
        assert httpx.get(f"{url}/projects").status_code == 401
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: bool(children.read_text().split()))
        for child in children.read_text().split():
            environment = Path(f"/proc/{child}/environ").read_bytes()
            assert b"ALLOWED=yes-0815" in environment
            for name in (*hidden, "DUOLOGUE_DATABASE_URL"):
                assert name.encode() not in environment
            assert b"no-0815" not in environment


def test_elsewhere_than_on_this_machine_it_needs_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "d.db")
    assert invoke(["serve", "--host", "0.0.0.0", "--port", "0", "--store", store]) != 0
    assert "duologue tokens create" in capsys.readouterr().err
    assert invoke(["serve", "--host", "0.0.0.0", "--port", "0", "--no-token-required", "--store", store]) != 0
    assert "not served without tokens" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(tmp_path / "d.db", "--no-worker") as (_, url):
        port = re.search(r":(\d+)/", url)
        assert port is not None
        assert invoke(["serve", "--port", port[1], "--store", str(tmp_path / "e.db")]) != 0
        assert "Choose another --port" in capsys.readouterr().err


def test_the_process_goes_on_where_a_killed_one_was(tmp_path: Path, agent_url: str) -> None:
    store = tmp_path / "d.db"
    with served(store, "--no-worker") as (process, url), httpx.Client(base_url=url) as client:
        made = client.post("/personas", json={"name": "ann"}, headers={"Idempotency-Key": "k"}).json()
        process.kill()
        process.wait()
        process.returncode = 0
    with served(store, "--no-worker") as (_, url), httpx.Client(base_url=url) as client:
        again = client.post("/personas", json={"name": "ann"}, headers={"Idempotency-Key": "k"})
        assert again.json() == made


def test_tokens_and_secrets_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", str(tmp_path / "d.db")]
    assert invoke(["tokens", "create", "ci", "--scope", "run", "--expires", "90d", *store]) == 0
    token = capsys.readouterr().out.strip()
    assert token.startswith("duo_")
    assert invoke(["tokens", "list", "--json", *store]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed[0]["name"], listed[0]["scope"], token not in str(listed)) == ("ci", "run", True)
    assert invoke(["tokens", "create", "x", "--scope", "root", *store]) != 0
    assert invoke(["tokens", "revoke", listed[0]["id"], *store]) == 0
    capsys.readouterr()
    value = subprocess.run(
        [sys.executable, "-m", "duologue", "secrets", "set", "KEY", *store],
        input="the-value-0815\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the-value-0815" not in value.stdout + value.stderr
    assert invoke(["secrets", "list", "--json", *store]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == ["KEY"]
    assert invoke(["secrets", "rotate", *store]) == 0
    assert invoke(["secrets", "delete", "KEY", *store]) == 0
    assert invoke(["secrets", "delete", "KEY", *store]) != 0


async def admin_token(store: Path) -> str:
    async with Database.open(store, create=True) as database:
        return (await ApiTokens(database).create_token("admin", "admin"))[0]


def test_code_that_a_worker_carries_out_finds_no_key_of_the_service(tmp_path: Path, agent_url: str) -> None:
    """The worker itself has them: its run uses a secret of the project."""
    store, found = tmp_path / "d.db", tmp_path / "found.json"
    here, packages = tmp_path / "here", tmp_path / "packages"
    here.mkdir()
    packages.mkdir()
    (here / ".env").write_text("FROM_FILE=no-0815\n")
    (packages / "curious.py").write_text(
        "import json, os, pathlib\n"
        "def curious(input):\n"
        f"    seen = [dict(os.environ), pathlib.Path('/proc/self/environ').read_text()]\n"
        f"    pathlib.Path({str(found)!r}).write_text(json.dumps(seen))\n"
        "    return True\n"
    )
    key = Fernet.generate_key().decode()
    options = ("--workers", "1", "--allow-private-addresses", "--no-token-required", "--token-required")
    environment = {
        "DUOLOGUE_SECRET_KEY": key,
        "HIDDEN_KEY": "no-0815",
        "PYTHONPATH": os.pathsep.join([str(packages), *filter(None, sys.path)]),
    }
    token = asyncio.run(admin_token(store))
    with served(store, *options, cwd=here, **environment) as (_, url):
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, timeout=60, headers=headers) as client:
            client.put("/secrets/AGENT_KEY", json={"value": "of-the-agent"}).raise_for_status()
            connector = {"name": "a", "type": "http", "base_url": agent_url, "headers": {"X-Key": "${AGENT_KEY}"}}
            run = run_through(client, connector, checks=[{"type": "curious:curious"}])
            assert run["status"] == "completed", run
    told = found.read_text()
    for value in (key, "no-0815", "DUOLOGUE_DATABASE_URL", "DUOLOGUE_SECRET_KEY", str(store)):
        assert value not in told
