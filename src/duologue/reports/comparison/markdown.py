"""A comparison as Markdown, such as for a comment on a pull request.

Nothing that an agent said can become markup, a link, a mention or HTML; see :mod:`duologue.reports.display`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from duologue.reports.comparison.words import (
    MARKS,
    change_text,
    difference_text,
    further_text,
    headline,
    in_order,
    measure_text,
    overview_rows,
    rates_text,
    same_text,
)
from duologue.reports.display import confidence_text, markdown_block, plural, rate_text
from duologue.reports.display import markdown_text as md
from duologue.suites.comparison import Comparison, Flip, FlipSide

MARK = "<!-- Duologue comparison -->"
"""The first line of a file of ours."""
_FLIPS = 5
_ROWS = 200
_BLOCK = 3000


def render_comparison(comparison: Comparison) -> str:
    """The report as text."""
    parts = [
        MARK,
        f"## {MARKS[comparison.overall.verdict]} {md(comparison.second.suite)}: {md(headline(comparison))}",
        _overview(comparison),
        _cases(comparison),
        _others(comparison),
        _changes(comparison),
        _measures(comparison),
        _checks(comparison),
        *_flips(comparison),
        "\n".join(f"> {md(note)}" for note in comparison.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(comparison: Comparison) -> str:
    told = f"Pass rates of decided runs, with {confidence_text(comparison.confidence)} intervals."
    return _table(("", ""), overview_rows(comparison)) + f"\n\n{told}"


def _cases(comparison: Comparison) -> str:
    """What changed; cases that are tied are counted above."""
    found = [case for case in in_order(comparison.cases) if case.verdict != "tied"]
    rows = [
        (
            f"{MARKS[case.verdict]} {case.title}",
            case.verdict,
            *rates_text(case),
            difference_text(case.difference),
            ", ".join(filter(None, [case.reason, further_text(case)])),
        )
        for case in found[:_ROWS]
    ]
    if not rows:
        return ""
    more = f"\n\n… and {len(found) - _ROWS:,} more." if len(found) > _ROWS else ""
    return "### Test cases\n\n" + _table(("Test case", "", "Before", "After", "Difference", "Why"), rows) + more


def _others(comparison: Comparison) -> str:
    parts = (("Only before", comparison.only_first), ("Only after", comparison.only_second))
    return "\n\n".join(f"{title}: {', '.join(map(md, names))}" for title, names in parts if names)


def _changes(comparison: Comparison) -> str:
    if not comparison.changes:
        return ""
    lines = ["### Configuration"]
    for change in comparison.changes:
        lines.append(f"- {md(change_text(change), 500)}")
        if change.diff:
            lines.append(markdown_block("\n".join(change.diff), _BLOCK))
    return "\n\n".join(lines)


def _measures(comparison: Comparison) -> str:
    rows = [(item.name, *measure_text(item)) for item in comparison.measures]
    return "### Per run, on average\n\n" + _table(("", "Before", "After", "Difference"), rows) if rows else ""


def _checks(comparison: Comparison) -> str:
    rows = [
        (f"{MARKS[item.verdict]} {item.name}", rate_text(item.first), rate_text(item.second), f"{item.adjusted_p:.2g}")
        for item in comparison.checks
        if item.verdict in {"better", "worse"}
    ]
    return "### Checks over all runs\n\n" + _table(("Check", "Before", "After", "p"), rows[:_ROWS]) if rows else ""


def _flips(comparison: Comparison) -> Iterator[str]:
    if not comparison.flips:
        return
    yield f"### Trials that changed verdict\n\n{plural(comparison.flips_in_all, 'trial')}."
    for flip in comparison.flips[:_FLIPS]:
        yield _flip(flip)


def _flip(flip: Flip) -> str:
    title = f"{flip.first.outcome} → {flip.second.outcome}: {flip.title}, trial {flip.trial}"
    start = len(flip.first.messages) if flip.apart_from is None else flip.apart_from
    same = f"{same_text(flip).capitalize()}." if same_text(flip) else ""
    blocks = [_side("Before", flip.first, start), _side("After", flip.second, start)]
    inner = "\n\n".join(filter(None, [same, *blocks]))
    return f"<details><summary>{md(title)}</summary>\n\n{inner}\n\n</details>"


def _side(word: str, side: FlipSide, start: int) -> str:
    said = "\n".join(f"{line.role}: {line.text}" for line in side.messages[start:])
    reason = f" {md(side.reason, 400)}" if side.reason else ""
    return f"{word}, {side.outcome}.{reason}\n\n{markdown_block(said, _BLOCK) if said else ''}".rstrip()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(map(md, head)), " | ".join("---" for _ in head), *(" | ".join(map(md, row)) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)
