"""Results as a table: one row for each run, for spreadsheets (``results.csv``) and for data frames.

::

    import duologue, pandas

    frame = pandas.DataFrame(duologue.results("duologue-runs"))
    frame.groupby("agent")["passed"].mean()
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from duologue.errors import ConfigurationError
from duologue.reports.formats import ReportFormat
from duologue.runs.store.encoding import replace_file
from duologue.runs.store.from_journals import holds_journals
from duologue.runs.store.reader import executions_in, find_execution, holds_results
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult, failures_of, reason_of
from duologue.terminal_text import one_line
from duologue.vocabulary import CheckStatus, Decision, Verdict

COLUMNS = (
    *("suite", "execution", "run_id", "scenario", "agent", "persona", "region", "recording", "trial", "seed"),
    *("outcome", "passed", "termination", "reason", "failures", "turns", "started_at", "seconds", "agent_seconds"),
    *("input_tokens", "output_tokens", "cost", "agent_cost", "user_cost", "judge_cost", "unpriced_calls"),
    *("checks_passed", "checks_failed", "criteria_met", "criteria", "journal"),
)
"""The columns that every table has, in this order. Values of perturbations follow, each in a column of its name, or of
``perturbation.NAME`` where that name is taken."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula, the wide forms of Asian keyboards among them."""


def results(path: str | Path) -> list[dict[str, Any]]:
    """The runs of an execution, or of all executions in a folder, as rows of a table.

    Args:
        path: a folder that ``duologue run`` wrote, a folder of journals, or a folder that holds such folders, like
            ``duologue-runs``.

    Returns:
        A row for each run, in the order of the plan: what it was (``suite``, ``scenario``, ``agent``, ``trial``, …),
        what it came to (``outcome`` in words; ``passed``: True, False, or None where there is no verdict), ``reason``,
        times in seconds, tokens, and cost in US dollars (None where no call has a price).

    Raises:
        ConfigurationError: there are no results, or they cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir() or holds_results(folder) or holds_journals(folder):
        return list(rows_of(find_execution(folder).execution))
    folders = executions_in(folder)
    if not folders:
        raise ConfigurationError(f"{folder} holds no results; expected a folder that 'duologue run' wrote, or journals")
    return [row for item in folders for row in rows_of(find_execution(item).execution)]


def rows_of(execution: ExecutionResult) -> Iterator[dict[str, Any]]:
    """A row for each run; see :func:`results`."""
    for run in execution.runs:
        yield _row(execution, run)


def _row(execution: ExecutionResult, run: RunResult) -> dict[str, Any]:
    case, spent = run.case, run.spent
    statuses = [check.status for check in run.checks]
    values = (
        *(execution.suite, execution.id, run.run_id, case.scenario, case.agent, case.persona or run.persona),
        *(case.region, case.recording, case.trial, case.seed),
        *(run.outcome, _passed(run), run.termination and run.termination.value, reason_of(run)),
        "; ".join(item.name for item in failures_of(run)),
        *(run.turns, run.started_at and run.started_at.isoformat(), run.seconds, run.agent_seconds),
        *(spent.usage.input_tokens, spent.usage.output_tokens),
        *(_cost(part.cost, part.calls, part.unpriced) for part in (spent, run.agent, run.user, run.judge)),
        spent.unpriced,
        *(statuses.count(CheckStatus.PASSED), statuses.count(CheckStatus.FAILED)),
        *(sum(item.decision is Decision.MET for item in run.decisions), len(run.decisions)),
        run.journal,
    )
    varied = {f"perturbation.{name}" if name in COLUMNS else name: value for name, value in case.perturbation}
    return {**dict(zip(COLUMNS, values, strict=True)), **varied}


def _passed(run: RunResult) -> bool | None:
    return run.verdict is Verdict.PASS if run.verdict in {Verdict.PASS, Verdict.FAIL} else None


def _cost(cost: float, calls: int, unpriced: int) -> float | None:
    """None where something was asked and nothing of it has a price."""
    return None if calls and calls == unpriced else cost


def render_csv(execution: ExecutionResult) -> str:
    """The rows as CSV, one line each; a text that a spreadsheet would compute has an apostrophe before it."""
    rows = list(rows_of(execution))
    columns = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
    out = StringIO()
    writer = csv.DictWriter(out, [_cell(name) for name in columns], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({_cell(name): _cell(value) for name, value in row.items()})
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return "" if value is None else value
    text = one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def save_csv(execution: ExecutionResult, path: Path, _: Path) -> Path:
    """Write the table to a file; its folder is made if need be."""
    replace_file(path, render_csv(execution))
    return path


CSV = ReportFormat(file="results.csv", save=save_csv, mark=re.compile(rb"\A" + ",".join(COLUMNS[:5]).encode()))
