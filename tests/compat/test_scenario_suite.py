"""A test suite written for the Scenario library runs with nothing but another import."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LONG

SUITE = Path(__file__).parent / "scenario_suite"
REGISTERED = any(entry.name == "duologue" for entry in importlib.metadata.entry_points(group="pytest11"))
PLUGIN = "duologue" if REGISTERED else "duologue.pytest_plugin"
INI = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
TESTS = sum(path.read_text("utf-8").count("\nasync def test_") for path in SUITE.glob("test_*.py"))
TESTS += sum(path.read_text("utf-8").count("\ndef test_") for path in SUITE.glob("test_*.py"))


def test_the_suite_runs_with_another_import(tmp_path):
    shutil.copytree(SUITE, tmp_path / "suite", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pytest.ini").write_text(INI)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        PLUGIN,
        "-p",
        "no:cacheprovider",
        "-q",
        "--strict-markers",
        "suite",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DUOLOGUE"))}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert TESTS >= 19
    assert f"{TESTS} passed" in done.stdout
    assert "duologue: " in done.stdout


MODULES = {
    "agent_adapter": ["AgentAdapter"],
    "cache": ["scenario_cache"],
    "config": ["ModelConfig", "ScenarioConfig"],
    "judge_agent": ["JudgeAgent"],
    "pytest_plugin": ["ScenarioReporter"],
    "scenario_executor": ["ScenarioExecutor", "arun", "run"],
    "scenario_state": ["ScenarioState"],
    "script": ["agent", "fail", "judge", "message", "proceed", "succeed", "user"],
    "types": ["AgentInput", "AgentReturnTypes", "AgentRole", "JudgmentRequest", "ScenarioResult", "ScriptStep"],
    "user_simulator_agent": ["UserSimulatorAgent"],
}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_path_leads_to_the_same_names(module):
    found = importlib.import_module(f"duologue.compat.scenario.{module}")
    assert set(MODULES[module]) <= set(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)
