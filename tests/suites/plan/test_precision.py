"""What trials buy, and what they took before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_executions import execution

from duologue.cli.app import invoke
from duologue.runs.earlier_costs import costs_in, measured
from duologue.runs.store.folder import write_execution
from duologue.suites.plan.precision import precision_of


def test_more_trials_and_more_scenarios_make_narrower_intervals() -> None:
    few, many = execution({"a": "pppp", "b": "pppp"}).plan, execution({f"s{n}": "p" * 40 for n in range(20)}).plan
    first, second = precision_of(few, {}), precision_of(many, {})
    assert first.case_half > second.case_half
    assert first.all_high > second.all_high > second.all_low
    assert (first.trials, second.scenarios, first.known) == (4, 20, 0)


def test_earlier_runs_say_how_alike_trials_are() -> None:
    plan = execution({f"s{n}": "p" * 10 for n in range(20)}).plan
    groups = list(dict.fromkeys(case.group for case in plan.cases))
    alike = precision_of(plan, {group: (10 * (place % 2), 10) for place, group in enumerate(groups)})
    apart = precision_of(plan, dict.fromkeys(groups, (5, 10)))
    assert alike.all_low == alike.all_high > 2 * apart.all_high
    assert alike.rate == pytest.approx(0.5, abs=0.01)


def test_one_scenario_says_nothing_of_others() -> None:
    found = precision_of(execution({"a": "pp"}).plan, {})
    assert (found.all_low, found.all_high) == (None, None)


def test_trials_until_decided_are_expected_from_earlier_rates() -> None:
    plan = execution({"good": "p" * 20, "bad": "p" * 20}).plan
    plan = replace(plan, cases=tuple(replace(case, until_decided=True) for case in plan.cases))
    good, bad = dict.fromkeys(case.group for case in plan.cases)
    found = precision_of(plan, {good: (20, 20), bad: (0, 20)}, 0.8)
    assert 18 <= found.expected_runs <= 26
    assert precision_of(execution({"a": "pp"}).plan, {}).expected_runs is None


def test_what_cases_took_before(tmp_path: Path) -> None:
    before = execution({"a": "pfu", "b": "e"}, cost=0.02, seconds=3.0)
    write_execution(before, tmp_path)
    costs = costs_in(tmp_path)
    [cost] = costs.values()
    assert (cost.runs, cost.passed, cost.decided, cost.cost, cost.tokens) == (3, 1, 2, 0.02, 100)
    found = measured(execution({"a": "pppp", "c": "p"}).plan, costs, tmp_path, concurrency=2)
    assert found is not None
    assert (found.cases, found.runs, found.cost, found.tokens, found.seconds) == (1, 4, 0.08, 400, 6.0)


def test_the_command_says_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("agent.py").write_text("def answer(input): return 'good'\n")
    scenarios = [{"name": name, "turns": [{"content": "hello"}]} for name in ("a", "b")]
    checks = [{"type": "contains", "params": {"patterns": ["good"]}}]
    spec = {"agents": [{"name": "bot", "target": "agent.py:answer"}], "scenarios": scenarios, "checks": checks}
    whole = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": {**spec, "trials": 10}}
    tmp_path.joinpath("suite.yaml").write_text(json.dumps(whole))
    assert invoke(["plan", "suite.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "95% intervals: a test case ±" in shown
    assert "as in" not in shown
    assert invoke(["run", "suite.yaml", "-q"]) == 0
    capsys.readouterr()
    assert invoke(["plan", "suite.yaml", "--until-decided", "--pass-threshold", "0.8", "--trials", "30"]) == 0
    shown = capsys.readouterr().out
    assert "until all test cases are decided" in shown
    assert "60 runs of 2 test cases take" in shown
    assert invoke(["plan", "suite.yaml", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["precision"]["known"], data["measured"]["runs"]) == (2, 20)
    assert invoke(["plan", "suite.yaml", "--earlier", "nowhere"]) == 2
