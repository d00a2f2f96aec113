"""A PostgreSQL server of the session's own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_PROGRAMS = "/usr/lib/postgresql/*/bin"
_SETTINGS = """
max_connections = 100
fsync = off
full_page_writes = off
shared_buffers = 32MB
"""


class PostgresServer:
    """A private server, on a port of the loopback and a socket in its own folder.

    As root, which a server refuses to be, it belongs to the user ``postgres``, or else to nobody.
    """

    def __init__(self, folder: Path, programs: Path, settings: str = _SETTINGS) -> None:
        self.folder, self.programs, self.databases = folder, programs, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.user: str | None = None
        if os.geteuid() == 0:
            self.user = next(name for name in ("postgres", "nobody") if _is_user(name))
            shutil.chown(folder, self.user)
        self.run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8")
        settings = (
            f"{settings}\nlisten_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{folder}'\n"
        )
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write(settings)
        self.start()

    def start(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-t", "120", "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments],
            user=self.user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.folder)},
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout.decode(errors='replace')}"

    def new_database(self, template: str = "") -> str:
        """A database without tables, or the copy of another one; returns its URL."""
        self.databases += 1
        name = f"test_{self.databases}"
        copied = ["-T", template] if template else []
        self.run("createdb", "-h", str(self.folder), "-p", str(self.port), "-U", "tester", *copied, name)
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"


def _is_user(name: str) -> bool:
    with suppress(KeyError):
        pwd.getpwnam(name)
        return True
    return False


def find_programs() -> Path | None:
    """The folder with the programs of PostgreSQL; None if it is not installed."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/").glob(_PROGRAMS[1:]), reverse=True)
    return places[0] if places and (places[0] / "createdb").exists() else None


def _programs() -> Path:
    """Where PostgreSQL is. Where it is not, the test is skipped, or fails in continuous integration."""
    if (found := find_programs()) is not None:
        return found
    reason = "needs PostgreSQL. On Debian and Ubuntu: apt-get install postgresql; on macOS: brew install postgresql"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for each process that runs tests."""
    folder = Path(tempfile.mkdtemp(prefix="duologue-pg-"))  # short: the path of a socket may have 107 bytes
    try:
        server = PostgresServer(folder, _programs())
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
