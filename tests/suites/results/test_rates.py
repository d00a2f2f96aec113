"""Pass rates with denominators and intervals; tau-bench's format with known pass^k."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_executions import execution

from duologue.suites import Engine

PASSED = [4] * 10 + [3] * 5 + [2] * 10 + [1] * 9 + [0] * 16
"""Of fifty tasks, how many of four trials have passed."""


def tau_file(path: Path) -> None:
    """Results in the format of tau-bench, one task after the other in each trial."""
    runs: list[dict[str, Any]] = []
    for trial in range(4):
        for task, passed in enumerate(PASSED):
            said = [
                {"role": "system", "content": "# Policy"},
                {"role": "user", "content": f"Change booking {task}."},
                {"role": "assistant", "content": "Done."},
            ]
            info = {"task": {"user_id": "u", "instruction": "Change it.", "actions": [], "outputs": []}}
            runs.append({"task_id": task, "trial": trial, "reward": float(trial < passed), "info": info, "traj": said})
    path.write_text(json.dumps(runs))


@pytest.fixture
async def replayed(tmp_path: Path) -> Any:
    tau_file(tmp_path / "gpt.json")
    suite = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: airline}
spec:
  replays:
    - {name: airline, recording: gpt.json, format: tau_bench, checks: [{type: recorded_value}]}
"""
    tmp_path.joinpath("suite.yaml").write_text(suite)
    async with Engine.from_file(tmp_path / "suite.yaml") as engine:
        return await engine.execute()


async def test_recorded_rewards_of_tau_bench_are_the_verdicts(replayed: Any) -> None:
    assert len(replayed.runs) == 200
    rate = replayed.rates.runs
    assert (rate.passed, rate.decided, rate.clusters) == (84, 200, 50)
    assert (rate.low, rate.high) == pytest.approx((0.32, 0.52), abs=0.02)
    found = {item.k: item.hat for item in replayed.pass_k}
    # By hand: of two, three and four trials C(c,k)/C(4,k) = 1, 1/2, 1/6, 0; 1, 1/4, 0, 0; 1, 0, 0, 0.
    expected = {1: 84 / 200, 2: (10 + 5 / 2 + 10 / 6) / 50, 3: (10 + 5 / 4) / 50, 4: 10 / 50}
    assert {k: item.value for k, item in found.items()} == pytest.approx(expected)
    assert (found[4].low, found[4].high) == pytest.approx((0.10, 0.32), abs=0.02)
    assert all(item.tasks == 50 and not item.left_out for item in replayed.pass_k)


def test_undecided_runs_and_errors_are_beside_the_rates() -> None:
    found = execution({"a": "ppfu", "b": "eeuf", "c": "uuee"})
    rate = found.rates.runs
    assert (rate.passed, rate.decided, rate.undecided, rate.errors, rate.clusters) == (2, 4, 4, 4, 2)
    groups = {group.case.scenario: group.rate for group in found.groups}
    assert (groups["a"].passed, groups["a"].decided, groups["a"].undecided) == (2, 3, 1)
    assert (groups["c"].value, groups["c"].low, groups["c"].high, groups["c"].method) == (None, 0.0, 1.0, "none")
    [check] = found.rates.checks
    assert (check.rate.passed, check.rate.decided) == (2, 4)


def test_one_trial_each_has_no_pass_k() -> None:
    assert execution({"a": "p", "b": "f"}).pass_k == ()


def test_scenarios_are_drawn_and_not_trials() -> None:
    alike = execution({f"s{number}": "p" * 8 if number % 2 else "f" * 8 for number in range(20)}).rates.runs
    apart = execution({f"s{number}": "pfpffppf" if number % 3 else "ppfffppf" for number in range(20)}).rates.runs
    assert alike.value == apart.value == 0.5
    assert alike.high - alike.low > 0.4
