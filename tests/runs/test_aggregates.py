"""An execution in figures: what counts, how long the agent took, what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eval_runs import executed, new_eval, store
from grading_model import Grader
from own_runtimes import holding, talk

from duologue.journal.events import CheckEvaluated, ErrorInfo, Usage
from duologue.messages import assistant_message, user_message
from duologue.runs import RunService
from duologue.runs.aggregates import Thresholds, aggregate_case, aggregate_execution
from duologue.runs.store.database.execution_result import execution_so_far
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import MessageResult, RunResult, Spent
from duologue.vocabulary import CheckStatus, RunStatus, Scope, Verdict


def run(outcome: str, *seconds: float, **more: Any) -> RunResult:
    status = {"error": RunStatus.ERROR, "cancelled": RunStatus.CANCELLED}.get(outcome, RunStatus.COMPLETED)
    messages: list[MessageResult] = []
    for turn, taken in enumerate(seconds):
        messages.append(MessageResult(id=f"u{turn}", message=user_message("12345678"), turn=turn, author="user"))
        spent = Spent(seconds=taken)
        said = assistant_message("1234")
        messages.append(MessageResult(id=f"a{turn}", message=said, turn=turn, author="bot", spent=spent))
    return RunResult(
        case=TestCase(index=0, scenario="s", trial=2),
        run_id="r",
        status=status,
        verdict=Verdict(outcome) if status is RunStatus.COMPLETED else None,
        error=ErrorInfo(type="AgentError", message="boom") if outcome == "error" else None,
        messages=tuple(messages),
        **more,
    )


@pytest.mark.parametrize(
    ("outcome", "passed"),
    [("pass", True), ("fail", False), ("undecided", False), ("error", False), ("cancelled", None)],
)
def test_what_could_not_be_judged_is_failed_with_the_reason(outcome: str, passed: bool | None) -> None:
    case = aggregate_case(run(outcome, 0.1))
    assert (case.status, case.passed, case.repetition_index) == (outcome, passed, 1)
    assert (case.error_message or "").endswith("boom") is (outcome == "error")


def test_latencies_are_those_of_the_agents_turns() -> None:
    case = aggregate_case(run("pass", *(number / 100 for number in range(1, 21))))
    latency = case.agent_latency
    assert (latency.p50_ms, latency.p95_ms, latency.max_ms, len(latency.per_turn_ms)) == (100, 190, 200, 20)
    assert aggregate_case(run("error")).agent_latency.p50_ms is None


def test_usage_that_nobody_reports_is_estimated_and_says_so() -> None:
    silent = aggregate_case(run("pass", 0.1, 0.1)).agent_token_usage
    assert (silent.prompt_tokens, silent.completion_tokens, silent.estimated) == (2 + 5, 2, True)
    told = Spent(calls=1, usage=Usage(input_tokens=7, output_tokens=3), cost=0.5)
    case = aggregate_case(run("pass", 0.1, agent=told, user=told, judge=told))
    assert (case.agent_token_usage.total_tokens, case.agent_token_usage.estimated) == (10, False)
    assert (case.platform_token_usage.total_tokens, case.estimated_cost_usd) == (20, 1.5)


@pytest.mark.parametrize(
    ("outcomes", "rate", "cases_passed"),
    [
        (["pass", "pass"], 1.0, True),
        (["pass", "error"], 0.5, False),
        (["pass", "cancelled"], 1.0, True),
        (["cancelled"], None, None),
        ([], None, None),
        (["pass", "fail", "undecided", "error"], 0.25, False),
    ],
)
def test_what_counts_in_the_rate(outcomes: list[str], rate: float | None, cases_passed: bool | None) -> None:
    found = aggregate_execution(map(run, outcomes))
    assert (found.pass_rate, found.cases_passed) == (rate, cases_passed)
    assert found.passed_count + found.failed_count == found.total_executions
    assert aggregate_execution(map(run, outcomes), Thresholds(cases=0.0)).cases_passed is (rate is not None or None)


def test_skipped_checks_are_warnings() -> None:
    skipped = CheckEvaluated(
        name="calls", scope=Scope.CONVERSATION, turn=0, status=CheckStatus.SKIPPED, explanation="?"
    )
    assert aggregate_case(run("pass", 0.1, checks=(skipped,))).warnings == ("calls: ?",)


async def test_figures_of_an_execution_in_the_store(tmp_path: Path) -> None:
    result = talk("Hi", "There.", agent_token_usage={"prompt_tokens": 10, "completion_tokens": 5}, agent_cost_usd=0.5)
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: result):
            judge = {"pass_threshold": 50.0}
            eval_ = await new_eval(
                service,
                {"agent": {"name": "bot", "runtime": {"kind": "holder"}}},
                {"name": "s"},
                config={"judge": judge},
            )
            [stored] = await executed(service, eval_, Grader({"tool_routing": 0}))
        assert stored.execution_id is not None
        execution = await service.get_execution(stored.execution_id)
        found = await execution_so_far(service.database, stored.execution_id)
    assert execution is not None
    assert found is not None
    figures = aggregate_execution(found.runs, execution.data)
    [case] = figures.cases
    assert case.overall_score == pytest.approx(85.0)
    assert figures.weighted_metrics_score_pct == pytest.approx(85.0)
    assert (figures.metrics_passed, figures.cases_passed) == (True, True)
    assert case.warnings == ("passes although tool_routing has the lowest score",)
    assert (case.agent_cost_usd, case.platform_cost_usd) == (0.5, 0.01)
    assert case.agent_latency.per_turn_ms == (100,)
