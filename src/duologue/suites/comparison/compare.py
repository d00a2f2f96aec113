"""The comparison itself: which runs belong together, what the tests say of them, and the verdicts.

Trials are paired by test case and trial where both sides played them with the same seed. Two exact tests look at a
case: McNemar's of the pairs that differ, which is the sharper one if a seed makes a trial hard or easy on both sides,
and Fisher's, which is the sharper one if it does not; the smaller p value counts twice (Bonferroni). Without common
seeds there is only Fisher's. All cases together are tested in the same way, stratified by case. Over cases, Holm's
method keeps the chance of a single false claim at 1 - confidence.

*Tied* does not mean proven equal: the test finds no difference, and none above the margin was seen. The interval says
how large a difference may still be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.stats.bootstrap import clustered_mean
from duologue.stats.differences import Difference, paired_difference, trials_to_tell, unpaired_difference
from duologue.stats.exact_tests import Table, fisher, holm, mcnemar, stratified
from duologue.stats.proportion import require_confidence, wilson
from duologue.suites.comparison.configuration import configuration_changes
from duologue.suites.comparison.details import Matched, check_comparisons, flips_of, measures_of
from duologue.suites.comparison.values import CaseComparison, Comparison, Overall, Side, Verdict
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.rates import CONFIDENCE, all_runs, cluster_of, rate_of, task_of, trial_of
from duologue.suites.results.run import RunResult

MARGIN = 0.1
"""Of a pass rate."""
MOST_FLIPS = 20
"""Whose conversations a comparison holds."""
_ROUNDED = 1e-9

Runs = Mapping[str, Sequence[RunResult]]
ExactTest = Literal["fisher", "boschloo"]
"""Of two shares of independent trials; see :mod:`duologue.stats.boschloo`."""


def compare_executions(
    first: ExecutionResult,
    second: ExecutionResult,
    *,
    agents: tuple[str | None, str | None] = (None, None),
    confidence: float = CONFIDENCE,
    margin: float = MARGIN,
    most_flips: int = MOST_FLIPS,
    exact_test: ExactTest = "fisher",
) -> Comparison:
    """Compare two executions, or two agents of one.

    Args:
        first: what it is compared with, such as the baseline.
        second: what is judged.
        agents: whose runs to compare, on each side; None for all. Where each side has one agent, they are compared
            whatever they are called; otherwise runs of agents of the same name are.
        confidence: of intervals and verdicts.
        margin: of a pass rate; see :class:`Comparison`.
        most_flips: how many trials with another verdict are given with their conversations.
        exact_test: of single cases; ``boschloo`` is sharper, slower and needs the extra ``stats``.

    Raises:
        ConfigurationError: the two have no test case in common, an agent is not there, or a number makes no sense.
    """
    require_confidence(confidence, "compare_executions")
    if not 0 <= margin < 1:
        raise ConfigurationError(f"compare_executions: margin must be at least 0 and below 1; found {margin}")
    runs, others = _runs_of(first, agents[0]), _runs_of(second, agents[1])
    by_agent = not _one_each(runs, others)
    before, after = _by_case(runs, by_agent=by_agent), _by_case(others, by_agent=by_agent)
    matched = [_matched(key, before[key], after[key], by_agent=by_agent) for key in before if key in after]
    if not matched:
        raise ConfigurationError(_nothing_in_common(first, second, runs, others))
    cases = _cases(matched, confidence, margin, exact_test)
    overall = _overall(matched, cases, confidence, margin)
    flips, flips_in_all = flips_of(matched, most_flips)
    return Comparison(
        first=_side(first, runs, before),
        second=_side(second, others, after),
        confidence=confidence,
        margin=margin,
        overall=overall,
        cases=tuple(cases),
        only_first=tuple(_title(found[0], by_agent=by_agent) for key, found in before.items() if key not in after),
        only_second=tuple(_title(found[0], by_agent=by_agent) for key, found in after.items() if key not in before),
        measures=tuple(measures_of(matched, confidence)),
        checks=tuple(check_comparisons(matched, confidence)),
        changes=tuple(configuration_changes(first, second, matched)),
        flips=flips,
        flips_in_all=flips_in_all,
        notes=tuple(_notes(first, second, cases)),
    )


def _runs_of(execution: ExecutionResult, agent: str | None) -> list[RunResult]:
    found = [run for run in execution.runs if agent is None or run.case.agent == agent]
    if not found:
        names = sorted({run.case.agent for run in execution.runs if run.case.agent})
        there = f"it has runs of {', '.join(names)}" if names else "it has no runs"
        told = "no runs" if agent is None else f"no runs of the agent '{agent}'"
        raise ConfigurationError(f"the execution {execution.id} has {told}; {there}")
    return found


def _one_each(runs: Iterable[RunResult], others: Iterable[RunResult]) -> bool:
    return len({run.case.agent for run in runs}) == 1 and len({run.case.agent for run in others}) == 1


def _by_case(runs: Iterable[RunResult], *, by_agent: bool) -> dict[str, list[RunResult]]:
    found: dict[str, list[RunResult]] = {}
    for run in runs:
        found.setdefault(_key(run, by_agent=by_agent), []).append(run)
    return found


def _key(run: RunResult, *, by_agent: bool) -> str:
    """What a test case is called on both sides. Which file a recording of a task comes from does not matter."""
    task = task_of(run)
    if by_agent:
        return task
    scenario, _, *rest = task.split("\x1f")
    return "\x1f".join((scenario, "", *rest))


def _title(run: RunResult, *, by_agent: bool) -> str:
    case = run.case
    varied = [case.persona, None if case.region == "default" else case.region]
    varied += [f"{name}={value}" for name, value in case.perturbation]
    if case.recording:
        task = None if run.recording is None else run.recording.facts.get("task_id")
        varied.append(case.recording_title if task is None else f"task {task}")
    return " · ".join(part for part in (case.scenario, case.agent if by_agent else None, *varied) if part)


def _matched(key: str, first: Sequence[RunResult], second: Sequence[RunResult], *, by_agent: bool) -> Matched:
    return Matched(
        key=key,
        title=_title(second[0], by_agent=by_agent),
        scenario=second[0].case.scenario,
        cluster=_key(second[0], by_agent=False) if second[0].case.kind == "replay" else cluster_of(second[0]),
        first=tuple(first),
        second=tuple(second),
    )


def _nothing_in_common(
    first: ExecutionResult, second: ExecutionResult, runs: Sequence[RunResult], others: Sequence[RunResult]
) -> str:
    scenarios = ({run.case.scenario for run in runs}, {run.case.scenario for run in others})
    if scenarios[0] & scenarios[1]:
        agents = (_names(run.case.agent for run in runs), _names(run.case.agent for run in others))
        return (
            f"the executions {first.id} (agents {agents[0]}) and {second.id} (agents {agents[1]}) have scenarios in "
            "common, and no agent; name the two agents to compare"
        )
    return (
        f"the executions {first.id} and {second.id} have no test case in common: the first has the scenarios "
        f"{_names(scenarios[0])}, the second {_names(scenarios[1])}; expected two executions of the same suite"
    )


def _names(found: Iterable[str | None]) -> str:
    names = sorted({name for name in found if name})
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"


def _side(execution: ExecutionResult, runs: Sequence[RunResult], cases: Runs) -> Side:
    return Side(
        id=execution.id,
        suite=execution.suite,
        path=execution.path,
        started_at=execution.started_at.isoformat(),
        seed=execution.plan.seed,
        agents=tuple(dict.fromkeys(run.case.agent for run in runs if run.case.agent)),
        cases=len(cases),
        runs=len(runs),
    )


@frozen
class _Counts:
    """The decided trials of a case.

    Attributes:
        first, second: by outcome.
        pairs: passed on both sides, on the first, on the second, on neither; None if not paired.
    """

    first: Counter[str]
    second: Counter[str]
    pairs: tuple[int, int, int, int] | None

    @property
    def table(self) -> Table:
        one, other = self.first, self.second
        return one["pass"], one["pass"] + one["fail"], other["pass"], other["pass"] + other["fail"]

    @property
    def apart(self) -> bool:
        """Whether trials with the same seed, or the rates, differ at all."""
        passed, decided, other, other_decided = self.table
        if passed * other_decided != other * decided:
            return True
        return self.pairs is not None and bool(self.pairs[1] or self.pairs[2])

    @property
    def comparable(self) -> bool:
        """Whether both sides have a decided trial. Other cases are not tested, so that no correction counts them."""
        return bool(self.table[1] and self.table[3])


def _counts(case: Matched) -> _Counts:
    first = Counter(run.outcome for run in case.first)
    second = Counter(run.outcome for run in case.second)
    return _Counts(first=first, second=second, pairs=_pairs(case))


def _pairs(case: Matched) -> tuple[int, int, int, int] | None:
    """None where trials cannot be paired: recordings and other seeds are other trials."""
    before = {trial_of(run): run for run in case.first}
    pairs = [(one, run) for run in case.second if (one := before.get(trial_of(run))) is not None]
    if not pairs or any(one.case.seed != other.case.seed or other.case.kind == "replay" for one, other in pairs):
        return None
    seen = Counter(
        (one.outcome, other.outcome) for one, other in pairs if {one.outcome, other.outcome} <= {"pass", "fail"}
    )
    if not seen:
        return None
    return seen["pass", "pass"], seen["pass", "fail"], seen["fail", "pass"], seen["fail", "fail"]


def _cases(matched: Sequence[Matched], confidence: float, margin: float, exact_test: ExactTest) -> list[CaseComparison]:
    counts = [_counts(case) for case in matched]
    tested = [place for place, item in enumerate(counts) if item.comparable]
    values = [_p(counts[place], exact_test) for place in tested]
    adjusted = dict(zip(tested, zip(values, holm(values), strict=True), strict=True))
    return [
        _case(case, item, *adjusted.get(place, (1.0, 1.0)), confidence, margin, len(tested))
        for place, (case, item) in enumerate(zip(matched, counts, strict=True))
    ]


def _p(counts: _Counts, exact_test: ExactTest) -> float:
    if exact_test == "boschloo":
        from duologue.stats.boschloo import boschloo

        unpaired = boschloo(*counts.table)
    else:
        unpaired = fisher(*counts.table)
    if counts.pairs is None:
        return unpaired
    return min(1.0, 2 * min(unpaired, mcnemar(counts.pairs[1], counts.pairs[2])))


def _case(
    case: Matched, counts: _Counts, p: float, adjusted_p: float, confidence: float, margin: float, tests: int
) -> CaseComparison:
    first, second = rate_of(case.first, confidence), rate_of(case.second, confidence)
    difference = _difference(counts, confidence)
    verdict, reason = _verdict(counts, difference, p, adjusted_p, confidence, margin)
    both, only_first, only_second, neither = counts.pairs or (0, 0, 0, 0)
    return CaseComparison(
        key=case.key,
        title=case.title,
        scenario=case.scenario,
        first=first,
        second=second,
        paired=counts.pairs is not None,
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        difference=difference,
        p=p,
        adjusted_p=adjusted_p,
        verdict=verdict,
        reason=reason,
        further_trials=_further(counts.table, confidence, tests) if verdict == "undecided" else None,
    )


def _difference(counts: _Counts, confidence: float) -> Difference:
    """Of the pairs if all decided trials are in pairs, else of both sides."""
    passed, decided, other, other_decided = counts.table
    if counts.pairs is not None and sum(counts.pairs) == decided == other_decided:
        return paired_difference(*counts.pairs, confidence=confidence)
    return unpaired_difference(wilson(passed, decided, confidence), wilson(other, other_decided, confidence))


def _verdict(
    counts: _Counts, difference: Difference, p: float, adjusted_p: float, confidence: float, margin: float
) -> tuple[Verdict, str]:
    alpha = 1 - confidence
    if difference.value is None:
        return "undecided", "no decided runs on both sides"
    if adjusted_p <= alpha and difference.value:
        return ("better" if difference.value > 0 else "worse"), f"p = {_written(adjusted_p)}"
    if not counts.apart:
        return "tied", "the same outcomes"
    if abs(difference.value) <= margin + _ROUNDED and p > alpha:
        return "tied", f"within {margin * 100:.0f} points, no difference found"
    return "undecided", f"p = {_written(adjusted_p)}, too few trials to tell"


def _written(p: float) -> str:
    return "0.001 or less" if p <= 0.001 else f"{p:.2g}"


def _further(table: Table, confidence: float, tests: int) -> int | None:
    """How many more trials of each side would probably tell."""
    passed, decided, other, other_decided = table
    if not decided or not other_decided:
        return None
    needed = trials_to_tell(wilson(passed, decided), wilson(other, other_decided), alpha=(1 - confidence) / tests)
    return None if needed is None else max(1, needed - min(decided, other_decided))


def _overall(matched: Sequence[Matched], cases: Sequence[CaseComparison], confidence: float, margin: float) -> Overall:
    counts = [item for item in map(_counts, matched) if item.comparable]
    tables = [item.table for item in counts]
    p = stratified(tables)
    if counts and all(item.pairs is not None for item in counts):
        only = [sum(item.pairs[side] for item in counts if item.pairs) for side in (1, 2)]
        p = min(1.0, 2 * min(p, mcnemar(only[0], only[1])))
    found: Counter[Verdict] = Counter(case.verdict for case in cases)
    difference = _combined(counts, cases, confidence)
    verdict, reason = _whole(difference, p, found, any(item.apart for item in counts), confidence, margin)
    clusters: dict[str, list[float]] = {}
    for case, compared in zip(matched, cases, strict=True):
        if compared.difference.value is not None:
            clusters.setdefault(case.cluster, []).append(compared.difference.value)
    over = clustered_mean([(sum(values), len(values)) for values in clusters.values()], confidence=confidence)
    if over.low == over.high:
        over = clustered_mean([(sum(map(sum, clusters.values())), sum(map(len, clusters.values())))])
    return Overall(
        verdict=verdict,
        reason=reason,
        first=all_runs([run for case in matched for run in case.first], confidence),
        second=all_runs([run for case in matched for run in case.second], confidence),
        difference=difference,
        over_scenarios=over,
        p=p,
        better=found["better"],
        worse=found["worse"],
        tied=found["tied"],
        undecided=found["undecided"],
        further_trials=_further_of_each(tables, confidence) if verdict == "undecided" else None,
    )


def _whole(
    difference: Difference, p: float, found: Counter[Verdict], apart: bool, confidence: float, margin: float
) -> tuple[Verdict, str]:
    alpha = 1 - confidence
    if difference.value is None:
        return "undecided", "no decided runs on both sides"
    if p <= alpha and difference.value:
        return ("better" if difference.value > 0 else "worse"), f"p = {_written(p)} over all trials"
    if found["better"] or found["worse"]:
        return _of_cases(found)
    if not apart or abs(difference.value) <= margin + _ROUNDED:
        told = f"within {margin * 100:.0f} points, no difference found"
        return "tied", told if apart else "the same outcomes"
    return "undecided", f"p = {_written(p)} over all trials, too few trials to tell"


def _of_cases(found: Counter[Verdict]) -> tuple[Verdict, str]:
    """All trials together tell nothing, and single cases do."""
    if found["better"] and found["worse"]:
        return "undecided", f"{found['better']} better and {found['worse']} worse test cases"
    single: Verdict = "worse" if found["worse"] else "better"
    return single, f"{found[single]} {single} test case{'' if found[single] == 1 else 's'}"


def _combined(counts: Sequence[_Counts], cases: Sequence[CaseComparison], confidence: float) -> Difference:
    """On these cases. Where their numbers of trials differ, each counts the same, and their intervals are combined.

    The combination is that of G. Zou, A. Donner, Statistics in Medicine 27 (2008), 1693-1702.
    """
    tables = [item.table for item in counts]
    if tables and all(decided == other for _, decided, _, other in tables):
        pairs = [item.pairs for item in counts if item.pairs and sum(item.pairs) == item.table[1]]
        if len(pairs) == len(counts):
            return paired_difference(*(sum(pair[place] for pair in pairs) for place in range(4)), confidence=confidence)
        passed, decided, other, other_decided = (sum(table[place] for table in tables) for place in range(4))
        return unpaired_difference(wilson(passed, decided, confidence), wilson(other, other_decided, confidence))
    found = [case.difference for case in cases if case.difference.value is not None]
    values = [item.value or 0.0 for item in found]
    if not values or not counts:
        return Difference(value=None, low=-1.0, high=1.0, confidence=confidence)
    mean = sum(values) / len(values)
    down = math.sqrt(sum((value - item.low) ** 2 for value, item in zip(values, found, strict=True))) / len(values)
    up = math.sqrt(sum((item.high - value) ** 2 for value, item in zip(values, found, strict=True))) / len(values)
    return Difference(value=mean, low=max(-1.0, mean - down), high=min(1.0, mean + up), confidence=confidence)


def _further_of_each(tables: Sequence[Table], confidence: float) -> int | None:
    whole = [sum(table[place] for table in tables) for place in range(4)]
    further = _further((whole[0], whole[1], whole[2], whole[3]), confidence, 1)
    return None if further is None else math.ceil(further / len(tables))


def _notes(first: ExecutionResult, second: ExecutionResult, cases: Sequence[CaseComparison]) -> Iterable[str]:
    if first.id == second.id:
        yield "both are the same execution"
    comparable = [case for case in cases if case.first.decided and case.second.decided]
    if comparable and not any(case.paired for case in comparable):
        yield (
            "no trial has the same seed on both sides, so trials are compared as independent samples. Give both "
            "executions one --seed, and agents one name, to compare trial by trial"
        )
    if broken := [case.title for case in cases if case.first.decided and not case.second.decided]:
        yield (
            f"the second execution has no decided run of {_names(broken)}, and the first has some: nobody knows "
            "whether that is worse. --fail-on missing stops a build there"
        )
    for name, execution in (("first", first), ("second", second)):
        if execution.running or execution.interrupted:
            state = "still running" if execution.running else "not finished"
            yield f"the {name} execution is {state}; only runs that are over are compared"
    if any("sequence" in {case.first.method, case.second.method} for case in cases):
        yield (
            "trials of some cases stopped when they had decided about a threshold: they tell less about a difference, "
            "and the tests are not exact. Compare executions with a fixed number of --trials"
        )
    if any(case.first.cancelled or case.second.cancelled for case in cases):
        yield "cancelled runs do not count"
