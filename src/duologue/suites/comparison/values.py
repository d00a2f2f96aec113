"""What a comparison says: frozen values that are plain data as soon as they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal

from duologue.frozen import frozen
from duologue.stats.bootstrap import Interval
from duologue.stats.differences import Difference
from duologue.suites.results.rates import Rate

Verdict = Literal["better", "worse", "tied", "undecided"]
"""Of the second execution, seen from the first."""
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "undecided", "tied")
"""In the order in which reports show them."""


@frozen
class Side:
    """One of the two executions.

    Attributes:
        id: of the execution.
        suite, path: name and main file of its suite.
        started_at: when it began, as ISO 8601.
        seed: of its plan.
        agents: whose runs are compared.
        cases, runs: how many it has of them.
    """

    id: str
    suite: str
    path: str
    started_at: str
    seed: int
    agents: tuple[str, ...]
    cases: int
    runs: int


@frozen
class CaseComparison:
    """One test case.

    Attributes:
        key: what tells the case from all others, the same in every comparison.
        title: for people.
        scenario: its name.
        first, second: pass rates of both, each with its own interval.
        paired: trials have the same seed on both sides, and are compared pair by pair.
        both, only_first, only_second, neither: pairs of trials that passed on which sides; all 0 if not paired.
        difference: the second rate minus the first.
        p: of the exact test, two-sided.
        adjusted_p: after Holm, over all cases; the verdict rests on it.
        verdict: of the second.
        reason: why, in a few words.
        further_trials: how many more trials of each side would probably decide; None where nothing is open, or both
            rates look the same.
    """

    key: str
    title: str
    scenario: str
    first: Rate
    second: Rate
    paired: bool
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: Difference
    p: float
    adjusted_p: float
    verdict: Verdict
    reason: str
    further_trials: int | None


@frozen
class Overall:
    """All cases together.

    Attributes:
        verdict: of the second execution: that of the test over all trials, or of the cases where only they tell.
        reason: why, in a few words.
        first, second: pass rates over all compared runs, with intervals for scenarios like these.
        difference: on these test cases: the second rate minus the first.
        over_scenarios: the mean difference of a case, with an interval for scenarios like these; without ends where
            all scenarios differ alike.
        p: of the exact test over all trials, stratified by case.
        better, worse, tied, undecided: how many cases are.
        further_trials: how many more trials of each case and side would probably decide; see :class:`CaseComparison`.
    """

    verdict: Verdict
    reason: str
    first: Rate
    second: Rate
    difference: Difference
    over_scenarios: Interval
    p: float
    better: int
    worse: int
    tied: int
    undecided: int
    further_trials: int | None


@frozen
class MeasureDifference:
    """A number per run, such as its cost.

    Attributes:
        name: ``cost``, ``seconds``, ``latency``, ``tokens`` or ``turns``.
        unit: ``USD``, ``s``, ``tokens`` or ``turns``.
        first, second: means over the compared cases.
        difference: of a case, on average, the second minus the first, with an interval for scenarios like these.
        cases: in how many it is known on both sides.
    """

    name: str
    unit: str
    first: float
    second: float
    difference: Interval
    cases: int


@frozen
class CheckComparison:
    """One check over all compared runs.

    Attributes:
        name: of the check.
        first, second: its pass rates.
        p, adjusted_p: of the exact test, stratified by case; after Holm, over all checks.
        verdict: ``better`` and ``worse`` where the test says so.
    """

    name: str
    first: Rate
    second: Rate
    p: float
    adjusted_p: float
    verdict: Verdict


@frozen
class ConfigurationChange:
    """Something that is configured in another way.

    Attributes:
        part: ``agent prompt``, ``agent model``, ``tools``, ``judge``, ``simulated user``, ``scenario``, …
        name: what of it, such as the name of a model; '' for the whole part.
        first, second: what it was and is; None where it is not known or is not there.
        diff: lines that were removed (``-``) and added (``+``), for long texts.
        cases: in how many compared cases it differs; None if that is not known.
    """

    part: str
    name: str = ""
    first: str | None = None
    second: str | None = None
    diff: tuple[str, ...] = ()
    cases: int | None = None


@frozen
class SaidLine:
    """A message of a conversation: who said it, and what."""

    id: str
    role: str
    text: str


@frozen
class FlipSide:
    """A run of a pair.

    Attributes:
        run_id: of the run.
        outcome: ``pass`` or ``fail``.
        reason: why it did not pass; '' if it did.
        messages: the conversation.
    """

    run_id: str
    outcome: str
    reason: str
    messages: tuple[SaidLine, ...]


@frozen
class Flip:
    """A trial that passed on one side and failed on the other.

    Attributes:
        key, title: of the test case.
        trial: which one.
        first, second: both runs.
        apart_from: index of the first message in which the conversations differ; None where they do not.
    """

    key: str
    title: str
    trial: str
    first: FlipSide
    second: FlipSide
    apart_from: int | None

    @property
    def worse(self) -> bool:
        """Whether the second side is the one that failed."""
        return self.second.outcome == "fail"


@frozen
class Comparison:
    """Two executions, compared.

    Attributes:
        first, second: what is compared; all differences are the second minus the first.
        confidence: of the intervals; 1 minus this is how often a claim of better or worse may be wrong, over all cases.
        margin: differences up to this are called tied where the test finds none.
        overall, cases: pass rates, all together and case by case in the order of the first plan.
        only_first, only_second: titles of cases that the other one does not have.
        measures: cost, time and length.
        checks: every check that is on both sides.
        changes: what is configured in another way.
        flips: trials with another verdict, those that became worse first.
        flips_in_all: how many there are; ``flips`` may hold fewer.
        notes: what limits the comparison.
    """

    first: Side
    second: Side
    confidence: float
    margin: float
    overall: Overall
    cases: tuple[CaseComparison, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    measures: tuple[MeasureDifference, ...]
    checks: tuple[CheckComparison, ...]
    changes: tuple[ConfigurationChange, ...]
    flips: tuple[Flip, ...]
    flips_in_all: int
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"schema_version": 1, **asdict(self)}

    def found(self, verdicts: Iterable[str]) -> list[str]:
        """Titles of the cases with one of these verdicts, after ``all test cases together`` if that has one."""
        wanted = set(verdicts)
        whole = ["all test cases together"] if self.overall.verdict in wanted else []
        return [*whole, *(case.title for case in self.cases if case.verdict in wanted)]

    @property
    def missing(self) -> list[str]:
        """Titles of the cases of which the first side has a decided run, and the second none or no run at all."""
        undecided = [case.title for case in self.cases if case.first.decided and not case.second.decided]
        return [*self.only_first, *undecided]
