"""What is seen of the page where scripts do not run: totals, the matrix, and every case that did not pass."""

from __future__ import annotations

from collections.abc import Iterator

from duologue.reports.aggregates import matrix
from duologue.reports.display import MARKS, duration, money, plural
from duologue.reports.escaping import cut, html_text
from duologue.suites.results.execution import ExecutionResult, Group
from duologue.suites.results.failures import failures_of

_LONGEST = 600
_MOST = 200


def summary_html(execution: ExecutionResult) -> str:
    """The part of the page that needs no script."""
    return "\n".join(
        [f"<h1>{html_text(execution.suite)}</h1>", _totals(execution), _matrix(execution), *_open(execution)]
    )


def _totals(execution: ExecutionResult) -> str:
    totals = execution.totals
    counts = {
        "passed": totals.passed,
        "failed": totals.failed,
        "undecided": totals.undecided,
        "with errors": totals.errors,
        "cancelled": totals.cancelled,
        "not run": totals.not_run,
    }
    words = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing was run"
    spent = execution.spent
    text = (
        f"{plural(totals.cases, 'test case')}: {words}. {plural(totals.runs, 'run')}, {duration(execution.seconds)}, "
        f"{money(spent.cost, spent.unpriced)}. Conversations are shown where scripts are allowed."
    )
    return f"<p>{html_text(text)}</p>"


def _matrix(execution: ExecutionResult) -> str:
    agents, rows = matrix(execution)
    head = "".join(f"<th scope=col>{html_text(name or 'recording')}</th>" for name in agents)
    lines = [
        f"<tr><th scope=row>{html_text(f'{scenario} · {varied}' if varied else scenario)}</th>"
        + "".join(f"<td>{_cell(cells.get(name))}</td>" for name in agents)
        + "</tr>"
        for (scenario, varied), cells in rows.items()
    ]
    return f"<table class=plain><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _cell(group: Group | None) -> str:
    if group is None:
        return ""
    trials = f" {group.passed}/{len(group.runs)}" if len(group.runs) > 1 else ""
    return (
        f'<span class="o-{html_text(group.outcome)}">{MARKS[group.outcome]} {html_text(group.outcome)}{trials}</span>'
    )


def _open(execution: ExecutionResult) -> Iterator[str]:
    runs = [run for run in execution.runs if run.outcome != "pass"]
    if runs:
        yield "<h2>Not passed</h2>"
    for run in runs[:_MOST]:
        items = "".join(
            f"<li>{html_text(item.name)}: {html_text(cut(item.text, _LONGEST))}</li>" for item in failures_of(run)
        )
        yield f"<h3>{MARKS[run.outcome]} {html_text(run.case.title)}</h3><ul>{items}</ul>"
    if len(runs) > _MOST:
        yield f"<p>… and {len(runs) - _MOST} more.</p>"
