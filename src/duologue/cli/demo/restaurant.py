"""Starts the restaurant's assistant as what it is: another program, reached by its URL."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from duologue.demo.scenarios import TODAY
from duologue.errors import ConfigurationError

_STOP_TIMEOUT = 5.0


@contextmanager
def restaurant() -> Generator[str, None, None]:
    """The URL of a restaurant that runs as long as the block; each conversation has a book of its own."""
    command = [sys.executable, "-m", "duologue.demo.restaurant", "--port", "0", "--today", str(TODAY), "--isolated"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise ConfigurationError(f"the demo's restaurant did not start: {' '.join(command)} ended at once")
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
