"""Executions to write and read."""

from __future__ import annotations

import pytest
import sample_executions


@pytest.fixture(scope="session")
def samples():
    """Functions that make executions and runs."""
    return sample_executions


@pytest.fixture(scope="session")
def execution(samples):
    """A small hotel's suite: every outcome, two agents, trials."""
    return samples.hotel()
