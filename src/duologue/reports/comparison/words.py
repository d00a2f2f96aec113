"""What all reports of a comparison share: words, signed numbers and their intervals."""

from __future__ import annotations

from collections.abc import Iterable

from duologue.reports.display import beside, duration, money, plural, rate_text
from duologue.stats.differences import Difference
from duologue.suites.comparison import CaseComparison, Comparison, ConfigurationChange, Flip, MeasureDifference, Overall
from duologue.suites.comparison.values import VERDICTS, Verdict
from duologue.suites.results.rates import Rate

MARKS: dict[str, str] = {"better": "▲", "worse": "▼", "tied": "=", "undecided": "?"}
STYLES: dict[str, str] = {"better": "green", "worse": "red", "tied": "dim", "undecided": "yellow"}


def headline(comparison: Comparison) -> str:
    """``worse: p = 0.0021 over all trials``."""
    return f"{comparison.overall.verdict}: {comparison.overall.reason}"


def counted(overall: Overall) -> str:
    """``1 worse, 2 undecided, 17 tied``."""
    counts: dict[Verdict, int] = {
        "worse": overall.worse,
        "better": overall.better,
        "undecided": overall.undecided,
        "tied": overall.tied,
    }
    return ", ".join(f"{counts[word]:,} {word}" for word in VERDICTS if counts[word])


def points(value: float) -> str:
    """A difference of shares: ``+5``, ``-12.5``, ``0``."""
    rounded = round(value * 100, 1)
    return f"{rounded:+.0f}" if rounded == int(rounded) and rounded else f"{rounded:+.1f}" if rounded else "0"


def difference_text(found: Difference) -> str:
    """``-5 points [-9 to -2]``."""
    if found.value is None:
        return "unknown"
    return f"{points(found.value)} points [{points(found.low)} to {points(found.high)}]"


def over_scenarios_text(overall: Overall) -> str:
    """The same for scenarios like these; '' where that cannot be said."""
    found = overall.over_scenarios
    if found.value is None or found.low is None or found.high is None:
        return ""
    return f"{points(found.value)} points [{points(found.low)} to {points(found.high)}]"


def rates_text(case: CaseComparison | Overall) -> tuple[str, str]:
    """Both pass rates, with what is beside them."""
    return _rate(case.first), _rate(case.second)


def _rate(rate: Rate) -> str:
    return ", ".join(filter(None, [rate_text(rate), beside(rate)]))


def overview_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """What a report says first, line by line."""
    overall = comparison.overall
    before, after = rates_text(overall)
    rows = [
        ("Test cases", counted(overall)),
        (f"Before, {comparison.first.id}", before),
        (f"After, {comparison.second.id}", after),
        ("Difference on these test cases", difference_text(overall.difference)),
        ("Difference for scenarios like these", over_scenarios_text(overall)),
        ("Open", further_text(overall)),
    ]
    return [row for row in rows if row[1]]


def further_text(case: CaseComparison | Overall) -> str:
    """``some 14 more trials of each would tell``; '' where nothing is open."""
    return "" if case.further_trials is None else f"some {plural(case.further_trials, 'more trial')} of each would tell"


def measure_text(item: MeasureDifference) -> tuple[str, str, str]:
    """The first, the second, and the difference with its interval."""
    low, high = item.difference.low, item.difference.high
    ends = "" if low is None or high is None else f" [{_signed(low, item.unit)} to {_signed(high, item.unit)}]"
    difference = "unknown" if item.difference.value is None else _signed(item.difference.value, item.unit) + ends
    return _amount(item.first, item.unit), _amount(item.second, item.unit), difference


def _amount(value: float, unit: str) -> str:
    if unit == "USD":
        return money(value)
    return duration(value) if unit == "s" else f"{value:,.1f}"


def _signed(value: float, unit: str) -> str:
    amount = _amount(abs(value), unit)
    sign = "" if not value or amount == _amount(0.0, unit) else "+" if value > 0 else "-"
    return f"{sign}{amount}"


def change_text(change: ConfigurationChange) -> str:
    """``agent model desk: acme/1 → acme/2``."""
    head = " ".join(filter(None, [change.part, change.name]))
    if change.first is None and change.second is None:
        cases = "" if change.cases is None else f" in {plural(change.cases, 'test case')}"
        return f"{head} changed{'' if change.diff else cases}"
    return f"{head}: {change.first or 'none'} → {change.second or 'none'}"


def same_text(flip: Flip) -> str:
    """``the first 3 messages are the same``; '' where the conversations differ from their beginning."""
    if flip.apart_from is None:
        return "the same conversation, another verdict"
    if flip.apart_from < 2:
        return "the first message is the same" if flip.apart_from else ""
    return f"the first {flip.apart_from:,} messages are the same"


def in_order(cases: Iterable[CaseComparison]) -> list[CaseComparison]:
    """The worse first, then the better, the undecided and the tied."""
    return sorted(cases, key=lambda case: VERDICTS.index(case.verdict))
