"""How well judges agree with people, as lines, and as a part of a Markdown report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from duologue.reports.display import markdown_text as md
from duologue.stats.agreement import Agreement
from duologue.stats.alpha import Alpha
from duologue.stats.proportion import Proportion, percent
from duologue.suites.calibration.calibrate import Calibration, CorrectedRate, CriterionCalibration, remarks
from duologue.suites.calibration.judge_test import JudgeTest
from duologue.terminal_text import one_line

_NAME = 60


def calibration_lines(found: Calibration) -> Iterator[str]:
    """The report for a terminal."""
    yield f"Judge and people ({found.labels} labels)"
    yield from _criterion_lines(found.criteria)
    yield "Pass rates"
    for rate in found.rates:
        yield f"  {one_line(rate.name, _NAME)}: {counted(rate.counted)}; {corrected(rate)}"
    for text in remarks(found):
        yield f"Note: {text}"


def _criterion_lines(criteria: Iterable[CriterionCalibration]) -> Iterator[str]:
    for item in criteria:
        yield f"  {one_line(item.name, _NAME)}"
        yield f"    agreement {share(item.agreement)}, kappa {beyond_chance(item.kappa)}"
        yield f"    sensitivity {share(item.sensitivity)}, specificity {share(item.specificity)}"
        if item.raters > 1:
            yield f"    {item.raters} raters, alpha {beyond_chance(item.alpha)}"
        if item.undecided:
            yield f"    without a decision on one side: {item.undecided}"


def judge_test_lines(found: JudgeTest) -> Iterator[str]:
    """The report on a test of a judge for a terminal."""
    yield f"Judge: {one_line(found.judge.model)} ({found.judge.digest}), {found.runs} labelled runs"
    yield from _criterion_lines(found.calibration.criteria)
    if found.repeated is not None:
        yield f"  decided in the same way when asked again: {share(found.repeated)}"
    if found.reordered is not None:
        yield f"  decided in the same way with the criteria in reverse order: {share(found.reordered)}"
    if found.before is not None:
        yield "What had been decided before"
        yield from _criterion_lines(found.before.criteria)
    for error in found.errors[:5]:
        yield f"Not judged: {one_line(error)}"


COLUMNS = ("Criterion", "Judge counted", "Corrected", "Agreement", "Kappa", "Sensitivity", "Specificity")
"""The columns of a table of criteria."""


def table_rows(found: Calibration) -> Iterator[tuple[str, ...]]:
    """A row for each criterion, and one for the verdict."""
    known = {item.criterion: item for item in found.criteria}
    for rate in found.rates:
        item = known.get(rate.criterion)
        cells = (rate.name, counted(rate.counted), corrected(rate, plain=True))
        if item is None:
            yield (*cells, "", "", "", "")
        else:
            agreed = (share(item.agreement), beyond_chance(item.kappa))
            yield (*cells, *agreed, share(item.sensitivity), share(item.specificity))


def calibration_markdown(found: Calibration) -> str:
    """A section of a Markdown report."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(map(md, row))} |" for row in table_rows(found)]
    notes = "".join(f"\n\n{md(text)}" for text in remarks(found))
    return "## Judge and people\n\n" + "\n".join(lines) + notes


def counted(found: Proportion) -> str:
    """``81 of 100 (81%)``."""
    return f"{found.successes} of {found.total}" + (f" ({percent(found.rate)})" if found.rate is not None else "")


def share(found: Proportion) -> str:
    """``0.92 [0.81, 0.97] of 40``."""
    if found.rate is None:
        return "–"
    return f"{found.rate:.2f} [{found.low:.2f}, {found.high:.2f}] of {found.total}"


def beyond_chance(found: Agreement | Alpha | None) -> str:
    """``0.71 [0.52, 0.86]``."""
    if found is None:
        return "–"
    value = found.kappa if isinstance(found, Agreement) else found.alpha
    return f"{value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def corrected(rate: CorrectedRate, *, plain: bool = False) -> str:
    """``corrected 76% [64%, 86%]``, or why there is none."""
    if rate.corrected is None:
        return f"not corrected: {rate.why}"
    found = rate.corrected
    text = f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"
    return text if plain else f"corrected {text}"
