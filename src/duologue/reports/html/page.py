"""The page, put together: style and scripts by their digests, data as JSON that cannot end its element.

The policy in its head forbids everything else, so that even text which slipped through the escaping could do nothing.
Where scripts do not run, readers see totals, the matrix, and every case that did not pass.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from duologue import web
from duologue.reports.display import MARKS, duration, html_text, matrix, money, plural, rate_text
from duologue.reports.formats import ReportFormat
from duologue.reports.html.data import Media, page_data
from duologue.runs.store.encoding import replace_bytes
from duologue.suites.results.execution import ExecutionResult, Group
from duologue.suites.results.run import failures_of
from duologue.terminal_text import cut

_LONGEST = 600
_MOST = 200
_TURNING = re.compile(rb"\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""In UTF-8, line separators, and what turns round the text of whoever reads the source of the page."""


def save_html(execution: ExecutionResult, path: Path, folder: Path | None = None) -> Path:
    """Write the page to a file.

    Args:
        execution: what to show.
        path: of the file; its folder is made if need be.
        folder: of the results: pictures and sound in it are shown or linked. None to show only what the results hold.
    """
    replace_bytes(path, _page(execution, Media(folder, path.parent)))
    return path


def render_html(execution: ExecutionResult) -> str:
    """The page as text."""
    return _page(execution, Media()).decode()


def _page(execution: ExecutionResult, media: Media) -> bytes:
    style, script = web.style(), web.script("report.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "media-src 'self' data:; base-uri 'none'; form-action 'none'"
    )
    data = page_data(execution, media)
    data = _TURNING.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), data.replace(b"<", b"\\u003c"))
    values = {
        "policy": policy.encode(),
        "title": html_text(f"{execution.suite} · Duologue").encode(),
        "style": style.encode(),
        "summary": summary_html(execution).encode("utf-8", "replace"),
        "data": data,
        "script": script.encode(),
    }
    return web.template("report.html", values)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def summary_html(execution: ExecutionResult) -> str:
    """The part of the page that needs no script."""
    return "\n".join(
        [
            f"<h1>{html_text(execution.suite)}</h1>",
            _totals(execution),
            _matrix(execution),
            *_checks(execution),
            *_open(execution),
        ]
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
    spent, rate = execution.spent, execution.rates.runs
    passed = f" {rate_text(rate, 'decided run')} passed." if rate.value is not None else ""
    text = (
        f"{plural(totals.cases, 'test case')}: {words}.{passed} {plural(totals.runs, 'run')}, "
        f"{duration(execution.seconds)}, "
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


def _checks(execution: ExecutionResult) -> Iterator[str]:
    """Each check over all runs."""
    checks = execution.rates.checks[:_MOST]
    if not checks or len(execution.runs) == 1:
        return
    rows = "".join(
        f"<tr><th scope=row>{html_text(item.name)}</th><td>{html_text(rate_text(item.rate))}</td></tr>"
        for item in checks
    )
    yield f"<h2>Checks over all runs</h2><table class=plain><tr><th></th><th>pass rate</th></tr>{rows}</table>"


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


HTML = ReportFormat(file="report.html", save=save_html, mark=re.compile(b'<meta name="generator" content="Duologue">'))
