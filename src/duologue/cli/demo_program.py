"""The programs that demos talk to: each runs as a process of its own, as long as the demo does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from duologue.errors import ConfigurationError

_STOP_TIMEOUT = 5.0
"""Seconds until a program that does not end is killed."""


@contextmanager
def demo_program(module: str, *arguments: str) -> Generator[str, None, None]:
    """Run ``python -m module`` for as long as the block lasts; gives the URL that it prints once it is ready.

    Args:
        module: prints a line of JSON with ``url``.
        arguments: of its command line.

    Raises:
        ConfigurationError: the program ended before it was ready.
    """
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise ConfigurationError(f"the program of the demo did not start: {' '.join(command)} ended at once")
        yield str(json.loads(line)["url"])
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
