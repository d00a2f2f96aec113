"""A judge put to the test: it judges labelled runs again, several times, and with its criteria in another order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.setup import Check
from duologue.errors import ConfigurationError, DuologueError
from duologue.frozen import changed, frozen
from duologue.specs.scenario import Scenario
from duologue.specs.suite import find_named
from duologue.stats.proportion import Proportion, wilson
from duologue.suites.calibration.calibrate import Calibration, calibrate
from duologue.suites.calibration.judged import JudgeIdentity, identity_of
from duologue.suites.calibration.labels import Label, LabelValue
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.validate.checks import made_check
from duologue.suites.replay import read_recordings, replay
from duologue.suites.results.run import RunResult
from duologue.suites.runner.judges import criteria_judge_for, judge_for
from duologue.suites.runner.models import SuiteModels, resources_for
from duologue.transcripts.recording import Recording
from duologue.vocabulary import CheckStatus, Decision, Scope

Decided = dict[str, LabelValue]
"""What was said of each criterion of a run."""


@frozen
class JudgeTest:
    """What a judge says of runs that people have labelled.

    Attributes:
        judge: which judge.
        runs: how many runs it has judged.
        calibration: how well it agrees with people.
        before: the same for what had been decided about these runs before; None where nobody knows that.
        repeated: of the items, those that it decided in the same way each time; None if it was asked once.
        reordered: of the items, those that it decided in the same way with the criteria in reverse order; None where
            no run has two.
        errors: what went wrong, a sentence for each run that could not be judged.
    """

    judge: JudgeIdentity
    runs: int
    calibration: Calibration
    before: Calibration | None
    repeated: Proportion | None
    reordered: Proportion | None
    errors: tuple[str, ...]


async def judge_test(
    engine: Engine,
    runs: Sequence[RunResult],
    journals: Mapping[str, Path],
    labels: Sequence[Label],
    *,
    judge: str | None = None,
    repeats: int = 3,
    concurrency: int = 8,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> JudgeTest:
    """Judge labelled runs again.

    Args:
        engine: of the suite.
        runs: those that have labels are judged.
        journals: their journals, by the ids of the runs.
        labels: what people say of them.
        judge: the name of a judge of the suite, or of a model such as ``openai/gpt-5-mini``; None for the suite's.
        repeats: how often each run is judged; the first time counts.
        concurrency: runs at once.
        progress: told how many of how many runs are judged.

    Raises:
        ConfigurationError: no labelled run can be judged.
    """
    named = {label.run for label in labels}
    wanted = [run for run in runs if run.run_id in named and run.run_id in journals]
    if not wanted:
        raise ConfigurationError("none of the labelled runs is here with its journal, so there is nothing to judge")
    panel = _Panel(engine, judge)
    gate = asyncio.Semaphore(concurrency)
    done: list[_Judged] = []

    async def one(run: RunResult) -> None:
        async with gate:
            done.append(await panel.judged(run, journals[run.run_id], repeats))
            progress(len(done), len(wanted))

    async with asyncio.TaskGroup() as group:
        for run in wanted:
            group.create_task(one(run))
    judged = [item for item in done if not item.error]
    first = {item.run.run_id: item.times[0] for item in judged}
    again = [(run, criterion) for run, said in first.items() for criterion in said]
    fresh = [
        changed(label, decision=first[label.run].get(label.criterion), judge=panel.identity.digest)
        for label in labels
        if label.run in first and label.criterion in first[label.run]
    ]
    return JudgeTest(
        judge=panel.identity,
        runs=len(judged),
        calibration=calibrate(fresh, ()),
        before=_before(labels, runs, again),
        repeated=_same(((item.times[0], other) for item in judged for other in item.times[1:]), repeats > 1),
        reordered=_same(((item.times[0], item.reordered) for item in judged if item.reordered), True),
        errors=tuple(f"{item.run.run_id}: {item.error}" for item in done if item.error),
    )


def _before(labels: Sequence[Label], runs: Sequence[RunResult], items: Iterable[tuple[str, str]]) -> Calibration | None:
    judged = set(items)
    found = calibrate([label for label in labels if (label.run, label.criterion) in judged], runs)
    return found if found.criteria else None


def _same(pairs: Iterable[tuple[Decided, Decided]], asked: bool) -> Proportion | None:
    """Of all items, those about which both say the same."""
    compared = [said == other.get(criterion) for one, other in pairs for criterion, said in one.items()]
    return wilson(sum(compared), len(compared)) if asked and compared else None


@frozen
class _Judged:
    run: RunResult
    times: tuple[Decided, ...] = ()
    reordered: Decided | None = None
    error: str = ""


class _Panel:
    """Judges runs with the judge that is asked for."""

    def __init__(self, engine: Engine, judge: str | None) -> None:
        self._suite = engine.suite
        self._judge = judge
        self._models = SuiteModels(engine.suite, mocks=engine.mocks, mocking=engine.mocking, given=engine.parts.models)
        self._identities: dict[str, JudgeIdentity] = {}

    @property
    def identity(self) -> JudgeIdentity:
        """Who has judged; of several judges, the first."""
        return next(iter(self._identities.values()), JudgeIdentity(digest="", model=self._judge or ""))

    async def judged(self, run: RunResult, journal: Path, repeats: int) -> _Judged:
        """What the judge says of a run, several times, and with its criteria in reverse order."""
        try:
            [recording] = read_recordings(journal, "journal")
            scenario = find_named(self._suite.scenarios, run.case.scenario)
            criteria = self._criteria(run, scenario)
            times = [await self._asked(recording, scenario, criteria) for _ in range(repeats)]
            reordered = await self._asked(recording, scenario, criteria[::-1]) if len(criteria) > 1 else None
        except DuologueError as error:
            return _Judged(run=run, error=str(error))
        if not times[0]:
            return _Judged(run=run, error="nothing in it is decided by a model")
        only = {criterion for criterion in times[0] if criterion in criteria}
        swapped: Decided = {name: said for name, said in (reordered or {}).items() if name in only}
        return _Judged(run=run, times=tuple(times), reordered=swapped or None)

    def _criteria(self, run: RunResult, scenario: Scenario | None) -> list[str]:
        if scenario is not None and scenario.criteria:
            return list(scenario.criteria)
        if scenario is not None and scenario.ends_on_criteria:
            return []
        return [item.criterion for item in run.decisions]

    async def _asked(self, recording: Recording, scenario: Scenario | None, criteria: Sequence[str]) -> Decided:
        judge = self._adapter(recording, scenario, criteria)
        checks = self._checks(scenario) if self._judge is None else []
        if judge is None and not checks:
            return {}
        result = await replay(recording, judge=judge, checks=checks)
        found: Decided = {item.criterion: _DECISIONS[item.decision] for item in result.decisions}
        names = {check.name for check in checks}
        for check in result.checks:
            if check.name in names and check.status in _STATUSES:
                found[check.name] = _STATUSES[check.status]
        return found

    def _adapter(self, recording: Recording, scenario: Scenario | None, criteria: Sequence[str]) -> AgentAdapter | None:
        if scenario is not None and scenario.ends_on_criteria:
            made = criteria_judge_for(self._models, changed_judge(scenario, self._judge))
        elif not criteria:
            return None
        elif self._judge is None or find_named(self._suite.judges, self._judge):
            asked = self._judge or (scenario.judge if scenario else None)
            made = judge_for(self._models, recording.name, criteria, asked)
        else:
            from duologue.agents.judge import JudgeAgent

            model = self._models.model(self._judge, scenario=recording.name, judge=self._judge)
            made = JudgeAgent(criteria=criteria, model=model, advisory=False)
        described = identity_of([made.describe()])
        self._identities.setdefault(described.digest, described)
        return made

    def _checks(self, scenario: Scenario | None) -> list[Check]:
        written = [*(scenario.checks if scenario else ()), *self._suite.checks]
        resources = resources_for(self._models, scenario.name if scenario else "")
        return [
            made_check(spec, Scope.CONVERSATION, resources) for spec in written if spec.type.startswith("llm_judge")
        ]


def changed_judge(scenario: Scenario, judge: str | None) -> Scenario:
    """The scenario with that judge, if one is asked for."""
    return scenario.changed(judge=judge) if judge is not None else scenario


_DECISIONS: Mapping[Decision, LabelValue] = {
    Decision.MET: "pass",
    Decision.UNMET: "fail",
    Decision.INCONCLUSIVE: "unsure",
}
_STATUSES: Mapping[CheckStatus, LabelValue] = {CheckStatus.PASSED: "pass", CheckStatus.FAILED: "fail"}
