"""Programs that tools and MCP servers run: however the command ends, none is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")

STUBBORN = """
import json, os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
name = sys.argv[1]
Path(name).with_suffix(".part").write_text(str(os.getpid()))
Path(name).with_suffix(".part").rename(name)
for line in sys.stdin:
    asked = json.loads(line)
    info = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    tools = {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}
    results = {"initialize": info, "tools/list": tools, "tools/call": {"content": [{"type": "text", "text": "seen"}]}}
    if asked["method"] == "execute" and Path(name).with_name("slow").exists():
        Path(name).with_name("there").touch()
        time.sleep(600)
    if asked["method"] == "execute" or "id" in asked:
        result = results.get(asked["method"], "done")
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
time.sleep(600)
"""
AGENT = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent

def answer(input):
    HERE.joinpath("there").touch()
    if HERE.joinpath("dies").exists():
        os._exit(0)
    time.sleep(600)
"""
MOCK: dict[str, Any] = {
    "scenarios": {"tools": {"turns": {
        1: {"tool_calls": [{"name": "work", "arguments": {}}, {"name": "look", "arguments": {}}]}, 2: "done",
    }}},
    "defaultResponse": "done",
}  # fmt: skip


def suite(folder: Path, *, python: bool) -> None:
    def program(name: str) -> dict[str, Any]:
        return {"command": sys.executable, "args": ["stubborn.py", str(folder / name)]}

    agents: list[dict[str, Any]] = [{"name": "tooled", "model": "m", "prompt": "p"}]
    scenarios: list[dict[str, Any]] = [{"name": "tools", "agents": ["tooled"], "turns": [{"content": "go"}]}]
    if python:
        agents.append({"name": "code", "target": "agent.py:answer"})
        scenarios.append({"name": "code", "agents": ["code"], "turns": [{"content": "go"}]})
    else:
        scenarios.append({"name": "late", "agents": ["tooled"], "turns": [{"content": "go"}]})
    spec = {
        "models": [{"name": "m", "provider": "mock", "mock_file": "mock.yaml"}],
        "prompts": [{"name": "p", "system_template": "Help.", "allowed_tools": ["work", "look"]}],
        "tools": [{
            "name": "work", "description": "works", "mode": "exec", "exec": {**program("work"), "runtime": "server"},
        }],
        "mcp_servers": [{"name": "eyes", **program("look"), "working_dir": "."}],
        "agents": agents, "scenarios": scenarios, "defaults": {"concurrency": 1, "seed": 1},
    }  # fmt: skip
    written = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "left"}, "spec": spec}
    (folder / "suite.yaml").write_text(json.dumps(written))
    (folder / "mock.yaml").write_text(json.dumps(MOCK))
    (folder / "agent.py").write_text(AGENT)
    (folder / "stubborn.py").write_text(STUBBORN)


def started(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "duologue", "run", str(folder / "suite.yaml"), "-q", "--out", str(folder / "out")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def programs(folder: Path) -> list[int]:
    return [int((folder / name).read_text()) for name in ("work", "look")]


def test_a_process_that_ends_without_a_word_takes_its_programs_along(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="needs the extra 'mcp'")
    suite(tmp_path, python=True)
    (tmp_path / "dies").touch()
    with started(tmp_path) as process:
        told = process.communicate(timeout=LONG)[1]
    assert process.returncode == 3, told
    wait_until(lambda: not any(map(alive, programs(tmp_path))))


@pytest.mark.parametrize("python", [True, False])
@pytest.mark.parametrize("numbers", [[signal.SIGINT] * 3, [signal.SIGKILL]])
def test_a_forced_end_takes_the_programs_along(tmp_path: Path, numbers: list[int], python: bool) -> None:
    pytest.importorskip("mcp", reason="needs the extra 'mcp'")
    suite(tmp_path, python=python)
    if not python:
        (tmp_path / "slow").touch()
    with started(tmp_path) as process:
        wait_until((tmp_path / "there").exists)
        found = programs(tmp_path)
        assert all(map(alive, found))
        for number in numbers:
            polls = iter(range(80))  # longer than one press of a key takes
            wait_until(lambda: next(polls, None) is None)  # noqa: B023
            if process.poll() is None:
                os.kill(process.pid, number)
        process.communicate(timeout=LONG)
    assert process.returncode != 0
    wait_until(lambda: not any(map(alive, found)))
