"""An execution with everything that reports show, and the files that say how people are to read it.

To write the golden files anew after a change that is meant: ``UPDATE_GOLDEN=1 python -m pytest tests/reports``; then
read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sample_executions

GOLDEN = Path(__file__).with_name("golden")
UPDATE = "UPDATE_GOLDEN"


@pytest.fixture(scope="session")
def samples():
    """Functions that make executions and runs."""
    return sample_executions


@pytest.fixture(scope="session")
def execution(samples):
    """A small hotel's suite: every outcome, two agents, trials."""
    return samples.hotel()


@pytest.fixture
def golden():
    """Compares a text with a golden file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get(UPDATE):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{name} changed; if that is meant: {UPDATE}=1 pytest {path}"

    return compare
