"""An execution in figures: what became of its test cases, how long the agent took, what all of it cost.

A pure function of results, with the fields that Connexity's clients know, and our own words beside them: what could
not be judged is ``failed`` in the former, with the reason, and ``error`` in the latter. Latencies are milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import ceil, fsum
from typing import Any

from duologue.frozen import frozen
from duologue.models.scope import estimate_tokens
from duologue.suites.results.run import RunResult, Spent, reason_of, total_spent
from duologue.vocabulary import CheckStatus, RunStatus, Verdict

METRICS = "metrics"
"""The kind of checks that grade by metrics."""
_PERCENT = 100.0


@frozen
class Latency:
    """How long the agent took for its turns.

    Attributes:
        p50_ms, p95_ms, max_ms: over all turns; None where it took none. Percentiles are turns that there were (nearest
            rank).
        per_turn_ms: in order.
    """

    p50_ms: int | None = None
    p95_ms: int | None = None
    max_ms: int | None = None
    per_turn_ms: tuple[int, ...] = ()


@frozen
class TokenUsage:
    """Tokens.

    Attributes:
        estimated: nobody has reported them; they are counted from the texts.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


@frozen
class CaseAggregate:
    """What became of one run of a test case.

    Attributes:
        status: ``pass``, ``fail``, ``undecided``, ``error`` or ``cancelled``.
        passed: as Connexity has it: False for everything that was judged, or was to be, and did not pass; None for one
            that was cancelled.
        error_message: why there is no verdict; None where there is one.
        reason: why it did not pass, or what there is to be said of its passing.
        overall_score: of the metrics, 0 to 100; None where they were not graded.
        warnings: what a reader of the verdict should know, such as metrics at 0 that their weights outvoted.
        platform_*: everything but the agent: simulated user, judge and checks.
        estimated_cost_usd: agent and platform together, as far as prices are known.
        unpriced_calls: model calls without a price, which ``estimated_cost_usd`` leaves out.
    """

    run_id: str
    test_case_id: str
    repetition_index: int
    status: str
    passed: bool | None
    error_message: str | None
    reason: str
    overall_score: float | None
    turn_count: int
    total_latency_ms: int
    agent_latency: Latency
    agent_token_usage: TokenUsage
    platform_token_usage: TokenUsage
    agent_cost_usd: float
    platform_cost_usd: float
    unpriced_calls: int
    warnings: tuple[str, ...] = ()

    @property
    def estimated_cost_usd(self) -> float:
        """Agent and platform together."""
        return self.agent_cost_usd + self.platform_cost_usd


@frozen
class ExecutionAggregate:
    """What an execution comes to.

    Attributes:
        total_executions: runs that are over and were not cancelled.
        passed_count, failed_count: of these; errors count as failed.
        error_count, undecided_count, cancelled_count: our own words for some of the failed, and for the rest.
        pass_rate: share of ``total_executions`` that passed, 0 to 1; None where there are none.
        latency: over the medians of the runs.
        avg_overall_score: mean of the scores, 0 to 100.
        weighted_metrics_score_pct: weighted mean of the metrics' means; None where none was graded.
        cases_pass_rate_pct: ``pass_rate`` in percent.
        metrics_passed, cases_passed: whether the thresholds are reached; None where there is nothing to measure.
    """

    total_executions: int
    passed_count: int
    failed_count: int
    error_count: int
    undecided_count: int
    cancelled_count: int
    pass_rate: float | None
    latency: Latency
    agent_token_usage: TokenUsage
    platform_token_usage: TokenUsage
    agent_cost_usd: float
    platform_cost_usd: float
    unpriced_calls: int
    avg_overall_score: float | None
    weighted_metrics_score_pct: float | None
    cases_pass_rate_pct: float | None
    metrics_passed: bool | None
    cases_passed: bool | None
    cases: tuple[CaseAggregate, ...] = ()

    @property
    def estimated_cost_usd(self) -> float:
        """Agent and platform together."""
        return self.agent_cost_usd + self.platform_cost_usd


@frozen
class Thresholds:
    """What an execution has to come to, in percent."""

    metrics: float = 80.0
    cases: float = 100.0


def aggregate_execution(
    results: Iterable[RunResult], thresholds: Thresholds | Mapping[str, Any] | None = None
) -> ExecutionAggregate:
    """The figures of an execution.

    Args:
        results: of its runs that are over.
        thresholds: what it has to come to, or the facts of a stored execution, which say so; None for the usual ones.
    """
    runs = list(results)
    needed = thresholds if isinstance(thresholds, Thresholds) else thresholds_of(thresholds or {})
    cases = tuple(aggregate_case(run) for run in runs)
    counted = [case for case in cases if case.passed is not None]
    passed = sum(case.passed is True for case in counted)
    rate = passed / len(counted) if counted else None
    scores = [case.overall_score for case in counted if case.overall_score is not None]
    weighted = _weighted_score(run for run in runs if run.status is RunStatus.COMPLETED)
    of_status = [case.status for case in cases]
    return ExecutionAggregate(
        total_executions=len(counted),
        passed_count=passed,
        failed_count=len(counted) - passed,
        error_count=of_status.count("error"),
        undecided_count=of_status.count("undecided"),
        cancelled_count=of_status.count("cancelled"),
        pass_rate=rate,
        latency=_latency([case.agent_latency.p50_ms for case in cases if case.agent_latency.p50_ms is not None]),
        agent_token_usage=_sum(case.agent_token_usage for case in cases),
        platform_token_usage=_sum(case.platform_token_usage for case in cases),
        agent_cost_usd=fsum(case.agent_cost_usd for case in cases),
        platform_cost_usd=fsum(case.platform_cost_usd for case in cases),
        unpriced_calls=sum(case.unpriced_calls for case in cases),
        avg_overall_score=fsum(scores) / len(scores) if scores else None,
        weighted_metrics_score_pct=weighted,
        cases_pass_rate_pct=None if rate is None else rate * _PERCENT,
        metrics_passed=None if weighted is None else weighted >= needed.metrics,
        cases_passed=None if rate is None else rate * _PERCENT >= needed.cases - 1e-9,
        cases=cases,
    )


