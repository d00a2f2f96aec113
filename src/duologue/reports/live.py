"""A live page on the terminal: the runs that are under way with the last thing that was said, and the totals.

It only looks: the runs do not wait for it. Where it cannot be shown, :func:`duologue.reports.progress.progress` gives
plain lines instead.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from duologue.context import Clock, SystemClock
from duologue.journal.events import MessageAdded
from duologue.messages import text_of, tool_calls_of
from duologue.reports.display import CANCELLING, MARKS, OUTCOMES, STOPPING, STYLES, duration, money, run_line
from duologue.suites.execution.launch import Observer
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from duologue.journal.events import Entry
    from duologue.messages import Message
    from duologue.suites.plan.build import Plan, TestCase
    from duologue.suites.results.execution import ExecutionResult
    from duologue.suites.results.run import RunResult

_PER_SECOND = 6
_RECENT = 6
_LINES_AROUND = 12
_SAID = 200


class _Active:
    """A run that is under way."""

    def __init__(self, title: str, since: float) -> None:
        self.title = title
        self.since = since
        self.turn = 0
        self.role = ""
        self.said = ""


class LivePage(Observer):
    """The page.

    Args:
        out: a terminal.
        clock: for how long runs have been going.
        console: in place of one for ``out``.
    """

    def __init__(self, out: TextIO, clock: Clock | None = None, console: Console | None = None) -> None:
        self._console = console or Console(file=out, highlight=False)
        self._clock = clock or SystemClock()
        self._active: dict[int, _Active] = {}
        self._counts: dict[str, int] = {}
        self._recent: deque[RunResult] = deque(maxlen=_RECENT)
        self._total = 0
        self._cost = 0.0
        self._began = self._clock.monotonic()
        self._suite = ""
        self._stopping = ""
        self._live: Live | None = None

    def prepared(self, execution: ExecutionResult) -> None:
        """Runs of earlier sessions are done."""
        self._counts = dict(Counter(run.outcome for run in execution.runs))

    def started(self, plan: Plan, execution_id: str) -> None:
        """Open the page."""
        self._total, self._suite = len(plan), plan.suite
        self._began = self._clock.monotonic()
        self._live = Live(
            console=self._console,
            get_renderable=self.page,
            refresh_per_second=_PER_SECOND,
            screen=True,  # of its own, so that nothing else on the terminal can shift it; it is gone afterwards
        )
        self._live.start()

    def run_started(self, case: TestCase) -> None:
        """One more is under way."""
        self._active[case.index] = _Active(case.title, self._clock.monotonic())

    def event(self, case: TestCase, entry: Entry) -> None:
        """Something was said."""
        active = self._active.get(case.index)
        if active is not None and isinstance(entry.event, MessageAdded):
            active.turn = entry.event.turn
            active.role = entry.event.message["role"]
            active.said = _said(entry.event.message)

    def run_finished(self, result: RunResult) -> None:
        """One is over."""
        self._active.pop(result.case.index, None)
        self._counts[result.outcome] = self._counts.get(result.outcome, 0) + 1
        self._cost += result.agent.cost + result.user.cost + result.judge.cost
        if result.outcome != "pass":
            self._recent.append(result)

    def stopping(self) -> None:
        """Somebody pressed Ctrl-C."""
        self._stopping = CANCELLING if self._stopping else STOPPING

    def finished(self, execution: ExecutionResult) -> None:
        """Close the page; the report follows."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; harmless when it was done before."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def page(self) -> Group:
        """The page as it is now."""
        parts = [self._head(), self._bar(), Text(self._stopping, style="yellow"), self._runs()]
        if self._recent:
            lines = [
                Text(run_line(run), style=STYLES[run.outcome], no_wrap=True) for run in reversed(list(self._recent))
            ]
            parts += [Text("\nlast that did not pass", style="dim"), *lines]
        return Group(*parts)

    def _head(self) -> Text:
        spent = f" · {money(self._cost)}" if self._cost else ""
        line = Text(one_line(self._suite), style="bold")
        line.append(f"  {duration(self._clock.monotonic() - self._began)}{spent}   ", style="dim not bold")
        for word in OUTCOMES:
            if count := self._counts.get(word):
                line.append(f"{MARKS[word]} {count}  ", style=f"{STYLES[word]} not bold")
        return line

    def _bar(self) -> Table:
        done = sum(self._counts.values())
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_row(ProgressBar(total=self._total or 1, completed=done), f"{done}/{self._total}")
        return grid

    def _runs(self) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, max_width=40, overflow="ellipsis")
        table.add_column(no_wrap=True, justify="right", style="dim")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        now = self._clock.monotonic()
        room = max(3, self._console.height - _LINES_AROUND)
        active = list(self._active.values())
        for item in active[:room]:
            facts = f"turn {item.turn + 1} · {duration(now - item.since)}"
            said = Text(f"{one_line(item.role)}: " if item.said else "", style="dim").append(item.said, style="not dim")
            table.add_row(Text(one_line(item.title)), facts, said)
        if len(active) > room:
            table.add_row(Text(f"… and {len(active) - room} more", style="dim"), "", "")
        return table


def _said(message: Message) -> str:
    calls = ", ".join(f"→ {call['function']['name']}" for call in tool_calls_of(message))
    return one_line(text_of(message), _SAID) or one_line(calls, _SAID)
