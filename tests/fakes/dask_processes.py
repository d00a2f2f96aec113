"""A Dask scheduler and workers as processes of their own, as somebody has started them for a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from waiting import wait_until


class DaskProcesses:
    """Started in a folder, which has their logs.

    Args:
        folder: for what they write.
        scheduler_at: the address of the scheduler.
    """

    def __init__(self, folder: Path, scheduler_at: str = "127.0.0.1") -> None:
        self.folder = folder
        self.host = scheduler_at
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def scheduler(self, *options: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start the scheduler; ``before`` are words before its command."""
        protocol = "tls" if "--tls-ca-file" in options else "tcp"
        process = self._start(
            [
                *before,
                sys.executable,
                "-m",
                "distributed.cli.dask_scheduler",
                "--no-dashboard",
                "--no-show",
                "--port",
                "0",
            ],
            [f"--host={self.host}", f"--protocol={protocol}", "--dashboard-address", f"{self.host}:0", *options],
        )
        log = self.folder / f"log-{process.pid}"
        wait_until(lambda: f"{protocol}://{self.host}" in log.read_text() or process.poll() is not None)
        words = log.read_text().split()
        self.address = next(word for word in words if word.startswith(f"{protocol}://{self.host}"))
        return process

    def worker(
        self, *options: str, host: str | None = None, threads: int = 4, before: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler has it."""
        host = host or self.host
        process = self._start(
            [
                *before,
                sys.executable,
                "-m",
                "distributed.cli.dask_worker",
                self.address,
                "--no-nanny",
                "--no-dashboard",
            ],
            [f"--nthreads={threads}", f"--host={host}", "--local-directory", str(self.folder), *options],
        )
        log = self.folder / f"log-{process.pid}"
        wait_until(lambda: "Registered to" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return process

    def _start(self, command: Sequence[str], options: Sequence[str]) -> subprocess.Popen[bytes]:
        log = self.folder / "log"
        with log.open("wb") as file:
            process = subprocess.Popen([*command, *options], stdout=file, stderr=file, start_new_session=True)
        log.rename(self.folder / f"log-{process.pid}")
        self.processes.append(process)
        return process


@contextmanager
def dask_processes(folder: Path, scheduler_at: str = "127.0.0.1") -> Iterator[DaskProcesses]:
    """Processes that are killed at the end."""
    folder.mkdir(exist_ok=True)
    found = DaskProcesses(folder, scheduler_at)
    try:
        yield found
    finally:
        for process in found.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
