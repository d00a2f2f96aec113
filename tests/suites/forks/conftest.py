"""Recorded runs of suites that are made of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from duologue.journal.events import Entry
from duologue.journal.jsonl import read_journal
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.results.run import RunResult


class Recorded(NamedTuple):
    engine: Engine
    run: RunResult
    entries: list[Entry]


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Any]:
    """Plays the only case of a suite once, and records it: ``await record(agent, scenarios=[…])``."""

    async def play(agent: Any, *, seed: int = 1, **spec: Any) -> Recorded:
        suite = Suite.model_validate({"name": "s", **spec}).within(tmp_path)
        engine = Engine.from_parts(suite, agents={"bot": agent})
        engine.enable_recording(tmp_path / "results")
        [run] = (await engine.execute(engine.generate_plan(seed=seed))).runs
        assert run.journal is not None
        entries = read_journal(tmp_path / "results" / run.journal).entries
        engine.recordings = None
        return Recorded(engine, run, entries)

    return play
