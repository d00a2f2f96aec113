"""What a comparison shows besides pass rates: cost and time, single checks, and trials with another verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from duologue.frozen import frozen
from duologue.messages import text_of, tool_calls_of
from duologue.stats.bootstrap import clustered_mean
from duologue.stats.exact_tests import Table, holm, stratified
from duologue.suites.comparison.values import (
    CheckComparison,
    Flip,
    FlipSide,
    MeasureDifference,
    SaidLine,
    Verdict,
)
from duologue.suites.results.rates import Rate, rates_of, trial_of
from duologue.suites.results.run import RunResult, Spent, reason_of
from duologue.vocabulary import CheckStatus, RunStatus


@frozen
class Matched:
    """A test case and its runs on both sides.

    Attributes:
        key, title, scenario: see :class:`CaseComparison`.
        cluster: what the case is drawn with, where scenarios are drawn.
        first, second: runs of both sides.
    """

    key: str
    title: str
    scenario: str
    cluster: str
    first: tuple[RunResult, ...]
    second: tuple[RunResult, ...]


def measures_of(matched: Sequence[Matched], confidence: float) -> Iterator[MeasureDifference]:
    """Cost, time and length per run; what nothing is known of is left out."""
    for name, (unit, measure) in _MEASURES.items():
        found = [
            (case.cluster, one, other)
            for case in matched
            if (one := _mean(case.first, measure)) is not None and (other := _mean(case.second, measure)) is not None
        ]
        if not any(one or other for _, one, other in found):
            continue
        clusters: dict[str, list[float]] = {}
        for cluster, one, other in found:
            clusters.setdefault(cluster, []).append(other - one)
        yield MeasureDifference(
            name=name,
            unit=unit,
            first=sum(one for _, one, _ in found) / len(found),
            second=sum(other for _, _, other in found) / len(found),
            difference=clustered_mean(
                [(sum(values), len(values)) for values in clusters.values()], confidence=confidence
            ),
            cases=len(found),
        )


def _mean(runs: Sequence[RunResult], measure: Callable[[RunResult], float | None]) -> float | None:
    values = [value for run in runs if run.status is RunStatus.COMPLETED and (value := measure(run)) is not None]
    return sum(values) / len(values) if values else None


def _spent(run: RunResult) -> Spent:
    return run.spent if run.recording is None else run.recording.spent


def _cost(run: RunResult) -> float | None:
    """Unknown where a call has no price."""
    spent = _spent(run)
    return None if spent.unpriced or not spent.calls else spent.cost


def _latency(run: RunResult) -> float | None:
    return run.agent_seconds / run.turns if run.turns and run.agent_seconds and run.recording is None else None


_MEASURES: dict[str, tuple[str, Callable[[RunResult], float | None]]] = {
    "cost": ("USD", _cost),
    "seconds": ("s", lambda run: run.seconds if run.recording is None else None),
    "latency": ("s", _latency),
    "tokens": ("tokens", lambda run: float(spent.usage.total_tokens) if (spent := _spent(run)).calls else None),
    "turns": ("turns", lambda run: float(run.turns) if run.turns else None),
}
"""``latency`` is the time of one answer of the agent, on average over a run."""


def check_comparisons(matched: Sequence[Matched], confidence: float) -> Iterator[CheckComparison]:
    """Every check that decided something on both sides."""
    tables: dict[str, list[Table]] = {}
    for case in matched:
        before, after = _decided(case.first), _decided(case.second)
        for name in before.keys() & after.keys():
            tables.setdefault(name, []).append((*before[name], *after[name]))
    rates = {item.name: item.rate for item in rates_of([run for case in matched for run in case.first]).checks}
    others = {item.name: item.rate for item in rates_of([run for case in matched for run in case.second]).checks}
    names = [name for name in others if name in tables and name in rates]
    values = [stratified(tables[name]) for name in names]
    for name, p, adjusted_p in zip(names, values, holm(values), strict=True):
        first, second = rates[name], others[name]
        yield CheckComparison(
            name=name,
            first=first,
            second=second,
            p=p,
            adjusted_p=adjusted_p,
            verdict=_verdict(first, second, adjusted_p, confidence),
        )


def _verdict(first: Rate, second: Rate, adjusted_p: float, confidence: float) -> Verdict:
    if first.value is None or second.value is None:
        return "undecided"
    if adjusted_p <= 1 - confidence and first.value != second.value:
        return "better" if second.value > first.value else "worse"
    return "tied" if first.value == second.value else "undecided"


def _decided(runs: Sequence[RunResult]) -> dict[str, tuple[int, int]]:
    """By check, the runs in which it passed, and those in which it passed or failed."""
    found: dict[str, tuple[int, int]] = {}
    for run in runs:
        statuses: dict[str, set[CheckStatus]] = {}
        for check in run.checks:
            statuses.setdefault(check.name, set()).add(check.status)
        for name, seen in statuses.items():
            if CheckStatus.FAILED in seen or (CheckStatus.PASSED in seen and CheckStatus.ERROR not in seen):
                passed, decided = found.get(name, (0, 0))
                found[name] = passed + (CheckStatus.FAILED not in seen), decided + 1
    return found


def flips_of(matched: Sequence[Matched], most: int) -> tuple[tuple[Flip, ...], int]:
    """Trials that passed on one side and failed on the other, those that became worse first; and how many there are."""
    pairs = [
        (case, one, other)
        for case in matched
        for one, other in _trials(case)
        if {one.outcome, other.outcome} == {"pass", "fail"}
    ]
    seen: Counter[str] = Counter()
    order: dict[int, int] = {}
    for place, (case, _, _) in enumerate(pairs):
        order[place] = seen[case.key]
        seen[case.key] += 1
    places = sorted(order, key=lambda place: (pairs[place][2].outcome != "fail", order[place]))
    pairs = [pairs[place] for place in places]  # one of each case before the second of any
    return tuple(_flip(*item) for item in pairs[:most]), len(pairs)


def _trials(case: Matched) -> Iterator[tuple[RunResult, RunResult]]:
    before = {trial_of(run): run for run in case.first}
    for run in case.second:
        found = before.get(trial_of(run))
        if found is not None:
            yield found, run


def _flip(case: Matched, one: RunResult, other: RunResult) -> Flip:
    first, second = _flip_side(one), _flip_side(other)
    said = [[(line.role, line.text) for line in side.messages] for side in (first, second)]
    apart = next((place for place, (a, b) in enumerate(zip(*said, strict=False)) if a != b), min(map(len, said)))
    return Flip(
        key=case.key,
        title=case.title,
        trial=trial_of(other),
        first=first,
        second=second,
        apart_from=None if said[0] == said[1] else apart,
    )


def _flip_side(run: RunResult) -> FlipSide:
    return FlipSide(run_id=run.run_id, outcome=run.outcome, reason=reason_of(run), messages=tuple(_lines(run)))


def _lines(run: RunResult) -> Iterator[SaidLine]:
    for item in run.messages:
        calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in tool_calls_of(item.message)]
        text = " ".join(filter(None, [text_of(item.message), *calls]))
        yield SaidLine(id=item.id, role=str(item.message["role"]), text=text)
