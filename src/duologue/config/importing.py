"""Python code that a suite names is found where the suite is, as a script finds what stands beside it."""

from __future__ import annotations

import sys
from pathlib import Path


def make_importable(folder: Path) -> None:
    """Let modules of the folder be imported for the rest of the process; harmless when it was done before."""
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.insert(0, place)
