"""What PromptKit's assertions compare, what its stream hands out, and what its result files say beside the verdict."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml
from arena_files import PROMPT, warnings

from duologue.cli.app import invoke
from duologue.suites import Engine
from duologue.suites.manifests.loader import validate
from duologue.vocabulary import Verdict

HELLO = "Hello, how can I help you?"


def scenario_of(*assertions, turns=1, **fields):
    said = [{"role": "user", "content": f"line {number}"} for number in range(turns)]
    said[-1]["assertions"] = list(assertions)
    return yaml.safe_dump({"id": "s", "task_type": "help", "description": "d", "turns": said, **fields}).replace(
        "\n", "\n  "
    )


def written(text):
    return "  " + text.rstrip() + "\n"


async def verdict_of(arena, kind, params, answer=HELLO):
    arena(
        scenario=written(scenario_of({"type": kind, "params": params})),
        answers=f"defaultResponse: {json.dumps(answer)}\n",
    )
    async with Engine.from_file(".") as engine:
        [run] = (await engine.execute(engine.generate_plan(), observers=[])).runs
    assert run.error is None
    return run.verdict is Verdict.PASS


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("kind", "params", "good"),
    [
        ("directional", {"check": "similar_content", "baseline_content": HELLO}, True),
        ("directional", {"check": "similar_content", "baseline_content": "Hello, how can I assist you?"}, True),
        ("directional", {"check": "similar_content", "baseline_content": "Goodbye now."}, False),
        (
            "directional",
            {"check": "similar_content", "baseline_content": "Hello, how can I assist you?", "threshold": 0.9},
            False,
        ),
        ("directional", {"check": "similar_content", "baseline": {"content": HELLO}, "threshold": 1}, True),
        ("directional", {"check": "same_outcome", "baseline_content": HELLO}, True),
        ("directional", {"check": "same_outcome", "baseline_content": "Hello."}, False),
        ("directional", {"check": "same_tool_calls", "baseline_tools": []}, True),
        ("directional", {"check": "same_tool_calls", "baseline_tools": ["search"]}, False),
        ("outcome_equivalent", {"metric": "content_hash", "expected_content": HELLO}, True),
        ("outcome_equivalent", {"metric": "content_hash", "expected_content": "Hello."}, False),
        ("outcome_equivalent", {"metric": "content_hash", "expected_hash": digest(HELLO)}, True),
        ("outcome_equivalent", {"metric": "content_hash", "expected_hash": digest("Hello.")}, False),
        ("outcome_equivalent", {"metric": "tool_calls", "expected_tools": []}, True),
        ("outcome_equivalent", {"metric": "tool_calls", "expected_tools": ["search"]}, False),
    ],
)
async def test_baselines_and_outcomes_are_compared_as_they_are_written(arena, kind, params, good):
    assert await verdict_of(arena, kind, params) is good


async def test_an_agent_made_of_a_model_is_streamed_in_whole_messages_and_validate_says_so(arena):
    arena(scenario=written(scenario_of(streaming=True)), answers="defaultResponse: Hello.\n")
    assert any("agents behind a URL only" in text for text in warnings(validate(".")))
    async with Engine.from_file(".") as engine:
        [case] = engine.generate_plan().cases
        chunks = [chunk async for chunk in engine.stream(case)]
    said = [chunk.message["content"] for chunk in chunks if getattr(chunk, "message", None)]
    assert said == ["line 0", "Hello."]
    assert not any(getattr(chunk, "delta", "") for chunk in chunks)


def test_evals_of_a_pack_tell_their_id_and_how_long_they_took(arena, tmp_path):
    evals = "  evals:\n"
    for name, trigger in (("brief", "on_session_complete"), ("each", "every_turn")):
        evals += f"    - {{id: {name}, type: length, trigger: {trigger}, params: {{max: 100}}}}\n"
    arena(prompt=PROMPT + evals, answers="defaultResponse: Hello.\n")
    assert invoke(["run", ".", "--out", "done", "--format", "promptkit", "--quiet"]) == 0
    folder = tmp_path / "done" / "promptkit"
    [name] = json.loads((folder / "index.json").read_text("utf-8"))["run_ids"]
    data = json.loads((folder / f"{name}.json").read_text("utf-8"))
    found = [*data["conversation_assertions"]["results"], *data["Messages"][-1]["meta"]["assertions"]["results"]]
    evals_found = {item["details"]["eval_id"]: item["details"]["duration_ms"] for item in found}
    assert set(evals_found) == {"brief", "each"}
    assert all(isinstance(took, int) and took >= 0 for took in evals_found.values())


async def test_estimates_of_tokens_count_the_system_prompt_as_part_of_the_history(arena):
    arena(
        prompt=PROMPT.rstrip() + "\n",
        scenario=written(scenario_of(turns=3)),
        answers="defaultResponse: Hello.\n",
    )
    async with Engine.from_file(".") as engine:
        [run] = (await engine.execute(engine.generate_plan(), observers=[])).runs
    [prompt] = run.system_prompts
    read = [item.spent.usage.input_tokens for item in run.messages if item.spent is not None]
    line, answer, system = (-(-len(text) // 4) for text in ("line 0", "Hello.", prompt))
    assert abs(read[0] - line) <= 1
    assert abs(read[1] - (2 * line + answer + system)) <= 4
    assert read[2] - read[1] <= line + answer + 2
