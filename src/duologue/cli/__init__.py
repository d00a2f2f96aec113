"""The command line: one file per command, nothing that the library cannot do.

Imported by the ``duologue`` script only; the library never imports it.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the ``duologue`` command."""
    from duologue.cli.app import invoke

    sys.exit(invoke(sys.argv[1:]))
