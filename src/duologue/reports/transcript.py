"""One run on the terminal: the conversation, what was checked, what was decided."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from duologue.journal.console import DECISION_MARKS, MARKS, ROLE_NAMES, ROLE_STYLES
from duologue.journal.events import CheckEvaluated
from duologue.messages import text_of, tool_calls_of
from duologue.reports.escaping import one_line, visible
from duologue.reports.figures import duration, money, plural
from duologue.reports.findings import findings_of
from duologue.reports.grades import grades_of
from duologue.reports.terminal import STYLES
from duologue.suites.results.run import MessageResult, RunResult

_LOW = 2
"""Grades up to this one stand out."""


def print_run(run: RunResult, console: Console | None = None) -> None:
    """Print a run.

    Args:
        run: what to print.
        console: where to print; None for standard output.
    """
    out = console or Console(highlight=False)
    out.print(Text(f"── {one_line(run.case.title)} ──", style="bold"), soft_wrap=True)
    turn = -1
    for item in run.messages:
        if item.turn != turn:
            turn = item.turn
            out.print(Text(f"turn {turn + 1}", style="dim"))
        for line in _message(item):
            out.print(line, soft_wrap=True)
    for line in [*_checks(run), *_decisions(run), *_end(run)]:
        out.print(line, soft_wrap=True)


def _message(item: MessageResult) -> list[Text]:
    role = item.message["role"]
    style = ROLE_STYLES.get(role, "")
    lines = [
        Text(f"→ {one_line(call['function']['name'])}({one_line(call['function']['arguments'])})", style="yellow")
        for call in tool_calls_of(item.message)
    ]
    if said := text_of(item.message):
        lines.insert(0, Text(visible(said), style=style))
    name = ROLE_NAMES.get(role, one_line(role))
    seconds = f" {duration(item.spent.seconds)}" if item.spent and item.spent.seconds else ""
    return [
        Text(f"{name} ", style=f"bold {style}").append(f"{one_line(item.id)}{seconds}", style="dim not bold"),
        *lines,
    ]


def _checks(run: RunResult) -> list[Text]:
    lines = [Text("\nchecks", style="dim")] if run.checks else []
    for check in run.checks:
        ids = f" [{', '.join(map(one_line, check.message_ids))}]" if check.message_ids else ""
        text = f"{MARKS[check.status]} {one_line(check.name)}  {one_line(check.explanation)}"
        lines.append(Text(f"  {text}{ids}", style="" if check.status in {"passed", "skipped"} else "red"))
        lines += _grades(check)
    return lines


def _grades(check: CheckEvaluated) -> Iterator[Text]:
    """A line for each metric: ``Answer correctness 1 of 5 (invented_price): … [m4]``."""
    grades = grades_of(check)
    for grade in grades["metrics"] if grades else ():
        score = "does not apply" if grade["score"] is None else f"{grade['score']} of 5"
        code = f" ({one_line(grade['code'])})" if grade["code"] else ""
        ids = f" [{', '.join(map(one_line, grade['cites']))}]" if grade["cites"] else ""
        said = f"{one_line(grade['title'])}  {score}{code}: {one_line(grade['why'])}{ids}"
        low = grade["score"] is not None and grade["score"] <= _LOW
        yield Text(f"      {said}", style="red" if low else "dim")


def _decisions(run: RunResult) -> list[Text]:
    lines = [Text("\njudge", style="dim")] if run.decisions else []
    for item in run.decisions:
        ids = f" [{', '.join(map(one_line, item.message_ids))}]" if item.message_ids else ""
        text = f"{DECISION_MARKS[item.decision]} {one_line(item.criterion)}: {one_line(item.reason)}"
        lines.append(Text(f"  {text}{ids}", style="" if item.decision == "true" else "red"))
    return lines


def _end(run: RunResult) -> list[Text]:
    facts = [run.termination.value if run.termination else "", plural(run.turns, "turn"), duration(run.seconds)]
    spent = run.spent
    facts += [f"{spent.usage.total_tokens:,} tokens", money(spent.cost, spent.unpriced)] if spent.calls else []
    lines = [
        Text(f"\n{run.outcome.upper()} ", style=f"bold {STYLES[run.outcome]}").append(" · ".join(filter(None, facts)))
    ]
    if run.reasoning:
        lines.append(Text(f"  {one_line(run.reasoning)}"))
    lines += [
        Text(f"  {item.kind} {one_line(item.name)}: {one_line(item.text)}", style="dim") for item in findings_of(run)
    ]
    return lines
