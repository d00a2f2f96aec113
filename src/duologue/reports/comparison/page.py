"""A comparison as one web page without scripts: it opens offline and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

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
)
from duologue.reports.display import confidence_text, html_text, plural, rate_text
from duologue.suites.comparison import Comparison, Flip, FlipSide
from duologue.suites.comparison.values import SaidLine
from duologue.terminal_text import cut

MARK = '<meta name="generator" content="Duologue comparison">'
_LONGEST = 4000
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--worse:#c62828;--better:#2e7d32;--undecided:#b26a00}
@media(prefers-color-scheme:dark){:root{--worse:#ff8a80;--better:#81c784;--undecided:#ffcc80}}
body{font:15px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
.worse{color:var(--worse)}.better{color:var(--better)}.undecided{color:var(--undecided)}.tied,.note{opacity:.75}
pre,.said{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
.pair td{width:50%}.same{opacity:.6}details{margin:.5rem 0}
"""


def render_page(comparison: Comparison) -> str:
    """The page as text."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = html_text(f"{comparison.second.suite}: {comparison.overall.verdict}")
    body = "\n".join(_body(comparison))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{MARK}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def _body(comparison: Comparison) -> Iterator[str]:
    word = comparison.overall.verdict
    title = f"{MARKS[word]} {comparison.second.suite}: {headline(comparison)}"
    yield f'<h1 class="{word}">{html_text(title)}</h1>'
    yield _table((), overview_rows(comparison))
    confidence = confidence_text(comparison.confidence)
    yield f'<p class="note">Pass rates of decided runs, with {html_text(confidence)} intervals.</p>'
    for note in comparison.notes:
        yield f'<p class="note">{html_text(note)}</p>'
    yield "<h2>Test cases</h2>" + _cases(comparison)
    for title, names in (("Only before", comparison.only_first), ("Only after", comparison.only_second)):
        if names:
            yield f"<p>{title}: {html_text(', '.join(names))}</p>"
    yield from _changes(comparison)
    if comparison.measures:
        measures = [(item.name, *measure_text(item)) for item in comparison.measures]
        yield "<h2>Per run, on average</h2>" + _table(("", "before", "after", "difference"), measures)
    if comparison.checks:
        checks = [
            (item.name, item.verdict, rate_text(item.first), rate_text(item.second), f"{item.adjusted_p:.2g}")
            for item in comparison.checks
        ]
        yield "<h2>Checks over all runs</h2>" + _table(("check", "", "before", "after", "p"), checks)
    if comparison.flips:
        yield f"<h2>Trials that changed verdict</h2><p>{html_text(plural(comparison.flips_in_all, 'trial'))}</p>"
        for flip in comparison.flips:
            yield _flip(flip)


def _cases(comparison: Comparison) -> str:
    rows = "".join(
        f'<tr><th scope="row" class="{case.verdict}">{MARKS[case.verdict]} {html_text(case.title)}</th>'
        + "".join(
            f"<td>{html_text(text)}</td>"
            for text in (
                case.verdict,
                *rates_text(case),
                difference_text(case.difference),
                ", ".join(filter(None, [case.reason, further_text(case)])),
            )
        )
        + "</tr>"
        for case in in_order(comparison.cases)
    )
    head = "".join(f"<th>{word}</th>" for word in ("test case", "", "before", "after", "difference", "why"))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _changes(comparison: Comparison) -> Iterator[str]:
    if comparison.changes:
        yield "<h2>Configuration</h2>"
    for change in comparison.changes:
        lines = "\n".join(f'<span class="{_side_of(line)}">{html_text(line)}</span>' for line in change.diff)
        yield f"<p>{html_text(change_text(change))}</p>" + (f"<pre>{lines}</pre>" if lines else "")


def _side_of(line: str) -> str:
    return "better" if line.startswith("+") else "worse" if line.startswith("-") else "note"


def _flip(flip: Flip) -> str:
    word = "worse" if flip.worse else "better"
    title = f"{flip.first.outcome} → {flip.second.outcome}: {flip.title}, trial {flip.trial}"
    rows = "".join(
        f"<tr{_same(flip, number)}><td>{_said(one)}</td><td>{_said(other)}</td></tr>"
        for number, (one, other) in enumerate(zip_longest(flip.first.messages, flip.second.messages))
    )
    head = "".join(f"<th>{_head(name, side)}</th>" for name, side in (("before", flip.first), ("after", flip.second)))
    return (
        f'<details><summary class="{word}">{html_text(title)}</summary>'
        f'<table class="pair"><tr>{head}</tr>{rows}</table></details>'
    )


def _same(flip: Flip, number: int) -> str:
    return ' class="same"' if flip.apart_from is None or number < flip.apart_from else ""


def _head(name: str, side: FlipSide) -> str:
    reason = f": {cut(side.reason, _LONGEST)}" if side.reason else ""
    return html_text(f"{name}, {side.outcome}{reason} ({side.run_id})")


def _said(line: SaidLine | None) -> str:
    if line is None:
        return ""
    return f'<b>{html_text(line.role)}</b><p class="said" dir="auto">{html_text(cut(line.text, _LONGEST))}</p>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    first = "<tr>" + "".join(f"<th>{html_text(word)}</th>" for word in head) + "</tr>" if head else ""
    lines = "".join(
        f'<tr><th scope="row">{html_text(row[0])}</th>'
        + "".join(f"<td>{html_text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table>{first}{lines}</table>"
