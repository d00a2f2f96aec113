"""In which order trials are started where each test case gets as many as it takes to decide about it.

Every case begins with as many trials as it takes at least. Then the least decided case comes first, so that what is
left of a budget goes where it tells most. Of one case, no more trials are under way at once than could all be needed:
working on several at once does not waste any.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.results.stopping import Trials
from duologue.vocabulary import RunStatus


@dataclass(kw_only=True)
class _Group:
    """A test case.

    Attributes:
        thresholds: the share that single checks need.
        most: how many trials there may be.
        waiting: trials that were not started, the last one first.
        results: of trials that are over.
        under_way: trials that were started and are not over.
        ends: whether its trials end when they decide.
    """

    thresholds: Mapping[str, float]
    most: int
    ends: bool
    waiting: list[TestCase] = field(default_factory=list[TestCase])
    results: list[RunResult] = field(default_factory=list[RunResult])
    under_way: int = 0
    version: int = 0


class TrialOrder:
    """Says which trial is started next.

    Args:
        cases: all that may be started.
        known: results of earlier sessions.
        threshold: the share of trials that a case must pass.
        thresholds: by group, the share that single checks need.
    """

    def __init__(
        self,
        cases: Iterable[TestCase],
        known: Iterable[RunResult],
        threshold: float,
        thresholds: Mapping[str, Mapping[str, float]],
    ) -> None:
        self._threshold = threshold
        self._thresholds = thresholds
        self._groups: dict[str, _Group] = {}
        self._queue: list[tuple[float, int, int, str]] = []
        for case in cases:
            self._group(case).waiting.append(case)
        for run in known:
            self._group(run.case).results.append(run)
        for name, group in self._groups.items():
            group.waiting.sort(key=lambda case: case.trial, reverse=True)
            self._offer(name, group)

    def take(self) -> TestCase | None:
        """The trial to start now; None if there is none, at least until another is over."""
        while self._queue:
            _, _, version, name = heapq.heappop(self._queue)
            group = self._groups[name]
            if version == group.version and self._may_start(group):
                group.under_way += 1
                case = group.waiting.pop()
                self._offer(name, group)
                return case
        return None

    def add(self, run: RunResult) -> None:
        """A trial is over."""
        group = self._groups.get(run.case.group)
        if group is not None:
            group.under_way = max(0, group.under_way - 1)
            group.results.append(run)
            self._offer(run.case.group, group)

    @property
    def under_way(self) -> bool:
        """Whether a trial is that was started and is not over."""
        return any(group.under_way for group in self._groups.values())

    def wants(self, case: TestCase) -> bool:
        """Whether the test case of a trial is not decided."""
        group = self._groups.get(case.group)
        return group is None or not group.ends or self._trials(group).decision() is None

    def _group(self, case: TestCase) -> _Group:
        found = self._groups.get(case.group)
        if found is None:
            shares = self._thresholds.get(case.group, {})
            found = self._groups[case.group] = _Group(thresholds=shares, most=case.trials, ends=case.until_decided)
        return found

    def _trials(self, group: _Group) -> Trials:
        return Trials(runs=group.results, most=group.most, threshold=self._threshold, thresholds=group.thresholds)

    def _may_start(self, group: _Group) -> bool:
        if not group.waiting:
            return False
        if not group.ends:
            return True
        trials = self._trials(group)
        if trials.decision() is not None:
            return False
        ahead = group.under_way + sum(run.status is not RunStatus.CANCELLED for run in group.results)
        return ahead - len(trials.finished()) < trials.least_further()

    def _offer(self, name: str, group: _Group) -> None:
        """Put the next trial of a case into the queue: before all others while the case has no result."""
        if not group.waiting:
            return
        group.version += 1
        begun = group.ends and group.results
        open_ = -self._trials(group).uncertainty() if begun else -1.0
        heapq.heappush(self._queue, (open_, group.waiting[-1].index, group.version, name))
