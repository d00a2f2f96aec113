"""Everything that reads an answer from outside, against every way in which a server can misbehave."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import readers
from misbehaving_server import MODES, MisbehavingServer, misbehaving_server
from readers import READERS

pytest.importorskip("a2a", reason="needs the extra 'a2a'")
pytest.importorskip("anthropic", reason="needs the extra 'anthropic'")
pytest.importorskip("google.genai", reason="needs the extra 'google'")
pytest.importorskip("huggingface_hub", reason="needs the extra 'hub'")
pytest.importorskip("mcp", reason="needs the extra 'mcp'")

WITHOUT_END = {"slow_head", "slow_body", "slow_events", "silent", "interim"}
"""Only the time limit ends such an answer."""
MANY = 45 * 1024**2
"""Bytes that a server is let send: 10 MiB for each of the four places of an agent card, and the system's buffers."""
MEMORY = 100 * 1024**2
HARMLESS = {("not_utf8", "rest_eval"), ("empty", "live tool"), ("null", "live tool")}
"""What is read all the same: half a character is replaced, and a tool may say nothing."""


FLOODS = ["endless", "endless_event", "bomb_once", "bomb_twice", "bomb_of_events"]
"""Asked for in a process of their own where memory can be measured."""
MEASURED = Path("/proc/self/status").exists()


@pytest.fixture(scope="module")
def server() -> Iterator[MisbehavingServer]:
    with readers.without_certificates(), misbehaving_server() as running:
        yield running


@pytest.mark.parametrize("mode", [mode for mode in MODES if not (MEASURED and mode in FLOODS)])
async def test_a_reader_ends_with_an_error_of_its_own(server: MisbehavingServer, mode: str) -> None:
    seconds = 0.3 if mode in WITHOUT_END else 60.0
    patient = {"MCP server, SSE": 0.3}  # it waits for the one event that it needs

    async def outcome(name: str) -> str | None:
        ask, errors = READERS[name]
        try:
            answer = await ask(f"{server.url}/{mode}/{name.replace(' ', '-')}", patient.get(name, seconds))
        except errors as error:
            return None if str(error) or name in {"rest_eval", "health of the local engine"} else "says nothing"
        except Exception as error:  # noqa: BLE001 - the table names the reader
            return f"{type(error).__name__}: {error}"
        return None if (mode, name) in HARMLESS else f"took it for an answer: {answer!r}"

    server.sent.clear()
    outcomes = dict(zip(READERS, await asyncio.gather(*map(outcome, READERS)), strict=True))
    assert {name: what for name, what in outcomes.items() if what} == {}
    assert {name: sent for name, sent in server.sent.items() if sent > MANY} == {}


@pytest.mark.skipif(not MEASURED, reason="reads the memory of a process from /proc")
def test_no_bomb_and_no_endless_answer_fills_the_memory(server: MisbehavingServer) -> None:
    server.sent.clear()
    program = subprocess.run(
        [sys.executable, readers.__file__, server.url, *FLOODS],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert program.returncode == 0, program.stderr
    rows = [json.loads(line) for line in program.stdout.splitlines()]
    assert [(row["reader"], row["mode"]) for row in rows] == [(name, mode) for name in READERS for mode in FLOODS]
    assert [row for row in rows if row["memory"] > MEMORY or not row["failed"]] == []
    assert {name: sent for name, sent in server.sent.items() if sent > MANY} == {}
    assert len(server.sent) > len(rows)  # and those of warming up
