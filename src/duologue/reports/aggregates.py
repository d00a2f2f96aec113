"""Numbers over all runs of an execution: by agent, by scenario, and what its allowance tolerates."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from duologue.frozen import frozen
from duologue.reports.display import plural
from duologue.suites.results.execution import ExecutionResult, Group
from duologue.suites.results.run import SPENDERS, RunResult, Spent, total_spent

_LOWEST = 3
"""Metrics that are named where there is one line for all."""


def graded(execution: ExecutionResult) -> str:
    """What metrics come to: ``84.0 of 80 needed · 2 of 3 graded runs good enough · …``; '' without any."""
    found = execution.grading
    if found is None:
        return ""
    needed = "" if execution.metrics_threshold is None else f" of {execution.metrics_threshold:g} needed"
    scored = sorted((item.mean, item.metric) for item in found.metrics if item.mean is not None)
    cases = found.passed + found.failed + found.undecided + found.errors
    parts = [f"{found.weighted_score:.1f}{needed}" if found.weighted_score is not None else "no score"]
    parts += [f"{found.passed:,} of {plural(cases, 'graded run')} good enough"]
    parts += (
        [f"lowest: {', '.join(f'{metric} {mean:.1f}' for mean, metric in scored[:_LOWEST])} of 5"] if scored else []
    )
    return " · ".join(parts)


@frozen
class AgentFigures:
    """One agent over all of its runs. ``agent`` is None for recordings."""

    agent: str | None
    runs: tuple[RunResult, ...]
    passed: int
    spent: dict[str, Spent]
    seconds: float

    @property
    def cost(self) -> float:
        """US dollars, of everybody together."""
        return sum(part.cost for part in self.spent.values())

    @property
    def unpriced(self) -> int:
        """Calls without a price."""
        return sum(part.unpriced for part in self.spent.values())


def by_agent(execution: ExecutionResult) -> list[AgentFigures]:
    """A row for each agent, in the order of the plan."""
    runs: dict[str | None, list[RunResult]] = {}
    for run in execution.runs:
        runs.setdefault(run.case.agent, []).append(run)
    return [
        AgentFigures(
            agent=agent,
            runs=tuple(found),
            passed=sum(run.outcome == "pass" for run in found),
            spent={who: total_spent(getattr(run, who) for run in found) for who in SPENDERS},
            seconds=sum(run.seconds for run in found),
        )
        for agent, found in runs.items()
    ]


def row_of(group: Group) -> tuple[str, str]:
    """What a line of the matrix stands for: a scenario, and what varies besides the agent."""
    case = group.case
    varied = [case.persona or "", "" if case.region == "default" else case.region]
    varied += [f"{key}={value}" for key, value in case.perturbation]
    varied += [case.recording_title] if case.recording else []
    return case.scenario, " · ".join(part for part in varied if part)


def matrix(execution: ExecutionResult) -> tuple[list[str], dict[tuple[str, str], dict[str, Group]]]:
    """Agents across, scenarios (with persona, region, perturbation or recording) down; in the order of the plan."""
    agents = _in_order(execution.groups, lambda group: group.case.agent or "")
    rows: dict[tuple[str, str], dict[str, Group]] = {}
    for group in execution.groups:
        rows.setdefault(row_of(group), {})[group.case.agent or ""] = group
    return agents, rows


def _in_order(groups: Iterable[Group], key: Callable[[Group], str]) -> list[str]:
    return list(dict.fromkeys(map(key, groups)))


def excused(run: RunResult, group: Group) -> bool:
    """Whether a run failed and its test case did not, because the share of passing trials is enough."""
    return run.outcome == "fail" and group.outcome != "fail"


def undecided_allowed(execution: ExecutionResult) -> bool:
    """Whether as many undecided test cases as there are were put up with beforehand."""
    limit = execution.allowance.undecided
    return limit is None or execution.totals.undecided <= limit


def errors_allowed(execution: ExecutionResult) -> bool:
    """The same for test cases that broke."""
    limit = execution.allowance.errors
    return limit is None or execution.totals.errors <= limit
