"""Reports as one self-contained web page: no script, no font and no picture from anywhere.

Everything on it was said by an agent under attack or by its attacker, and is hostile until it is escaped: ``text`` is
the only way onto the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from duologue.agents.red_team import Attempt
from duologue.messages import Message, text_of, tool_calls_of
from duologue.reports.display import html_text as text
from duologue.reports.red_team._report import RedTeamReport
from duologue.reports.red_team._summary import AttackGroup, RedTeamSummary, in_words, share, summarise
from duologue.runs.store.encoding import replace_file, require_replaceable
from duologue.transcripts.rendering import quoted

_MARK = '<meta name="generator" content="Duologue">'
"""In the head of each page, so that no page of somebody else is replaced."""
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
{mark}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1c1e; }}
table {{ border-collapse: collapse; margin: .5rem 0 1.5rem; }}
th, td {{ border: 1px solid #d0d0d5; padding: .25rem .6rem; text-align: left; vertical-align: top; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit; unicode-bidi: isolate; }}
details {{ border: 1px solid #d0d0d5; border-radius: 6px; padding: .5rem 1rem; margin: .5rem 0; }}
summary {{ cursor: pointer; }}
.tag {{ border-radius: 4px; padding: 0 .4rem; color: #fff; background: #6b6b70; }}
.held {{ background: #1b7f3b; }} .broke {{ background: #b3261e; }} .undecided {{ background: #8a6100; }}
.failing {{ background: #fdecea; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def render_html(reports: Sequence[RedTeamReport], title: str = "Red team report") -> str:
    """The page: a summary of all attacks, then each of them."""
    summary = summarise(reports)
    parts = [_overview(summary), *(_tables(summary)), "<h2>Attacks</h2>", *(_attack(report) for report in reports)]
    return _PAGE.format(mark=_MARK, title=text(title), body="\n".join(parts))


def save_html(reports: Sequence[RedTeamReport], path: str | Path, title: str = "Red team report") -> Path:
    """Write the page to a file."""
    place = Path(path)
    require_replaceable(place, re.compile(re.escape(_MARK.encode())))
    replace_file(place, render_html(reports, title))
    return place


def _overview(summary: RedTeamSummary) -> str:
    return f"<p>{text(in_words(summary))}</p>"


def _tables(summary: RedTeamSummary) -> Iterable[str]:
    yield _table("By strategy", "attacks", summary.by_strategy)
    yield _table("By category", "attacks", summary.by_category)
    yield _table("By technique", "replies", summary.by_technique)
    yield _table("By turn", "replies", summary.by_turn)


def _table(title: str, unit: str, groups: Sequence[AttackGroup]) -> str:
    if not groups:
        return ""
    head = "".join(f"<th>{text(name)}</th>" for name in ("", "successes", unit, "share (95% interval)", "left out"))
    rows = "".join(
        f"<tr><td>{text(group.name)}</td><td class=n>{group.success.successes}</td>"
        f"<td class=n>{group.success.total}</td><td class=n>{share(group)}</td><td class=n>{group.left_out}</td></tr>"
        for group in groups
    )
    return f"<h2>{text(title)}</h2><table><tr>{head}</tr>{rows}</table>"


def _attack(report: RedTeamReport) -> str:
    facts = {
        "Target": report.target,
        "Category": report.category,
        "Reasoning": report.reasoning,
        "Error": report.error,
        "Summary": report.failure_summary,
        "Severity": _with_reason(report.severity, report.severity_rationale),
        "Gave way": _with_reason(report.break_severity, report.break_severity_rationale),
        "Analysis by": report.analyzed_by,
        "Analysis failed": report.analysis_problem,
        "Suggestions": "\n".join(report.suggestions),
        "Models": ", ".join(f"{part}: {name}" for part, name in report.models.items()),
        "Highest score": report.highest_score,
        "Not scored": report.unscored or None,
        "Taken back": report.backtracks or None,
        "Seed": report.seed,
    }
    rows = "".join(
        f"<tr><th>{text(name)}</th><td><pre>{text(value)}</pre></td></tr>"
        for name, value in facts.items()
        if value not in {None, ""}
    )
    return (
        f"<details><summary><span class='tag {text(report.status)}'>{text(report.status)}</span> "
        f"{text(report.test_name)} · {text(report.strategy)}</summary><table>{rows}</table>"
        f"<h3>Attempts</h3>{_attempts(report.attempts)}<h3>Conversation</h3>{_conversation(report)}</details>"
    )


def _with_reason(value: str | None, reason: str) -> str | None:
    return f"{value}: {reason}" if value and reason else value


def _attempts(attempts: Sequence[Attempt]) -> str:
    names = ("turn", "phase", "techniques", "sent", "reply", "score", "")
    head = "".join(f"<th>{text(name)}</th>" for name in names)
    return f"<table><tr>{head}</tr>{''.join(map(_attempt, attempts))}</table>"


def _attempt(attempt: Attempt) -> str:
    used = ", ".join([*attempt.techniques, *([attempt.injection] if attempt.injection else [])])
    flags = {
        "taken back": attempt.backtracked,
        "refused": attempt.refused,
        "scripted": attempt.scripted,
        "not in the form asked for": attempt.parse_failed,
        "the attacker refused": attempt.attacker_refused,
        attempt.problem: bool(attempt.problem),
    }
    notes = "; ".join(name for name, holds in flags.items() if holds)
    reply = "\n".join([attempt.reply or "", *attempt.tool_calls])
    cells = (
        attempt.turn,
        attempt.phase,
        used,
        attempt.sent,
        reply,
        "" if attempt.score is None else attempt.score,
        notes,
    )
    return f"<tr>{''.join(f'<td><pre>{text(cell)}</pre></td>' for cell in cells)}</tr>"


def _conversation(report: RedTeamReport) -> str:
    rows = "".join(
        f"<tr{' class=failing' if index == report.failing_turn_index else ''}><th>{text(message['role'])}</th>"
        f"<td><pre>{text(_said(message))}</pre></td></tr>"
        for index, message in enumerate(report.messages)
    )
    return f"<table>{rows}</table>"


def _said(message: Message) -> str:
    calls = [f"{call['function']['name']}({quoted(call['function']['arguments'])})" for call in tool_calls_of(message)]
    return "\n".join([text_of(message), *calls]).strip()
