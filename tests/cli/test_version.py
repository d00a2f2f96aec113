"""``duologue --version`` on its own answers without the command line behind it."""

from __future__ import annotations

import subprocess
import sys

from duologue.version import __version__


def test_imports_nothing_heavy() -> None:
    code = """
import sys
from duologue.cli import main
sys.argv = ["duologue", "--version"]
main()
assert not {"typer", "pydantic", "asyncio", "rich"} & set(sys.modules), sys.modules.keys()
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, f"duologue {__version__}\n"), done.stderr