def thresholds_of(facts: Mapping[str, Any]) -> Thresholds:
    """The thresholds that the facts of a stored execution name; the usual ones where they name none."""
    allowance: dict[str, Any] = facts.get("allowance") or {}
    share: object = allowance.get("pass_rate")
    metrics: object = facts.get("metrics_threshold")
    usual = Thresholds()
    return Thresholds(
        metrics=float(metrics) if isinstance(metrics, int | float) else usual.metrics,
        cases=float(share) * _PERCENT if isinstance(share, int | float) else usual.cases,
    )


def aggregate_case(run: RunResult) -> CaseAggregate:
    """The figures of one run."""
    platform = total_spent((run.user, run.judge))
    graded = [check for check in run.checks if check.kind == METRICS]
    scores = [check.score * _PERCENT for check in graded if check.score is not None]
    cancelled = run.status is RunStatus.CANCELLED
    return CaseAggregate(
        run_id=run.run_id,
        test_case_id=run.case.scenario,
        repetition_index=run.case.trial - 1,
        status=run.outcome,
        passed=None if cancelled else run.verdict is Verdict.PASS,
        error_message=reason_of(run) if run.status is RunStatus.ERROR else None,
        reason=reason_of(run) or (run.reasoning or ""),
        overall_score=scores[0] if scores else None,
        turn_count=run.turns,
        total_latency_ms=round(run.seconds * 1000),
        agent_latency=_latency(turn_latencies(run)),
        agent_token_usage=_agent_usage(run),
        platform_token_usage=_reported(platform),
        agent_cost_usd=run.agent.cost,
        platform_cost_usd=platform.cost,
        unpriced_calls=run.agent.unpriced + platform.unpriced,
        warnings=_warnings(run),
    )


def turn_latencies(run: RunResult) -> tuple[int, ...]:
    """Milliseconds that the agent took, by turn."""
    found: list[int] = []
    for _, messages in groupby(run.messages, key=lambda item: item.turn):
        own = [item for item in messages if item.message["role"] == "assistant" and item.author and item.spent]
        if own:
            found.append(round(fsum(item.spent.seconds for item in own if item.spent) * 1000))
    return tuple(found)


def _latency(taken: Sequence[int]) -> Latency:
    if not taken:
        return Latency()
    ordered = sorted(taken)
    return Latency(
        p50_ms=_rank(ordered, 0.5), p95_ms=_rank(ordered, 0.95), max_ms=ordered[-1], per_turn_ms=tuple(taken)
    )


def _rank(ordered: Sequence[int], share: float) -> int:
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _agent_usage(run: RunResult) -> TokenUsage:
    """What the agent reports, or an estimate from what it was sent and has said."""
    if run.agent.usage.total_tokens:
        return _reported(run.agent)
    read = history = wrote = 0
    for item in run.messages:
        content = item.message.get("content")
        tokens = estimate_tokens(content) if isinstance(content, str) else 0
        if item.message["role"] == "assistant" and item.author:
            read, wrote = read + history, wrote + tokens
        history += tokens
    return TokenUsage(prompt_tokens=read, completion_tokens=wrote, estimated=bool(read or wrote))


def _reported(spent: Spent) -> TokenUsage:
    return TokenUsage(prompt_tokens=spent.usage.input_tokens, completion_tokens=spent.usage.output_tokens)


def _sum(usages: Iterable[TokenUsage]) -> TokenUsage:
    found = list(usages)
    return TokenUsage(
        prompt_tokens=sum(item.prompt_tokens for item in found),
        completion_tokens=sum(item.completion_tokens for item in found),
        estimated=any(item.estimated for item in found),
    )


def _warnings(run: RunResult) -> tuple[str, ...]:
    over = [
        str(name) for check in run.checks if check.kind == METRICS for name in check.details.get("passed_over") or ()
    ]
    told = [f"passes although {name} has the lowest score" for name in over]
    told += [f"{check.name}: {check.explanation}" for check in run.checks if check.status is CheckStatus.SKIPPED]
    return tuple(told)


def _weighted_score(runs: Iterable[RunResult]) -> float | None:
    graded = [run for run in runs if any(check.kind == METRICS and check.details for check in run.checks)]
    if not graded:
        return None
    from duologue.checks.metrics.grading_summary import summarise_results

    return summarise_results(graded).weighted_score
