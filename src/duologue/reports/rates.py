"""How reports write pass rates: with what they are of, their interval, and what is beside them."""

from __future__ import annotations

from duologue.frozen import frozen
from duologue.reports.display import money, plural, share
from duologue.stats.bootstrap import Interval
from duologue.stats.pass_k import PassK
from duologue.stats.proportion import percent
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.rates import Rate
from duologue.suites.results.run import total_spent


def interval_text(low: float | None, high: float | None) -> str:
    """``32–52%``; '' where there is none."""
    if low is None or high is None:
        return ""
    first, last = percent(low), percent(high)
    return f"{first.removesuffix('%')}–{last}"


def rate_text(rate: Rate, noun: str = "") -> str:
    """``42% of 200 runs [32–52%]``; ``none decided`` where nothing was.

    Args:
        rate: what to write.
        noun: what it is of, such as ``run``; '' for nothing.
    """
    if rate.value is None:
        return "none decided"
    of = plural(rate.decided, noun) if noun else f"{rate.decided:,}"
    return f"{share(rate.value)} of {of} [{interval_text(rate.low, rate.high)}]"


def beside(rate: Rate) -> str:
    """``2 undecided, 1 error``: runs that a rate does not count; '' without any."""
    parts = [f"{rate.undecided:,} undecided"] if rate.undecided else []
    parts += [plural(rate.errors, "error")] if rate.errors else []
    parts += [f"{rate.cancelled:,} cancelled"] if rate.cancelled else []
    return ", ".join(parts)


def confidence_text(confidence: float) -> str:
    """``95%``."""
    return percent(confidence)


def value_text(found: Interval) -> str:
    """``42% [32–52%]``."""
    if found.value is None:
        return "–"
    ends = interval_text(found.low, found.high)
    return f"{share(found.value)} [{ends}]" if ends else share(found.value)


def chosen_ks(execution: ExecutionResult) -> list[PassK]:
    """Of all pass^k those that a line has room for: the first and the last."""
    found = execution.pass_k
    return [found[0], found[-1]] if len(found) > 1 else list(found)


@frozen
class Saved:
    """What was not run, because test cases were decided before.

    Attributes:
        runs, planned: how many were not needed, of how many.
        cases: test cases that were decided before all of their trials.
        cost: what they would probably have cost, in US dollars: as much as the trials of their cases did.
    """

    runs: int
    planned: int
    cases: int
    cost: float

    def __str__(self) -> str:
        money_ = f", about {money(self.cost)}" if self.cost else ""
        share_ = percent(self.runs / self.planned)
        early = f"{plural(self.cases, 'test case')} decided early"
        return f"{self.runs:,} of {plural(self.planned, 'run')} were not needed ({share_}{money_}): {early}"


def saved_by(execution: ExecutionResult) -> Saved | None:
    """What was saved; None where nothing could be, or nothing was."""
    if not execution.spared:
        return None
    groups = [group for group in execution.groups if group.spared]
    cost = sum(group.spared * total_spent(run.spent for run in group.runs).cost / len(group.runs) for group in groups)
    return Saved(runs=execution.spared, planned=len(execution.plan), cases=len(groups), cost=cost)
