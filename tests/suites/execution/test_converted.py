"""An arena that was written in our own dialect is the same rehearsal: plan, conversations, checks and verdicts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load, validate
from duologue.suites.manifests.writer import write_suite
from duologue.suites.plan.build import TestCase
from duologue.suites.results.execution import ExecutionResult

CASES = Path(__file__).parents[2] / "cases"
READABLE = sorted(path.parent for path in CASES.glob("*/*/config.arena.yaml") if validate(path.parent).ok)


async def executed(suite: Path, mocks: Path | None, *, mocking: bool) -> ExecutionResult:
    async with Engine.from_file(suite) as engine:
        if mocking:
            engine.enable_mock_mode(mocks)
        return await engine.execute()


def identity(case: TestCase) -> str:
    """Who and what is rehearsed; a suite in one file writes the paths of its recordings differently."""
    return re.sub(r"[^\x1f]*/(?=[^/\x1f]*\x1f)", "", case.identity)


def pathless(text: str) -> str:
    return re.sub(r"\S*/|\S*:\d+:\d+: \S+: ", "", text)


def timeless(details: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if name != "duration_ms"}


def told(execution: ExecutionResult) -> list[Any]:
    """What came of every run, in plan order, without times and ids."""
    return [
        (
            identity(run.case),
            run.status,
            run.verdict,
            run.error and pathless(run.error.message),
            run.system_prompts,
            [item.message for item in run.messages],
            [
                replace(item, message_ids=[], explanation=pathless(item.explanation), details=timeless(item.details))
                for item in run.checks
            ],
        )
        for run in execution.runs
    ]


@pytest.mark.parametrize("one_file", [False, True], ids=["folder", "one file"])
@pytest.mark.parametrize("case", READABLE, ids=lambda path: path.name)
async def test_a_converted_arena_comes_to_the_same(case: Path, one_file: bool, tmp_path: Path) -> None:
    flags = json.loads((case / "expected.json").read_text()).get("flags", "")
    mocks = case / flags[flags.index("--mock-config") + 1] if "--mock-config" in flags else None
    target = tmp_path / "one.yaml" if one_file else tmp_path / "out"
    write_suite(load(case), target)
    before = await executed(case, mocks, mocking="--mock-provider" in flags or mocks is not None)
    after = await executed(target, mocks, mocking="--mock-provider" in flags or mocks is not None)
    assert [identity(case) for case in before.plan.cases] == [identity(case) for case in after.plan.cases]
    assert told(before) == told(after)
    assert before.exit_code == after.exit_code
