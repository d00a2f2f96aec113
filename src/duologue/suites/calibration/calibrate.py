"""How well a judge agrees with people, criterion by criterion, and shares corrected for the errors that it makes.

Pure functions over labels and results: the command line, reports and a service use the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from duologue.frozen import frozen
from duologue.stats.agreement import Agreement, kappa_interval
from duologue.stats.alpha import Alpha, alpha_interval
from duologue.stats.bootstrap import effective_trials
from duologue.stats.corrected import CorrectedShare, rogan_gladen
from duologue.stats.proportion import Proportion, wilson
from duologue.suites.calibration.judged import JudgedItem, JudgeIdentity, judged_items
from duologue.suites.calibration.labels import Label, LabelValue
from duologue.suites.results.run import RunResult

ALL_CRITERIA = "all criteria"
"""The name of what is known of a judge over all criteria together."""
WHOLE_RUN = "verdict"
"""The name of the verdict of a run as a whole."""
_FEW = 20
"""Labels below which a reader is told that there are few."""


@frozen
class CriterionCalibration:
    """How well the judge agrees with people on one criterion.

    Attributes:
        criterion: its text; :data:`ALL_CRITERIA` or '' for the verdict.
        compared: items on which people and judge have said pass or fail.
        undecided: labelled items on which people or the judge could not decide.
        agreement: of the compared items, those on which both said the same.
        kappa: the same beyond chance; None where there is nothing to measure.
        raters: how many people have labelled it.
        alpha: how far people agree with each other; None where no item has two labels.
        sensitivity: of the items that people pass, those that the judge passed.
        specificity: of the items that people fail, those that the judge failed.
    """

    criterion: str
    compared: int
    undecided: int
    agreement: Proportion
    kappa: Agreement | None
    raters: int
    alpha: Alpha | None
    sensitivity: Proportion
    specificity: Proportion

    @property
    def name(self) -> str:
        """For people."""
        return self.criterion or WHOLE_RUN


@frozen
class CorrectedRate:
    """The share of runs that meet a criterion, as the judge has counted it and corrected for its errors.

    Attributes:
        criterion: its text; '' for the verdict.
        counted: of the runs that the judge has decided.
        corrected: None where it cannot be corrected.
        why: the reason for that, or '' .
    """

    criterion: str
    counted: Proportion
    corrected: CorrectedShare | None
    why: str = ""

    @property
    def name(self) -> str:
        """For people."""
        return self.criterion or WHOLE_RUN


@frozen
class Calibration:
    """What labels say of the judge of an execution.

    Attributes:
        criteria: each criterion that has labels; the verdict and all criteria together last.
        rates: each criterion of the execution, and the verdict.
        judges: who has judged the execution.
        labelled: the judges whose decisions were labelled.
        changed: the labels are of other judges only, so that nothing is corrected by them.
        unknown: labels of runs that this execution does not have, and that do not keep what the judge had said.
        labels: how many labels there are.
    """

    criteria: tuple[CriterionCalibration, ...]
    rates: tuple[CorrectedRate, ...]
    judges: tuple[JudgeIdentity, ...]
    labelled: tuple[str, ...]
    changed: bool
    unknown: int
    labels: int


def calibrate(
    labels: Sequence[Label], runs: Sequence[RunResult], judges: Mapping[str, JudgeIdentity] | None = None
) -> Calibration:
    """Compare labels with what judges have decided, and correct what the judges of some runs have counted.

    Args:
        labels: of these runs, or of others that keep what the judge had said.
        runs: whose shares are corrected.
        judges: who judged which run, by its id; None where that is not known, and then any label counts.
    """
    judges = judges or {}
    items = {(item.run, item.criterion): item for run in runs for item in judged_items(run)}
    current = {judge.digest: judge for judge in judges.values()}
    every = with_derived_verdicts(labels, runs)
    pairs, unknown = _paired(every, items, judges)
    digests = {pair.judge for pair in pairs if pair.judge}
    changed = bool(current) and bool(digests) and not digests & current.keys()
    usable = [pair for pair in pairs if not (current and pair.judge) or pair.judge in current]
    by_criterion: dict[str, list[_Pair]] = {}
    for pair in pairs if changed else usable:
        by_criterion.setdefault(pair.criterion, []).append(pair)
    known = {criterion: _calibrated(criterion, found) for criterion, found in by_criterion.items()}
    pooled = [pair for criterion, found in by_criterion.items() if criterion for pair in found]
    verdict = known.pop("", None)
    listed = [*known.values(), *([verdict] if verdict else [])]
    if len(known) > 1:
        listed.append(_calibrated(ALL_CRITERIA, pooled))
    usable_for = {} if changed else {item.criterion: item for item in listed}
    return Calibration(
        criteria=tuple(listed),
        rates=tuple(_rates(items.values(), usable_for, changed=changed)),
        judges=tuple(current.values()),
        labelled=tuple(sorted(digests)),
        changed=changed,
        unknown=unknown,
        labels=len(labels),
    )


def with_derived_verdicts(labels: Sequence[Label], runs: Sequence[RunResult]) -> list[Label]:
    """The labels, and the verdicts that follow for runs of which somebody has labelled everything that was judged."""
    by_run: dict[tuple[str, str], dict[str, LabelValue]] = {}
    for label in labels:
        by_run.setdefault((label.run, label.rater), {})[label.criterion] = label.value
    derived: list[Label] = []
    known = {run.run_id: run for run in runs}
    for (run_id, rater), said in by_run.items():
        run = known.get(run_id)
        if run is None or "" in said:
            continue
        judged = [item.criterion for item in judged_items(run, whole=False)]
        if not judged or not all(criterion in said for criterion in judged):
            continue
        others = [check for check in run.checks if check.name not in judged and check.status.value == "failed"]
        values = {said[criterion] for criterion in judged}
        value: LabelValue = "fail" if others or "fail" in values else "unsure" if "unsure" in values else "pass"
        derived.append(Label(run=run_id, value=value, rater=rater))
    return [*labels, *derived]


@frozen
class _Pair:
    """What people say of an item, and what the judge said."""

    run: str
    criterion: str
    people: tuple[LabelValue, ...]
    raters: tuple[str, ...]
    decision: LabelValue
    judge: str

    @property
    def consensus(self) -> LabelValue:
        """What most people say; ``unsure`` where as many say pass as say fail."""
        counts = Counter(value for value in self.people if value != "unsure")
        passed, failed = counts["pass"], counts["fail"]
        return "unsure" if passed == failed else "pass" if passed > failed else "fail"


def _paired(
    labels: Iterable[Label], items: Mapping[tuple[str, str], JudgedItem], judges: Mapping[str, JudgeIdentity]
) -> tuple[list[_Pair], int]:
    """Items that have labels, with what the judge said, and the number of labels of which nobody knows that."""
    by_item: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        by_item.setdefault((label.run, label.criterion), []).append(label)
    pairs: list[_Pair] = []
    unknown = 0
    for (run, criterion), said in by_item.items():
        item = items.get((run, criterion))
        if item is not None:
            decision: LabelValue | None = item.decision
            judge = judges[run].digest if run in judges else ""
        else:
            kept = next((label for label in reversed(said) if label.decision is not None), None)
            decision, judge = (kept.decision, kept.judge) if kept else (None, "")
        if decision is None:
            unknown += len(said)
            continue
        pairs.append(
            _Pair(
                run=run,
                criterion=criterion,
                people=tuple(label.value for label in said),
                raters=tuple(label.rater for label in said),
                decision=decision,
                judge=judge,
            )
        )
    return pairs, unknown


def _calibrated(criterion: str, pairs: Sequence[_Pair]) -> CriterionCalibration:
    compared = [pair for pair in pairs if "unsure" not in {pair.consensus, pair.decision}]
    same = sum(pair.consensus == pair.decision for pair in compared)
    true = [pair for pair in compared if pair.consensus == "pass"]
    untrue = [pair for pair in compared if pair.consensus == "fail"]
    return CriterionCalibration(
        criterion=criterion,
        compared=len(compared),
        undecided=len(pairs) - len(compared),
        agreement=wilson(same, len(compared)),
        kappa=kappa_interval(
            [pair.consensus for pair in compared],
            [pair.decision for pair in compared],
            groups=[pair.run for pair in compared],
        ),
        raters=len({rater for pair in pairs for rater in pair.raters}),
        alpha=alpha_interval([[value for value in pair.people if value != "unsure"] for pair in pairs]),
        sensitivity=wilson(sum(pair.decision == "pass" for pair in true), len(true)),
        specificity=wilson(sum(pair.decision == "fail" for pair in untrue), len(untrue)),
    )


def _rates(
    items: Iterable[JudgedItem], known: Mapping[str, CriterionCalibration], *, changed: bool
) -> Iterable[CorrectedRate]:
    by_criterion: dict[str, dict[str, list[int]]] = {}
    for item in items:
        if item.decision != "unsure":
            groups = by_criterion.setdefault(item.criterion, {})
            passed, decided = groups.setdefault(item.group, [0, 0])
            groups[item.group] = [passed + (item.decision == "pass"), decided + 1]
    for criterion in sorted(by_criterion, key=lambda text: (text == "", list(by_criterion).index(text))):
        clusters = [(float(passed), float(decided)) for passed, decided in by_criterion[criterion].values()]
        passed, decided = (int(sum(column)) for column in zip(*clusters, strict=True))
        counted = wilson(passed, decided)
        found = known.get(criterion)
        corrected = None
        if found is not None and counted.rate is not None:
            corrected = rogan_gladen(counted.rate, effective_trials(clusters), found.sensitivity, found.specificity)
        why = "" if corrected else _why_not(found, changed=changed)
        yield CorrectedRate(criterion=criterion, counted=counted, corrected=corrected, why=why)


def _why_not(found: CriterionCalibration | None, *, changed: bool) -> str:
    if changed:
        return "the judge has changed since it was labelled"
    if found is None or not found.compared:
        return "nobody has labelled it"
    if not found.sensitivity.total:
        return "no label says pass"
    if not found.specificity.total:
        return "no label says fail"
    return "the judge is no better than chance"


def remarks(calibration: Calibration) -> list[str]:
    """What a reader of these numbers should know, one sentence each."""
    found: list[str] = []
    if calibration.changed:
        now = ", ".join(f"{judge.model} ({judge.digest})" for judge in calibration.judges)
        then = ", ".join(calibration.labelled)
        found.append(
            f"The judge has changed: the labels are about {then}, and these runs were judged by {now}. Nothing is "
            "corrected; judge the labelled runs again with 'duologue judge-test'."
        )
    few = [item.name for item in calibration.criteria if item.compared < _FEW and item.criterion != ALL_CRITERIA]
    if few:
        found.append(f"Fewer than {_FEW} labels: {'; '.join(few)}. Their intervals are wide.")
    if calibration.unknown:
        found.append(
            f"{calibration.unknown} labels are of runs that are not here, and do not say what the judge had decided."
        )
    return found
