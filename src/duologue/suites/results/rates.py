"""Pass rates of an execution with their denominators and intervals: of a test case, of all runs, of every check.

A rate is over *decided* runs, those that passed or failed. Undecided runs, errors and cancelled runs are counted
beside it and never inside.

Which runs are trials of one task, and which belong together, is said here once. Trials of a test case are one task, and
tasks of a scenario one cluster. Recordings that name their task, as those of tau-bench do, are trials of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from duologue.frozen import frozen
from duologue.stats.bootstrap import clustered_share
from duologue.stats.pass_k import PassK, Task, pass_k
from duologue.stats.proportion import wilson
from duologue.suites.results.run import RunResult, statuses_of
from duologue.vocabulary import CheckStatus

CONFIDENCE = 0.95
"""Of all intervals in reports."""
_EVERY = 5
"""Trials up to which pass^k is computed for every k; beyond, for powers of two and for all of them."""


@frozen(slots=True)
class Rate:
    """A share of decided runs that passed, with an interval.

    Attributes:
        passed, decided: runs that passed, and that passed or failed.
        low, high: ends of the interval, 0 to 1.
        confidence: of the interval, such as 0.95.
        method: ``wilson`` for a fixed number of trials; ``sequence`` where trials stop when a case is decided;
            ``bootstrap`` or ``normal`` over scenarios; ``none`` where nothing is decided.
        undecided, errors, cancelled: runs that do not count.
        clusters: scenarios that it rests on; None for the trials of one test case.
        value: the share; None if nothing was decided.
    """

    passed: int
    decided: int
    value: float | None
    low: float
    high: float
    confidence: float = CONFIDENCE
    method: str = "wilson"
    undecided: int = 0
    errors: int = 0
    cancelled: int = 0
    clusters: int | None = None


@frozen(slots=True)
class CheckTotal:
    """One check over all runs of an execution.

    Attributes:
        name: of the check.
        rate: over the runs in which it passed or failed; ``errors`` counts those in which it broke.
        skipped: runs in which it decided nothing.
    """

    name: str
    rate: Rate
    skipped: int = 0


@frozen
class Rates:
    """How sure the numbers of an execution are.

    Attributes:
        runs: over all runs, with an interval for scenarios like these.
        checks: each check over all runs, in the order in which they first appear.
    """

    runs: Rate
    checks: tuple[CheckTotal, ...] = ()


def task_of(run: RunResult) -> str:
    """What trials of a task share: its test case, or the task that a recording names."""
    task = _recorded(run, "task_id")
    return run.case.group if task is None else "\x1f".join((run.case.scenario, run.case.agent or "", task))


def trial_of(run: RunResult) -> str:
    """Which trial of its task a run is."""
    trial = _recorded(run, "trial")
    return str(run.case.trial) if trial is None else trial


def cluster_of(run: RunResult) -> str:
    """What is drawn together: the scenario; of recordings, the task."""
    return task_of(run) if run.case.kind == "replay" else run.case.scenario


def _recorded(run: RunResult, name: str) -> str | None:
    found = None if run.recording is None else run.recording.facts.get(name)
    return None if found is None or not isinstance(found, (str, int, float)) else str(found)


def rate_of(runs: Iterable[RunResult], confidence: float = CONFIDENCE) -> Rate:
    """The pass rate of trials of one test case, with Wilson's interval."""
    found = list(runs)
    sequential = any(run.case.until_decided for run in found)
    return rate_from(Counter(run.outcome for run in found), confidence, sequential=sequential)


def rate_from(outcomes: Mapping[str, int], confidence: float = CONFIDENCE, *, sequential: bool = False) -> Rate:
    """The same from the number of runs by outcome.

    Args:
        outcomes: by :attr:`RunResult.outcome`.
        confidence: between 0 and 1, both excluded.
        sequential: the trials stopped when they had decided, so that only an interval for all times holds.
    """
    passed = outcomes.get("pass", 0)
    decided = passed + outcomes.get("fail", 0)
    if sequential:
        from duologue.stats.sequential import confidence_sequence

        found = confidence_sequence(passed, decided, confidence)
    else:
        found = wilson(passed, decided, confidence)
    return Rate(
        passed=passed,
        decided=decided,
        value=found.rate,
        low=found.low,
        high=found.high,
        confidence=confidence,
        method="none" if not decided else "sequence" if sequential else "wilson",
        undecided=outcomes.get("undecided", 0),
        errors=outcomes.get("error", 0),
        cancelled=outcomes.get("cancelled", 0),
    )


