"""Numbers for people: money, time, sizes, shares; and what an execution has cost, by agent and by who asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.groups import Group
from duologue.suites.results.run import RunResult, Spent

WHO = ("agent", "user", "judge")
"""Whose model calls are counted apart."""
_LOWEST = 3
"""Metrics that are named where there is one line for all."""


def money(dollars: float, unpriced: int = 0) -> str:
    """US dollars with as many digits as matter. ``+`` where calls without a price are left out."""
    digits = 2 if dollars >= 10 or not dollars else 4
    return f"${dollars:,.{digits}f}" + ("+" if unpriced else "")


def duration(seconds: float) -> str:
    """``320 ms``, ``4.2 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def share(rate: float | None) -> str:
    """A share as a percentage; ``–`` where it is not known."""
    return "–" if rate is None else f"{rate:.0%}"


def tokens_of(spent: Spent) -> int:
    """Read and written together."""
    return spent.usage.total_tokens


def plural(count: int, word: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


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


def spent_by_who(execution: ExecutionResult) -> dict[str, Spent]:
    """What agents, simulated users and judges have spent in all runs."""
    return {who: spent_of(getattr(run, who) for run in execution.runs) for who in WHO}


def spent_of(parts: Iterable[Spent]) -> Spent:
    """Many together, without adding them one at a time: usage is a validated model and slow to make."""
    calls = tokens_in = tokens_out = unpriced = 0
    cost = seconds = 0.0
    for part in parts:
        if not part.calls:
            continue
        calls += part.calls
        tokens_in += part.usage.input_tokens
        tokens_out += part.usage.output_tokens
        cost += part.cost
        unpriced += part.unpriced
        seconds += part.seconds
    usage = type(Spent().usage)(input_tokens=tokens_in, output_tokens=tokens_out)
    return Spent(calls=calls, usage=usage, cost=cost, unpriced=unpriced, seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class AgentFigures:
    """One agent over all of its runs. ``agent`` is None for recordings."""

    agent: str | None
    runs: int
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
            runs=len(found),
            passed=sum(run.outcome == "pass" for run in found),
            spent={who: spent_of(getattr(run, who) for run in found) for who in WHO},
            seconds=sum(run.seconds for run in found),
        )
        for agent, found in runs.items()
    ]


def row_of(group: Group) -> tuple[str, str]:
    """What a line of the matrix stands for: a scenario, and what varies besides the agent."""
    case = group.case
    varied = [case.persona or "", "" if case.region == "default" else case.region]
    varied += [f"{key}={value}" for key, value in case.perturbation]
    varied += [case.recording.rsplit("/", 1)[-1]] if case.recording else []
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
