"""Runs, the file that is made of them, and runs with that file: the same conversations and verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duologue.suites.execution.engine import Engine
from duologue.suites.response_files import generate

ARENAS = Path(__file__).parents[1] / "cases/arena"


async def played(case: str, mocks: Path) -> Any:
    async with Engine.from_file(ARENAS / case / "config.arena.yaml") as engine:
        engine.enable_mock_mode(mocks)
        return await engine.execute()


def told(execution: Any) -> list[Any]:
    return [(run.case.title, run.outcome, [item.message for item in run.messages]) for run in execution.runs]


@pytest.mark.parametrize(
    ("case", "mocks"),
    [
        ("01_variables_demo", "mock-config.yaml"),
        ("02_assertions_test", "mock-responses.yaml"),
        ("04_llm_judge", "mock-responses.yaml"),
        ("09_multimodal_basics", "mock-responses.yaml"),
        ("11_workflow_support", "mock-responses.yaml"),
    ],
)
async def test_a_file_made_of_runs_gives_the_same_runs(tmp_path: Path, case: str, mocks: str) -> None:
    first = await played(case, ARENAS / case / mocks)
    made = generate(first.runs)
    assert made.conflicts == ()
    path = tmp_path / "made.yaml"
    path.write_text(made.text())
    again = await played(case, path)
    assert first.ok
    assert told(again) == told(first)