def rates_of(runs: Sequence[RunResult], confidence: float = CONFIDENCE) -> Rates:
    """The rates of an execution.

    Args:
        runs: all of them.
        confidence: between 0 and 1, both excluded.
    """
    return Rates(runs=all_runs(runs, confidence), checks=tuple(_checks(runs, confidence)))


def all_runs(runs: Sequence[RunResult], confidence: float = CONFIDENCE) -> Rate:
    """The pass rate over all runs, with an interval for scenarios like these."""
    outcomes = Counter(run.outcome for run in runs)
    clusters: dict[str, list[int]] = {}
    for run in runs:
        if run.outcome in {"pass", "fail"}:
            counted = clusters.setdefault(cluster_of(run), [0, 0])
            counted[0] += run.outcome == "pass"
            counted[1] += 1
    return rate_over([(passed, decided) for passed, decided in clusters.values()], outcomes, confidence)


def rate_over(clusters: Sequence[tuple[int, int]], outcomes: Mapping[str, int], confidence: float = CONFIDENCE) -> Rate:
    """A pass rate with an interval for clusters like these.

    Args:
        clusters: of each, such as a scenario, how many runs passed, and how many passed or failed.
        outcomes: runs by outcome; only those that do not count are looked at.
        confidence: between 0 and 1, both excluded.
    """
    found = clustered_share(clusters, confidence=confidence)
    return Rate(
        passed=sum(passed for passed, _ in clusters),
        decided=sum(decided for _, decided in clusters),
        value=found.value,
        low=found.low or 0.0,
        high=1.0 if found.high is None else found.high,
        confidence=confidence,
        method=found.method,
        undecided=outcomes.get("undecided", 0),
        errors=outcomes.get("error", 0),
        cancelled=outcomes.get("cancelled", 0),
        clusters=found.clusters,
    )


def _checks(runs: Sequence[RunResult], confidence: float) -> Iterator[CheckTotal]:
    """A run counts once for each check, however many turns it was evaluated in: it fails if any of them fails."""
    counts: dict[str, dict[str, list[int]]] = {}
    other: dict[str, Counter[str]] = {}
    for run in runs:
        cluster = cluster_of(run)
        for name, found in statuses_of(run).items():
            if name not in counts:
                counts[name], other[name] = {}, Counter()
            clusters, beside = counts[name], other[name]
            if CheckStatus.FAILED in found or (CheckStatus.PASSED in found and CheckStatus.ERROR not in found):
                counted = clusters.setdefault(cluster, [0, 0])
                counted[0] += CheckStatus.FAILED not in found
                counted[1] += 1
            else:
                beside["error" if CheckStatus.ERROR in found else "skipped"] += 1
    for name, clusters in counts.items():
        rate = rate_over([(passed, decided) for passed, decided in clusters.values()], other[name], confidence)
        yield CheckTotal(name=name, rate=rate, skipped=other[name]["skipped"])


def tasks_in(runs: Iterable[RunResult]) -> list[Task]:
    """The tasks of some runs with their decided trials, for pass^k."""
    counts: dict[str, list[int]] = {}
    clusters: dict[str, str] = {}
    for run in runs:
        task = task_of(run)
        counted = counts.setdefault(task, [0, 0])
        clusters[task] = cluster_of(run)
        if run.outcome in {"pass", "fail"}:
            counted[0] += run.outcome == "pass"
            counted[1] += 1
    return [Task(passed=passed, decided=decided, cluster=clusters[task]) for task, (passed, decided) in counts.items()]


def pass_ks(runs: Sequence[RunResult], ks: Iterable[int] | None = None, confidence: float = CONFIDENCE) -> list[PassK]:
    """pass^k and pass@k of an execution, for each k that at least one task has decided trials for.

    Args:
        runs: all of them. Trials that stopped when they had decided say nothing about pass^k.
        ks: which; None for all that tell something. Empty where no task has two decided trials.
        confidence: between 0 and 1, both excluded.
    """
    tasks = tasks_in(runs)
    most = max((task.decided for task in tasks), default=0)
    if most < 2:
        return []
    return [pass_k(tasks, k, confidence=confidence) for k in (_chosen(most) if ks is None else ks) if k <= most]


def _chosen(most: int) -> list[int]:
    powers = [2**power for power in range(3, most.bit_length()) if 2**power < most]
    return [k for k in range(1, _EVERY + 1) if k < most] + powers + [most]
