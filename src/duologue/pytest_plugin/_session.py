"""The plugin proper: learns of every run of a session, says which test it belongs to, and hands it to the reports."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import pytest

from duologue.pytest_plugin._options import session_defaults, summary_mode
from duologue.pytest_plugin._summary import RunRow, ScenarioReporter, lines_of, title_of, totals_of
from duologue.terminal_text import printable

if TYPE_CHECKING:
    from duologue.conversation.result import ScenarioResult
    from duologue.journal.journal import Journal

_ATTRIBUTE = "duologue_runs"
"""Where the runs of a test ride on its report: plain data, so that they also come back from another process."""


class DuologueSession:
    """The plugin proper, for one pytest session."""

    def __init__(self, config: pytest.Config) -> None:
        self.reporter = ScenarioReporter()
        self._defaults = session_defaults(config)
        self._summary = summary_mode(config)
        self._item: pytest.Item | None = None
        self._fresh: deque[RunRow] = deque()
        self._rows: list[RunRow] = []
        self._failed_tests: set[str] = set()

    def observe(self, result: ScenarioResult, journal: Journal) -> None:
        """A run has ended, on whatever thread."""
        started, item = journal.view.started, self._item
        self.reporter.add_result(started.scenario if started else None, result)
        row = RunRow.of(result, item.nodeid if item else None)
        self._fresh.append(row)
        if item:
            number = 1 + sum(name.startswith("duologue_run_id") for name, _ in item.user_properties)
            suffix = "" if number == 1 else f"_{number}"
            properties = [(f"duologue_{name}{suffix}", value) for name, value in row.properties() if value is not None]
            item.user_properties.extend(properties)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        # From here on, because test modules may call duologue.configure while they are collected.
        with _configured(self._defaults):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._item = item
        try:
            return (yield)
        finally:
            self._item = None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        # Debug mode talks with a person, so pytest must let go of the terminal.
        capture: Any = item.config.pluginmanager.get_plugin("capturemanager") if "debug" in self._defaults else None
        if capture is None:
            return (yield)
        capture.suspend(in_=True)
        try:
            return (yield)
        finally:
            capture.resume()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        setattr(report, _ATTRIBUTE, [asdict(row) for row in self._taken()])
        if report.longrepr is not None and self.reporter.results:
            terminal = item.config.pluginmanager.get_plugin("terminalreporter")
            make_printable(report, coloured=terminal is not None and terminal.hasmarkup)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        runs: list[dict[str, Any]] = getattr(report, _ATTRIBUTE, [])
        self._rows.extend(RunRow(**run) for run in runs)
        if report.failed:
            self._failed_tests.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self._rows.extend(self._taken())
        if not self._rows or self._summary == "none":
            return
        failed = {row.test: row.test in self._failed_tests for row in self._rows if row.test}
        terminalreporter.write_sep("=", title_of(self._rows))
        for row in self._rows:
            if self._summary == "all" or row.outcome != "pass":
                for text, markup in lines_of(row, failed):
                    terminalreporter.write_line(text, **markup)
        terminalreporter.write_line(totals_of(self._rows))

    def _taken(self) -> Iterator[RunRow]:
        while self._fresh:
            yield self._fresh.popleft()


@contextmanager
def _configured(defaults: dict[str, Any]) -> Generator[None]:
    """Put these over the process-wide defaults, and take them back."""
    if not defaults:
        yield
        return
    from duologue.settings import ScenarioConfig

    before = ScenarioConfig.default_config
    ScenarioConfig.configure(**defaults)
    try:
        yield
    finally:
        ScenarioConfig.default_config = before


# --- failures on a terminal -----------------------------------------------------------------------------------------

_COLOUR = re.compile(r"(\x1b\[(?:0?[0-4]|[39][0-7]|[34]9)?(?:;(?:0?[0-4]|[39][0-7]|[34]9|00))*m)")
"""What pytest itself writes into a comparison on a terminal with colours."""


def make_printable(report: pytest.TestReport | pytest.CollectReport, *, coloured: bool) -> None:
    """Escape what steers a terminal in the text of a failure, wherever pytest keeps it.

    Args:
        report: of a test; changed in place.
        coloured: leave pytest's colours.
    """
    report.longrepr = _printable(report.longrepr, coloured, set())


def _printable(value: object, coloured: bool, seen: set[int]) -> Any:
    """The same with every text in it printable: pytest keeps texts in attributes of objects, lists and tuples."""
    if isinstance(value, str):
        return _text(value, coloured)
    if isinstance(value, (list, tuple)):
        items = [_printable(item, coloured, seen) for item in cast("Iterable[object]", value)]
        return items if isinstance(value, list) else tuple(items)
    if type(value).__module__.startswith("_pytest.") and id(value) not in seen:
        seen.add(id(value))
        held: dict[str, object] = vars(value)
        for name, item in list(held.items()):
            object.__setattr__(value, name, _printable(item, coloured, seen))
    return value


def _text(text: str, coloured: bool) -> str:
    if not coloured:
        return printable(text)
    return "".join(part if at % 2 else printable(part) for at, part in enumerate(_COLOUR.split(text)))
