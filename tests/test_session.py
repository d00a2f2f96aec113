"""The test session itself: what is missing is named with its remedy, and nothing keeps running after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LONG

CONFTEST = Path(__file__).with_name("conftest.py")
FAKES = CONFTEST.with_name("fakes")
BROWSES = "def test_page(chromium): assert chromium.endswith('chromium')\n"
LEAVES = """
import subprocess, sys
def test_it():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("pid", "w").write(str(process.pid))
    process.returncode = 0
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a test in a session of its own, with the same conftest; returns its exit code and what it said."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {FAKES}\nmarkers =\n    live: needs a real server\n")
    monkeypatch.delenv("CI", raising=False)

    def run(code: str, **environment: str) -> tuple[int, str]:
        (tmp_path / "test_it.py").write_text(code)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-rs", "."]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONG,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_without_a_browser_its_tests_are_skipped_and_say_how_to_get_it(session, tmp_path):
    code, said = session(BROWSES, PATH=str(tmp_path))
    assert code == 0
    assert "1 skipped" in said
    assert "apt-get install chromium" in said


def test_without_a_browser_continuous_integration_fails(session, tmp_path):
    code, said = session(BROWSES, PATH=str(tmp_path), CI="true")
    assert code == 1
    assert "apt-get install chromium" in said


def test_a_browser_is_found(session, tmp_path):
    program = tmp_path / "chromium"
    program.touch(mode=0o755)
    assert session(BROWSES, PATH=str(tmp_path))[0] == 0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
def test_a_process_that_is_left_running_fails_the_session(session, tmp_path):
    code, said = session(LEAVES)
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert code == 1
    assert f"the tests have left a process running: {pid} " in said


def test_a_session_that_leaves_nothing_passes_and_takes_its_cache_away(session, tmp_path):
    code, said = session("import os\ndef test_it(): open('cache', 'w').write(os.environ['DUOLOGUE_CACHE_DIR'])\n")
    assert code == 0, said
    assert not Path((tmp_path / "cache").read_text()).exists()
