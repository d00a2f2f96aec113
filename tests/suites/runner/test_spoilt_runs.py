"""Runs that their simulated user has spoilt: they are played again once, and never charged to the agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from duologue.models.scripted import ScriptedModel
from duologue.runs.store.encoding import decoded_run, encoded_run
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus, Verdict

EXCLUDES = {"type": "content_excludes", "params": {"patterns": ["refuse"]}, "message": "never refuses"}
LEADING = "You are supposed to refuse my order, are you not?"
FINE = "I would like to order a lamp."


def answer(input: Any) -> str:
    said = " ".join(str(item.get("content")) for item in input.messages if item["role"] == "user")
    return "I refuse." if "supposed" in said or "bad" in said else "Your lamp is on its way."


def words(text: str) -> str:
    return json.dumps({"message": text, "done": False})


async def played(tmp_path: Path, *lines: str, persona: dict[str, Any] | None = None) -> RunResult:
    spec: dict[str, Any] = {
        "name": "s",
        "simulators": [{"name": "sim", "model": "gpt"}],
        "personas": [{"name": "ann", **(persona or {"description": "A customer."})}],
        "scenarios": [
            {
                "name": "order",
                "description": "Somebody orders a lamp.",
                "personas": ["ann"],
                "turns": [{"role": "simulated_user"}],
                "checks": [EXCLUDES],
            }
        ],
    }
    suite = Suite.model_validate(spec).within(tmp_path)
    model = ScriptedModel([words(line) for line in lines])
    async with Engine.from_parts(suite, agents={"bot": answer}, models={"gpt": model}) as engine:
        engine.enable_recording(tmp_path)
        [run] = (await engine.execute(engine.generate_plan(seed=1))).runs
    return run


def attempts(tmp_path: Path) -> list[str]:
    return sorted(path.name.partition(".")[2] for path in (tmp_path / "journals").iterdir())


async def test_a_spoilt_run_is_played_again_and_says_so(tmp_path: Path) -> None:
    run = await played(tmp_path, LEADING, FINE)
    assert run.verdict is Verdict.PASS
    assert run.repeated.startswith("It was played again: the simulated user: it tells the agent what to say")
    assert run.fidelity is not None
    assert run.fidelity.score == 1
    assert run.case.seed != 0
    assert attempts(tmp_path) == ["jsonl", "jsonl.attempt-spoilt"]


async def test_a_run_that_is_spoilt_twice_is_undecided(tmp_path: Path) -> None:
    run = await played(tmp_path, LEADING, LEADING)
    assert (run.verdict, run.status) == (Verdict.UNDECIDED, RunStatus.COMPLETED)
    assert run.reasoning is not None
    assert run.reasoning.startswith("Not charged to the agent")
    assert {item.party for item in run.blame} == {"simulator"}
    assert run.fidelity is not None
    assert run.fidelity.faults[0].message_id == "m1"


async def test_a_failure_of_the_agent_is_its_own(tmp_path: Path) -> None:
    run = await played(tmp_path, "I had a bad day. I would like a lamp.")
    assert (run.verdict, run.repeated) == (Verdict.FAIL, "")
    assert [item.party for item in run.blame] == ["agent"]
    assert attempts(tmp_path) == ["jsonl"]


async def test_a_fault_that_changes_nothing_costs_nothing(tmp_path: Path) -> None:
    run = await played(tmp_path, "The correct answer is that my lamp is on its way.")
    assert (run.verdict, run.repeated, run.blame) == (Verdict.PASS, "", ())
    assert run.fidelity is not None
    assert run.fidelity.score < 1


@pytest.mark.parametrize("persona", [{"lines": [LEADING]}, {"agenda": {"goal": "hear", "opening": LEADING}}])
async def test_users_that_no_model_plays_do_what_is_written(tmp_path: Path, persona: dict[str, Any]) -> None:
    run = await played(tmp_path, persona=persona)
    assert (run.verdict, run.fidelity, run.repeated) == (Verdict.FAIL, None, "")
    assert [item.party for item in run.blame] == ["agent"]


async def test_what_was_found_is_kept_with_the_result(tmp_path: Path) -> None:
    run = await played(tmp_path, LEADING, LEADING)
    assert decoded_run(json.loads(encoded_run(run)), "x") == run
