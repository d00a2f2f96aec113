"""The pytest plugin: what every run of a test session came to, in the terminal and in the JUnit report.

It only listens: runs are learned of through ``duologue.add_observer`` and attributed to the test that is running.
Whether a test passes is decided by the test's own assertions. A session that uses nothing of Duologue loads nothing
heavy of it, and prints nothing.
"""

from __future__ import annotations

import pytest

from duologue.conversation.observers import add_observer, remove_observer
from duologue.pytest_plugin._options import add_options
from duologue.pytest_plugin._session import DuologueSession
from duologue.pytest_plugin._summary import ReportedRun, RunRow, ScenarioReporter

__all__ = ["ReportedRun", "RunRow", "ScenarioReporter", "duologue_reporter", "scenario_reporter"]

_SESSION = pytest.StashKey[DuologueSession]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and settings."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Markers, and listening from now on."""
    config.addinivalue_line("markers", "duologue: rehearses an agent with duologue")
    config.addinivalue_line("markers", "agent_test: rehearses an agent; the Scenario library's name for it")
    session = DuologueSession(config)
    config.stash[_SESSION] = session
    config.pluginmanager.register(session, "duologue-session")
    add_observer(session.observe)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Listen no longer."""
    session = config.stash.get(_SESSION, None)
    if session is not None:
        remove_observer(session.observe)


@pytest.fixture
def duologue_reporter(request: pytest.FixtureRequest) -> ScenarioReporter:
    """The runs of this session so far: ``results``, ``add_result``, ``get_summary``, ``print_report``."""
    return request.config.stash[_SESSION].reporter


@pytest.fixture
def scenario_reporter(duologue_reporter: ScenarioReporter) -> ScenarioReporter:
    """``duologue_reporter``, under the Scenario library's name."""
    return duologue_reporter
