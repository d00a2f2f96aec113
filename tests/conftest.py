"""What all tests share: a cache folder for the session, servers that stop at its end, and the browser.

Tests may run in several processes at once (``make test`` uses every processor). Tests that ask the embedded model share
one server, so they are one group (``pytest.mark.xdist_group``): one process runs them, one after the other.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from postgres_server import postgres  # noqa: F401 -- a fixture

# How fast examples are made says nothing on a machine that is busy with other things.
settings.register_profile("duologue", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("duologue")

CACHE = "DUOLOGUE_CACHE_DIR"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FOLDER = pytest.StashKey[Path]()
_LEFT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a cache folder. The other processes of the session inherit it with the environment.

    A shell ignores Ctrl-C for jobs in its background, and ``nohup`` a closed terminal. What is ignored stays so in
    every process that a test starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if hasattr(config, "workerinput"):
        return
    folder = config.stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="duologue-tests-"))
    _lend_weights(folder)
    os.environ[CACHE] = str(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a real model run in one process, unless they say otherwise."""
    for item in items:
        if item.get_closest_marker("live") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("live"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the servers that tests have started; whatever else they have left running is a failure."""
    folder = session.config.stash.get(_FOLDER, None)
    if folder is None:
        return
    if (folder / "local").is_dir():
        from duologue.models.local import stop

        stop()
    left = session.config.stash[_LEFT] = _processes_left(folder)
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the processes that are left."""
    for line in config.stash.get(_LEFT, []):
        terminalreporter.write_line(f"FAILED: the tests have left a process running: {line}", red=True)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program. Where there is none the test is skipped, or fails in continuous integration."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    reason = (
        f"needs a browser, one of: {', '.join(BROWSERS)}. "
        "On Debian and Ubuntu: apt-get install chromium; on macOS: brew install --cask chromium"
    )
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


def _lend_weights(folder: Path) -> None:
    """Half a gigabyte of weights that lies ready is not put together again."""
    from duologue.models.local._files import models_folder

    (folder / "models").mkdir()
    for path in models_folder().glob("*.gguf"):
        (folder / "models" / path.name).symlink_to(path)


def _processes_left(folder: Path) -> list[str]:
    """Processes of the session that do not end by themselves within a moment."""
    for _ in range(50):
        if not (found := sorted(_processes_of(folder))):
            break
        time.sleep(0.1)
    return found


def _processes_of(folder: Path) -> Iterator[str]:
    """Processes that have this session's folder in their environment, but for this one. Linux only."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes().split(b"\0")
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if f"{CACHE}={folder}".encode() in environment and command:
            yield f"{place.name} {command[:200]}"
