"""Test cases of executions by outcome, and how sure their pass rates are, from the rows of their runs alone.

Lists show the figures of the pages that they lead to: a test case with several trials counts once, and an interval is
one for scenarios like these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, case, cast, func, literal, select

from duologue.frozen import frozen
from duologue.runs.store.database.schema import runs
from duologue.runs.store.records import OVER
from duologue.suites.results.execution import worst_of
from duologue.suites.results.rates import Rate, rate_over

Json = dict[str, Any]
OUTCOMES = ("pass", "fail", "undecided", "error", "cancelled")
_SEPARATOR = "\x1f"
"""Between the parts of what names a test case; the first is its scenario."""
_KEPT = 2048
"""Rates that are kept: the ends of an interval take some milliseconds where scenarios are drawn."""


@frozen(slots=True)
class Tally:
    """The runs of an execution.

    Attributes:
        cases: test cases by outcome, of those that have a run that is over.
        planned: all test cases.
        outcomes: runs by outcome.
        scenarios: of each scenario, in the order of the plan, how many runs passed, and how many passed or failed.
    """

    cases: Mapping[str, int]
    planned: int
    outcomes: Mapping[str, int]
    scenarios: tuple[tuple[int, int], ...]

    def rate(self) -> Json:
        """The pass rate over all runs, as a row of a list has it."""
        counted = tuple(self.outcomes.get(word, 0) for word in OUTCOMES)
        return asdict(_rate(self.scenarios, counted))


NOTHING = Tally(cases={}, planned=0, outcomes={}, scenarios=())


def counted_outcomes(outcome: ColumnElement[str]) -> list[Any]:
    """Columns with the number of runs of each outcome."""
    return [func.sum(case((outcome == word, 1), else_=0)).label(word) for word in OUTCOMES]


def tallies(connection: Connection, ids: Sequence[int]) -> dict[int, Tally]:
    """By execution."""
    # Runs that were imported have the number of their trial in the name of their test case.
    trial = literal(_SEPARATOR) + cast(runs.c.trial, Text)
    before = func.length(runs.c.identity) - func.length(trial)
    imported = func.substr(runs.c.identity, before + 1) == trial
    each = (
        select(
            runs.c.execution_id,
            runs.c.number,
            runs.c.outcome,
            case((runs.c.status.in_(map(str, OVER)), 1), else_=0).label("over"),
            case((imported, func.substr(runs.c.identity, 1, before)), else_=runs.c.identity).label("named"),
        )
        .where(runs.c.execution_id.in_(ids))
        .subquery()
    )
    trials, over = func.count().label("trials"), func.sum(each.c.over).label("over")
    asked = (
        select(each.c.execution_id, each.c.named, trials, over, *counted_outcomes(each.c.outcome))
        .group_by(each.c.execution_id, each.c.named)
        .order_by(func.min(each.c.number))
    )
    found: dict[int, list[Any]] = {}
    for row in connection.execute(asked):
        found.setdefault(row.execution_id, []).append(row)
    return {number: _tally(rows) for number, rows in found.items()}


def _tally(rows: Iterable[Any]) -> Tally:
    cases: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    scenarios: dict[str, list[int]] = {}
    planned = 0
    for row in rows:
        planned += 1
        had = {word: count for word in OUTCOMES if (count := int(getattr(row, word) or 0))}
        outcomes.update(had)
        decided = scenarios.setdefault(row.named.partition(_SEPARATOR)[0], [0, 0])
        decided[0] += had.get("pass", 0)
        decided[1] += had.get("pass", 0) + had.get("fail", 0)
        if row.over:
            cases[worst_of(had, lacking=row.over < row.trials)] += 1
    return Tally(
        cases=cases,
        planned=planned,
        outcomes=outcomes,
        scenarios=tuple((passed, decided) for passed, decided in scenarios.values() if decided),
    )


@lru_cache(maxsize=_KEPT)
def _rate(scenarios: tuple[tuple[int, int], ...], outcomes: tuple[int, ...]) -> Rate:
    return rate_over(scenarios, dict(zip(OUTCOMES, outcomes, strict=True)))
