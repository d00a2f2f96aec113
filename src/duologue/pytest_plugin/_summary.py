"""What a run came to, as a row of plain data, and how the terminal summary and the JUnit report show it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypedDict

from duologue.config.files import short_path
from duologue.frozen import frozen
from duologue.terminal_text import one_line, visible

if TYPE_CHECKING:
    from duologue.conversation.result import ScenarioResult

_SHOWN = 400
"""Characters of a reason that the summary shows."""
_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow", "error": "red", "cancelled": "yellow"}
_WORDS = {"pass": "passed", "fail": "failed", "undecided": "undecided", "error": "error", "cancelled": "cancelled"}

Line = tuple[str, dict[str, bool]]
"""A line of the summary and its colours."""


@frozen
class RunRow:
    """One run, as plain data.

    ``skipped`` are checks that decided nothing, with the reasons.
    ``outcome`` is the verdict, or the status of a run that has none (``error``, ``cancelled``). Times are in seconds,
    ``cost`` in US dollars, None where it is not known.
    """

    test: str | None
    outcome: str
    scenario: str
    run_id: str
    termination: str | None
    turns: int
    total_time: float
    agent_time: float
    tokens: int
    cost: float | None
    passed: list[str]
    failed: list[str]
    reason: str | None
    journal: str | None
    skipped: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, result: ScenarioResult, test: str | None = None, name: str | None = None) -> RunRow:
        """The row for a result, in the test of that id."""
        reason = f"{result.error.type}: {result.error.message}" if result.error else result.reasoning
        return cls(
            test=test,
            outcome=(result.verdict or result.status).value,
            scenario=visible(result.scenario or name or ""),
            run_id=result.run_id or "",
            termination=result.termination.value if result.termination else None,
            turns=result.turns or 0,
            total_time=result.total_time or 0.0,
            agent_time=result.agent_time or 0.0,
            tokens=result.usage.total_tokens,
            cost=result.cost,
            passed=list(map(visible, result.passed_criteria)),
            failed=list(map(visible, result.failed_criteria)),
            reason=None if reason is None else visible(reason),  # another process could not be sent half a surrogate
            journal=str(result.journal) if result.journal else None,
            skipped=list(map(visible, _skipped(result))),
        )

    def properties(self) -> Iterator[tuple[str, object]]:
        """Names and values for the JUnit report; only what is there."""
        has_verdict = self.outcome in {"pass", "fail", "undecided"}
        yield "verdict", self.outcome if has_verdict else None
        yield "status", "completed" if has_verdict else self.outcome
        yield "scenario", self.scenario
        yield "run_id", self.run_id
        yield "termination", self.termination
        yield "turns", self.turns
        yield "total_time", f"{self.total_time:.3f}"
        yield "agent_time", f"{self.agent_time:.3f}"
        yield "cost", f"{self.cost:.6f}" if self.cost is not None and self.tokens else None
        yield "criteria_passed", len(self.passed)
        yield "criteria_failed", len(self.failed)
        yield "checks_skipped", len(self.skipped) or None
        yield "reason", None if self.outcome == "pass" else self.reason
        yield "journal", self.journal


class ReportedRun(TypedDict):
    """An entry of :attr:`ScenarioReporter.results`. ``scenario`` is anything with a ``name``."""

    scenario: Any
    result: ScenarioResult


class ScenarioReporter:
    """The runs of this process so far: what the fixtures ``duologue_reporter`` and ``scenario_reporter`` give.

    Attributes:
        results: an entry per run, in the order in which they ended, the ones that raised included.
    """

    def __init__(self) -> None:
        self.results: list[ReportedRun] = []

    def add_result(self, scenario: Any, result: ScenarioResult) -> None:
        """Count one more run. Runs of ``duologue.run`` are counted by themselves."""
        self.results.append({"scenario": scenario, "result": result})

    def get_summary(self) -> dict[str, float]:
        """How many runs there were and how they ended; ``success_rate`` is the percentage that passed.

        ``failed`` counts verdicts only: runs that are ``undecided``, and ``errors`` (cancelled runs among them), stand
        beside it.
        """
        count = Counter((entry["result"].verdict or entry["result"].status).value for entry in self.results)
        total = len(self.results)
        return {
            "total": total,
            "passed": count["pass"],
            "failed": count["fail"],
            "undecided": count["undecided"],
            "errors": total - count["pass"] - count["fail"] - count["undecided"],
            "success_rate": round(100 * count["pass"] / total, 2) if total else 0,
        }

    def print_report(self) -> None:
        """Print what the terminal summary prints."""
        rows = [RunRow.of(entry["result"], name=_name(entry["scenario"])) for entry in self.results]
        lines = [line for row in rows for line, _ in lines_of(row)]
        sys.stdout.write("\n".join([title_of(rows), *lines, totals_of(rows)]) + "\n")


def title_of(rows: list[RunRow]) -> str:
    """How many runs, and how many of each outcome."""
    count = Counter(row.outcome for row in rows)
    parts = [f"{count[outcome]} {word}" for outcome, word in _WORDS.items() if count[outcome]]
    return f"duologue: {len(rows)} run{'s' * (len(rows) != 1)}: {', '.join(parts)}"


def lines_of(row: RunRow, test_failed: Mapping[str, bool] | None = None) -> Iterator[Line]:
    """The lines about one run. ``test_failed`` says of the tests whose outcome is known whether they failed."""
    colours = {_COLOURS[row.outcome]: True, "bold": True}
    yield (
        f"{_WORDS[row.outcome].upper():<9}  {_plain(row.scenario)}" + (f"  {one_line(row.test)}" if row.test else ""),
        colours,
    )
    yield f"    {_figures(row)}", {}
    if row.outcome == "undecided":
        passed = row.test is not None and (test_failed or {}).get(row.test) is False
        note = "; its test passed all the same: does it assert result.success?" if passed else ""
        yield f"    NOT A PASS: nothing has decided this run{note}", colours
    if row.outcome != "pass" and row.reason:
        yield f"    reason: {_plain(row.reason)}", {}
    for criterion in row.failed:
        yield f"    not met: {_plain(criterion)}", {}
    for check in row.skipped if row.outcome in {"pass", "fail"} else ():
        yield f"    skipped: {_plain(check)}", {"yellow": True}
    if row.journal:
        yield f"    journal: {one_line(short_path(row.journal))}", {}


def totals_of(rows: Iterable[RunRow]) -> str:
    """Time and money of all these runs together."""
    rows = list(rows)
    total, agent = sum(row.total_time for row in rows), sum(row.agent_time for row in rows)
    cost = sum(row.cost or 0.0 for row in rows)
    return f"together: {total:.2f} s, agent {agent:.2f} s" + (f", ${cost:.4f}" if cost else "")


def _figures(row: RunRow) -> str:
    money = [] if not row.tokens else ["cost unknown" if row.cost is None else f"${row.cost:.4f}"]
    decided = len(row.passed) + len(row.failed)
    criteria = [f"{len(row.passed)} of {decided} criteria met"] if decided else []
    turns = f"{row.turns} turn{'s' * (row.turns != 1)}"
    return ", ".join([turns, f"{row.total_time:.2f} s", f"agent {row.agent_time:.2f} s", *money, *criteria])


def _skipped(result: ScenarioResult) -> list[str]:
    """The checks that decided nothing in any turn, each once with its reasons."""
    decided = {check.name for check in result.checks if check.status.value != "skipped"}
    return list(
        dict.fromkeys(f"{check.name}: {check.explanation}" for check in result.checks if check.name not in decided)
    )


def _plain(text: str) -> str:
    return one_line(text, _SHOWN)


def _name(scenario: Any) -> str | None:
    return scenario if isinstance(scenario, str) else getattr(scenario, "name", None)
