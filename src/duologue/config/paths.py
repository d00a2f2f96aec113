"""Paths that a configuration names: patterns, and how errors show them."""

from __future__ import annotations

import glob
import os
from pathlib import Path

PATTERN = frozenset("*?[")
"""Characters that make a path a pattern."""


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """The files that a pattern such as ``recordings/*.json`` means, by name."""
    found = glob.glob(pattern, root_dir=folder)  # noqa: PTH207 -- patterns may begin with ../ or /
    return sorted(folder / name for name in found if (folder / name).is_file())


def shown_path(path: Path) -> str:
    """A path as errors show it: as short as it can be without leaving the way it was given."""
    return os.path.normpath(path)
