"""An execution on the terminal after it is over, or one of its runs: results, reasons, cost, conversation.

What agents said goes through :func:`one_line`: it cannot move the cursor, change colours or hide a line.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from duologue.journal.console import DECISION_MARKS, ROLE_NAMES, ROLE_STYLES
from duologue.journal.console import MARKS as CHECK_MARKS
from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.messages import tool_calls_of
from duologue.reports.display import (
    MARKS,
    OUTCOMES,
    STYLES,
    beside,
    blame_lines,
    chosen_ks,
    confidence_text,
    duration,
    excused,
    graded,
    grades_of,
    interval_text,
    money,
    plural,
    rate_text,
    recorded_cost,
    recorded_facts,
    said_and_called,
    saved_by,
    share,
    skipped_checks,
    text_of_message,
    value_text,
)
from duologue.reports.lines import Line, Print, printer
from duologue.runs.store.encoding import RUNS
from duologue.suites.results.execution import ExecutionResult, Group, embedded_models
from duologue.suites.results.run import SPENDERS, Failure, MessageResult, RunResult, cited, failures_of, summary_of
from duologue.suites.results.voice_figures import voice_line, voice_lines
from duologue.terminal_text import barred, one_line

if TYPE_CHECKING:
    from rich.console import Console


_LISTED = 60
"""Test cases that are listed one by one; of more, only those that did not pass."""
_EXPLAINED = 25
"""Runs whose reasons are shown."""
_CHECKS = 10
"""Checks whose rates over all runs are listed."""
_SEVERAL = 2
"""Runs from which on rates of checks are worth a list."""
_SKIPPED = 10
"""Skipped checks that are listed."""
_WORST_FIRST = ("fail", "error", "undecided")
_ENDS = {0: "pass", 1: "fail", 3: "undecided", 130: "cancelled"}
"""The outcome that an exit code means."""
_NAMED = 5
"""Runs with the same error that are named."""
_REASON = 400
_LOW = 2
"""Grades up to this one stand out."""
_QUOTE = 240
_WORDS = {"pass": "passed", "fail": "failed", "undecided": "undecided", "error": "error", "cancelled": "cancelled"}


def print_execution(
    execution: ExecutionResult,
    *,
    folder: Path | None = None,
    files: Sequence[Path] = (),
    console: Console | None = None,
    mock: str | None = None,
) -> None:
    """Print the result of an execution.

    Args:
        execution: what to print.
        folder: of its results, so that people find them; None if they were not kept.
        files: reports beside them.
        console: where to print; None for standard output.
        mock: the response file that models answered from; '' for mock mode without one, None if it is not known.
    """
    out = printer(console)
    _cases(out, execution)
    _reasons(out, execution, folder)
    _skipped(out, execution)
    _check_rates(out, execution)
    _calibration(out, execution)
    _totals(out, execution)
    _places(out, folder, files)
    if folder is not None:
        _next_steps(out, execution, folder, mock)


def execution_line(execution: ExecutionResult, folder: Path) -> Line:
    """``✗ shop  2026-03-02 09:30  7 of 12 passed  duologue-runs/…``: one of several executions."""
    word = _ENDS.get(execution.exit_code, "error")
    totals, style = execution.totals, STYLES[word]
    began = execution.started_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    line = Line(f"{MARKS[word]} ", style=f"bold {style}").append(one_line(execution.suite), style="default bold")
    line.append(f"  {began}  ", style="dim not bold")
    line.append(f"{totals.passed:,} of {plural(totals.cases, 'test case')} passed", style=f"{style} not bold")
    state = ", running" if execution.running else ", interrupted" if execution.interrupted else ""
    return line.append(f"{state}  {duration(execution.seconds)}  {one_line(folder)}", style="dim not bold")


def _cases(out: Print, execution: ExecutionResult) -> None:
    groups = list(execution.groups)
    shown = groups if len(groups) <= _LISTED else [group for group in groups if group.outcome != "pass"]
    out(Line())
    for group in shown[:_LISTED]:
        out(case_line(group))
    if len(shown) > _LISTED:
        out(Line(f"  … and {plural(len(shown) - _LISTED, 'test case')} more that did not pass", style="dim"))
    if len(shown) < len(groups):
        out(Line(f"  ✓ {plural(len(groups) - len(shown), 'test case')} passed", style="green"))


def case_line(group: Group) -> Line:
    """``✗ booking · gpt-5  2 of 3 · 4.1 s · $0.02``."""
    style = STYLES[group.outcome]
    title = group.case.title.rsplit(" #", 1)[0] if group.case.trials > 1 else group.case.title
    facts = _trials_of(group) if len(group.runs) > 1 else []
    cost = sum(run.agent.cost + run.user.cost + run.judge.cost for run in group.runs)
    facts += [duration(sum(run.seconds for run in group.runs)), *([money(cost)] if cost else [])]
    line = Line(f"  {MARKS[group.outcome]} ", style=f"bold {style}").append(one_line(title), style="default not bold")
    word = "" if group.outcome == "pass" else f"  {group.outcome}"
    return line.append(word, style=style).append(f"  {' · '.join(facts)}", style="dim not bold")


def _trials_of(group: Group) -> list[str]:
    """``2 of 3 passed [21–94%]``, of the decided trials; what is not decided is beside it."""
    rate = group.rate
    passed = f"{rate.passed} of {rate.decided} passed [{interval_text(rate.low, rate.high)}]"
    early = f"decided after {plural(group.stopped.trials, 'trial')}" if group.stopped and group.spared else ""
    return [part for part in (passed if rate.decided else "", beside(rate), early) if part]


def _reasons(out: Print, execution: ExecutionResult, folder: Path | None) -> None:
    """Why runs did not pass, the worst first. That a run was cancelled says nothing about it."""
    groups = {id(run): group for group in execution.groups for run in group.runs}
    runs = [run for word in _WORST_FIRST for run in execution.runs
            if run.outcome == word and not excused(run, groups[id(run)])]  # fmt: skip
    alike = list(_alike(runs))
    for first, *others in alike[:_EXPLAINED]:
        _run(out, first, folder, others)
    if len(alike) > _EXPLAINED:
        left = sum(map(len, alike[_EXPLAINED:]))
        out(Line(f"\n… and {plural(left, 'more run')} that did not pass", style="dim"))


def _alike(runs: Iterable[RunResult]) -> Iterable[list[RunResult]]:
    """The runs, those with the same error together: it is explained once."""
    found: dict[object, list[RunResult]] = {}
    for run in runs:
        found.setdefault((run.error.type, run.error.message) if run.error else id(run), []).append(run)
    return found.values()


def _skipped(out: Print, execution: ExecutionResult) -> None:
    """Checks that decided nothing: they neither passed nor failed, which a pass beside them does not show."""
    found = skipped_checks(execution)
    if not found:
        return
    out(Line("\nSkipped checks", style="bold yellow"))
    for item in found[:_SKIPPED]:
        line = Line("  – ", style="yellow").append(one_line(item.name, _REASON), style="bold default")
        line.append(f" in {plural(item.runs, 'run')}", style="dim not bold")
        out(line.append(f": {one_line(item.reason, _REASON)}" if item.reason else "", style="not dim not bold"))
    if len(found) > _SKIPPED:
        out(Line(f"  … and {len(found) - _SKIPPED:,} more", style="dim"))


def _calibration(out: Print, execution: ExecutionResult) -> None:
    """How well the judge agrees with people, where there are labels."""
    if execution.calibration is None:
        return
    from duologue.reports.calibration import calibration_lines

    first, *lines = calibration_lines(execution.calibration)
    out(Line(f"\n{first}", style="bold"))
    for line in lines:
        out(Line(line))


def _run(out: Print, run: RunResult, folder: Path | None, others: Sequence[RunResult] = ()) -> None:
    style = STYLES[run.outcome]
    out(Line("\n").append(f"{run.outcome.upper()} ", style=f"bold {style}").append(one_line(run.case.title)))
    if others:
        named = ", ".join(one_line(other.case.title) for other in others[:_NAMED])
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        out(Line(f"  and {plural(len(others), 'more run')} with the same error: {named}{more}", style="dim"))
    found = failures_of(run)
    if summary := summary_of(run, found):
        out(Line(f"  {one_line(summary, _REASON)}"))
    for item in found:
        out(_failure(item))
    for told in blame_lines(run):
        out(Line(f"    {one_line(told, _REASON)}", style="dim"))
    for message in _quoted(run, found):
        said = one_line(said_and_called(message), _QUOTE)
        out(
            Line(f"    {one_line(message.id)} {one_line(message.message['role'])}: ", style="dim").append(
                said, style="not dim"
            ),
        )
    if folder is not None:
        path = Path(folder) / RUNS / f"{run.run_id}.json"
        if run.journal and not path.exists() and (journal := Path(folder) / run.journal).exists():
            path = journal  # of Python code, which writes journals only
        out(Line(f"    duologue show {_word(path)}", style="dim"))
    elif run.journal:
        out(Line(f"    journal: {one_line(run.journal)}", style="dim"))


def _failure(item: Failure) -> Line:
    ids = f" [{', '.join(map(one_line, item.message_ids))}]" if item.message_ids else ""
    kind = "" if item.kind == item.name else f"{item.kind} "
    line = Line(f"  {kind}", style="dim").append(one_line(item.name, _REASON), style="bold not dim")
    return line.append(f": {one_line(item.text, _REASON)}" if item.text else "", style="not dim").append(ids)


def _quoted(run: RunResult, found: Sequence[Failure]) -> list[MessageResult]:
    return [item for item in cited(run, [name for failure in found for name in failure.message_ids])
            if said_and_called(item)][:3]  # fmt: skip


def _totals(out: Print, execution: ExecutionResult) -> None:
    totals = execution.totals
    counts = zip(
        OUTCOMES, (totals.passed, totals.failed, totals.undecided, totals.errors, totals.cancelled), strict=True
    )
    line = Line(f"\n{plural(totals.cases, 'test case')}: ", style="bold")
    parts = [Line(_counted(count, word), style=STYLES[word]) for word, count in counts if count]
    if totals.not_run:
        state = "not over yet" if execution.running else "not begun"
        parts.append(Line(f"{plural(totals.not_run, 'run')} {state}", style="dim"))
    out(line.append(Line(", ").joined(parts)))
    out(Line(f"  {_rate_line(execution)}", style="dim"))
    facts = [plural(totals.runs, "run"), duration(execution.seconds), *_cost(execution)]
    out(Line("  " + " · ".join(facts), style="dim"))
    if saved := saved_by(execution):
        out(Line(f"  {saved}", style="dim"))
    if totals.failed and execution.failures_allowed:
        out(Line(f"  failed cases are tolerated: {share(execution.allowance.pass_rate)} had to pass", style="dim"))
    if any(run.voice for run in execution.runs):
        out(Line(f"  voice: {voice_lines(execution.runs)}", style="dim"))
    if told := graded(execution):
        out(Line(f"  metrics: {one_line(told, _REASON)}", style="red" if execution.graded_too_low else "dim"))
    for told in embedded_models(execution.runs):
        out(Line(f"  {one_line(told, _REASON)}", style="dim"))
    if execution.running:
        out(Line("  still running", style="yellow"))
    elif execution.interrupted:
        out(Line("  interrupted before the plan was done", style="yellow"))


def _rate_line(execution: ExecutionResult) -> str:
    """``42% of 200 decided runs passed, 95% interval 32–52% · pass^4 20% [10–32%]``."""
    rate = execution.rates.runs
    if rate.value is None:
        return "no run is decided"
    noun = plural(rate.decided, "decided run")
    ends = f"{confidence_text(rate.confidence)} interval {interval_text(rate.low, rate.high)}"
    parts = [f"{share(rate.value)} of {noun} passed, {ends}"]
    parts += [f"pass^{item.k} {value_text(item.hat)}" for item in chosen_ks(execution)[1:]]
    parts += [f"pass@{item.k} {value_text(item.at)}" for item in chosen_ks(execution)[1:]]
    return " · ".join([*parts, *filter(None, [beside(rate)])])


def _check_rates(out: Print, execution: ExecutionResult) -> None:
    """Checks over all runs, the lowest first; those that have always passed are counted."""
    checks = [item for item in execution.rates.checks if item.rate.value is not None]
    low = sorted((item for item in checks if item.rate.value != 1), key=lambda item: item.rate.value or 0.0)
    if not low or len(execution.runs) < _SEVERAL:
        return
    out(Line("\nChecks over all runs", style="bold"))
    for item in low[:_CHECKS]:
        line = Line(f"  {one_line(item.name, _REASON)}", style="default not bold")
        told = ", ".join(filter(None, [rate_text(item.rate, "run"), beside(item.rate), _skips(item.skipped)]))
        out(line.append(f"  {told}", style="dim"))
    rest = [f"{len(low) - _CHECKS:,} more"] if len(low) > _CHECKS else []
    rest += [f"{plural(len(checks) - len(low), 'check')} passed in all runs"] if len(checks) > len(low) else []
    if rest:
        out(Line(f"  … and {', '.join(rest)}", style="dim"))


def _skips(count: int) -> str:
    return f"skipped in {count:,}" if count else ""


def _counted(count: int, word: str) -> str:
    return plural(count, "error") if word == "error" else f"{count:,} {_WORDS[word]}"


def _cost(execution: ExecutionResult) -> list[str]:
    spent, total = execution.spent_by, execution.spent
    tokens = total.usage.total_tokens
    recorded = [told] if (told := recorded_cost(execution.recorded)) else []
    if not tokens and not total.cost:
        return recorded
    split = ", ".join(f"{who} {money(spent[who].cost, spent[who].unpriced)}" for who in SPENDERS if spent[who].calls)
    if execution.earlier.calls:
        earlier = money(execution.earlier.cost, execution.earlier.unpriced)
        split = ", ".join(filter(None, [split, f"attempts that were replaced {earlier}"]))
    if not total.cost and not total.unpriced and not execution.earlier.cost:
        return [f"{tokens:,} tokens", "no cost", *recorded]
    return [f"{tokens:,} tokens", f"{money(total.cost, total.unpriced)} ({split})", *recorded]


def _places(out: Print, folder: Path | None, files: Sequence[Path]) -> None:
    if folder is not None:
        out(Line(f"  results: {one_line(folder)}", style="dim"))
    for path in files:
        out(Line(f"  report:  {one_line(path)}", style="dim"))


def _next_steps(out: Print, execution: ExecutionResult, folder: Path, mock: str | None) -> None:
    """What somebody would type now; nothing where everything passed, or is still going on."""
    if execution.exit_code == 0 or execution.running or not execution.path:
        return  # without a path, programs wrote the journals, which 'duologue run' cannot repeat
    suite, place = _word(execution.path), _word(folder)
    mocked = "" if execution.environment.get("mock") is not True else " --mock FILE" if mock is None else _mock(mock)
    if execution.interrupted or execution.unrecorded:
        out(Line(f"  go on:   duologue run {suite} --resume {place}{mocked}", style="dim"))
        return
    if execution.totals.errors:
        out(Line(f"  retry:   duologue retry {place}{mocked}", style="dim"))
    if execution.totals.failed or execution.totals.undecided or not execution.totals.errors:
        out(Line(f"  again:   duologue run {suite} --failed-in {place}{mocked}", style="dim"))


def _mock(mock: str) -> str:
    return f" --mock {_word(mock)}" if mock else " --mock-all"


def _word(value: object) -> str:
    """A path as a shell takes it."""
    return shlex.quote(one_line(value))


def print_run(run: RunResult, console: Console | None = None) -> None:
    """Print a run.

    Args:
        run: what to print.
        console: where to print; None for standard output.
    """
    out = printer(console)
    out(Line(f"── {one_line(run.case.title)} ──", style="bold"))
    turn = -1
    for item in run.messages:
        if item.turn != turn:
            turn = item.turn
            out(Line(f"turn {turn + 1}", style="dim"))
        for line in _message(item):
            out(line)
    for line in [*_checks(run), *_decisions(run), *_end(run)]:
        out(line)


def _message(item: MessageResult) -> list[Line]:
    role = item.message["role"]
    style = ROLE_STYLES.get(role, "")
    lines = [
        Line(f"→ {one_line(call['function']['name'])}({one_line(call['function']['arguments'])})", style="yellow")
        for call in tool_calls_of(item.message)
    ]
    if said := text_of_message(item):
        lines.insert(0, Line(barred(said), style=style))
    name = ROLE_NAMES.get(role, one_line(role))
    seconds = f" {duration(item.spent.seconds)}" if item.spent and item.spent.seconds else ""
    return [
        Line(f"{name} ", style=f"bold {style}").append(f"{one_line(item.id)}{seconds}", style="dim not bold"),
        *lines,
    ]


def _checks(run: RunResult) -> list[Line]:
    lines = [Line("\nchecks", style="dim")] if run.checks else []
    for check in run.checks:
        ids = f" [{', '.join(map(one_line, check.message_ids))}]" if check.message_ids else ""
        text = f"{CHECK_MARKS[check.status]} {one_line(check.name)}  {one_line(check.explanation)}"
        lines.append(Line(f"  {text}{ids}", style="" if check.status in {"passed", "skipped"} else "red"))
        lines += _grades(check)
    return lines


def _grades(check: CheckEvaluated) -> Iterator[Line]:
    """A line for each metric: ``Answer correctness 1 of 5 (invented_price): … [m4]``."""
    grades = grades_of(check)
    for grade in grades["metrics"] if grades else ():
        score = "does not apply" if grade["score"] is None else f"{grade['score']} of 5"
        code = f" ({one_line(grade['code'])})" if grade["code"] else ""
        ids = f" [{', '.join(map(one_line, grade['cites']))}]" if grade["cites"] else ""
        said = f"{one_line(grade['title'])}  {score}{code}: {one_line(grade['why'])}{ids}"
        low = grade["score"] is not None and grade["score"] <= _LOW
        yield Line(f"      {said}", style="red" if low else "dim")


def _decisions(run: RunResult) -> list[Line]:
    lines = [Line("\njudge", style="dim")] if run.decisions else []
    lines += [_decision(item, "" if item.decision == "true" else "red") for item in run.decisions]
    for judged in run.judgements:
        if judged.advisory:
            said = f": {one_line(judged.reasoning)}" if judged.reasoning and not judged.decisions else ""
            told = f"\njudge {one_line(judged.judge)}, advisory: {judged.verdict.value}{said}"
            lines += [Line(told, style="dim"), *(_decision(item, "dim") for item in judged.decisions)]
    return lines


def _decision(item: CriterionDecision, style: str) -> Line:
    ids = f" [{', '.join(map(one_line, item.message_ids))}]" if item.message_ids else ""
    return Line(
        f"  {DECISION_MARKS[item.decision]} {one_line(item.criterion)}: {one_line(item.reason)}{ids}", style=style
    )


def _end(run: RunResult) -> list[Line]:
    facts = [run.termination.value if run.termination else "", plural(run.turns, "turn"), duration(run.seconds)]
    spent = run.spent
    facts += [f"{spent.usage.total_tokens:,} tokens", money(spent.cost, spent.unpriced)] if spent.calls else []
    lines = [
        Line(f"\n{run.outcome.upper()} ", style=f"bold {STYLES[run.outcome]}").append(" · ".join(filter(None, facts)))
    ]
    if run.recording is not None:
        told = [recorded_cost(run.recording.spent), *(f"{name} {value}" for name, value in recorded_facts(run))]
        shown = [one_line(part, _REASON) for part in (run.recording.name, *told) if part]
        lines.append(Line(f"  recording: {' · '.join(shown)}", style="dim"))
    if told := voice_line(run):
        lines.append(Line(f"  voice: {told}", style="dim"))
    if run.reasoning:
        lines.append(Line(f"  {one_line(run.reasoning)}"))
    lines += [
        Line(f"  {item.kind} {one_line(item.name)}: {one_line(item.text)}", style="dim") for item in failures_of(run)
    ]
    lines += [Line(f"  {one_line(told)}", style="dim") for told in blame_lines(run, fidelity=True)]
    calls = f"{plural(spent.calls, 'model call')}; " if spent.calls else ""
    return [*lines, Line(f"  {calls}seed {run.case.seed}", style="dim")]
