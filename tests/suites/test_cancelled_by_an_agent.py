"""An agent that cancels the tasks of its event loop ends neither the other runs nor the suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.cli.app import invoke

AGENT = """
import asyncio

calls = 0

async def answer(input):
    global calls
    calls += 1
    if calls <= 2:
        for task in asyncio.all_tasks():
            if {all} or task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0)
    return "yes"
"""


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("concurrency", [1, 2, 6])
def test_every_run_has_a_result_and_the_suite_goes_on(tmp_path: Path, everything: bool, concurrency: int) -> None:
    check = {"type": "contains", "params": {"patterns": ["yes"]}}
    spec = {
        "agents": [{"name": "bot", "target": "agent.py:answer"}],
        "scenarios": [{"name": "t", "trials": 6, "turns": [{"content": "hi"}], "checks": [check]}],
        "defaults": {"seed": 7, "concurrency": concurrency},
    }
    suite = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}, "spec": spec}
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    (tmp_path / "agent.py").write_text(AGENT.replace("{all}", str(everything)))
    invoke(["run", str(tmp_path / "suite.yaml"), "-q", "--out", str(tmp_path / "out")])
    outcomes = [run["outcome"] for run in json.loads((tmp_path / "out/index.json").read_text())["runs"]]
    assert len(outcomes) == 6
    assert set(outcomes) <= {"pass", "error"}
    assert outcomes[-1] == "pass" or concurrency == 6
    assert not everything or "error" in outcomes
