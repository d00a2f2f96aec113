"""The verdict of an execution and its exit code, from which every report is made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from duologue.journal.events import Usage
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult, Spent
from duologue.vocabulary import RunStatus, Verdict

_ENDS: dict[str, dict[str, Any]] = {
    "pass": {"status": RunStatus.COMPLETED, "verdict": Verdict.PASS},
    "fail": {"status": RunStatus.COMPLETED, "verdict": Verdict.FAIL},
    "undecided": {"status": RunStatus.COMPLETED, "verdict": Verdict.UNDECIDED},
    "error": {"status": RunStatus.ERROR},
    "cancelled": {"status": RunStatus.CANCELLED},
}


def execution(*ends: str, planned: int | None = None, **fields: Any) -> ExecutionResult:
    """An execution of cases that ended so; more may be planned."""
    count = len(ends) if planned is None else planned
    cases = tuple(TestCase(index=index, scenario=f"s{index}") for index in range(count))
    runs = tuple(
        RunResult(case=cases[index], run_id=f"r{index}", **_ENDS[end], agent=Spent(calls=2, cost=0.5))
        for index, end in enumerate(ends)
    )
    plan = Plan(suite="s", cases=cases, seed=1)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ExecutionResult(id="x", suite="s", path="s", plan=plan, runs=runs, started_at=at, seconds=1.0, **fields)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (["pass", "pass"], 0),
        (["pass", "fail"], 1),
        (["fail", "error", "undecided"], 1),
        (["pass", "error"], 3),
        (["pass", "undecided"], 3),
        (["pass", "cancelled"], 3),
        ([], 3),
    ],
)
def test_a_fail_is_the_strongest_word_and_only_passes_are_a_pass(ends: list[str], code: int) -> None:
    assert execution(*ends).exit_code == code
    assert execution(*ends).ok is (code == 0)


@pytest.mark.parametrize(
    ("allowance", "code"),
    [
        (Allowance(undecided=1, errors=1), 0),
        (Allowance(undecided=None, errors=None), 0),
        (Allowance(undecided=1, errors=0), 3),
        (Allowance(undecided=0, errors=1), 3),
    ],
)
def test_so_much_may_stay_open(allowance: Allowance, code: int) -> None:
    assert execution("pass", "undecided", "error", allowance=allowance).exit_code == code
    assert execution("fail", "undecided", "error", allowance=allowance).exit_code == 1


def test_what_was_not_run_is_no_pass_whatever_is_allowed() -> None:
    lax = Allowance(undecided=None, errors=None)
    assert execution("pass", planned=2, allowance=lax).exit_code == 3
    assert execution("pass", planned=2, allowance=lax, interrupted=True).exit_code == 130
    assert execution("fail", interrupted=True).exit_code == 130


def test_cases_are_counted_once_and_runs_all_of_them() -> None:
    cases = tuple(TestCase(index=index, scenario="s", trial=index + 1, trials=3) for index in range(3))
    runs = tuple(
        RunResult(case=case, run_id=str(case.index), **_ENDS[end])
        for case, end in zip(cases, ("pass", "fail", "pass"), strict=True)
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    plan = Plan(suite="s", cases=cases, seed=1)
    made = ExecutionResult(id="x", suite="s", path="", plan=plan, runs=runs, started_at=at, seconds=1.0)
    assert (made.totals.cases, made.totals.runs, made.totals.failed, made.totals.passed) == (1, 3, 1, 0)
    key = cases[0].group
    shared = ExecutionResult(
        id="x", suite="s", path="", plan=plan, runs=runs, started_at=at, seconds=1.0, thresholds={key: {"c": 0.5}}
    )
    assert shared.totals.failed == 1  # nothing says that it was the check with the share that failed


def test_what_was_spent_is_added_up() -> None:
    spent = execution("pass", "fail", "error").spent
    assert (spent.calls, spent.cost) == (6, 1.5)
    total = Spent(usage=Usage(input_tokens=1), unpriced=1, seconds=2.0) + Spent(usage=Usage(output_tokens=3), calls=1)
    assert (total.usage.total_tokens, total.unpriced, total.calls, total.seconds) == (4, 1, 1, 2.0)


@pytest.mark.parametrize("end", _ENDS)
def test_one_word_says_what_came_of_a_run(end: str) -> None:
    assert execution(end).runs[0].outcome == end
