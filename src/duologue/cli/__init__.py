"""The command line: one file per command, nothing that the library cannot do.

Imported by the ``duologue`` script only; the library never imports it.
"""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

from duologue.cli.catalogue import answer


def main() -> None:
    """Entry point of the ``duologue`` command."""
    if sys.argv[1:] and "_DUOLOGUE_COMPLETE" not in os.environ and answer(sys.argv[1:]) is not None:
        return  # the first thing users ask, and scripts most often, needs none of the rest
    from duologue.cli.interruption import exit_code, leave_at_once

    leave_at_once()
    # Thousands of results are kept and hardly a cycle is made: looking for cycles less often takes a sixth off a run.
    gc.set_threshold(200_000, 20, 100)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✓ shows ?, and the run keeps its exit code
    from duologue.cli.app import invoke

    sys.exit(exit_code(invoke(sys.argv[1:])))
