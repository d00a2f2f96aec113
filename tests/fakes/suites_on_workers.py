"""A small suite for tests of executors, and ``duologue run`` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from waiting import LONG

from duologue.runs.store.reader import read_execution

AGENT = """
import asyncio, os
from pathlib import Path
from duologue import AgentAdapter

HERE = Path(__file__).parent

class Bot(AgentAdapter):
    resumable = True

    async def call(self, input):
        content = input.messages[-1]["content"]
        said = content if isinstance(content, str) else "picture"
        with HERE.joinpath("calls").open("a") as file:
            file.write(f"{said} {os.getpid()}\\n")
        if said.startswith("wait"):
            while not HERE.joinpath("go").exists():
                await asyncio.sleep(0.01)
        if said.startswith("die"):
            os._exit(7)
        return "no" if said.startswith("bad") else "yes"
"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAAAAACcgYFdAAAAC0lEQVR4nGNggAIAAAkAAftSuKkAAAAASUVORK5CYII="


def suite(folder: Path, *scenarios: tuple[str, ...], **changes: Any) -> None:
    """A suite whose scenarios say these lines; a line ``picture`` is a picture."""
    written = {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": "many"},
        "spec": {
            "agents": [{"name": "bot", "target": "agent.py:Bot"}],
            "scenarios": [
                {
                    "name": lines[0],
                    "turns": [_turn(line) for line in lines],
                    "checks": [{"type": "contains", "params": {"patterns": ["yes"]}}],
                }
                for lines in scenarios
            ],
            "defaults": {"seed": 7},
            **changes,
        },
    }
    (folder / "suite.yaml").write_text(json.dumps(written))
    (folder / "agent.py").write_text(AGENT)


def _turn(line: str) -> dict[str, Any]:
    if line != "picture":
        return {"content": line}
    part = {"type": "image", "media": {"data": PIXEL, "mime_type": "image/png"}}
    return {"parts": [{"type": "text", "text": line}, part]}


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "duologue", "run", str(folder / "suite.yaml"), "--ci", *options]


def run(
    folder: Path, *options: str, before: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    done = subprocess.run(
        [*before, *command(folder, *options)],
        timeout=LONG,
        check=False,
        capture_output=True,
        text=True,
        env=None if environment is None else {**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(folder, *options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return [line.rsplit(" ", 1)[0] for line in path.read_text().splitlines()] if path.exists() else []


def pids(folder: Path) -> set[int]:
    return {int(line.split()[-1]) for line in (folder / "calls").read_text().splitlines()}


def outcomes(folder: Path) -> dict[str, str]:
    return {run.case.scenario: run.outcome for run in read_execution(folder / "out").runs}
