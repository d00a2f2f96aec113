"""Arenas of PromptKit run unchanged, and come to what the reference engine came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai_server import Reply, openai_server, text

from duologue.compat.promptkit.export import exported_index
from duologue.models.resolve import forget_models
from duologue.specs.agents import Pricing
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import MessageResult, RunResult

ARENAS = Path(__file__).parents[2] / "cases" / "arena"
NAMES = sorted(path.parent.name for path in ARENAS.glob("*/expected.json"))

GOOD = json.dumps({"passed": True, "score": 0.9, "reasoning": "It helps.", "evidence": ["m3"]})

NEWER = {"min_length"}
"""Types of checks that the reference engine of that time skipped silently, because it did not know them."""


async def execution_of(name: str) -> tuple[ExecutionResult, dict[str, Any]]:
    expected = json.loads((ARENAS / name / "expected.json").read_text())
    flags = expected["flags"]
    async with Engine.from_file(ARENAS / name) as engine:
        if "--mock-config" in flags:
            engine.enable_mock_mode(ARENAS / name / flags[flags.index("--mock-config") + 1])
        return await engine.execute(), expected


def key_of(run: RunResult) -> tuple[str, str, str]:
    return run.case.scenario, run.case.agent or "eval", run.case.region


def said(messages: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(item["role"], item.get("content") or "") for item in messages if item["role"] in {"user", "assistant"}]


def said_here(messages: tuple[MessageResult, ...]) -> list[tuple[str, Any]]:
    """Texts as the digest of the reference has them; messages with media have no text there."""
    found: list[tuple[str, Any]] = []
    for item in messages:
        if item.message["role"] in {"user", "assistant"}:
            content = item.message.get("content") or ""
            found.append((item.message["role"], content))
    return found


def test_there_are_arenas() -> None:
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
async def test_as_many_runs_are_planned_and_all_come_to_the_same_end(name: str) -> None:
    execution, expected = await execution_of(name)
    assert len(execution.plan) == expected["planned_combinations"] == len(execution.runs)
    assert execution.exit_code == expected["exit_code_in_ci_mode"]
    assert execution.totals.passed == expected["index"]["successful"]
    assert execution.totals.errors == expected["index"]["errors"] == 0
    assert {key_of(run) for run in execution.runs} == {
        (run["scenario"], run["provider"], run["region"]) for run in expected["runs"]
    }


@pytest.mark.parametrize("name", NAMES)
async def test_every_conversation_is_the_same_word_for_word(name: str) -> None:
    execution, expected = await execution_of(name)
    runs = {key_of(run): run for run in execution.runs}
    for wanted in expected["runs"]:
        run = runs[wanted["scenario"], wanted["provider"], wanted["region"]]
        without_system = [item for item in wanted["messages"] if item["role"] != "system"]
        assert [item.message["role"] for item in run.messages] == [item["role"] for item in without_system]
        if not any(isinstance(item.message.get("content"), list) for item in run.messages):
            assert said_here(run.messages) == said(without_system)
        prompts = [item["content"] for item in wanted["messages"] if item["role"] == "system"]
        assert list(run.system_prompts[: len(prompts)]) == prompts


@pytest.mark.parametrize("name", NAMES)
async def test_tool_calls_and_their_results_are_the_same(name: str) -> None:
    execution, expected = await execution_of(name)
    runs = {key_of(run): run for run in execution.runs}
    for wanted in expected["runs"]:
        run = runs[wanted["scenario"], wanted["provider"], wanted["region"]]
        calls = [(call["name"], call["args"]) for item in wanted["messages"] for call in item.get("tool_calls", [])]
        here = [
            (call["function"]["name"], json.loads(call["function"]["arguments"]))
            for item in run.messages
            for call in item.message.get("tool_calls") or []
        ]
        assert here == calls
        results = [item["tool_result"] for item in wanted["messages"] if item["role"] == "tool"]
        texts = [item.get("content") or item["parts"][0]["text"] for item in results]
        assert [item.message.get("content") for item in run.messages if item.message["role"] == "tool"] == texts


@pytest.mark.parametrize("name", NAMES)
async def test_assertions_and_violations_are_the_same(name: str) -> None:
    execution, expected = await execution_of(name)
    runs = {key_of(run): run for run in execution.runs}
    for wanted in expected["runs"]:
        run = runs[wanted["scenario"], wanted["provider"], wanted["region"]]
        turn_by_turn = [item["passed"] for message in wanted["messages"] for item in message.get("assertions", [])]
        checks = [check for check in run.checks if check.kind not in NEWER]
        assert [c.status == "passed" for c in checks if c.scope.value == "turn"] == turn_by_turn
        told: list[dict[str, Any]] = wanted["conversation_assertions"].get("results") or []
        whole = [item["passed"] for item in told]
        assert [c.status == "passed" for c in checks if c.scope.value == "conversation"] == whole
        assert len(run.violations) == len(wanted["violations"])


async def test_the_judges_calls_are_paid_for_and_counted_apart() -> None:
    def answered(request: dict[str, Any]) -> Reply:
        asked = "evidence" in json.dumps(request)
        return text(GOOD if asked else "Hold the power button.", prompt=50 if asked else 6, completion=33)

    loaded = load(ARENAS / "04_llm_judge")
    async with openai_server() as server:
        server.default = answered
        price = Pricing(input_cost_per_1k=0.01, output_cost_per_1k=0.01)
        real = {"provider": "openai", "base_url": server.url, "pricing": price}
        suite = loaded.changed(models=tuple(item.changed(**real) for item in loaded.models))
        async with Engine(suite=suite) as engine:
            execution = await engine.execute()
    forget_models()
    expected = json.loads((ARENAS / "04_llm_judge" / "expected.json").read_text())
    (run,) = execution.runs
    assert run.agent.cost == pytest.approx(expected["runs"][0]["cost_total_usd"])
    assert run.judge.calls == 2
    assert run.judge.cost == pytest.approx(2 * (50 + 33) * 0.00001)
    assert execution.spent.cost == pytest.approx(run.agent.cost + run.judge.cost)


async def test_mocks_cost_nothing_but_in_the_format_of_promptkit_what_it_counts_for_them() -> None:
    execution, expected = await execution_of("04_llm_judge")
    assert execution.spent.calls == 3
    assert execution.spent.cost == 0
    assert exported_index(execution)["total_cost"] == pytest.approx(expected["index"]["total_cost"])


async def test_a_workflow_says_where_it_came_to_and_which_state_each_answer_was_given_in() -> None:
    execution, _ = await execution_of("11_workflow_support")
    flow = execution.runs[0].workflow
    assert flow is not None
    assert (flow.state, flow.complete) == ("closed", True)
    assert [(item["from"], item["to"], item["turn"]) for item in flow.transitions] == [
        ("intake", "specialist", 1),
        ("specialist", "closed", 2),
    ]
    states = [(item.turn, item.meta.get("workflow_state")) for item in execution.runs[0].messages if item.author]
    assert list(dict.fromkeys(states)) == [
        (0, "intake"),
        (1, "intake"),
        (1, "specialist"),
        (2, "specialist"),
        (2, "closed"),
        (3, "closed"),
    ]
