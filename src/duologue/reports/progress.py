"""What an execution shows while it runs: plain lines for logs, a bar or a live page for a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from duologue.reports.display import CANCELLING, MARKS, STOPPING, duration, plural, run_line
from duologue.suites.execution.launch import Observer
from duologue.suites.plan.build import Plan
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.terminal_text import one_line, printable

if TYPE_CHECKING:
    from rich.progress import Progress

_EVERY = 200
"""Runs of a plan up to which each gets a line; of a larger plan only those that did not pass, and milestones."""
_MILESTONES = 20


def progress(*, live: bool = False, plain: bool = False, out: TextIO | None = None) -> Observer:
    """The observer that fits: a page or a bar needs a terminal, everything else gets plain lines.

    Args:
        live: a page with the runs that are under way.
        plain: lines, even on a terminal.
        out: where to; None for standard error, so that standard output holds only the results.
    """
    stream = out or sys.stderr
    if plain or not stream.isatty():
        return PlainLines(stream)
    if live:
        from duologue.reports.live import LivePage

        return LivePage(stream)
    return Bar(stream)


class RunLines:
    """A line for each run; of an error that came before, only which one it is."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str], str] = {}

    def line(self, result: RunResult) -> str:
        """The line of a run that is over."""
        if result.error is None:
            return run_line(result)
        first = self._errors.setdefault((result.error.type, result.error.message), result.case.title)
        if first == result.case.title:
            return run_line(result)
        name = one_line(result.error.type)
        same = f"{name}, the same as of {one_line(first)}"
        return f"{MARKS[result.outcome]} {one_line(result.case.title)}  {duration(result.seconds)}  {same}"


class PlainLines(Observer):
    """A line for each run that is over: ``[ 3/12] ✓ booking · gpt-5  1.2 s``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._total = 0
        self._done = 0
        self._passed = 0
        self._stopping = False
        self._lines = RunLines()

    def prepared(self, execution: ExecutionResult) -> None:
        """Runs of earlier sessions are done."""
        self._done = len(execution.runs)
        self._passed = sum(run.outcome == "pass" for run in execution.runs)

    def started(self, plan: Plan, execution_id: str) -> None:
        """How much there is to do."""
        self._total = len(plan)
        self._line(f"{one_line(plan.suite)}: {plural(self._total, 'run')}, execution {execution_id}, seed {plan.seed}")

    def run_finished(self, result: RunResult) -> None:
        """One more."""
        self._done += 1
        self._passed += result.outcome == "pass"
        if self._total <= _EVERY or result.outcome != "pass":
            self._line(f"{self._count()} {self._lines.line(result)}")
        elif self._done * _MILESTONES // self._total > (self._done - 1) * _MILESTONES // self._total:
            self._line(f"{self._count()} {self._passed} passed")

    def stopping(self) -> None:
        """Somebody pressed Ctrl-C."""
        self._line(CANCELLING if self._stopping else STOPPING)
        self._stopping = True

    def _count(self) -> str:
        return f"[{self._done:>{len(str(self._total))}}/{self._total}]"

    def _line(self, text: str) -> None:
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        self._out.write(printable(text).encode(encoding, "replace").decode(encoding) + "\n")
        self._out.flush()


class Bar(Observer):
    """A bar with what is done; runs that did not pass stay above it."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(file=out, highlight=False)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
        self._bar: Progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._counts: dict[str, int] = {}
        self._kept = 0
        self._stopping = False
        self._lines = RunLines()

    def prepared(self, execution: ExecutionResult) -> None:
        """Runs of earlier sessions are done."""
        self._kept = len(execution.runs)
        self._counts = dict(Counter(run.outcome for run in execution.runs))

    def started(self, plan: Plan, execution_id: str) -> None:
        """Show the bar."""
        self._bar.add_task("", total=len(plan), completed=self._kept)
        self._bar.start()

    def run_finished(self, result: RunResult) -> None:
        """One more."""
        from rich.text import Text

        from duologue.reports.display import STYLES

        word = result.outcome
        self._counts[word] = self._counts.get(word, 0) + 1
        if word != "pass":
            self._bar.console.print(Text(self._lines.line(result), style=STYLES[word]), soft_wrap=True)
        said = "  ".join(f"{MARKS[name]} {count}" for name, count in self._counts.items())
        self._bar.update(self._bar.task_ids[0], advance=1, description=said)

    def stopping(self) -> None:
        """Somebody pressed Ctrl-C."""
        self._bar.console.print(CANCELLING if self._stopping else STOPPING, style="yellow")
        self._stopping = True

    def finished(self, execution: ExecutionResult) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; harmless when it was done before."""
        self._bar.stop()
