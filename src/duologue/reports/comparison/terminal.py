"""A comparison on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from duologue.reports.comparison.words import (
    MARKS,
    STYLES,
    change_text,
    counted,
    difference_text,
    further_text,
    headline,
    in_order,
    measure_text,
    over_scenarios_text,
    rates_text,
    same_text,
)
from duologue.reports.display import confidence_text, plural
from duologue.reports.lines import Line, Print, printer
from duologue.suites.comparison import CaseComparison, Comparison, Flip, FlipSide
from duologue.terminal_text import cut, one_line

if TYPE_CHECKING:
    from rich.console import Console

_TIED = 10
"""Tied cases that are listed; more are counted."""
_LISTED = 60
_DIFF = 20
_WIDTH = 100
_NAMED = 10


def print_comparison(comparison: Comparison, *, flips: int = 3, console: Console | None = None) -> None:
    """Print a comparison.

    Args:
        comparison: what to print.
        flips: how many trials with another verdict are shown with both conversations.
        console: where to print; None for standard output.
    """
    out = printer(console)
    first, second = comparison.first, comparison.second
    out(Line(f"{one_line(first.suite)}: ", style="bold").append(f"{one_line(first.id)} → {one_line(second.id)}"))
    for case in _shown(comparison):
        out(_case(case))
    tied = [case for case in comparison.cases if case.verdict == "tied"]
    if len(tied) > _TIED:
        out(Line(f"  = {plural(len(tied), 'test case')} tied", style="dim"))
    _list(out, "Only in the first", comparison.only_first)
    _list(out, "Only in the second", comparison.only_second)
    _section(out, "Configuration", _changes(comparison))
    _section(out, "Per run, on average", _measures(comparison))
    _section(out, "Checks over all runs", _checks(comparison))
    for flip in comparison.flips[:flips]:
        _flip(out, flip)
    if comparison.flips_in_all > min(flips, len(comparison.flips)):
        left = comparison.flips_in_all - min(flips, len(comparison.flips))
        out(Line(f"\n… and {plural(left, 'more trial')} with another verdict", style="dim"))
    _overall(out, comparison)


def _shown(comparison: Comparison) -> list[CaseComparison]:
    few = sum(case.verdict == "tied" for case in comparison.cases) <= _TIED
    return [case for case in in_order(comparison.cases) if few or case.verdict != "tied"][:_LISTED]


def _case(case: CaseComparison) -> Line:
    before, after = rates_text(case)
    style = STYLES[case.verdict]
    line = Line(f"  {MARKS[case.verdict]} ", style=f"bold {style}").append(
        one_line(case.title), style="default not bold"
    )
    line.append(f"  {case.verdict}", style=f"{style} not bold")
    told = [f"{before} → {after}", difference_text(case.difference), case.reason, further_text(case)]
    return line.append(f"  {' · '.join(filter(None, told))}", style="dim not bold")


def _list(out: Print, title: str, names: Sequence[str]) -> None:
    if names:
        shown = ", ".join(one_line(name) for name in names[:_NAMED])
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        out(Line(f"  {title}: {shown}{more}", style="dim"))


def _section(out: Print, title: str, lines: Iterator[Line]) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            out(Line(f"\n{title}", style="bold"))
        out(line)


def _changes(comparison: Comparison) -> Iterator[Line]:
    for change in comparison.changes:
        yield Line(f"  {one_line(change_text(change), 300)}")
        for text in change.diff[:_DIFF]:
            style = "green" if text.startswith("+") else "red" if text.startswith("-") else "dim"
            yield Line(f"    {one_line(text, 200)}", style=style)


def _measures(comparison: Comparison) -> Iterator[Line]:
    for item in comparison.measures:
        before, after, difference = measure_text(item)
        yield Line(f"  {item.name:<8} {before} → {after}").append(f"  {difference}", style="dim")


def _checks(comparison: Comparison) -> Iterator[Line]:
    for item in comparison.checks:
        if item.verdict in {"better", "worse"}:
            before, after = item.first.value or 0.0, item.second.value or 0.0
            line = Line(f"  {MARKS[item.verdict]} {one_line(item.name, 200)}", style=STYLES[item.verdict])
            yield line.append(f"  {before:.0%} → {after:.0%} of {item.second.decided:,}", style="dim")


def _flip(out: Print, flip: Flip) -> None:
    style = "red" if flip.worse else "green"
    out(
        Line("\n")
        .append(f"{flip.first.outcome} → {flip.second.outcome} ", style=f"bold {style}")
        .append(f"{one_line(flip.title)}, trial {one_line(flip.trial)}")
    )
    if same := same_text(flip):
        out(Line(f"  {same}", style="dim"))
    start = len(flip.first.messages) if flip.apart_from is None else flip.apart_from
    for one, other in zip_longest(flip.first.messages[start:], flip.second.messages[start:]):
        for sign, line in (("-", one), ("+", other)):
            if line is not None:
                out(Line(f"  {sign} {one_line(line.role)}: ", style="dim").append(
                    one_line(cut(line.text, _WIDTH)), style="not dim"))  # fmt: skip
    for sign, side in (("-", flip.first), ("+", flip.second)):
        _reason(out, sign, side)


def _reason(out: Print, sign: str, side: FlipSide) -> None:
    if side.reason:
        out(Line(f"  {sign} {side.outcome}: {one_line(side.reason, 300)}", style="dim"))


def _overall(out: Print, comparison: Comparison) -> None:
    overall = comparison.overall
    style = STYLES[overall.verdict]
    out(Line("\n").append(f"{MARKS[overall.verdict]} {headline(comparison)}", style=f"bold {style}"))
    before, after = rates_text(overall)
    confidence = confidence_text(comparison.confidence)
    out(Line(f"  {plural(len(comparison.cases), 'test case')}: {counted(overall)}", style="dim"))
    out(Line(f"  {before} → {after}, {confidence} intervals", style="dim"))
    over = over_scenarios_text(overall)
    more = f"; for scenarios like these {over}" if over else ""
    out(Line(f"  on these test cases {difference_text(overall.difference)}{more}", style="dim"))
    if further := further_text(overall):
        out(Line(f"  {further}", style="dim"))
    for note in comparison.notes:
        out(Line(f"  {note}", style="dim"))
