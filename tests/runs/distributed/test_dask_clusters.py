"""Suites on a Dask cluster that somebody else has started, on one machine or several."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dask_processes import dask_processes
from suites_on_workers import calls, outcomes, pids, run, start, suite
from waiting import LONG, wait_until

pytest.importorskip("distributed")

HOOK = """
import os, sys

def hook(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.bind"}:
        with open(os.environ["ADDRESSES"], "a") as file:
            file.write(f"{event} {arguments[1]!r}\\n")

sys.addaudithook(hook)
"""
"""Writes down every address that a process, or one that it starts, connects to or listens on."""


def test_workers_and_scheduler_are_killed_and_the_rest_is_resumed(tmp_path: Path):
    names = [f"line {number}" for number in range(12)]
    suite(tmp_path, *((name,) for name in names), ("wait one",), ("wait two",), ("wait three",))
    out = tmp_path / "out"
    with dask_processes(tmp_path / "dask") as dask:
        scheduler = dask.scheduler()
        dask.worker()
        dask.worker()
        options = ("--executor", "dask", "--address", dask.address)
        process = start(tmp_path, *options, "--out", str(out))
        wait_until(lambda: {"wait one", "wait two", "wait three"} <= set(calls(tmp_path)))
        held = next(int(line.split()[-1]) for line in (tmp_path / "calls").read_text().splitlines() if "wait" in line)
        begun = len(calls(tmp_path))
        os.kill(held, signal.SIGKILL)
        wait_until(lambda: len(calls(tmp_path)) > begun)  # its cases go on elsewhere
        wait_until(lambda: len(list((out / "runs").iterdir())) >= len(names))
        scheduler.kill()
        told, _ = process.communicate(timeout=LONG)
    assert process.returncode == 3, told
    assert b"the connection to the Dask scheduler at" in told
    assert b"Continue with --resume" in told
    finished = {path.stem for path in (out / "runs").iterdir()}
    before = calls(tmp_path)
    (tmp_path / "go").touch()
    with dask_processes(tmp_path / "dask") as dask:
        dask.scheduler()
        dask.worker()
        code, said = run(tmp_path, "--executor", "dask", "--address", dask.address, "--resume", str(out))
    assert code == 0, said
    assert outcomes(tmp_path) == dict.fromkeys([*names, "wait one", "wait two", "wait three"], "pass")
    again = sorted(calls(tmp_path))
    for line in before:
        again.remove(line)
    assert sorted(again) == ["wait one", "wait three", "wait two"]  # what had finished is not played again
    assert finished < {path.stem for path in (out / "runs").iterdir()}
    assert len(list((out / "runs").iterdir())) == len(list((out / "journals").glob("*.jsonl"))) == 15


def test_a_conversation_goes_on_in_its_middle_on_another_cluster(tmp_path: Path):
    suite(tmp_path, ("one", "picture", "wait", "four"))
    with dask_processes(tmp_path / "dask") as dask:
        dask.scheduler()
        dask.worker(threads=1)
        process = start(tmp_path, "--executor", "processes", "-w", "1", "--out", str(tmp_path / "out"))
        wait_until(lambda: "wait" in calls(tmp_path))
        process.kill()
        process.communicate()
        (tmp_path / "go").touch()
        code, said = run(tmp_path, "--executor", "dask", "--address", dask.address, "--resume", str(tmp_path / "out"))
    assert code == 0, said
    assert calls(tmp_path) == ["one", "picture", "wait", "wait", "four"]
    assert len(list((tmp_path / "out/media").iterdir())) == 1


def test_a_worker_with_other_files_is_refused(tmp_path: Path):
    suite(tmp_path, ("one",))
    (tmp_path / "elsewhere").mkdir()
    with dask_processes(tmp_path / "dask") as dask:
        dask.scheduler()
        dask.worker()
        plugin = _agent_that_differs(tmp_path)
        code, said = run(
            tmp_path, "--executor", "dask", "--address", dask.address, "--out", str(tmp_path / "out"),
            environment={"PYTHONPATH": f"{plugin}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        )  # fmt: skip
    assert code == 2, said
    assert "has other files than this machine: agent of 'one · bot' differ there" in " ".join(said.split())
    assert calls(tmp_path) == []


def _agent_that_differs(folder: Path) -> Path:
    """A folder with code that lets the process that gives out the work see another agent file than the workers do."""
    place = folder / "elsewhere"
    (place / "sitecustomize.py").write_text(
        "import pathlib\n"
        "real = pathlib.Path.read_bytes\n"
        "def read(self):\n"
        "    return real(self) + (b'# older' if self.name == 'agent.py' else b'')\n"
        "pathlib.Path.read_bytes = read\n"
    )
    return place


def test_an_encrypted_connection(tmp_path: Path):
    if shutil.which("openssl") is None:
        pytest.skip("needs the program 'openssl' to make a certificate")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=duologue"]
    subprocess.run(words, check=True, capture_output=True)
    files = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
    ours = ("--tls-ca", certificate, "--tls-cert", certificate, "--tls-key", key)
    suite(tmp_path, ("one",))
    with dask_processes(tmp_path / "dask") as dask:
        dask.scheduler(*files)
        dask.worker(*files)
        assert dask.address.startswith("tls://")
        options = ("--executor", "dask", "--out", str(tmp_path / "out"))
        code, said = run(tmp_path, *options, "--address", dask.address.replace("tls", "tcp"))
        assert code == 3, said
        assert "with the same kind of connection (tcp:// or tls://)" in " ".join(said.split())
        code, said = run(tmp_path, *options, "--overwrite", "--address", dask.address, *ours)
    assert code == 0, said


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path):
    suite(tmp_path, ("one",))
    code, said = run(tmp_path, "--executor", "dask", "--address", "tcp://127.0.0.1:9", "--out", str(tmp_path / "out"))
    assert code == 3
    assert "the Dask scheduler at tcp://127.0.0.1:9 cannot be reached" in " ".join(said.split())


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces, 10.213.7.1 and 10.213.7.2, that reach each other and nothing else."""
    names = [f"duologue-{os.getpid()}-{end}" for end in "ab"]
    links = [f"dl{os.getpid() % 100000}{end}" for end in "ab"]
    try:
        made = subprocess.run(["ip", "netns", "add", names[0]], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs the program 'ip' (Debian: iproute2)")
    if made.returncode:
        pytest.skip(f"network namespaces are not permitted here: {made.stderr.strip()}")
    try:
        _ip("netns", "add", names[1])
        _ip("link", "add", links[0], "netns", names[0], "type", "veth", "peer", "name", links[1], "netns", names[1])
        for number, (name, link) in enumerate(zip(names, links, strict=True), 1):
            _ip("-n", name, "address", "add", f"10.213.7.{number}/24", "dev", link)
            for device in ("lo", link):
                _ip("-n", name, "link", "set", device, "up")
        yield names[0], names[1]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"'ip {' '.join(words)}' is not permitted here: {done.stderr.strip()}")


def test_workers_on_two_hosts(tmp_path: Path, hosts: tuple[str, str]):
    here, there = [("ip", "netns", "exec", name) for name in hosts]
    suite(tmp_path, *((f"wait {number}",) for number in range(4)), ("picture",))
    with dask_processes(tmp_path / "dask", "10.213.7.1") as dask:
        dask.scheduler(before=here)
        workers = {
            dask.worker(threads=3, before=here).pid,
            dask.worker(threads=3, host="10.213.7.2", before=there).pid,
        }
        (tmp_path / "go").touch()
        code, said = run(
            tmp_path, "--executor", "dask", "--address", dask.address, "--out", str(tmp_path / "out"), before=here
        )
    assert code == 0, said
    assert pids(tmp_path) == workers  # both had some
    assert set(outcomes(tmp_path).values()) == {"pass"}
    assert len(list((tmp_path / "out/journals").iterdir())) == 5
    assert len(list((tmp_path / "out/media").iterdir())) == 1


def test_nothing_is_connected_to_that_was_not_configured(tmp_path: Path):
    """Shown by every address that any of the processes uses, and where that is permitted by a world without others."""
    suite(tmp_path, ("one",), ("two",))
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(HOOK)
    path = f"{tmp_path / 'hook'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {"PYTHONPATH": path, "ADDRESSES": str(tmp_path / "addresses")}
    alone = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    permitted = subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0
    for executor in ("processes", "dask"):
        code, said = run(
            tmp_path, "--executor", executor, "-w", "2", "--out", str(tmp_path / executor),
            before=alone if permitted else [], environment=environment,
        )  # fmt: skip
        assert code == 0, said
    found = set((tmp_path / "addresses").read_text().splitlines())
    assert found
    assert not [line for line in found if "('127.0.0.1', " not in line and "''" not in line.partition(" ")[2]]
