"""An execution as Markdown: for a pull request, a wiki, or the summary of a job in continuous integration.

Nothing that an agent said can become markup, a link, a mention or HTML; see :mod:`duologue.reports.display`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from pathlib import Path

from duologue.errors import ConfigurationError
from duologue.journal.console import DECISION_MARKS
from duologue.reports.display import (
    MARKS,
    AgentFigures,
    beside,
    blame_lines,
    by_agent,
    confidence_text,
    duration,
    excused,
    graded,
    markdown_block,
    matrix,
    money,
    plural,
    rate_text,
    recorded_cost,
    recorded_facts,
    said_and_called,
    saved_by,
    share,
    skipped_checks,
    value_text,
)
from duologue.reports.display import markdown_text as md
from duologue.reports.formats import ReportFormat
from duologue.runs.store.encoding import replace_file
from duologue.suites.results.execution import ExecutionResult, Group, embedded_models
from duologue.suites.results.run import SPENDERS, Failure, RunResult, cited, failures_of, summary_of
from duologue.suites.results.voice_figures import voice_line, voice_lines
from duologue.terminal_text import one_line

_SUMMARY = "GITHUB_STEP_SUMMARY"
_LARGEST_SUMMARY = 1_000_000
"""Bytes; the host of the summary takes 1 MiB and shows nothing of what is larger."""
_SEVERAL = 2
"""Runs from which on rates of checks are worth a table."""
_MOST = 50
"""Cases whose reasons are told."""
_REASON = 600
_QUOTE = 800
_ANSWERS = {0: "passed", 1: "failed", 3: "undecided or with errors", 130: "interrupted"}


def save_markdown(execution: ExecutionResult, path: Path) -> Path:
    """Write the report to a file; its folder is made if need be."""
    replace_file(path, render_markdown(execution))
    return path


def append_job_summary(execution: ExecutionResult) -> Path:
    """Append the report to the summary of the job that runs now.

    Returns:
        The file, which the environment names in ``GITHUB_STEP_SUMMARY``.

    Raises:
        ConfigurationError: it names none, or one that cannot be written.
    """
    name = os.environ.get(_SUMMARY)
    if not name:
        raise ConfigurationError(
            f"{_SUMMARY} is not set: a job summary can only be written where a CI service asks for it"
        )
    path = Path(name)
    try:
        room = _LARGEST_SUMMARY - (path.stat().st_size if path.exists() else 0)
        with path.open("a", encoding="utf-8") as file:
            file.write(_fitting(execution, room) + "\n")
    except OSError as error:
        raise ConfigurationError(f"{_SUMMARY} names {path}, which cannot be written: {error.strerror}") from error
    return path


def _fitting(execution: ExecutionResult, room: int) -> str:
    """The report with as much in it as there is room for; its totals in any case."""
    for most in (_MOST, 5, 0):
        text = render_markdown(execution, most)
        if len(text.encode()) < room:
            return text
    return f"{_overview(execution)}\n\nThe summary of a job has no room for more.\n"


def render_markdown(execution: ExecutionResult, most: int = _MOST) -> str:
    """The report as text.

    Args:
        execution: what to report.
        most: of how many cases that did not pass the reasons are told.
    """
    parts = [
        _overview(execution),
        _matrix(execution),
        _open(execution, most),
        _skipped(execution, most),
        _trials(execution),
        _pass_k(execution),
        _checks(execution, most),
        _calibration(execution),
        _cost(execution),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _calibration(execution: ExecutionResult) -> str:
    if execution.calibration is None:
        return ""
    from duologue.reports.calibration import calibration_markdown

    return calibration_markdown(execution.calibration)


def _overview(execution: ExecutionResult) -> str:
    totals = execution.totals
    spent = execution.spent
    rate = execution.rates.runs
    rows = [
        ("Test cases", f"{totals.cases:,}"),
        ("Passed", f"{totals.passed:,}"),
        ("Failed", f"{totals.failed:,}"),
        ("Undecided", f"{totals.undecided:,}"),
        ("Errors", f"{totals.errors:,}"),
        ("Cancelled", f"{totals.cancelled:,}" if totals.cancelled else ""),
        ("Not over yet" if execution.running else "Not run", f"{totals.not_run:,}" if totals.not_run else ""),
        ("Runs", f"{totals.runs:,}"),
        (f"Decided runs that passed, {confidence_text(rate.confidence)} interval", md(rate_text(rate))),
        ("Not needed", md(saved) if (saved := saved_by(execution)) else ""),
        ("Metrics", md(graded(execution))),
        ("Voice", md(voice_lines(execution.runs))),
        ("Cost", money(spent.cost, spent.unpriced)),
        ("Recorded", recorded_cost(execution.recorded)),
        ("Time", duration(execution.seconds)),
    ]
    word = "still running" if execution.running else _ANSWERS.get(execution.exit_code, str(execution.exit_code))
    head = f"# {md(execution.suite)}: {word}"
    started = execution.started_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = f"{md(execution.path)} · {started} · {md(execution.id)}"
    about = "\n\n".join([about, *(md(told) for told in embedded_models(execution.runs))])
    return f"{head}\n\n{about}\n\n{_table(('', ''), [row for row in rows if row[1]], right=(1,))}"


def _matrix(execution: ExecutionResult) -> str:
    agents, rows = matrix(execution)
    if not rows:
        return ""
    lines = [
        (md(f"{scenario} · {varied}" if varied else scenario), *(_cell(cells.get(name)) for name in agents))
        for (scenario, varied), cells in rows.items()
    ]
    return "## Scenarios\n\n" + _table(("Scenario", *(md(name or "recording") for name in agents)), lines)


def _cell(group: Group | None) -> str:
    if group is None:
        return ""
    trials = f" {group.passed}/{len(group.runs)}" if len(group.runs) > 1 else ""
    return f"{MARKS[group.outcome]} {group.outcome}{trials}"


def _open(execution: ExecutionResult, most: int) -> str:
    groups = {id(run): group for group in execution.groups for run in group.runs}
    runs = [run for run in execution.runs if run.outcome != "pass" and not excused(run, groups[id(run)])]
    if not runs:
        return ""
    parts = ["## Not passed", *(_case(run) for run in runs[:most])]
    if len(runs) > most:
        parts.append(f"… and {plural(len(runs) - most, 'more run')}.")
    return "\n\n".join(parts)


def _case(run: RunResult) -> str:
    facts = [run.termination.value if run.termination else "", plural(run.turns, "turn"), duration(run.seconds)]
    lines = [f"### {MARKS[run.outcome]} {md(run.case.title)}", f"{run.outcome} · {' · '.join(filter(None, facts))}"]
    if told := voice_line(run):
        lines.append(f"voice: {md(told)}")
    if facts := recorded_facts(run):
        lines.append("recording: " + " · ".join(md(f"{name} {value}", 200) for name, value in facts))
    found = failures_of(run)
    if summary := summary_of(run, found):
        lines.append(md(summary, _REASON))
    lines.append("\n".join(_failure(item) for item in found))
    lines.append("\n".join(_advisory(run)))
    lines.append("\n".join(f"- {md(text, _REASON)}" for text in blame_lines(run)))
    lines += _quotes(run, found)
    return "\n\n".join(line for line in lines if line)


def _advisory(run: RunResult) -> Iterator[str]:
    """What judges said whose word decides nothing, criterion by criterion."""
    for judged in run.judgements:
        for item in judged.decisions if judged.advisory else ():
            name, reason = md(item.criterion, 200), md(item.reason, _REASON)
            yield f"- advisory, {md(judged.judge)}: {DECISION_MARKS[item.decision]} **{name}**: {reason}"


def _failure(item: Failure) -> str:
    ids = f" ({', '.join(md(name) for name in item.message_ids)})" if item.message_ids else ""
    text = f": {md(item.text, _REASON)}" if item.text else ""
    return f"- {item.kind} **{md(item.name, 200)}**{text}{ids}"


def _quotes(run: RunResult, found: Sequence[Failure]) -> Iterator[str]:
    for item in cited(run, {name for failure in found for name in failure.message_ids}):
        if text := said_and_called(item):
            yield f"{md(item.id)} {md(item.message['role'])}:\n\n{markdown_block(text, _QUOTE)}"


def _skipped(execution: ExecutionResult, most: int) -> str:
    """Checks that decided nothing: they neither passed nor failed, which a pass beside them does not show."""
    found = skipped_checks(execution)
    if not found:
        return ""
    rows = [(md(item.name, 200), f"{item.runs:,}", md(item.reason, _REASON)) for item in found[:most]]
    rest = f"… and {len(found) - len(rows):,} more." if len(found) > len(rows) else ""
    table = _table(("Check", "Runs", "Why"), rows, right=(1,)) if rows else ""
    return "\n\n".join(part for part in ("## Skipped checks", table, rest) if part)


def _trials(execution: ExecutionResult) -> str:
    groups = [group for group in execution.groups if len(group.runs) > 1]
    if not groups:
        return ""
    rows = [
        (
            f"{MARKS[group.outcome]} {md(group.case.title.rsplit(' #', 1)[0])}",
            str(len(group.runs)),
            md(rate_text(group.rate)),
            beside(group.rate),
            "yes" if group.pass_at_k else "no",
            "yes" if group.pass_hat_k else "no",
            _disagreeing(group),
        )
        for group in groups
    ]
    head = ("Test case", "Trials", "Pass rate", "Not decided", "pass@k", "pass^k", "Checks that disagree")
    note = "Pass rates are of decided trials, with 95% intervals."
    if any(group.case.until_decided for group in groups):
        note += " Trials ended when they had decided; the intervals hold for that, too."
    return f"## Trials\n\n{_table(head, rows, right=(1, 2))}\n\n{note}"


def _pass_k(execution: ExecutionResult) -> str:
    """How likely k trials all pass, or any of them does."""
    rows = [
        (str(item.k), value_text(item.hat), value_text(item.at), f"{item.tasks:,}", f"{item.left_out or ''}")
        for item in execution.pass_k
    ]
    head = ("k", "pass^k: all of k pass", "pass@k: any of k passes", "Tasks", "Tasks with fewer decided trials")
    if not rows:
        return ""
    table = _table(head, [tuple(map(md, row)) for row in rows], right=range(5))
    return (
        f"## All of k trials, any of k trials\n\n{table}\n\nMeans over tasks, with 95% intervals for tasks like these."
    )


def _checks(execution: ExecutionResult, most: int) -> str:
    """Each check over all runs, the lowest first."""
    found = sorted(execution.rates.checks, key=lambda item: 2.0 if item.rate.value is None else item.rate.value)
    rows = [
        (md(item.name, 200), md(rate_text(item.rate)), f"{item.rate.errors or ''}", f"{item.skipped or ''}")
        for item in found[:most]
    ]
    if not rows or len(execution.runs) < _SEVERAL:
        return ""
    rest = f"\n\n… and {len(found) - len(rows):,} more." if len(found) > len(rows) else ""
    return (
        "## Checks over all runs\n\n"
        + _table(("Check", "Pass rate", "Errors", "Skipped"), rows, right=(1, 2, 3))
        + rest
    )


def _disagreeing(group: Group) -> str:
    shaky = [rate for rate in group.checks if rate.flakiness or not rate.ok]
    return ", ".join(f"{md(rate.name)} {share(rate.rate)} of {share(rate.threshold)}" for rate in shaky)


_NOT_REPORTED = "–"


def _cost_of(item: AgentFigures, who: str) -> str:
    """What this role cost. An agent that was played, and said nothing of model calls, may have made some."""
    spent = item.spent[who]
    if who == "agent" and item.agent and not spent.calls:
        return _NOT_REPORTED
    return money(spent.cost, spent.unpriced)


def _cost(execution: ExecutionResult) -> str:
    rows = [
        (
            md(item.agent or "recordings"),
            f"{item.passed}/{len(item.runs)}",
            *(_cost_of(item, who) for who in SPENDERS),
            money(item.cost, item.unpriced),
            f"{sum(part.usage.total_tokens for part in item.spent.values()):,}",
            duration(item.seconds / len(item.runs)),
        )
        for item in by_agent(execution)
    ]
    head = ("Agent", "Runs passed", "Agent cost", "User cost", "Judge cost", "Together", "Tokens", "Time per run")
    note = "\n\n`+`: calls without a known price are not counted." if any("+" in row[5] for row in rows) else ""
    if any(row[2] == _NOT_REPORTED for row in rows):
        note += f"\n\n`{_NOT_REPORTED}`: the agent has reported no tokens, so its cost is unknown."
    return f"## Cost\n\n{_table(head, rows, right=range(1, 8))}{note}" if rows else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    aligned = set(right)
    rule = ["---:" if number in aligned else "---" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(one_line(cell) for cell in row)} |" for row in [head, rule, *rows])


MARKDOWN = ReportFormat(
    file="report.md",
    save=lambda execution, path, _: save_markdown(execution, path),
    aliases=("markdown",),
    mark=re.compile(r"\A# [^\n]+\n\n[^\n]* · \d{4}-\d\d-\d\d \d\d:\d\d UTC · ".encode()),
)
