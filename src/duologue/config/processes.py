"""Programs on this machine: started without a shell, bounded in output, and ended with all that they started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from duologue.config.access import chosen_variables

MAX_OUTPUT = 10 * 1024 * 1024
"""Bytes of standard output that are read unless the caller says otherwise."""
_CHUNK = 64 * 1024
_SHOWN = 300
"""Characters at the end of standard error that an error message quotes."""
_SECONDS_TO_DIE = 2.0
_ALWAYS_PASSED = ("PATH", "SYSTEMROOT")


class ProgramError(Exception):
    """A program failed: it ended with another code than 0, or wrote too much. The message has no subject."""


async def run_program(
    command: Sequence[str],
    *,
    given: bytes = b"",
    environment: Mapping[str, str],
    folder: Path | None = None,
    timeout: float | None = None,
    max_output: int = MAX_OUTPUT,
) -> bytes:
    """Run a program to its end. Whatever happens, nothing that it started in its process group outlives this call.

    Args:
        command: the program and its arguments.
        given: its standard input.
        environment: all of its environment variables; see :func:`environment_with`.
        folder: where it runs; None for the current folder.
        timeout: seconds until it is killed; None for no limit.
        max_output: bytes of standard output that are read.

    Returns:
        its standard output.

    Raises:
        ProgramError: it ended with another code than 0, or wrote more than ``max_output``.
        TimeoutError: it did not end in time.
        OSError: it cannot be started.
    """
    process = await start_program(command, environment=environment, folder=folder)
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin is not None and stdout is not None and stderr is not None  # noqa: PT018 - pipes were asked for
    pipes = [
        asyncio.create_task(_read(stdout, max_output)),
        asyncio.create_task(_read_end(stderr)),
        asyncio.create_task(_write(stdin, given)),
    ]
    try:
        async with asyncio.timeout(timeout):
            out, complaint, _ = await asyncio.gather(*pipes)
            await process.wait()
    finally:
        for pipe in pipes:
            pipe.cancel()
        await end_group(process)
        await asyncio.gather(*pipes, return_exceptions=True)
    if process.returncode:
        raise ProgramError(f"ended with code {process.returncode}: {complaint.decode(errors='replace').strip()}")
    return out


async def start_program(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path | None = None,
    longest_line: int = _CHUNK,
) -> asyncio.subprocess.Process:
    """Start a program as the leader of its own process group, with pipes for its input and output.

    Args:
        command: the program and its arguments.
        environment: all of its environment variables.
        folder: where it runs; None for the current folder.
        longest_line: bytes of a line that ``readline`` accepts.

    Raises:
        OSError: it cannot be started.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=environment,
        cwd=folder,
        start_new_session=True,
        limit=longest_line,
    )
    track(process)
    return process


def kill_tree(pid: int) -> None:
    """Kill a process and what it started, as far as the system tells; what left its process group, too."""
    found = [pid]
    for parent in found:
        for told in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(map(int, told.read_text().split()))
    for item in found:
        with suppress(OSError):
            os.kill(item, signal.SIGKILL)


async def end_group(process: asyncio.subprocess.Process) -> None:
    """Kill a program of :func:`start_program` with its process group and wait for its end, for two seconds at most."""
    kill_group(process)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_TO_DIE):
            await process.wait()
    # Something that left the group may hold the pipes open. Nothing public lets go of them.
    transport = cast("Any", process)._transport
    transport.close()


_groups: set[int] = set()
"""Programs of this process that were not ended yet."""


_watchers: list[Callable[[int, bool], None]] = []


def watch_groups(watcher: Callable[[int, bool], None]) -> None:
    """Call this with the id of each process group that begins (True), and that was ended (False)."""
    _watchers.append(watcher)


def track(process: asyncio.subprocess.Process) -> None:
    """Remember a program that leads its own process group, for :func:`kill_all_groups`."""
    group_begins(process.pid)


def group_begins(pid: int) -> None:
    """Remember a process group, which another process of ours may have started."""
    _groups.add(pid)
    for watcher in _watchers:
        watcher(pid, True)


def group_ended(pid: int) -> None:
    """Forget a process group; harmless when that was done before."""
    if pid in _groups:
        _groups.discard(pid)
        for watcher in _watchers:
            watcher(pid, False)


def kill_all_groups() -> None:
    """Kill all programs of :func:`start_program`, for a process that ends at once."""
    for pid in tuple(_groups):
        kill_group_of(pid)


def kill_group_of(pid: int) -> None:
    """Kill the process group that this process leads, or has led."""
    with suppress(OSError):
        os.kill(pid, signal.SIGTERM) if sys.platform == "win32" else os.killpg(pid, signal.SIGKILL)


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a program of :func:`start_program`, and all that it started where the system knows process groups."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    group_ended(process.pid)


def environment_with(names: Iterable[str] = ()) -> dict[str, str]:
    """A small environment: what every program needs, such as ``PATH``, and these variables where they are set."""
    always = {name: os.environ[name] for name in _ALWAYS_PASSED if name in os.environ}
    return {**always, **chosen_variables(name for name in names if name not in _ALWAYS_PASSED)}


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    found = bytearray()
    while chunk := await stream.read(_CHUNK):
        found += chunk
        if len(found) > most:
            raise ProgramError(f"wrote more than {most} bytes, and was stopped")
    return bytes(found)


async def _read_end(stream: asyncio.StreamReader) -> bytes:
    found = b""
    while chunk := await stream.read(_CHUNK):
        found = (found + chunk)[-_SHOWN:]
    return found


async def _write(stream: asyncio.StreamWriter, given: bytes) -> bytes:
    with suppress(BrokenPipeError, ConnectionResetError):  # a program need not read its input
        stream.write(given)
        await stream.drain()
    stream.close()
    return b""
