"""What earlier runs of the same test cases took, read from the index of their execution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.runs.store.encoding import decoded_plan
from duologue.runs.store.reader import read_index
from duologue.suites.plan.build import Plan


@frozen
class CaseCost:
    """The earlier runs of one test case.

    Attributes:
        runs: how many there are.
        cost: US dollars of a run, on average.
        tokens, seconds: of a run, on average.
        passed, decided: runs that passed, and that passed or failed.
        unpriced: calls without a price are left out of the cost.
    """

    runs: int
    cost: float
    tokens: float
    seconds: float
    passed: int
    decided: int
    unpriced: bool


@frozen
class MeasuredCost:
    """What the test cases of a plan will take that were run before.

    Attributes:
        folder: of the earlier execution.
        cases, runs: test cases that were run there, and how many runs of them the plan has.
        cost, tokens: of those runs, if they take what they took.
        seconds: with so many at once as it was made for.
        unpriced: calls without a price are left out of the cost.
    """

    folder: str
    cases: int
    runs: int
    cost: float
    tokens: int
    seconds: float
    unpriced: bool


def costs_in(folder: Path) -> dict[str, CaseCost]:
    """What the runs of an execution took, by the group of their test case.

    Raises:
        ConfigurationError: the folder has no index that can be read.
    """
    index = read_index(folder)
    try:
        cases = {case.index: case.group for case in decoded_plan(index["plan"]).cases}
        found: dict[str, list[tuple[float, float, float, str, bool]]] = {}
        for line in index["runs"]:
            if line["outcome"] in {"pass", "fail", "undecided"}:
                values = (line["cost"], line["tokens"], line["seconds"], line["outcome"], bool(line["unpriced"]))
                found.setdefault(cases[line["case"]], []).append(values)
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{folder} has an index that cannot be read: {error!r}") from error
    return {group: _case(lines) for group, lines in found.items()}


def _case(lines: list[tuple[float, float, float, str, bool]]) -> CaseCost:
    outcomes = [outcome for *_, outcome, _ in lines]
    return CaseCost(
        runs=len(lines),
        cost=sum(line[0] for line in lines) / len(lines),
        tokens=sum(line[1] for line in lines) / len(lines),
        seconds=sum(line[2] for line in lines) / len(lines),
        passed=outcomes.count("pass"),
        decided=outcomes.count("pass") + outcomes.count("fail"),
        unpriced=any(line[4] for line in lines),
    )


def measured(plan: Plan, costs: Mapping[str, CaseCost], folder: Path, *, concurrency: int) -> MeasuredCost | None:
    """What the test cases of a plan will take that were run before; None where none was.

    Args:
        plan: what is planned.
        costs: by group; see :func:`costs_in`.
        folder: where they come from.
        concurrency: runs at once.
    """
    found = [costs[case.group] for case in plan.cases if case.group in costs]
    if not found:
        return None
    times = [item.seconds for item in found]
    return MeasuredCost(
        folder=str(folder),
        cases=len({case.group for case in plan.cases if case.group in costs}),
        runs=len(found),
        cost=sum(item.cost for item in found),
        tokens=round(sum(item.tokens for item in found)),
        seconds=max(sum(times) / concurrency, *times),
        unpriced=any(item.unpriced for item in found),
    )
